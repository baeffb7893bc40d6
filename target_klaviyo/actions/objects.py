"""Custom objects: records of a data source, of which Klaviyo makes objects as the source's types say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import Refused
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Action, BatchKey, Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json, split_by_size, unit_size
from target_klaviyo.delivery.refusals import refusal_outcome
from target_klaviyo.delivery.requests import send_chunks, single
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import (
    Call,
    Context,
    Options,
    Outcome,
    OutcomeKind,
    Record,
    RejectedRecord,
)

_INGEST, _DELETE = "bulk_create_data_source_records", "bulk_delete_object_records"
_MODE_DELETE = "delete"
# Room for what is around the records of a request.
_ENVELOPE = 1_000


def _resource(fields: Record, context: Context) -> dict[str, Any]:
    """A record of a data source, with that source's id; of one that is to be deleted the object's id.

    Raises:
        RejectedRecord: it names no data source, or no object; or nothing is to be deleted, and it is marked so.
    """
    if _deletes(context):
        if not context.options["allow_deletion"]:
            reason = "records that their source marks as deleted are left out, unless allow_deletion is true"
            raise RejectedRecord("deleted_in_source", reason, kind=OutcomeKind.LEFT_OUT)
        if not (object_id := fields.get("object_record_id", "").strip()):
            raise RejectedRecord("invalid_field", "the record lacks object_record_id, by which objects are deleted")
        return {"id": object_id, "resource": {"type": "object-record", "id": object_id}}
    source = (fields.get("data_source_id") or context.options.get("data_source") or "").strip()
    if not source:
        reason = "the record has no data_source_id, and its stream has no option data_source"
        raise RejectedRecord("no_data_source", reason, pointer="/")
    if not fields.get("properties"):
        raise RejectedRecord("nothing_to_do", "the record has nothing beside its data source", pointer="/")
    resource = {"type": "data-source-record", "attributes": {"record": fields["properties"]}}
    # Records of one source keep their order: of an object's the last must count.
    return {"id": source, "resource": resource}


def _deletes(context: Context) -> bool:
    return context.is_deleted or context.options["mode"] == _MODE_DELETE


def _batch_key(_fields: Record, context: Context) -> BatchKey:
    return (_MODE_DELETE,) if _deletes(context) else ()


def _check(options: Options) -> None:
    if options["mode"] == _MODE_DELETE and not options["allow_deletion"]:
        raise ValueError("allow_deletion must be true for mode: delete")


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Send the rows' records, or delete their objects.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    deleted = [single(row) for row in rows if _MODE_DELETE in row.batch_key]
    yield from _send(session, _DELETE, deleted, _deletion_body)
    sources: dict[str, list[Unit]] = {}
    for row in rows:
        if _MODE_DELETE not in row.batch_key:
            sources.setdefault(row.payload["id"], []).append(single(row))
    for units in sources.values():
        yield from _send(session, _INGEST, units, _ingestion_body)


def _send(
    session: Session, name: str, units: Sequence[Unit], body_of: Callable[[Sequence[Unit]], Record]
) -> Iterator[UnitOutcome]:
    def send(part: Sequence[Unit]) -> Reply:
        # An object that is written twice, or deleted twice, is so once.
        return session.client.call(name, body=encode_json({"data": body_of(part)}), idempotent=True)

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        yield from ((unit, Outcome(OutcomeKind.ACCEPTED, reply.status)) for unit in part)

    limits = operation(name)
    max_bytes = (limits.max_bytes or 4_000_000) - _ENVELOPE
    chunks = split_by_size(units, unit_size, max_count=limits.max_items or 1, max_bytes=max_bytes)
    yield from send_chunks(chunks, send, outcomes_of, find_rejected=_find_rejected)


def _ingestion_body(units: Sequence[Unit]) -> Record:
    source = {"data": {"type": "data-source", "id": units[0].payload["id"]}}
    rows = {"data": [unit.payload["resource"] for unit in units]}
    return {
        "type": "data-source-record-bulk-create-job",
        "attributes": {"data-source-records": rows},
        "relationships": {"data-source": source},
    }


def _deletion_body(units: Sequence[Unit]) -> Record:
    objects = {"data": [unit.payload["resource"] for unit in units]}
    return {"type": "object-record-bulk-delete-job", "relationships": {"object-records": objects}}


def _find_rejected(refused: Refused, units: Sequence[Unit]) -> Mapping[int, Outcome]:
    """The rows that a refusal is about: all of them where their data source is unknown."""
    is_sources = any("/relationships/data-source" in (error.pointer or "") for error in refused.errors)
    if is_sources or refused.status == 404:
        return dict.fromkeys(range(len(units)), refusal_outcome(refused))
    return responses.rejected_by_pointer(refused, units)


OBJECT_RECORDS = Action(
    name="object_records",
    summary="Send records of a data source, of which Klaviyo makes custom objects; or delete such objects.",
    operation=_INGEST,
    other_operations=(Call(_DELETE, "to delete objects", option="allow_deletion"),),
    resource=_resource,
    batch_key=_batch_key,
    deliver=_deliver,
    adds=frozenset(),
    check=_check,
    is_about_people=False,
    accepts_deleted=True,
    options={
        "data_source": {
            "type": "string",
            "pattern": "\\S",
            "description": "Klaviyo's id of the data source, for records that name none.",
        },
        "mode": {
            "type": "string",
            "enum": ["upsert", _MODE_DELETE],
            "default": "upsert",
            "description": "upsert: send the records. delete: delete the objects that they name by object_record_id.",
        },
        "allow_deletion": {
            "type": "boolean",
            "default": False,
            "description": (
                "Must be true for mode: delete. Where it is, records that their source marks as deleted "
                "(`_sdc_deleted_at`) delete their object, too; otherwise they are left out."
            ),
        },
    },
)
