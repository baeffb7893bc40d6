"""Send a request that holds many rows; drop what is refused, resend the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from klaviyo_client.errors import InvalidKey, NotAllowed, Refused, RevisionRetired, TooLarge, Unavailable
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import ListRef, Outcome, RejectedRecord

T = TypeVar("T")
Blame = Callable[[Refused, Sequence[Unit]], Mapping[int, Outcome]]

# Statuses that can be about a row; others, and answers that are not Klaviyo's, are about the request itself.
_ABOUT_ROWS = (400, 404, 409, 422)
# Bisecting finds the good rows among bad ones. When so many requests were refused and none taken, there are none:
# something else is wrong, and going on would cost two requests for every row.
_HOPELESS = 50


@dataclass
class Attempt(Generic[T]):
    """What became of the units of one request, and of those that it was cut into.

    Attributes:
        taken: the requests that Klaviyo took, with its answers.
        settled: the units that it refused.
    """

    taken: list[tuple[list[Unit], T]] = field(default_factory=list)
    settled: list[UnitOutcome] = field(default_factory=list)


def is_about_rows(refused: Refused) -> bool:
    """Whether a refusal says something about what was sent, so that other rows may still be taken.

    401, 403 and 410 never are: nothing more can be sent until the user acts.
    """
    if isinstance(refused, InvalidKey | NotAllowed | RevisionRetired):
        return False
    return isinstance(refused, TooLarge) or (refused.status in _ABOUT_ROWS and bool(refused.errors))


OneByOne = Callable[[Sequence[Unit]], list[UnitOutcome]]


def alone(row: Row) -> Unit:
    """The row as an item of its own."""
    return Unit((row,), row.payload, row.body)


def attempt(
    units: Sequence[Unit],
    send: Callable[[Sequence[Unit]], T],
    *,
    blame: Blame = responses.blamed,
    one_by_one: OneByOne | None = None,
) -> Attempt[T]:
    """Send the units in as few requests as Klaviyo lets us.

    Args:
        units: at least one.
        send: sends some of them at once.
        blame: which of them a refusal names, by their position, and what becomes of each.
        one_by_one: sends units where a request was refused and none is to blame, or its answer was lost. Without it
            the first are bisected, and the second end the run.

    Raises:
        Refused: the refusal is not about the rows, or nothing is ever taken.
        Unavailable: Klaviyo cannot be reached.
    """
    done: Attempt[T] = Attempt()
    waiting = [list(units)]
    refusals = 0
    while waiting:
        part = waiting.pop()
        try:
            done.taken.append((part, send(part)))
        except Refused as refused:
            refusals += 1
            if not is_about_rows(refused) or (refusals >= _HOPELESS and not done.taken):
                raise
            rejected, again = _judged(part, refused, blame)
            done.settled += rejected
            if one_by_one is not None and not rejected and not isinstance(refused, TooLarge):
                done.settled += one_by_one(part)
            else:
                waiting += reversed(again)
        except Unavailable as fault:
            if one_by_one is None or not fault.may_have_succeeded:
                raise
            done.settled += one_by_one(part)
    return done


def _judged(part: list[Unit], refused: Refused, blame: Blame) -> tuple[list[UnitOutcome], list[list[Unit]]]:
    """(units that are rejected for good, parts to send again)."""
    # What a request can name and miss is the list; no row is to blame, and looking for one would not end.
    if responses.blames_list(refused) or refused.status == 404:
        return _all(part, responses.refusal(refused)), []
    blamed = blame(refused, part)
    if blamed and not isinstance(refused, TooLarge):
        rest = [unit for index, unit in enumerate(part) if index not in blamed]
        return [(part[index], outcome) for index, outcome in blamed.items()], [rest] if rest else []
    if len(part) == 1:
        return _all(part, responses.refusal(refused)), []
    middle = len(part) // 2
    return [], [part[:middle], part[middle:]]


def _all(units: Sequence[Unit], outcome: Outcome) -> list[UnitOutcome]:
    return [(unit, outcome) for unit in units]


def by_list(session: Session, rows: Sequence[Row]) -> tuple[list[tuple[str | None, list[Row]]], list[UnitOutcome]]:
    """(list id or None with its rows, in the order in which the lists first come; rows whose list cannot be found).

    Raises:
        SettingsError: a list that the settings name cannot be found.
    """
    of_ref: dict[ListRef | None, list[Row]] = {}
    for row in rows:
        of_ref.setdefault(row.list, []).append(row)
    found: list[tuple[str | None, list[Row]]] = []
    lost: list[UnitOutcome] = []
    for ref, members in of_ref.items():
        try:
            found.append((None if ref is None else session.lists.id_of(ref), members))
        except RejectedRecord as unfit:
            lost += _all([alone(row) for row in members], unfit.outcome)
    return found, lost
