"""Profile imports: jobs that are polled until they end, or single requests where there are few profiles."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import NotFound, Refused
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import conflict_free_groups, split_by_size, unit_size
from target_klaviyo.delivery.jobs import IMPORTS, Job, count_in, failure, polling_calls
from target_klaviyo.delivery.refusals import is_about_rows, refusal_outcome
from target_klaviyo.delivery.requests import group_by_list, send_chunks, send_halving, single
from target_klaviyo.delivery.resending import send_without_refused, without_refused_attribute
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import list_members, people
from target_klaviyo.endpoints.profile_jobs import profile_job_body
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import Call, Outcome, OutcomeKind

logger = logging.getLogger("target-klaviyo")

IMPORT = "bulk_import_profiles"
# Klaviyo asks not to import small numbers in bulk, and so many single requests (75 a second) take less time than
# a job, its first poll and its answer.
MAX_SINGLE = 20
_ERRORS = "get_errors_for_bulk_import_profiles_job"
_SINGLE = "create_or_update_profile"
# What an upsert makes use of beside the import.
CALLS = (
    Call(_SINGLE, f"to send {MAX_SINGLE} rows or fewer"),
    *polling_calls(IMPORTS),
    Call(_ERRORS, "to read their errors"),
)
# What a row's batch key may ask for.
UPDATE_ONLY = "update_only"
CLEAR = "clear"


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Upsert the rows' profiles, and add them to their lists.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    limits = operation(IMPORT)
    rows, unknown = _without_unknown(session, rows)
    yield from unknown
    groups, unresolved = group_by_list(session, rows)
    yield from unresolved
    for list_id, members in groups:
        for units in conflict_free_groups(members, max_item_bytes=limits.max_item_bytes):
            if list_id is not None:
                for unit in units:
                    session.pending_unsubscribes.add_join(list_id, identifiers_of(unit.payload))
            upsert = partial(_upsert, session, list_id=list_id)
            send = partial(send_without_refused, send=upsert, reduce=without_refused_attribute)
            yield from send_halving(units, send)


def _without_unknown(session: Session, rows: Sequence[Row]) -> tuple[Sequence[Row], list[UnitOutcome]]:
    """(rows to send, those that may only update somebody and are about nobody)."""
    update_only = [row for row in rows if UPDATE_ONLY in row.batch_key]
    if not update_only:
        return rows, []
    matches = people.find_profiles(session, update_only)
    reason = "no profile has these identifiers, and update_only is set"
    nobody = Outcome(OutcomeKind.REJECTED, 200, "not_found", None, reason)
    unknown = [(single(row), matches.refused.get(row, nobody)) for row in update_only if row not in matches.ids]
    return [row for row in rows if UPDATE_ONLY not in row.batch_key or row in matches.ids], unknown


def _upsert(session: Session, units: Sequence[Unit], list_id: str | None) -> Iterator[UnitOutcome]:
    clearing = {
        unit: None for unit in units if CLEAR in unit.rows[0].batch_key and _has_null(unit.payload["attributes"])
    }
    if clearing:
        yield from _upsert_clearing(session, clearing, list_id)
        units = [unit for unit in units if unit not in clearing]
    if list_id is None and len(units) <= MAX_SINGLE:
        for unit in units:
            yield unit, _send_single(session, unit)[0]
        return
    yield from _import(session, units, list_id)


def _has_null(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_null(entry) for entry in value.values())
    return value is None or (isinstance(value, list) and any(_has_null(entry) for entry in value))


def _upsert_clearing(session: Session, units: Iterable[Unit], list_id: str | None) -> Iterator[UnitOutcome]:
    """One by one, because a bulk import clears nothing; then on the list, all at once."""
    upserted: dict[Row, tuple[str, Outcome]] = {}
    for unit in units:
        outcome, reply = _send_single(session, unit)
        if list_id is None or reply is None:
            yield unit, outcome
        else:
            upserted.update(dict.fromkeys(unit.rows, (reply.resource["id"], outcome)))
    if list_id is None:
        return
    ids = {row: profile_id for row, (profile_id, _) in upserted.items()}
    for unit, outcome in list_members.change_members(session, list_members.ADD, list_id, ids):
        for row in unit.rows:
            yield single(row), outcome if outcome.kind is OutcomeKind.REJECTED else upserted[row][1]


def _send_single(session: Session, unit: Unit) -> tuple[Outcome, Reply | None]:
    """(what became of it, Klaviyo's answer if it was taken)."""
    body = b'{"data":' + unit.body + b"}"
    try:
        reply = session.client.call(_SINGLE, body=body, idempotent=_is_idempotent([unit]))
    except Refused as refused:
        if not is_about_rows(refused):
            raise
        return refusal_outcome(refused), None
    return responses.accepted_outcome(reply, unit.payload, is_single=True), reply


def _import(session: Session, units: Sequence[Unit], list_id: str | None) -> Iterator[UnitOutcome]:
    def send(part: Sequence[Unit]) -> Reply:
        return session.client.call(IMPORT, body=_import_body(part, list_id), idempotent=_is_idempotent(part))

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        return _job_outcomes(session, part, reply)

    limits = operation(IMPORT)
    envelope = len(_import_body([], list_id))
    max_bytes = math.inf if limits.max_bytes is None else limits.max_bytes - envelope
    chunks = split_by_size(units, unit_size, max_count=limits.max_items or 1, max_bytes=max_bytes)
    yield from send_chunks(chunks, send, outcomes_of)


def _import_body(units: Sequence[Unit], list_id: str | None) -> bytes:
    lists = None if list_id is None else {"lists": {"data": [{"type": "list", "id": list_id}]}}
    return profile_job_body("profile-bulk-import-job", units, relationships=lists)


def _is_idempotent(units: Sequence[Unit]) -> bool:
    # An upsert that is done twice is done once; appending to a list is not.
    return not any(unit.payload.get("meta", {}).get("patch_properties", {}).get("append") for unit in units)


def _job_outcomes(session: Session, units: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
    """Wait for the job and read what became of its rows."""
    job_id = reply.resource["id"]
    job = session.job_pollers[IMPORTS].wait_for(job_id)
    if (rejection := failure(IMPORTS, job_id, job, reply.status)) is not None:
        yield from ((unit, rejection) for unit in units)
        return
    errors = _import_errors(session, job_id) if _may_have_errors(job) else []
    result = responses.job_outcomes(units, reply, count_in(job, "failed_count") or 0, errors)
    if result.unattributed:
        logger.warning(
            "import job %s: %d of %d rows failed, and Klaviyo does not say which; they count as accepted",
            job_id,
            result.unattributed,
            len(units),
        )
    yield from result.outcomes


def _may_have_errors(job: Job) -> bool:
    """Whether some of a job's rows failed, or its counts, any of which may be null, do not say that none did."""
    total, completed, failed = (count_in(job, f"{name}_count") for name in ("total", "completed", "failed"))
    if failed:
        return True
    if total is None or completed is None:
        return failed is None
    return completed < total


def _import_errors(session: Session, job_id: str) -> list[Mapping[str, Any]]:
    """The attributes of a job's import errors; none where Klaviyo finds no such job."""
    query = {"page[size]": str(operation(_ERRORS).page_size)}
    try:
        # A page may come twice, and its errors would stand for failures that Klaviyo says nothing of.
        pages: dict[str, Sequence[Mapping[str, Any]]] = {}
        for page in session.client.pages(_ERRORS, path={"id": job_id}, query=query):
            pages[repr(page.data)] = page.data
        return [
            attributes if isinstance(attributes := entry.get("attributes"), Mapping) else {}
            for data in pages.values()
            for entry in data
        ]
    except NotFound as refused:
        if not is_about_rows(refused):
            raise
        return []
