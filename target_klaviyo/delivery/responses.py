"""Klaviyo's answers become outcomes: refusals, jobs and import errors, one outcome per unit. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from klaviyo_client.api.protocol import api_error
from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import Refused
from target_klaviyo.delivery.action import Unit, UnitOutcome
from target_klaviyo.delivery.refusals import error_outcome, points_at_list
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Note, Outcome, OutcomeKind, Record

_ROW = re.compile(
    r"/(?:profiles|coupon-codes|items|variants|categories|data-source-records|object-records)/data/(\d+)(?:/|$)"
)


def row_index(pointer: str | None) -> int | None:
    """The position in the request of the row that a pointer leads to."""
    match = _ROW.search(pointer or "")
    return int(match[1]) if match else None


def rejected_by_pointer(refused: Refused, units: Sequence[Unit]) -> dict[int, Outcome]:
    """Position -> rejection, for the units of a request that the refusal points at."""
    outcomes: dict[int, Outcome] = {}
    for error in refused.errors:
        index = row_index(error.pointer)
        if index is not None and index < len(units):
            outcomes.setdefault(index, error_outcome(error, refused.status))
    return outcomes


def is_about_list(refused: Refused) -> bool:
    """Whether the refusal is about the list that the rows were to join."""
    return any(points_at_list(error.pointer) for error in refused.errors)


def accepted_outcome(reply: Reply, profile: Record, *, is_single: bool) -> Outcome:
    """The outcome of a profile that Klaviyo took; it may say in a header that it dropped a field.

    Unless the unit was alone in its request, the header may be about another one.
    """
    dropped = reply.partial_failure
    if dropped and dropped in profile["attributes"]:
        reason = f"Klaviyo accepted the record but {'dropped' if is_single else 'may have dropped'} its {dropped}"
        pointer = f"/data/attributes/{dropped}"
        return Outcome(OutcomeKind.DELIVERED, reply.status, "partial_failure", pointer, reason)
    return Outcome(OutcomeKind.DELIVERED, reply.status)


# From the best to the worst.
_RANK = (OutcomeKind.LEFT_OUT, OutcomeKind.DELIVERED, OutcomeKind.ACCEPTED, OutcomeKind.REJECTED)


def worst_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of the outcomes of a record's steps; of those that are as bad, the first that has a code."""
    of_steps = list(outcomes)
    worst = max(of_steps, key=lambda outcome: (_RANK.index(outcome.kind), outcome.code is not None))
    left_out = dict.fromkeys(note for outcome in of_steps for note in outcome.left_out)
    return with_notes(worst, tuple(note for note in left_out if note not in worst.left_out))


def with_notes(outcome: Outcome, notes: tuple[Note, ...]) -> Outcome:
    """The outcome of a row of which something was left out: it says what, unless the row was rejected anyway."""
    if not notes or outcome.kind is OutcomeKind.REJECTED:
        return outcome
    first = notes[0]
    code, pointer = (first.code, first.pointer) if outcome.code is None else (outcome.code, outcome.pointer)
    reasons = dict.fromkeys([*filter(None, [outcome.reason]), *(note.reason for note in notes)])
    left_out = (*outcome.left_out, *notes)
    return replace(outcome, code=code, pointer=pointer, reason="; ".join(reasons), left_out=left_out)


@dataclass(frozen=True)
class JobOutcomes:
    """The outcomes of a finished job.

    Attributes:
        outcomes: every unit of the job with its outcome.
        unattributed: failures of which Klaviyo does not say whose they are.
    """

    outcomes: list[UnitOutcome]
    unattributed: int


def job_outcomes(units: Sequence[Unit], reply: Reply, failed: int, errors: Sequence[Mapping[str, Any]]) -> JobOutcomes:
    """One outcome per unit of a job that is complete.

    Args:
        units: the job's rows, in the order in which they were sent.
        reply: the answer that the job was accepted with.
        failed: how many of its rows failed, as the job says.
        errors: the attributes of every import error.
    """
    rejected, unattributed = _rejected_by_errors(units, reply, errors)
    unattributed = max(unattributed, failed - len(errors))
    reason = f"{unattributed} rows of this job failed, and Klaviyo does not say which"
    perhaps_failed = Outcome(OutcomeKind.ACCEPTED, reply.status, "unattributed", None, reason)
    is_single = len(units) == 1
    outcomes: list[UnitOutcome] = []
    for index, unit in enumerate(units):
        if index in rejected:
            outcome = rejected[index]
        elif unattributed:
            outcome = perhaps_failed
        else:
            outcome = accepted_outcome(reply, unit.payload, is_single=is_single)
        outcomes.append((unit, outcome))
    return JobOutcomes(outcomes, unattributed)


def _rejected_by_errors(
    units: Sequence[Unit], reply: Reply, errors: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, Outcome], int]:
    """(position -> rejection, for the units that import errors are about; how many errors are about none)."""
    positions = {
        identifier: index for index, unit in enumerate(units) for identifier in identifiers_of(unit.payload).items()
    }
    rejected: dict[int, Outcome] = {}
    unattributed = 0
    for error in errors:
        index = _row_of_error(error, units, positions)
        if index is None:
            unattributed += 1
        else:
            rejected.setdefault(index, _import_error_outcome(error, reply.status))
    return rejected, unattributed


def _import_error_outcome(error: Mapping[str, Any], status: int) -> Outcome:
    found = api_error(error)
    reason = found.detail or found.title or "Klaviyo rejected the row in its job and gave no reason"
    return error_outcome(replace(found, code=found.code or "import_error", detail=reason), status)


def _row_of_error(error: Mapping[str, Any], units: Sequence[Unit], positions: Mapping[Identifier, int]) -> int | None:
    """The position of the unit that an import error is about: by what it repeats of the row, else by its pointer."""
    payload = error.get("original_payload")
    named = identifiers_of(payload) if isinstance(payload, Mapping) else {}
    for identifier in named.items():
        if identifier in positions:
            return positions[identifier]
    index = row_index(api_error(error).pointer)
    if index is None or index >= len(units):
        return None
    pointed_at = identifiers_of(units[index].payload)
    return None if any(pointed_at.get(name, value) != value for name, value in named.items()) else index
