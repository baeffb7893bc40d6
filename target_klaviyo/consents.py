"""Consent: people are subscribed and unsubscribed, many in a request. Klaviyo says no more than that it took it.

Whoever is unsubscribed from a list that they are not on is unsubscribed everywhere. So the list is asked first, nobody
is unsubscribed from one list by two requests, and a request about a list is not sent again after a lost answer: the
second one would find those people gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from klaviyo_client.client import Reply
from klaviyo_client.operations import operation
from target_klaviyo import outcomes, people
from target_klaviyo.batching import chunks, encoded, waves
from target_klaviyo.delivery import Session, alone, attempt, by_list
from target_klaviyo.identity import handles
from target_klaviyo.lists import Member
from target_klaviyo.model import Kind, Outcome, Row, Settled, Terms, Unit

SUBSCRIBE = "bulk_subscribe_profiles"
UNSUBSCRIBE = "bulk_unsubscribe_profiles"
# What the terms of a row may ask for.
GLOBAL = "global_unless_member"

_TYPES = {
    SUBSCRIBE: "profile-subscription-bulk-create-job",
    UNSUBSCRIBE: "profile-subscription-bulk-delete-job",
}
_AGAIN = "the person is being unsubscribed from this list already; asked again, Klaviyo may unsubscribe them everywhere"


def subscribe(session: Session, rows: Sequence[Row]) -> Iterator[Settled]:
    """Subscribe the rows' people. Their terms are (custom source or None, whether consent is historical).

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, lost = by_list(session, rows)
    yield from lost
    for list_id, part in groups:
        for (custom_source, historical), members in _by_terms(part).items():
            attributes: dict[str, Any] = {} if custom_source is None else {"custom_source": custom_source}
            if historical:
                attributes["historical_import"] = True
            for units in waves(members):
                # Consent that is given twice is given once; at worst a second mail asks for its confirmation.
                yield from _sent(session, SUBSCRIBE, units, list_id, attributes, repeatable=True)


def unsubscribe(session: Session, rows: Sequence[Row]) -> Iterator[Settled]:
    """Unsubscribe the rows' people: from their list if they are on it, everywhere where no list is named.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, lost = by_list(session, rows)
    yield from lost
    for list_id, part in groups:
        anywhere = [row for row in part if list_id is None or GLOBAL in row.terms]
        for units in waves(anywhere):
            yield from _sent(session, UNSUBSCRIBE, units, list_id, {}, repeatable=list_id is None)
        if list_id is not None and len(anywhere) < len(part):
            yield from _off_list(session, [row for row in part if GLOBAL not in row.terms], list_id)


def _off_list(session: Session, rows: Sequence[Row], list_id: str) -> Iterator[Settled]:
    """Unsubscribe those who are on the list; the others are rejected."""
    ids, strangers = _members(session, rows, list_id)
    yield from strangers
    for units in waves([row for row in rows if row in ids]):
        going: list[Unit] = []
        claims: dict[Unit, set[Member]] = {}
        for unit in units:
            mine = {(list_id, profile_id) for row in unit.rows for profile_id in ids[row]}
            asked = _channels(unit)
            before = session.leavers.claim(mine, asked)
            if before is None:
                claims[unit] = mine
                going.append(unit)
            elif asked <= before:
                yield unit, Outcome(Kind.ACCEPTED, None, "repeated", None, "this was asked for already in this run")
            else:
                yield unit, Outcome(Kind.REJECTED, None, "not_on_list", None, _AGAIN)
        for unit, outcome in _sent(session, UNSUBSCRIBE, going, list_id, {}, repeatable=False):
            if outcome.kind is Kind.REJECTED:
                session.leavers.release(claims[unit])
            yield unit, outcome


def _members(session: Session, rows: Sequence[Row], list_id: str) -> tuple[dict[Row, set[str]], list[Settled]]:
    """(row -> Klaviyo's ids of its person, if each of its identifiers is on the list; the others with the reason).

    An e-mail address and a phone number can lead to two people, of whom only one is on the list.
    """
    answers = {name: people.looked_up(session, name, rows, list_id) for name in ("email", "phone_number")}
    ids: dict[Row, set[str]] = {}
    strangers: list[Settled] = []
    for row in rows:
        found = {name: answers[name].ids.get(row) for name in handles(row.payload)}
        refused = [answer.refused[row] for answer in answers.values() if row in answer.refused]
        missing = [name for name, profile_id in found.items() if profile_id is None]
        if refused:
            strangers.append((alone(row), refused[0]))
        elif missing:
            reason = f"nobody on the list has this {missing[0]}, and Klaviyo would unsubscribe the person everywhere"
            pointer = f"/{missing[0]}"
            strangers.append((alone(row), Outcome(Kind.REJECTED, 200, "not_on_list", pointer, reason)))
        else:
            ids[row] = {profile_id for profile_id in found.values() if profile_id}
    return ids, strangers


def _channels(unit: Unit) -> frozenset[str]:
    subscriptions: Mapping[str, Mapping[str, Any]] = unit.payload["attributes"]["subscriptions"]
    return frozenset(f"{channel}.{kind}" for channel, kinds in subscriptions.items() for kind in kinds)


def _by_terms(rows: Sequence[Row]) -> dict[Terms, list[Row]]:
    found: dict[Terms, list[Row]] = {}
    for row in rows:
        found.setdefault(row.terms, []).append(row)
    return found


def _sent(
    session: Session,
    name: str,
    units: Sequence[Unit],
    list_id: str | None,
    attributes: Mapping[str, Any],
    *,
    repeatable: bool,
) -> Iterator[Settled]:
    def send(part: Sequence[Unit]) -> Reply:
        return session.client.call(name, body=_body(name, part, list_id, attributes), repeatable=repeatable)

    for chunk in chunks(units, max_items=operation(name).max_items or 1, max_bytes=None):
        done = attempt(chunk, send)
        yield from done.settled
        for part, reply in done.taken:
            for unit in part:
                outcome = outcomes.delivery(reply, unit.payload, alone=len(part) == 1)
                yield unit, replace(outcome, kind=Kind.ACCEPTED)


def _body(name: str, units: Sequence[Unit], list_id: str | None, attributes: Mapping[str, Any]) -> bytes:
    profiles = [msgspec.Raw(unit.body) for unit in units]
    data: dict[str, Any] = {"type": _TYPES[name], "attributes": {**attributes, "profiles": {"data": profiles}}}
    if list_id is not None:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    return encoded({"data": data})
