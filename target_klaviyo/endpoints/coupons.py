"""Coupons, one at a time, and their codes, by the thousand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from klaviyo_client.errors import Refused
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.jobs import COUPON_CODES, polling_calls
from target_klaviyo.delivery.parallel import map_parallel
from target_klaviyo.delivery.refusals import is_about_rows, refusal_outcome
from target_klaviyo.delivery.requests import single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import bulk_jobs
from target_klaviyo.endpoints.bulk_jobs import BulkChange
from target_klaviyo.model.records import Call, Outcome, OutcomeKind, Record, RejectedRecord
from target_klaviyo.model.times import parse_time

CREATE, CREATE_CODES = "create_coupon", "bulk_create_coupon_codes"
_READ, _UPDATE = "get_coupon", "update_coupon"
_READ_CODE, _UPDATE_CODE = "get_coupon_code", "update_coupon_code"
CALLS = (Call(_READ, "to know which there are"), Call(_UPDATE, "to change those"))
CODE_CALLS = (
    *polling_calls(COUPON_CODES),
    Call(_READ_CODE, "to know which of those that a job did not make there are already"),
    Call(_UPDATE_CODE, "to change when those end"),
)
_CODES = BulkChange(
    CREATE_CODES, "coupon-code-bulk-create-job", "coupon-codes", COUPON_CODES, lambda payload: payload["resource"]
)
# Requests of one batch at once; their budget is 350 a second.
_THREADS = 16
_CONFLICT = 409
_SAME = Outcome(OutcomeKind.DELIVERED, 200, "unchanged", None, "Klaviyo has the same value already")


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Create the rows' coupons, or change those that there are.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    for row in rows:
        yield single(row), _upsert(session, row.payload["id"], row.payload["attributes"])


def _upsert(session: Session, coupon_id: str, attributes: Record) -> Outcome:
    changes = {name: value for name, value in attributes.items() if name != "external_id"}
    known = _read(session, _READ, coupon_id)
    if known is None:
        document = {"data": {"type": "coupon", "attributes": attributes}}
        created = _write(session, CREATE, {}, document)
        if created.status != _CONFLICT:
            return created
        # Somebody has made it meanwhile, perhaps we, and the answer was lost.
    elif all(known.get(name) == value for name, value in changes.items()):
        return _SAME
    document = {"data": {"type": "coupon", "id": coupon_id, "attributes": changes}}
    return _write(session, _UPDATE, {"id": coupon_id}, document)


def deliver_codes(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Create the rows' codes; of those that there are already change when they end, where a row says it.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
        Incomplete: a job did not end in time.
    """
    rows_of: dict[str, list[Row]] = {}
    for row in rows:
        rows_of.setdefault(row.payload["id"], []).append(row)
    units = [Unit(tuple(same), same[-1].payload, same[-1].body) for same in rows_of.values()]
    doubtful: list[UnitOutcome] = []
    for unit, outcome in bulk_jobs.send(session, _CODES, units):
        if _may_be_there(outcome):
            doubtful.append((unit, outcome))
        else:
            yield unit, outcome
    yield from map_parallel(partial(_settle, session), doubtful, max_threads=_THREADS)


def _may_be_there(outcome: Outcome) -> bool:
    """Whether a code that was not made may be in the account all the same."""
    is_jobs = outcome.status is not None and outcome.status < 300
    return outcome.kind is not OutcomeKind.DELIVERED and (is_jobs or outcome.status == _CONFLICT)


def _settle(session: Session, doubtful: UnitOutcome) -> UnitOutcome:
    """What became of a code of which its job does not say that it was made."""
    unit, outcome = doubtful
    known = _read(session, _READ_CODE, unit.payload["id"])
    if known is None:
        reason = (
            outcome.reason if outcome.kind is OutcomeKind.REJECTED else "Klaviyo did not create it, and gave no reason"
        )
        return unit, Outcome(OutcomeKind.REJECTED, outcome.status, outcome.code, outcome.pointer, reason)
    expires_at = unit.payload["resource"]["attributes"].get("expires_at")
    if expires_at is None or _is_same_time(known.get("expires_at"), expires_at):
        return unit, _SAME
    data = {"type": "coupon-code", "id": unit.payload["id"], "attributes": {"expires_at": expires_at}}
    return unit, _write(session, _UPDATE_CODE, {"id": unit.payload["id"]}, {"data": data})


def _is_same_time(known: object, wanted: str) -> bool:
    try:
        return parse_time(known, "expires_at") == parse_time(wanted, "expires_at")
    except RejectedRecord:
        return False


def _read(session: Session, name: str, resource_id: str) -> Mapping[str, object] | None:
    """The attributes of what has an id; None where Klaviyo knows none of it."""
    try:
        found = session.client.call(name, path={"id": resource_id}).resource.get("attributes")
    except Refused as refused:
        if not is_about_rows(refused):
            raise
        return None
    return found if isinstance(found, Mapping) else {}


def _write(session: Session, name: str, path: Mapping[str, str], document: Record) -> Outcome:
    try:
        # Done twice it is done once.
        reply = session.client.call(name, path=path, body=encode_json(document), idempotent=True)
    except Refused as refused:
        if not is_about_rows(refused):
            raise
        return refusal_outcome(refused)
    return Outcome(OutcomeKind.DELIVERED, reply.status)
