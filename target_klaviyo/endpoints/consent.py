"""Consent: requests that subscribe and unsubscribe people, many at once. Klaviyo says no more than that it took them.

Whoever is unsubscribed from a list that they are not on is unsubscribed everywhere. So the list is asked first, nobody
is unsubscribed from one list by two requests, and a request about a list is not sent again after a lost answer: the
second one would find those people gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import BatchKey, Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import (
    conflict_free_groups,
    encode_json,
    merge_rows,
    split_by_size,
    unit_size,
)
from target_klaviyo.delivery.requests import group_by_list, rejoin, send_chunks, send_halving, single
from target_klaviyo.delivery.resending import Reduced, attribute_pointed_at, send_without_refused
from target_klaviyo.delivery.session import Session
from target_klaviyo.delivery.unsubscribes import Member
from target_klaviyo.endpoints import people
from target_klaviyo.endpoints.profile_jobs import profile_job_body
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.pointers import Path
from target_klaviyo.model.records import CHANNEL_LEFT_OUT, Note, Outcome, OutcomeKind

# In the first revision that knows consent to the tracking of clicks, and is otherwise the same.
SUBSCRIBE = "bulk_subscribe_profiles@2026-10-15"
UNSUBSCRIBE = "bulk_unsubscribe_profiles@2026-10-15"
# What the batch key of a row may ask for.
GLOBAL = "global_unless_member"

_TYPES = {
    SUBSCRIBE: "profile-subscription-bulk-create-job",
    UNSUBSCRIBE: "profile-subscription-bulk-delete-job",
}
_AGAIN = (
    "the person is being unsubscribed from this list; a second request may make Klaviyo unsubscribe them everywhere"
)
_REPEATED = Outcome(OutcomeKind.ACCEPTED, None, "repeated", None, "this run has requested it already")
# Channel -> the identifier that it needs.
IDENTIFIER_OF_CHANNEL = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}


def subscribe(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Subscribe the rows' people. Their batch key is (custom source or None, whether consent is historical).

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, unresolved = group_by_list(session, rows)
    yield from unresolved
    for list_id, group in groups:
        for (custom_source, is_historical), members in _group_by_batch_key(group).items():
            attributes: dict[str, Any] = {} if custom_source is None else {"custom_source": custom_source}
            if is_historical:
                attributes["historical_import"] = True
            pieces = {row: _split_unless_linked(session, row) for row in members}
            yield from rejoin(pieces, _subscribe_pieces(session, pieces, list_id, attributes), _join_channels)


def _subscribe_pieces(
    session: Session, pieces: Mapping[Row, Sequence[Row]], list_id: str | None, attributes: Mapping[str, Any]
) -> Iterator[UnitOutcome]:
    for units in conflict_free_groups([piece for of_row in pieces.values() for piece in of_row]):
        for unit in units:
            session.pending_unsubscribes.add_join(list_id, identifiers_of(unit.payload))
        # Consent that is given twice is given once; at worst a second mail asks for its confirmation.
        send = partial(_send, session, SUBSCRIBE, list_id=list_id, attributes=attributes, idempotent=True)
        yield from send_halving(units, partial(send_without_refused, send=send, reduce=_without_refused_channel))


def _join_channels(row: Row, outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a row whose address and number were sent apart: where one is refused, the other may be taken."""
    notes = {
        outcome: _note_on_channel(_identifier_at(path), "a channel", outcome)
        for outcome in outcomes
        if outcome.kind is OutcomeKind.REJECTED and _identifier_at(path := attribute_pointed_at(outcome))
    }
    taken = [outcome for outcome in outcomes if outcome not in notes]
    if not taken or not row.drops_bad_values:
        return responses.worst_outcome(outcomes)
    return responses.with_notes(responses.worst_outcome(taken), tuple(notes.values()))


def _identifier_at(path: Path) -> str:
    """The identifier of the channel that a path among a person's attributes is about; empty where it is about none."""
    if path[:1] == ("subscriptions",):
        return next((IDENTIFIER_OF_CHANNEL.get(channel, "") for channel in path[1:2]), "")
    return path[0] if path and path[0] in IDENTIFIER_OF_CHANNEL.values() else ""


def _note_on_channel(identifier: str, channel: str, outcome: Outcome) -> Note:
    reason = f"{channel} was left out because Klaviyo rejects it: {outcome.reason}"
    return Note(CHANNEL_LEFT_OUT, f"/{identifier}", reason)


def _without_refused_channel(unit: Unit, outcome: Outcome) -> Reduced | None:
    """A person without the channel that Klaviyo refuses, such as SMS where the account has no number of the region."""
    attributes, path = unit.payload["attributes"], attribute_pointed_at(outcome)
    subscriptions: Mapping[str, Any] = attributes["subscriptions"]
    refused = [channel for channel in subscriptions if path[:1] == (IDENTIFIER_OF_CHANNEL[channel],)]
    if len(path) > 1 and path[0] == "subscriptions":
        refused = [channel for channel in subscriptions if channel == path[1]]
    rest = {channel: kinds for channel, kinds in subscriptions.items() if channel not in refused[:1]}
    if not refused or not rest or not unit.rows[0].drops_bad_values:
        return None
    needed = {IDENTIFIER_OF_CHANNEL[channel] for channel in rest}
    unused = {name for name in IDENTIFIER_OF_CHANNEL.values() if name not in needed}
    kept = {name: value for name, value in attributes.items() if name not in unused}
    payload = {**unit.payload, "attributes": {**kept, "subscriptions": rest}}
    return payload, _note_on_channel(IDENTIFIER_OF_CHANNEL[refused[0]], refused[0], outcome)


def _split_unless_linked(session: Session, row: Row) -> Sequence[Row]:
    """The row, or two where its address and its number are two people's."""
    if session.linked_identifiers.try_link(identifiers_of(row.payload)):
        return [row]
    return list(_split_by_identifier(row))


def unsubscribe(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Unsubscribe the rows' people: from their list if they are on it, everywhere where no list is named.

    An e-mail address and a phone number go as two, unless they are known to be one person's: Klaviyo would make them
    so, and take nothing from a number that is somebody else's.

    Raises:
        SettingsError: a list that the settings name cannot be found.
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    groups, unresolved = group_by_list(session, rows)
    yield from unresolved
    for list_id, group in groups:
        pieces = {row: list(_split_by_identifier(row)) for row in group}
        everywhere = [piece for row in group if list_id is None or GLOBAL in row.batch_key for piece in pieces[row]]
        yield from rejoin(pieces, _unsubscribe_everywhere(session, everywhere, list_id))
        if list_id is not None:
            from_list = [piece for row in group if GLOBAL not in row.batch_key for piece in pieces[row]]
            yield from rejoin(pieces, _unsubscribe_members(session, from_list, list_id))


def _split_by_identifier(row: Row) -> Iterator[Row]:
    """The row in pieces that name one identifier each, with the channels that need it."""
    attributes = row.payload["attributes"]
    not_shared = (*IDENTIFIER_OF_CHANNEL.values(), "subscriptions")
    shared = {name: value for name, value in attributes.items() if name not in not_shared}
    for name in identifiers_of(row.payload):
        subscriptions = {
            channel: kinds
            for channel, kinds in attributes["subscriptions"].items()
            if IDENTIFIER_OF_CHANNEL[channel] == name
        }
        piece = {name: attributes[name], **shared, "subscriptions": subscriptions}
        payload = {**row.payload, "attributes": piece}
        yield replace(row, payload=payload, body=encode_json(payload))


def _unsubscribe_everywhere(session: Session, pieces: Sequence[Row], list_id: str | None) -> Iterator[UnitOutcome]:
    """Unsubscribe people from what they are on, list or not, as Klaviyo does it; from a list once."""
    for piece in pieces:
        session.linked_identifiers.try_link(identifiers_of(piece.payload))
    for units in conflict_free_groups(pieces):
        if list_id is None:
            send = partial(_send, session, UNSUBSCRIBE, list_id=None, attributes={}, idempotent=True)
            yield from send_halving(units, send)
            continue
        claims: dict[Unit, set[Member]] = {}
        for unit in units:
            names, channels = _member_names(list_id, unit), _channels(unit)
            if channels <= session.pending_unsubscribes.claim(names, channels, names, extend=True):
                yield unit, _REPEATED  # the second request would find them off the list
            else:
                claims[unit] = names
        yield from _unsubscribe_claimed(session, claims, list_id)


def _unsubscribe_members(session: Session, pieces: Sequence[Row], list_id: str) -> Iterator[UnitOutcome]:
    """Unsubscribe those who are on the list, each once, with all that is known of them; the others are rejected."""
    ids, not_on_list = _find_members(session, pieces, list_id)
    yield from not_on_list

    def send(units: Sequence[Unit]) -> Iterator[UnitOutcome]:
        return _unsubscribe_profiles(session, {unit: ids[unit.rows[0]] for unit in units}, list_id)

    yield from send_halving(_group_by_profile_id(ids), send)


def _unsubscribe_profiles(session: Session, ids: Mapping[Unit, str], list_id: str) -> Iterator[UnitOutcome]:
    """Unsubscribe people, by Klaviyo's ids, who are on the list, unless this run has asked for that already."""
    claims: dict[Unit, set[Member]] = {}
    for unit, profile_id in ids.items():
        member, channels = {(list_id, profile_id)}, _channels(unit)
        session.linked_identifiers.try_link(identifiers_of(unit.payload))
        claimed = session.pending_unsubscribes.claim(member, channels, _member_names(list_id, unit))
        if not claimed:
            claims[unit] = member
            continue
        for piece in unit.rows:
            is_repeated = _channels(single(piece)) <= claimed
            again = _REPEATED if is_repeated else Outcome(OutcomeKind.REJECTED, None, "not_on_list", None, _AGAIN)
            yield single(piece), again
    yield from _unsubscribe_claimed(session, claims, list_id)


def _unsubscribe_claimed(session: Session, claims: Mapping[Unit, set[Member]], list_id: str) -> Iterator[UnitOutcome]:
    """Unsubscribe people from a list; those whom Klaviyo refuses are free to be unsubscribed by another request."""
    for unit, outcome in _send(session, UNSUBSCRIBE, list(claims), list_id=list_id, attributes={}, idempotent=False):
        if outcome.kind is OutcomeKind.REJECTED:
            session.pending_unsubscribes.release(claims[unit])
        yield unit, outcome


def _group_by_profile_id(ids: Mapping[Row, str]) -> list[Unit]:
    """Each person's pieces as one unit, in the order in which they first come. ``ids``: piece -> Klaviyo's id."""
    pieces_by_id: dict[str, list[Row]] = {}
    for piece, profile_id in ids.items():
        pieces_by_id.setdefault(profile_id, []).append(piece)
    return [merge_rows(pieces) for pieces in pieces_by_id.values()]


def _find_members(session: Session, pieces: Sequence[Row], list_id: str) -> tuple[dict[Row, str], list[UnitOutcome]]:
    """(piece -> Klaviyo's id of its person, if they are on the list; the others with the reason)."""
    matches_by_name = {name: people.find_by(session, name, pieces, list_id) for name in ("email", "phone_number")}
    ids: dict[Row, str] = {}
    not_on_list: list[UnitOutcome] = []
    for piece in pieces:
        (name,) = identifiers_of(piece.payload)
        matches = matches_by_name[name]
        if piece in matches.ids:
            ids[piece] = matches.ids[piece]
            continue
        reason = f"no member of the list has this {name}, and Klaviyo would unsubscribe the person everywhere"
        nobody = Outcome(OutcomeKind.REJECTED, 200, "not_on_list", f"/{name}", reason)
        not_on_list.append((single(piece), matches.refused.get(piece, nobody)))
    return ids, not_on_list


def _member_names(list_id: str, unit: Unit) -> set[Member]:
    """What somebody who leaves or joins a list is called, where Klaviyo's id is not known."""
    return {(list_id, f"{name}:{value}") for name, value in identifiers_of(unit.payload).items()}


def _channels(unit: Unit) -> frozenset[str]:
    subscriptions: Mapping[str, Mapping[str, Any]] = unit.payload["attributes"]["subscriptions"]
    return frozenset(f"{channel}.{kind}" for channel, kinds in subscriptions.items() for kind in kinds)


def _group_by_batch_key(rows: Sequence[Row]) -> dict[BatchKey, list[Row]]:
    groups: dict[BatchKey, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.batch_key, []).append(row)
    return groups


def _send(
    session: Session,
    name: str,
    units: Sequence[Unit],
    *,
    list_id: str | None,
    attributes: Mapping[str, Any],
    idempotent: bool,
) -> Iterator[UnitOutcome]:
    relationships = None if list_id is None else {"list": {"data": {"type": "list", "id": list_id}}}

    def send(part: Sequence[Unit]) -> Reply:
        body = profile_job_body(_TYPES[name], part, attributes=attributes, relationships=relationships)
        return session.client.call(name, body=body, idempotent=idempotent)

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        is_single = len(part) == 1
        for unit in part:
            outcome = responses.accepted_outcome(reply, unit.payload, is_single=is_single)
            yield unit, replace(outcome, kind=OutcomeKind.ACCEPTED)

    chunks = split_by_size(units, unit_size, max_count=operation(name).max_items or 1)
    yield from send_chunks(chunks, send, outcomes_of)
