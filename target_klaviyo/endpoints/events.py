"""Events on their way to Klaviyo: a thousand in a request, grouped by person; one by one where that failed."""

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
from target_klaviyo.delivery.batches import encoded
from target_klaviyo.delivery.parallel import overlapped
from target_klaviyo.delivery.requests import Attempt, alone, attempt, is_about_rows
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import Call, Outcome, OutcomeKind, Record

BULK, SINGLE = "bulk_create_events", "create_event"
CALLS = (Call(SINGLE, "to send one by one what is refused in bulk"),)
# Single requests at once, where a bulk was refused: their budget is 350 a second.
_WORKERS = 32
_PLACE = re.compile(r"/events-bulk-create/data/(\d+)(?:.*?/events/data/(\d+))?")


def profile_of(payload: Record) -> Record:
    """The profile of an item."""
    found: Record = payload["profile"]
    return found


def deliver(session: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
    """Record the rows' events; each row has one profile and one or more events.

    Raises:
        Refused: the key, a scope or the revision is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    units = [alone(row) for row in rows]
    limits = operation(BULK)
    for part in chunks(units, max_events=limits.max_items or 1, max_bytes=limits.max_bytes or 5_000_000):
        yield from _sent(session, part)


def chunks(units: Sequence[Unit], *, max_events: int, max_bytes: int) -> Iterator[list[Unit]]:
    """The units in order, cut where a request would hold too many events or bytes."""
    chunk: list[Unit] = []
    events, size = 0, _ENVELOPE
    for unit in units:
        count, cost = len(unit.payload["events"]), len(unit.body) + _ENVELOPE
        if chunk and (events + count > max_events or size + cost > max_bytes):
            yield chunk
            chunk, events, size = [], 0, _ENVELOPE
        chunk.append(unit)
        events, size = events + count, size + cost
    if chunk:
        yield chunk


@dataclass
class Grouped:
    """The entries of one request.

    Attributes:
        entries: each a profile with its events, as Klaviyo takes them.
        places: entry -> for each of its events, the positions of the units that it stands for.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    places: list[list[list[int]]] = field(default_factory=list)

    def units_at(self, pointer: str | None) -> list[int]:
        """The positions of the units that a pointer of Klaviyo's leads to."""
        found = _PLACE.search(pointer or "")
        if not found or int(found[1]) >= len(self.places):
            return []
        events = self.places[int(found[1])]
        if found[2] is None:
            return sorted({at for places in events for at in places})
        return events[int(found[2])] if int(found[2]) < len(events) else []


def grouped(units: Sequence[Unit]) -> Grouped:
    """The units' events by person, in order. An event that is there already is not repeated: Klaviyo would refuse all.

    Somebody's events stay in their order: they join the person's entry only while it is the last one about them.
    """
    made = Grouped()
    last: dict[tuple[str, str], int] = {}
    seen: dict[tuple[Any, ...], list[int]] = {}
    for position, unit in enumerate(units):
        profile = unit.payload["profile"]
        names = tuple(identifiers_of(profile).items())
        at = next((last[name] for name in names if name in last), None)
        if at is None or made.entries[at]["attributes"]["profile"]["data"] != profile:
            at = len(made.entries)
            made.entries.append(_entry(profile))
            made.places.append([])
        last.update(dict.fromkeys(names, at))
        for event in unit.payload["events"]:
            key = (names, event["metric"]["data"]["attributes"]["name"], event["unique_id"])
            if key in seen:
                seen[key].append(position)
                continue
            seen[key] = [position]
            made.entries[at]["attributes"]["events"]["data"].append({"type": "event", "attributes": event})
            made.places[at].append(seen[key])
    kept = [at for at, places in enumerate(made.places) if places]
    return Grouped([made.entries[at] for at in kept], [made.places[at] for at in kept])


def _entry(profile: Record) -> dict[str, Any]:
    return {"type": "event-bulk-create", "attributes": {"profile": {"data": profile}, "events": {"data": []}}}


# What an item costs beside itself, at most: its entry without profile and events, and a comma.
_ENVELOPE = len(encoded(_entry({}))) + len(encoded({"type": "event", "attributes": {}}))


def _sent(session: Session, units: Sequence[Unit]) -> Iterator[UnitOutcome]:
    def send(part: Sequence[Unit]) -> Reply:
        data = {
            "type": "event-bulk-create-job",
            "attributes": {"events-bulk-create": {"data": grouped(part).entries}},
        }
        # After a lost answer it would be refused whole: Klaviyo has its events already, or perhaps not.
        return session.client.call(BULK, body=encoded({"data": data}), idempotent=False)

    def blamed(refused: Refused, part: Sequence[Unit]) -> Mapping[int, Outcome]:
        places = grouped(part)
        found: dict[int, Outcome] = {}
        for error in refused.errors:
            for at in places.units_at(error.pointer):
                found.setdefault(at, responses.rejection(error, refused.status))
        return found

    done: Attempt[Reply] = attempt(units, send, blame=blamed, one_by_one=lambda part: _one_by_one(session, part))
    yield from done.settled
    for part, reply in done.taken:
        for unit in part:
            yield unit, accepted(reply, unit, alone=len(part) == 1)


def accepted(reply: Reply, unit: Unit, *, alone: bool) -> Outcome:
    """202: Klaviyo took it, and says nothing more, but perhaps that it dropped a field."""
    return replace(responses.delivery(reply, unit.payload["profile"], alone=alone), kind=OutcomeKind.ACCEPTED)


def _one_by_one(session: Session, units: Sequence[Unit]) -> list[UnitOutcome]:
    """Each event in a request of its own, which keeps the first of a `unique_id`; somebody's one after another."""
    people: dict[tuple[tuple[str, str], ...], list[Unit]] = {}
    for unit in units:
        people.setdefault(tuple(identifiers_of(unit.payload["profile"]).items()), []).append(unit)

    def send(theirs: Iterable[Unit]) -> list[UnitOutcome]:
        return [(unit, _alone(session, unit)) for unit in theirs]

    return [settled for part in overlapped(send, list(people.values()), at_once=_WORKERS) for settled in part]


def _alone(session: Session, unit: Unit) -> Outcome:
    found: Outcome | None = None
    for event in unit.payload["events"]:
        body = {"data": {"type": "event", "attributes": {**event, "profile": {"data": unit.payload["profile"]}}}}
        try:
            reply = session.client.call(SINGLE, body=encoded(body), idempotent=True)
        except Refused as refused:
            if not is_about_rows(refused):
                raise
            return responses.refusal(refused)
        outcome = accepted(reply, unit, alone=True)
        found = outcome if found is None or outcome.code else found
    return found or Outcome(OutcomeKind.ACCEPTED)
