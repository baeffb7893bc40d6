"""Sends requests that hold many rows: what is refused is dropped, the rest is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from klaviyo_client.errors import Refused, TooLarge, Unavailable
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import halve
from target_klaviyo.delivery.refusals import is_about_content, is_about_rows, refusal_outcome
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import ListRef, Outcome, RejectedRecord

T = TypeVar("T")
FindRejected = Callable[[Refused, Sequence[Unit]], Mapping[int, Outcome]]
SendSingly = Callable[[Sequence[Unit]], list[UnitOutcome]]

# Bisecting finds the good rows among bad ones. When so many requests were refused and none taken, there are none:
# something else is wrong, and going on would cost two requests for every row.
MAX_VAIN_REFUSALS = 50
# Klaviyo may name the first bad row only. After so many requests for one row each, they are made smaller, too.
MAX_NAMED_REFUSALS = 10


@dataclass
class SendResult(Generic[T]):
    """What became of the units of one request, and of those that it was cut into.

    Attributes:
        accepted: the requests that Klaviyo took: their units, and its answer.
        outcomes: the units that it refused, and those that were sent singly.
    """

    accepted: list[tuple[list[Unit], T]] = field(default_factory=list)
    outcomes: list[UnitOutcome] = field(default_factory=list)


def single(row: Row) -> Unit:
    """The row as an item of its own."""
    return Unit((row,), row.payload, row.body)


def send_chunks(
    chunks: Iterable[Sequence[Unit]],
    send: Callable[[Sequence[Unit]], T],
    outcomes_of: Callable[[Sequence[Unit], T], Iterable[UnitOutcome]],
    *,
    find_rejected: FindRejected = responses.rejected_by_pointer,
    send_singly: SendSingly | None = None,
) -> Iterator[UnitOutcome]:
    """Send chunks of units, one after the other, and yield the outcome of every unit.

    Args:
        chunks: each what one request may hold.
        send: sends some units at once.
        outcomes_of: the outcomes of units that Klaviyo took, by its answer.
        find_rejected: as ``send_splitting`` has it.
        send_singly: as ``send_splitting`` has it.

    Raises:
        Refused: the refusal is not about the rows, or nothing is ever taken.
        Unavailable: Klaviyo cannot be reached.
    """
    for chunk in chunks:
        result = send_splitting(chunk, send, find_rejected=find_rejected, send_singly=send_singly)
        yield from result.outcomes
        for units, answer in result.accepted:
            yield from outcomes_of(units, answer)


def send_splitting(
    units: Sequence[Unit],
    send: Callable[[Sequence[Unit]], T],
    *,
    find_rejected: FindRejected = responses.rejected_by_pointer,
    send_singly: SendSingly | None = None,
) -> SendResult[T]:
    """Send the units in as few requests as Klaviyo lets us: after a refusal without the bad ones, or in halves.

    Args:
        units: at least one.
        send: sends some of them at once.
        find_rejected: which of them a refusal names, by their position, and what becomes of each.
        send_singly: sends each in a request of its own, where a request was refused and no unit was named, or its
            answer was lost. Without it the first are bisected, and the second end the run.

    Raises:
        Refused: the refusal is not about the rows, or nothing is ever taken and no record's list can be why.
        Unavailable: Klaviyo cannot be reached.
    """
    result: SendResult[T] = SendResult()
    waiting = [list(units)]
    refusals = 0
    while waiting:
        part = waiting.pop()
        try:
            result.accepted.append((part, send(part)))
        except Refused as refused:
            refusals += 1
            if not is_about_rows(refused):
                raise
            if refusals >= MAX_VAIN_REFUSALS and not result.accepted:
                result.outcomes += _give_up([part, *reversed(waiting)], refused)
                break
            is_slow = refusals > MAX_NAMED_REFUSALS
            result.outcomes += _settle(part, refused, find_rejected, send_singly, waiting, is_slow=is_slow)
        except Unavailable as error:
            if send_singly is None or not error.may_have_succeeded:
                raise
            result.outcomes += send_singly(part)
    return result


def _settle(
    part: list[Unit],
    refused: Refused,
    find_rejected: FindRejected,
    send_singly: SendSingly | None,
    waiting: list[list[Unit]],
    *,
    is_slow: bool,
) -> list[UnitOutcome]:
    """The outcomes that a refusal leads to; what is to be sent again joins those that wait, of which the last is next.

    ``is_slow``: refusals name so few units each that good ones must be looked for.
    """
    rejected, again = _after_refusal(part, refused, find_rejected)
    if send_singly is not None and not isinstance(refused, TooLarge) and (is_slow or not rejected):
        return rejected + send_singly([unit for rest in again for unit in rest] if rejected else part)
    if is_slow and rejected:
        # Behind all others, so that good units are come upon wherever they are.
        waiting[:0] = reversed([half for rest in again for half in _halves(rest)])
    else:
        waiting += reversed(again)
    return rejected


def _after_refusal(
    part: list[Unit], refused: Refused, find_rejected: FindRejected
) -> tuple[list[UnitOutcome], list[list[Unit]]]:
    """(units that are rejected for good, parts to send again)."""
    if responses.is_about_list(refused):
        return _with_outcome(part, refusal_outcome(refused)), []
    rejected = find_rejected(refused, part)
    if rejected and not isinstance(refused, TooLarge):
        rest = [unit for index, unit in enumerate(part) if index not in rejected]
        return [(part[index], outcome) for index, outcome in rejected.items()], [rest] if rest else []
    # What a request that names a list can miss is the list; no row is to blame, and looking for one would not end.
    is_list_missing = refused.status == 404 and part[0].rows[0].list is not None
    if is_list_missing or len(part) == 1:
        return _with_outcome(part, refusal_outcome(refused)), []
    return [], _halves(part)


def _halves(part: list[Unit]) -> list[list[Unit]]:
    middle = len(part) // 2
    return [half for half in (part[:middle], part[middle:]) if half]


def _give_up(parts: Sequence[Sequence[Unit]], refused: Refused) -> list[UnitOutcome]:
    """The rejection of all of them, where what is wrong may be the list that their records name, and no other's.

    Raises:
        Refused: it may not.
    """
    ref = parts[0][0].rows[0].list
    if ref is None or ref.configured:
        raise refused
    return [unit_outcome for part in parts for unit_outcome in _with_outcome(part, refusal_outcome(refused))]


def _with_outcome(units: Sequence[Unit], outcome: Outcome) -> list[UnitOutcome]:
    return [(unit, outcome) for unit in units]


def send_halving(
    units: Sequence[Unit], send: Callable[[Sequence[Unit]], Iterable[UnitOutcome]]
) -> Iterator[UnitOutcome]:
    """Send units, and those of several rows that are refused again in halves, the earlier rows first.

    So a bad row rejects no good row of the same person.

    Args:
        units: no two of them about one person, so that different people's halves go in one request.
        send: sends units that may go together, and yields their outcomes.
    """
    waiting = {unit.rows[0]: [unit] for unit in units}
    while waiting:
        sent = {queue.pop(0): queue for queue in waiting.values()}
        for unit, outcome in send(list(sent)):
            if unit in sent and is_about_content(outcome) and len({row.body for row in unit.rows}) > 1:
                sent[unit][:0] = halve(unit)
            else:
                yield unit, outcome
        waiting = {first: queue for first, queue in waiting.items() if queue}


def rejoin(
    pieces: Mapping[Row, Sequence[Row]],
    piece_outcomes: Iterable[UnitOutcome],
    join: Callable[[Row, Sequence[Outcome]], Outcome] = lambda _row, outcomes: responses.worst_outcome(outcomes),
) -> Iterator[UnitOutcome]:
    """The outcomes of rows out of those of the pieces in which they were sent: by default the worst counts."""
    row_of = {piece: row for row, of_row in pieces.items() for piece in of_row}
    outcomes: dict[Row, list[Outcome]] = {}
    for unit, outcome in piece_outcomes:
        for piece in unit.rows:
            row = row_of[piece]
            outcomes.setdefault(row, []).append(outcome)
            if len(outcomes[row]) == len(pieces[row]):
                yield single(row), join(row, outcomes.pop(row))


def group_by_list(
    session: Session, rows: Sequence[Row]
) -> tuple[list[tuple[str | None, list[Row]]], list[UnitOutcome]]:
    """(list id or None with its rows, in the order in which the lists first come; rows whose list cannot be found).

    Raises:
        SettingsError: a list that the settings name cannot be found.
    """
    rows_by_ref: dict[ListRef | None, list[Row]] = {}
    for row in rows:
        rows_by_ref.setdefault(row.list, []).append(row)
    groups: list[tuple[str | None, list[Row]]] = []
    unresolved: list[UnitOutcome] = []
    for ref, members in rows_by_ref.items():
        try:
            groups.append((None if ref is None else session.lists.id_of(ref), members))
        except RejectedRecord as rejection:
            unresolved += _with_outcome([single(row) for row in members], rejection.outcome)
    return groups, unresolved
