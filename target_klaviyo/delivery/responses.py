"""Klaviyo's answers to outcomes: refusals, jobs and import errors, one outcome per unit. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import ApiError, Refused
from target_klaviyo.delivery.action import Unit, UnitOutcome
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import Note, Outcome, OutcomeKind, Record

_ROW = re.compile(r"/profiles/data/(\d+)(?:/|$)")
_LIST = re.compile(r"/relationships/lists?(?:/|$)")


def row_index(pointer: str | None) -> int | None:
    """The position in the request of the row that a pointer leads to."""
    found = _ROW.search(pointer or "")
    return int(found[1]) if found else None


def blamed(refused: Refused, units: Sequence[Unit]) -> dict[int, Outcome]:
    """Position -> rejection, for the units of a request that the refusal points at."""
    found: dict[int, Outcome] = {}
    for error in refused.errors:
        index = row_index(error.pointer)
        if index is not None and index < len(units):
            found.setdefault(index, rejection(error, refused.status))
    return found


def blames_list(refused: Refused) -> bool:
    """Whether the refusal is about the list that the rows were to join."""
    return any(_LIST.search(error.pointer or "") for error in refused.errors)


def rejection(error: ApiError, status: int) -> Outcome:
    """The outcome that one entry of Klaviyo's error document stands for."""
    reason = error.detail or error.title or f"HTTP {status}"
    other = (error.meta or {}).get("duplicate_profile_id")
    if other:
        reason = f"{reason} (the other profile is {other})"
    return Outcome(OutcomeKind.REJECTED, status, error.code or str(status), error.pointer, reason)


def refusal(refused: Refused) -> Outcome:
    """The outcome of everything in a request that was refused."""
    if refused.errors:
        return rejection(refused.errors[0], refused.status)
    return Outcome(OutcomeKind.REJECTED, refused.status, str(refused.status), None, str(refused))


def delivery(reply: Reply, profile: Record, *, alone: bool) -> Outcome:
    """The outcome of a profile that Klaviyo took; it may say in a header that it dropped a field.

    Unless the unit was alone in its request, the header may be about another one.
    """
    dropped = reply.partial_failure
    if dropped and dropped in profile["attributes"]:
        reason = f"Klaviyo took the record but {'dropped' if alone else 'may have dropped'} its {dropped}"
        return Outcome(OutcomeKind.DELIVERED, reply.status, "partial_failure", f"/data/attributes/{dropped}", reason)
    return Outcome(OutcomeKind.DELIVERED, reply.status)


# From the best to the worst.
_RANK = (OutcomeKind.DELIVERED, OutcomeKind.ACCEPTED, OutcomeKind.REJECTED)


def worst_outcome(found: Iterable[Outcome]) -> Outcome:
    """The worst of the outcomes of a record's parts; of those that are as bad, the first that has something to say."""
    return max(found, key=lambda outcome: (_RANK.index(outcome.kind), outcome.code is not None))


def noted(outcome: Outcome, note: Note | None) -> Outcome:
    """The outcome of a row of which something was left out: it says what, unless the row was rejected anyway."""
    if note is None or outcome.kind is OutcomeKind.REJECTED:
        return outcome
    if outcome.code is None:
        return replace(outcome, code=note.code, pointer=note.pointer, reason=note.reason)
    return replace(outcome, reason=f"{outcome.reason}; {note.reason}")


@dataclass(frozen=True)
class Verdicts:
    """What a finished job came to.

    Attributes:
        settled: every unit of the job with its outcome.
        unattributed: failures of which Klaviyo does not say whose they are.
    """

    settled: list[UnitOutcome]
    unattributed: int


def of_job(units: Sequence[Unit], reply: Reply, failed: int, errors: Sequence[Mapping[str, Any]]) -> Verdicts:
    """One outcome per unit of a job that is complete.

    Args:
        units: the job's rows, in the order in which they were sent.
        reply: the answer that the job was accepted with.
        failed: how many of its rows failed, as the job says.
        errors: the attributes of every import error.
    """
    positions = _positions(units)
    rejected: dict[int, Outcome] = {}
    lost = 0
    for error in errors:
        index = _culprit(error, units, positions)
        if index is None:
            lost += 1
        else:
            rejected.setdefault(index, _import_error(error, reply.status))
    lost = max(lost, failed - len(errors))
    note = Outcome(
        OutcomeKind.ACCEPTED,
        reply.status,
        "unattributed",
        None,
        f"{lost} rows of this job failed, and Klaviyo names none",
    )
    settled = [
        (
            unit,
            rejected[index]
            if index in rejected
            else note
            if lost
            else delivery(reply, unit.payload, alone=len(units) == 1),
        )
        for index, unit in enumerate(units)
    ]
    return Verdicts(settled, lost)


def _import_error(error: Mapping[str, Any], status: int) -> Outcome:
    pointer = (error.get("source") or {}).get("pointer")
    said = ApiError(str(error.get("code", "")), str(error.get("title", "")), str(error.get("detail", "")), pointer)
    return rejection(said, status)


def _positions(units: Sequence[Unit]) -> dict[tuple[str, str], int]:
    return {handle: index for index, unit in enumerate(units) for handle in identifiers_of(unit.payload).items()}


def _culprit(error: Mapping[str, Any], units: Sequence[Unit], positions: Mapping[tuple[str, str], int]) -> int | None:
    """The unit that an import error is about: by what it repeats of the row, else by its pointer."""
    payload = error.get("original_payload")
    named = identifiers_of(payload) if isinstance(payload, Mapping) else {}
    for handle in named.items():
        if handle in positions:
            return positions[handle]
    index = row_index((error.get("source") or {}).get("pointer"))
    if index is None or index >= len(units):
        return None
    there = identifiers_of(units[index].payload)
    return None if any(there.get(name, value) != value for name, value in named.items()) else index
