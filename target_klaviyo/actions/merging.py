"""Merging: two profiles of one person become one. The profile that is merged into the other is gone for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from klaviyo_client.errors import Refused
from target_klaviyo.delivery.action import Action, Row, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.refusals import is_about_rows, refusal_outcome
from target_klaviyo.delivery.requests import single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import people
from target_klaviyo.model.identifiers import IDENTIFIERS, note_left_out, parse_email, require_valid_identifiers
from target_klaviyo.model.records import Context, Note, Options, Outcome, OutcomeKind, Record, RejectedRecord

_MERGE = "merge_profiles"
_PREFIX = "merged_"
# Records whose people are looked up at once.
_MAX_ROWS = 50
_NOBODY = Outcome(OutcomeKind.REJECTED, 200, "not_found", None, "no profile has the identifier to merge into")
_NOT_THERE = "no profile has the identifier to merge: it was merged before, or never existed"
_ONE_ALREADY = "both identifiers belong to one profile already"


def _select_fields(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
    """One identifier of each, the strongest that can be used.

    Raises:
        RejectedRecord: none of who stays can be used.
    """
    merged = [name for name in (f"{_PREFIX}{identifier}" for identifier in IDENTIFIERS) if name in fields]
    of_merged = {name: fields[name] for name in merged[:1]}
    for name in IDENTIFIERS:
        if name in fields:
            return {name: fields[name], **of_merged}, note_left_out(faults)
    return require_valid_identifiers({**fields, **of_merged}, faults, context)


def _resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    """Who stays, as a resource, and in ``merged`` who is merged.

    Raises:
        RejectedRecord: the address of who is merged is none.
    """
    of_merged = {name.removeprefix(_PREFIX): value for name, value in fields.items() if name.startswith(_PREFIX)}
    if "email" in of_merged:
        try:
            of_merged["email"] = parse_email(of_merged["email"])
        except RejectedRecord as fault:
            reason = f"merged_{fault.reason}"
            raise RejectedRecord(fault.code, reason, pointer="/merged_email") from fault
    stays = {name: value for name, value in fields.items() if not name.startswith(_PREFIX)}
    return {**_profile(stays), "merged": _profile(of_merged)}


def _profile(identifiers: Mapping[str, Any]) -> dict[str, Any]:
    if "id" in identifiers:
        return {"type": "profile", "id": identifiers["id"], "attributes": {}}
    return {"type": "profile", "attributes": dict(identifiers)}


def _check(options: Options) -> None:
    if not options["allow_merging"]:
        raise ValueError("allow_merging must be true: a merge cannot be undone")


def _deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Merge one after the other: who was merged into somebody may be merged on with them.

    Raises:
        CapExceeded: more would be merged than ``max_merges`` allows.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    with session.merges.one_batch_at_a_time:
        sources = {replace(row, payload=row.payload["merged"]): row for row in rows}
        found = people.find_profiles(session, [*rows, *sources])
        source_of = {row: source for source, row in sources.items()}
        for row in rows:
            source = source_of[row]
            refused = found.refused.get(row) or found.refused.get(source)
            if refused is not None:
                outcome = refused
            elif row not in found.ids:
                outcome = _NOBODY
            elif source not in found.ids or session.merges.is_gone(found.ids[source]):
                outcome = Outcome(OutcomeKind.DELIVERED, 200, "not_found", None, _NOT_THERE)
            else:
                outcome = _merge(session, row, found.ids[row], found.ids[source])
            yield single(row), outcome


def _merge(session: Session, row: Row, into: str, source: str) -> Outcome:
    into = session.merges.current_id(into)
    if into == source:
        return Outcome(OutcomeKind.DELIVERED, 200, "same_profile", None, _ONE_ALREADY)
    (limit,) = row.batch_key
    session.merges.count(limit)
    relationships = {"profiles": {"data": [{"type": "profile", "id": source}]}}
    body = encode_json({"data": {"type": "profile-merge", "id": into, "relationships": relationships}})
    try:
        # Done twice it is done once: the second request finds nobody to merge.
        reply = session.client.call(_MERGE, body=body, idempotent=True)
    except Refused as refused:
        if not is_about_rows(refused):
            raise
        return refusal_outcome(refused)
    session.merges.note(source, into)
    return Outcome(OutcomeKind.ACCEPTED, reply.status)


MERGE_PROFILES = Action(
    name="merge_profiles",
    summary=(
        "Merge two profiles of one person: what Klaviyo knows of the one (merged_email and so on) goes to the other, "
        "and the one is gone for good."
    ),
    operation=_MERGE,
    other_operations=(people.find_call("to find both by their identifiers"),),
    resource=_resource,
    select_fields=_select_fields,
    batch_key=lambda _fields, context: (context.options["max_merges"],),
    deliver=_deliver,
    adds=frozenset(),
    removes=lambda _batch_key: frozenset({"profile", "consent", "list"}),
    check=_check,
    max_rows=_MAX_ROWS,
    options={
        "allow_merging": {
            "type": "boolean",
            "default": False,
            "description": "Must be true: a merge cannot be undone, and nobody should ask for one by accident.",
        },
        "max_merges": {
            "type": "integer",
            "minimum": 0,
            "default": 100,
            "description": "How many profiles a run may merge away. At one more it ends, with exit code 3.",
        },
    },
)
