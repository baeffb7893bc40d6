"""New people: profiles that are created, and left alone where they exist. Klaviyo has no such upsert.

One request each, because the bulk import updates whoever exists; the request itself never does, so that somebody who
is created meanwhile by others is left alone, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import Refused
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.parallel import map_parallel
from target_klaviyo.delivery.refusals import is_about_rows, refusal_outcome
from target_klaviyo.delivery.requests import group_by_list, single
from target_klaviyo.delivery.resending import send_without_refused, without_refused_attribute
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import list_members, people
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import EXISTS, Call, Outcome, OutcomeKind

CREATE = "create_profile"
CALLS = (
    Call(CREATE, "to create new people", option="create_only"),
    people.find_call("to know who exists", option="create_only"),
)
# What a row's batch key asks for.
CREATE_ONLY = "create_only"
# Single requests at once: their budget is 75 a second.
_THREADS = 16
_EXISTS = Outcome(OutcomeKind.LEFT_OUT, 200, EXISTS, None, "a profile has these identifiers, and create_only is set")
_NO_NEW_ID = Outcome(
    OutcomeKind.REJECTED, 200, "not_found", None, "no profile has this Klaviyo id, and only Klaviyo assigns ids"
)


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Create the rows' profiles, and put those on their lists; whoever exists is left out, list and all.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    matches = people.find_profiles(session, rows)
    unmatched: list[Row] = []
    for row in rows:
        if row in matches.ids:
            yield single(row), _EXISTS
        elif row in matches.refused:
            yield single(row), matches.refused[row]
        elif "id" in row.payload:
            yield single(row), _NO_NEW_ID
        else:
            unmatched.append(row)
    groups, unresolved = group_by_list(session, unmatched)
    yield from unresolved
    list_of = {row: list_id for list_id, members in groups for row in members}
    for wave in _waves([row for row in unmatched if row in list_of]):
        created: dict[str, dict[Row, str]] = {}
        for unit, outcome, profile_id in _create(session, wave):
            [row] = unit.rows
            list_id = list_of[row]
            if list_id is None or profile_id is None:
                yield unit, outcome
            else:
                session.pending_unsubscribes.add_join(list_id, identifiers_of(row.payload))
                created.setdefault(list_id, {})[row] = profile_id
        for list_id, ids in created.items():
            yield from list_members.change_members(session, list_members.ADD, list_id, ids)


def _waves(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in groups of different people, in order: of one person the first creates, and the next finds them."""
    waiting = list(rows)
    while waiting:
        wave: list[Row] = []
        later: list[Row] = []
        seen: set[Identifier] = set()
        for row in waiting:
            identifiers = identifiers_of(row.payload).items()
            (wave if seen.isdisjoint(identifiers) else later).append(row)
            seen.update(identifiers)
        yield wave
        waiting = later


def _create(session: Session, rows: Sequence[Row]) -> Iterator[tuple[Unit, Outcome, str | None]]:
    """Each unit with its outcome, and Klaviyo's id of whoever was created."""
    ids: dict[Row, str] = {}

    def send(units: Iterable[Unit]) -> list[UnitOutcome]:
        replies = map_parallel(lambda unit: _send(session, unit), list(units), max_threads=_THREADS)
        for unit, _, reply in replies:
            if reply is not None:
                ids.update(dict.fromkeys(unit.rows, str(reply.resource["id"])))
        return [(unit, outcome) for unit, outcome, _ in replies]

    for unit, outcome in send_without_refused(map(single, rows), send, without_refused_attribute):
        yield unit, outcome, ids.get(unit.rows[0])


def _send(session: Session, unit: Unit) -> tuple[Unit, Outcome, Reply | None]:
    try:
        # After a lost answer the second request finds whom the first has created: they are there.
        reply = session.client.call(CREATE, body=b'{"data":' + unit.body + b"}", idempotent=True)
    except Refused as refused:
        if not is_about_rows(refused):
            raise
        outcome = refusal_outcome(refused)
        return unit, _EXISTS if outcome.code == "duplicate_profile" else outcome, None
    return unit, responses.accepted_outcome(reply, unit.payload, is_single=True), reply
