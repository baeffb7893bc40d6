"""Events: a thousand in a request, grouped by profile; one by one where that failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.reply import Reply
from klaviyo_client.errors import Refused
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json, split_by_size
from target_klaviyo.delivery.parallel import map_parallel
from target_klaviyo.delivery.refusals import error_outcome, is_about_rows, refusal_outcome
from target_klaviyo.delivery.requests import rejoin, send_chunks, single
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Call, Outcome, OutcomeKind, Record

BULK, SINGLE = "bulk_create_events", "create_event"
CALLS = (Call(SINGLE, "to send one by one what is refused in bulk"),)
# Single requests at once, where a bulk was refused: their budget is 350 a second.
_THREADS = 32
_POINTER = re.compile(r"/events-bulk-create/data/(\d+)(?:.*?/events/data/(\d+))?")


def profile_of(payload: Record) -> Record:
    """The profile of an item."""
    profile: Record = payload["profile"]
    return profile


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Record the rows' events; each row has one profile and one or more events.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """

    def send(part: Sequence[Unit]) -> Reply:
        entries = [entry.document for entry in group_by_profile(part)]
        data = {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": entries}}}
        # After a lost answer it would be refused whole: Klaviyo has its events already, or perhaps not.
        return session.client.call(BULK, body=encode_json({"data": data}), idempotent=False)

    def outcomes_of(part: Sequence[Unit], reply: Reply) -> Iterator[UnitOutcome]:
        is_single = len(part) == 1
        for unit in part:
            yield unit, _accepted_outcome(reply, unit, is_single=is_single)

    pieces = {row: split_row(row) for row in rows}
    sent = send_chunks(
        split_into_requests([single(piece) for of_row in pieces.values() for piece in of_row]),
        send,
        outcomes_of,
        find_rejected=_find_rejected,
        send_singly=lambda part: _send_singly(session, part),
    )
    yield from rejoin(pieces, sent)


def split_row(row: Row, *, max_events: int | None = None, max_bytes: int | None = None) -> Sequence[Row]:
    """The row, or several with a part of its events each, where one request would not hold them all."""
    profile, events = row.payload["profile"], row.payload["events"]
    count, size = _size(row.payload, row.body)
    limits = operation(BULK)
    max_events, max_bytes = max_events or limits.max_items or 1, max_bytes or limits.max_bytes or 5_000_000
    if len(events) == 1 or (count <= max_events and size + _ENVELOPE <= max_bytes):
        return [row]
    room = max_bytes - len(encode_json(profile)) - 2 * _ENVELOPE
    parts = split_by_size(
        events, lambda event: (1, len(encode_json(event)) + _ENVELOPE), max_count=max_events, max_bytes=room
    )
    rest = _without_meta(profile)  # what is to be appended is appended once
    payloads = [{"profile": rest if number else profile, "events": part} for number, part in enumerate(parts)]
    return [replace(row, payload=payload, body=encode_json(payload)) for payload in payloads]


def split_into_requests(
    units: Sequence[Unit], *, max_events: int | None = None, max_bytes: int | None = None
) -> Iterator[list[Unit]]:
    """The units in order, cut where a request would hold too many events or bytes; by default as Klaviyo allows."""
    limits = operation(BULK)
    return split_by_size(
        units,
        _unit_size,
        max_count=max_events or limits.max_items or 1,
        max_bytes=(max_bytes or limits.max_bytes or 5_000_000) - _ENVELOPE,
    )


def _unit_size(unit: Unit) -> tuple[int, int]:
    return _size(unit.payload, unit.body)


def _size(payload: Record, body: bytes) -> tuple[int, int]:
    """How many events an item has, and the bytes that it costs at most."""
    count = len(payload["events"])
    return count, len(body) + count * _ENVELOPE


@dataclass(eq=False)
class ProfileEvents:
    """An entry of a request: a profile with its events.

    Attributes:
        profile: as a JSON:API resource.
        events: the attributes of each.
        positions: for each event, the positions in the request of the units that it stands for.
    """

    profile: Record
    events: list[Record] = field(default_factory=list)
    positions: list[list[int]] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        """The entry as Klaviyo takes it."""
        events = [{"type": "event", "attributes": event} for event in self.events]
        attributes = {"profile": {"data": self.profile}, "events": {"data": events}}
        return {"type": "event-bulk-create", "attributes": attributes}


def group_by_profile(units: Sequence[Unit]) -> list[ProfileEvents]:
    """The units' events by profile, in order. An event that occurs twice is sent once: Klaviyo would refuse all.

    The events of one person stay in order: they join the person's entry only while it is the last one about them.
    """
    entries: list[ProfileEvents] = []
    last_entry: dict[Identifier, ProfileEvents] = {}
    positions_of_event: dict[tuple[Any, ...], list[int]] = {}
    for position, unit in enumerate(units):
        profile = unit.payload["profile"]
        identifiers = tuple(identifiers_of(profile).items())
        entry = next((last_entry[identifier] for identifier in identifiers if identifier in last_entry), None)
        if entry is None or entry.profile != profile:
            entry = ProfileEvents(profile)
            entries.append(entry)
        last_entry.update(dict.fromkeys(identifiers, entry))
        for event in unit.payload["events"]:
            key = (identifiers, event["metric"]["data"]["attributes"]["name"], event["unique_id"])
            if key in positions_of_event:
                positions_of_event[key].append(position)
                continue
            positions_of_event[key] = [position]
            entry.events.append(event)
            entry.positions.append(positions_of_event[key])
    return [entry for entry in entries if entry.events]


def refused_units(entries: Sequence[ProfileEvents], units: Sequence[Unit], pointer: str | None) -> list[int]:
    """The positions of the units that a pointer of Klaviyo's leads to: those of one event, or of a profile.

    Of units with an event of one id only those that have the one that was sent: another's may be good.
    """
    match = _POINTER.search(pointer or "")
    if not match or int(match[1]) >= len(entries):
        return []
    entry = entries[int(match[1])]
    if match[2] is None:
        if "/events" in match.string[match.end() :]:
            return []  # about some of its events, without saying which
        positions = sorted({position for of_event in entry.positions for position in of_event})
        return [position for position in positions if units[position].payload["profile"] == entry.profile]
    index = int(match[2])
    if index >= len(entry.events):
        return []
    return [position for position in entry.positions[index] if entry.events[index] in units[position].payload["events"]]


# What an item costs beside itself, at most: its entry without profile and events, and a comma.
_ENVELOPE = len(encode_json(ProfileEvents({}).document)) + len(encode_json({"type": "event", "attributes": {}}))


def _find_rejected(refused: Refused, part: Sequence[Unit]) -> Mapping[int, Outcome]:
    entries = group_by_profile(part)
    outcomes: dict[int, Outcome] = {}
    for error in refused.errors:
        for position in refused_units(entries, part, error.pointer):
            outcomes.setdefault(position, error_outcome(error, refused.status))
    return outcomes


def _accepted_outcome(reply: Reply, unit: Unit, *, is_single: bool) -> Outcome:
    """202: Klaviyo took it, and says nothing more, but perhaps that it dropped a field."""
    outcome = responses.accepted_outcome(reply, unit.payload["profile"], is_single=is_single)
    return replace(outcome, kind=OutcomeKind.ACCEPTED)


def _send_singly(session: Session, units: Sequence[Unit]) -> list[UnitOutcome]:
    """Each event in a request of its own, which keeps the first of a `unique_id`; a person's one after another."""
    units_by_person: dict[tuple[Identifier, ...], list[Unit]] = {}
    for unit in units:
        units_by_person.setdefault(tuple(identifiers_of(unit.payload["profile"]).items()), []).append(unit)

    def send(of_person: Iterable[Unit]) -> list[UnitOutcome]:
        return [(unit, _send_single(session, unit)) for unit in of_person]

    outcomes = map_parallel(send, list(units_by_person.values()), max_threads=_THREADS)
    return [unit_outcome for of_person in outcomes for unit_outcome in of_person]


def _single_profile(profile: Record) -> Record:
    """The profile as the single request takes it: there, and only there, ``meta`` is among the attributes."""
    if "meta" not in profile:
        return profile
    return {**_without_meta(profile), "attributes": {**profile["attributes"], "meta": profile["meta"]}}


def _without_meta(profile: Record) -> Record:
    return {name: value for name, value in profile.items() if name != "meta"}


def _send_single(session: Session, unit: Unit) -> Outcome:
    """Send a unit's events one after another; the outcome is a refusal's, or the last one that has a code."""
    result: Outcome | None = None
    profile = unit.payload["profile"]
    for number, event in enumerate(unit.payload["events"]):
        data = _without_meta(profile) if number else _single_profile(profile)
        body = {"data": {"type": "event", "attributes": {**event, "profile": {"data": data}}}}
        try:
            reply = session.client.call(SINGLE, body=encode_json(body), idempotent=True)
        except Refused as refused:
            if not is_about_rows(refused):
                raise
            return refusal_outcome(refused)
        outcome = _accepted_outcome(reply, unit, is_single=True)
        if result is None or outcome.code:
            result = outcome
    return result or Outcome(OutcomeKind.ACCEPTED)
