"""Puts people on a list, or takes them off it, by their Klaviyo ids. Never a matter of consent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import Refused
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import chunks, encoded
from target_klaviyo.delivery.requests import alone, attempt, by_list
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import people
from target_klaviyo.model.records import Outcome, OutcomeKind

ADD = "add_profiles_to_list"
REMOVE = "remove_profiles_from_list"
_QUOTED = re.compile(r"""(['"])(.+?)\1""")
_NOBODY = "nobody is known by these identifiers, so nobody was removed"
_GONE = Outcome(
    OutcomeKind.DELIVERED, None, "not_found", None, "Klaviyo has no profile with this id, so nobody was removed"
)


def remove(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Take the rows' people off their lists. They stay subscribed.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, lost = by_list(session, rows)
    yield from lost
    members = [row for _, part in groups for row in part]
    ids = {row: row.payload["id"] for row in members if "id" in row.payload}
    answer = people.found(session, [row for row in members if row not in ids])
    ids.update(answer.ids)
    for list_id, part in groups:
        for row in part:
            if row not in ids:
                nobody = Outcome(OutcomeKind.DELIVERED, 200, "not_found", None, _NOBODY)
                yield alone(row), answer.refused.get(row, nobody)
        if list_id is not None:
            yield from changed(session, REMOVE, list_id, {row: ids[row] for row in part if row in ids})


def changed(session: Session, name: str, list_id: str, ids: Mapping[Row, str]) -> Iterator[UnitOutcome]:
    """Put the people on the list, or take them off: each once, whatever rows there are about them.

    Args:
        session: what the actions share.
        name: ``ADD`` or ``REMOVE``.
        list_id: Klaviyo's id of the list.
        ids: row -> Klaviyo's id of its person.
    """

    def send(part: Sequence[Unit]) -> Reply:
        body = encoded({"data": [msgspec.Raw(unit.body) for unit in part]})
        # Done twice it is done once.
        return session.client.call(name, path={"id": list_id}, body=body, idempotent=True)

    of_person: dict[str, list[Row]] = {}
    for row, profile_id in ids.items():
        of_person.setdefault(profile_id, []).append(row)
    units = [_unit(profile_id, rows) for profile_id, rows in of_person.items()]
    for chunk in chunks(units, max_items=operation(name).max_items or 1, max_bytes=None):
        done = attempt(chunk, send, blame=_gone if name == REMOVE else _named)
        yield from done.settled
        for part, reply in done.taken:
            yield from ((unit, Outcome(OutcomeKind.DELIVERED, reply.status)) for unit in part)


def _unit(profile_id: str, rows: Sequence[Row]) -> Unit:
    payload = {"type": "profile", "id": profile_id}
    return Unit(tuple(rows), payload, encoded(payload))


def _gone(refused: Refused, part: Sequence[Unit]) -> Mapping[int, Outcome]:
    """As ``_named``, for those who are to leave: whoever the account does not have is on no list."""
    quoted = _quoted(refused)
    gone = {index: _GONE for index, unit in enumerate(part) if unit.payload["id"] in quoted}
    return {index: replace(outcome, status=refused.status) for index, outcome in gone.items()} or responses.blamed(
        refused, part
    )


def _quoted(refused: Refused) -> set[str]:
    return {found[2] for error in refused.errors for found in _QUOTED.finditer(error.detail)}


def _named(refused: Refused, part: Sequence[Unit]) -> dict[int, Outcome]:
    """Those whose ids the refusal quotes: "Invalid profile IDs: {'x'}" points at no row."""
    quoted = _quoted(refused)
    code = refused.errors[0].code if refused.errors else None
    outcome = Outcome(
        OutcomeKind.REJECTED,
        refused.status,
        code or str(refused.status),
        "/data",
        "Klaviyo has no profile with this id",
    )
    named = {index: outcome for index, unit in enumerate(part) if unit.payload["id"] in quoted}
    return named or responses.blamed(refused, part)
