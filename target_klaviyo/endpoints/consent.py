"""Consent: people are subscribed and unsubscribed, many in a request. Klaviyo says no more than that it took it.

Whoever is unsubscribed from a list that they are not on is unsubscribed everywhere. So the list is asked first, nobody
is unsubscribed from one list by two requests, and a request about a list is not sent again after a lost answer: the
second one would find those people gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import msgspec

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import BatchKey, Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import chunks, encoded, merged, waves
from target_klaviyo.delivery.requests import alone, attempt, by_list
from target_klaviyo.delivery.session import Session
from target_klaviyo.delivery.unsubscribes import Member
from target_klaviyo.endpoints import people
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import Outcome, OutcomeKind

SUBSCRIBE = "bulk_subscribe_profiles"
UNSUBSCRIBE = "bulk_unsubscribe_profiles"
# What the terms of a row may ask for.
GLOBAL = "global_unless_member"

_TYPES = {
    SUBSCRIBE: "profile-subscription-bulk-create-job",
    UNSUBSCRIBE: "profile-subscription-bulk-delete-job",
}
_AGAIN = "the person is being unsubscribed from this list already; asked again, Klaviyo may unsubscribe them everywhere"
_REPEATED = Outcome(OutcomeKind.ACCEPTED, None, "repeated", None, "this was asked for already in this run")
# The identifier that a channel needs.
NEEDS = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}


def subscribe(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
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
            cut = {row: _pieces(session, row) for row in members}
            yield from _rejoined(cut, _subscribed(session, cut, list_id, attributes))


def _subscribed(
    session: Session, cut: Mapping[Row, Sequence[Row]], list_id: str | None, attributes: Mapping[str, Any]
) -> Iterator[UnitOutcome]:
    for units in waves([piece for pieces in cut.values() for piece in pieces]):
        for unit in units:
            session.leavers.back(list_id, identifiers_of(unit.payload))
        # Consent that is given twice is given once; at worst a second mail asks for its confirmation.
        yield from _sent(session, SUBSCRIBE, units, list_id, attributes, idempotent=True)


def _pieces(session: Session, row: Row) -> Sequence[Row]:
    """The row, or two where its address and its number are two people's."""
    return [row] if session.pairs.are_one(identifiers_of(row.payload)) else list(_by_identifier(row))


def unsubscribe(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Unsubscribe the rows' people: from their list if they are on it, everywhere where no list is named.

    An e-mail address and a phone number go as two, unless they are known to be one person's: Klaviyo would make them
    so, and take nothing from a number that is somebody else's.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, lost = by_list(session, rows)
    yield from lost
    for list_id, part in groups:
        cut = {row: list(_by_identifier(row)) for row in part}
        anywhere = [piece for row in part if list_id is None or GLOBAL in row.batch_key for piece in cut[row]]
        yield from _rejoined(cut, _everywhere(session, anywhere, list_id))
        if list_id is not None:
            listed = [piece for row in part if GLOBAL not in row.batch_key for piece in cut[row]]
            yield from _rejoined(cut, _off_list(session, listed, list_id))


def _by_identifier(row: Row) -> Iterator[Row]:
    """The row in pieces that name one identifier each, with the channels that need it."""
    attributes = row.payload["attributes"]
    others = {name: value for name, value in attributes.items() if name not in (*NEEDS.values(), "subscriptions")}
    for name in identifiers_of(row.payload):
        its = {channel: kinds for channel, kinds in attributes["subscriptions"].items() if NEEDS[channel] == name}
        payload = {**row.payload, "attributes": {name: attributes[name], **others, "subscriptions": its}}
        yield replace(row, payload=payload, body=encoded(payload))


def _rejoined(cut: Mapping[Row, Sequence[Row]], settled: Iterable[UnitOutcome]) -> Iterator[UnitOutcome]:
    """The outcomes of rows out of those of their pieces: the worst counts."""
    whole_of = {piece: row for row, pieces in cut.items() for piece in pieces}
    found: dict[Row, list[Outcome]] = {}
    for unit, outcome in settled:
        for piece in unit.rows:
            row = whole_of[piece]
            found.setdefault(row, []).append(outcome)
            if len(found[row]) == len(cut[row]):
                yield alone(row), responses.worst_outcome(found.pop(row))


def _everywhere(session: Session, pieces: Sequence[Row], list_id: str | None) -> Iterator[UnitOutcome]:
    """Unsubscribe people from what they are on, list or not, as Klaviyo does it; from a list once."""
    for piece in pieces:
        session.pairs.are_one(identifiers_of(piece.payload))
    for units in waves(pieces):
        if list_id is None:
            yield from _sent(session, UNSUBSCRIBE, units, None, {}, idempotent=True)
            continue
        new: dict[Unit, set[Member]] = {}
        for unit in units:
            names, asked = _names(list_id, unit), _channels(unit)
            if asked <= session.leavers.claim(names, asked, names, more=True):
                yield unit, _REPEATED  # the second request would find them off the list
            else:
                new[unit] = names
        for unit, outcome in _sent(session, UNSUBSCRIBE, list(new), list_id, {}, idempotent=False):
            if outcome.kind is OutcomeKind.REJECTED:
                session.leavers.release(new[unit])
            yield unit, outcome


def _off_list(session: Session, pieces: Sequence[Row], list_id: str) -> Iterator[UnitOutcome]:
    """Unsubscribe those who are on the list, each once, with all that is known of them; the others are rejected."""
    ids, strangers = _members(session, pieces, list_id)
    yield from strangers
    going: dict[Unit, set[Member]] = {}
    for profile_id, unit in _by_person(ids):
        mine, asked = {(list_id, profile_id)}, _channels(unit)
        session.pairs.are_one(identifiers_of(unit.payload))
        before = session.leavers.claim(mine, asked, _names(list_id, unit))
        if not before:
            going[unit] = mine
            continue
        for piece in unit.rows:
            again = _channels(alone(piece)) <= before
            yield alone(piece), _REPEATED if again else Outcome(OutcomeKind.REJECTED, None, "not_on_list", None, _AGAIN)
    for unit, outcome in _sent(session, UNSUBSCRIBE, list(going), list_id, {}, idempotent=False):
        if outcome.kind is OutcomeKind.REJECTED:
            session.leavers.release(going[unit])
        yield unit, outcome


def _by_person(ids: Mapping[Row, str]) -> Iterator[tuple[str, Unit]]:
    """(Klaviyo's id, the pieces that are about this one person), in the order in which they first come."""
    of_person: dict[str, list[Row]] = {}
    for piece, profile_id in ids.items():
        of_person.setdefault(profile_id, []).append(piece)
    for profile_id, pieces in of_person.items():
        payload = reduce(merged, (piece.payload for piece in pieces))
        yield profile_id, Unit(tuple(pieces), payload, encoded(payload))


def _members(session: Session, pieces: Sequence[Row], list_id: str) -> tuple[dict[Row, str], list[UnitOutcome]]:
    """(piece -> Klaviyo's id of its person, if they are on the list; the others with the reason)."""
    answers = {name: people.looked_up(session, name, pieces, list_id) for name in ("email", "phone_number")}
    ids: dict[Row, str] = {}
    strangers: list[UnitOutcome] = []
    for piece in pieces:
        (name,) = identifiers_of(piece.payload)
        answer = answers[name]
        if piece in answer.ids:
            ids[piece] = answer.ids[piece]
            continue
        reason = f"nobody on the list has this {name}, and Klaviyo would unsubscribe the person everywhere"
        stranger = Outcome(OutcomeKind.REJECTED, 200, "not_on_list", f"/{name}", reason)
        strangers.append((alone(piece), answer.refused.get(piece, stranger)))
    return ids, strangers


def _names(list_id: str, unit: Unit) -> set[Member]:
    """What somebody who leaves or joins a list is called, where Klaviyo's id is not known."""
    return {(list_id, f"{name}:{value}") for name, value in identifiers_of(unit.payload).items()}


def _channels(unit: Unit) -> frozenset[str]:
    subscriptions: Mapping[str, Mapping[str, Any]] = unit.payload["attributes"]["subscriptions"]
    return frozenset(f"{channel}.{kind}" for channel, kinds in subscriptions.items() for kind in kinds)


def _by_terms(rows: Sequence[Row]) -> dict[BatchKey, list[Row]]:
    found: dict[BatchKey, list[Row]] = {}
    for row in rows:
        found.setdefault(row.batch_key, []).append(row)
    return found


def _sent(
    session: Session,
    name: str,
    units: Sequence[Unit],
    list_id: str | None,
    attributes: Mapping[str, Any],
    *,
    idempotent: bool,
) -> Iterator[UnitOutcome]:
    def send(part: Sequence[Unit]) -> Reply:
        return session.client.call(name, body=_body(name, part, list_id, attributes), idempotent=idempotent)

    for chunk in chunks(units, max_items=operation(name).max_items or 1, max_bytes=None):
        done = attempt(chunk, send)
        yield from done.settled
        for part, reply in done.taken:
            for unit in part:
                outcome = responses.delivery(reply, unit.payload, alone=len(part) == 1)
                yield unit, replace(outcome, kind=OutcomeKind.ACCEPTED)


def _body(name: str, units: Sequence[Unit], list_id: str | None, attributes: Mapping[str, Any]) -> bytes:
    profiles = [msgspec.Raw(unit.body) for unit in units]
    data: dict[str, Any] = {"type": _TYPES[name], "attributes": {**attributes, "profiles": {"data": profiles}}}
    if list_id is not None:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    return encoded({"data": data})
