"""Metrics and events, with the properties that Klaviyo and its integrations give them."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.attributions import Touch, attribute
from klaviyo_sandbox.account.seeded.event_properties import EventContext, Properties
from klaviyo_sandbox.account.seeded.histories import history_of, moment
from klaviyo_sandbox.account.seeded.mailings import Mailings
from klaviyo_sandbox.account.seeded.metric_kinds import metric_kinds
from klaviyo_sandbox.spec.times import format_datetime, format_second

# Sends, opens and clicks come in bursts, so that some seconds hold several events.
_SAME_SECOND = 0.08
# With so many events for each metric, every metric has one.
_EVENTS_PER_KIND = 5
# What profiles' histories tell is at most one event in so many.
_TOLD_SHARE = 4
# The share of the conversions that come soon after a touch, and how soon: half of them within so many seconds.
_FOLLOWING, _HALF_FOLLOW = 0.5, 30_000
# Of these, one in so many comes after two touches, which were at most so many seconds apart.
_AFTER_TWO, _CLOSE = 4, 172_800


@dataclass(frozen=True)
class GeneratedEvents:
    """Events, attributions by event id, and the time of each profile's latest event by profile id."""

    rows: list[Row]
    attributions: dict[str, tuple[Row, ...]]
    last_seen: dict[str, str]


def metrics(rng: random.Random, start: datetime) -> list[Row]:
    """One row for each kind of event, with the integration it comes from."""
    integrations: dict[str, dict[str, Any]] = {}
    rows: list[Row] = []
    for kind in metric_kinds():
        name, category = kind.integration
        integration = integrations.setdefault(
            name,
            {"object": "integration", "id": short_id(rng), "key": name.lower(), "name": name, "category": category},
        )
        created = start + timedelta(seconds=rng.randrange(86_400))
        rows.append(
            {
                "id": short_id(rng),
                "name": kind.name,
                "created": format_datetime(created),
                "updated": format_datetime(created + timedelta(days=rng.randrange(600))),
                "integration": integration,
            }
        )
    return rows


def events(
    rng_for: Callable[[str], random.Random],
    count: int,
    profiles: Sequence[Row],
    metrics: Sequence[Row],
    mailings: Mailings,
    end: datetime,
    windows: Mapping[str, float],
) -> GeneratedEvents:
    """``count`` events of the profiles, in no order; ``windows`` are those in which conversions are attributed."""
    rng, rows = rng_for("events"), list[Row]()
    touches: dict[str, list[Touch]] = {}
    conversions: list[dict[str, Any]] = []
    last_seen: dict[str, int] = {}
    for happening in _follow_touches(rng_for("conversions"), _happenings(rng, count, profiles, end), end):
        kind, profile, timestamp = metric_kinds()[happening.kind], profiles[happening.person], happening.timestamp
        sent = mailings.pick(rng, kind.channel, timestamp) if kind.channel else None
        properties = kind.properties(EventContext(rng, profile, timestamp, sent))
        if happening.certain:
            properties = {**(properties or {}), **happening.certain}
        row = _event(rng, metrics[happening.kind]["id"], profile["id"], timestamp, properties)
        rows.append(row)
        last_seen[row["profile_id"]] = max(timestamp, last_seen.get(row["profile_id"], 0))
        if kind.touch is not None and sent is not None:
            touches.setdefault(row["profile_id"], []).append(Touch(timestamp, row, kind.touch, sent))
        elif kind.is_conversion:
            conversions.append(row)
    attributions = attribute(conversions, touches, windows)
    return GeneratedEvents(rows, attributions, {person: format_second(second) for person, second in last_seen.items()})


@dataclass(frozen=True)
class _Happening:
    """What is to be an event: positions of its metric and its profile, its time, and properties that are certain."""

    kind: int
    person: int
    timestamp: int
    certain: Mapping[str, Any]


def _happenings(rng: random.Random, count: int, profiles: Sequence[Row], end: datetime) -> Iterator[_Happening]:
    """``count`` of them: of the profiles' histories, while they are few among them, and others that are drawn."""
    told = list(_told(profiles, end))[: count // _TOLD_SHARE]
    yield from told
    created = [int(datetime.fromisoformat(row["created"]).timestamp()) for row in profiles]
    latest, timestamp = int(end.timestamp()), 0
    for kind in _draw_kinds(rng, count - len(told)):
        person = rng.randrange(len(profiles))
        # An event may repeat the second of the one before it, if its profile was there already.
        if not (rng.random() < _SAME_SECOND and timestamp >= created[person]):
            timestamp = rng.randrange(created[person], latest)
        yield _Happening(kind, person, timestamp, {})


def _follow_touches(rng: random.Random, happenings: Iterable[_Happening], end: datetime) -> Iterator[_Happening]:
    """The happenings; some conversions among them are moved to somebody who opened, clicked or got a message before."""
    touches: dict[int, list[int]] = {}
    single: list[tuple[int, int]] = []
    double: list[tuple[int, int]] = []
    for happening in happenings:
        kind, person, timestamp = metric_kinds()[happening.kind], happening.person, happening.timestamp
        if kind.touch is not None:
            others = touches.setdefault(person, [])
            single.append((person, timestamp))
            double += [(person, max(timestamp, other)) for other in others if abs(timestamp - other) <= _CLOSE]
            others.append(timestamp)
        elif kind.is_conversion and single and rng.random() < _FOLLOWING:
            person, touched = rng.choice(double if double and rng.randrange(_AFTER_TWO) == 0 else single)
            timestamp = touched + 1 + int(rng.expovariate(math.log(2) / _HALF_FOLLOW))
            if timestamp < int(end.timestamp()):
                yield replace(happening, person=person, timestamp=timestamp)
                continue
        yield happening


def _told(profiles: Sequence[Row], end: datetime) -> Iterator[_Happening]:
    """What the profiles' histories say has happened, of Klaviyo's own metrics."""
    positions = {kind.name: position for position, kind in reversed(list(enumerate(metric_kinds())))}
    for person, row in enumerate(profiles):
        history = history_of(person)
        for name, certain, quarters in history.events if history else ():
            yield _Happening(positions[name], person, int(moment(row, quarters, end).timestamp()), certain)


def _draw_kinds(rng: random.Random, count: int) -> list[int]:
    """Positions of ``count`` metrics: every metric once where there are many events, and those that happen often."""
    indexes = range(len(metric_kinds()))
    once = indexes if count >= _EVENTS_PER_KIND * len(indexes) else ()
    return [*once, *rng.choices(indexes, [kind.weight for kind in metric_kinds()], k=count - len(once))]


def _event(
    rng: random.Random, metric_id: str, profile_id: str, timestamp: int, properties: Properties
) -> dict[str, Any]:
    return {
        "id": short_id(rng, 11),
        "metric_id": metric_id,
        "profile_id": profile_id,
        "timestamp": timestamp,
        "datetime": format_second(timestamp),
        "uuid": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "event_properties": properties,
    }
