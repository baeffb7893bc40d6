"""Events of a procedural account: a hundred million, drawn from templates a few hundred at a time.

An event has its own id, second, UUID, profile, template and attributions. Every month of the account has 128 templates
(which metric, which message, which properties); 2,048 neighbouring events belong to at most 256 people.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.procedural.crowds import Crowd, draw_crowd
from klaviyo_sandbox.account.procedural.ids import event_id, event_number
from klaviyo_sandbox.account.procedural.profiles import ProceduralProfiles
from klaviyo_sandbox.account.procedural.row_templates import (
    SECOND_PLACEHOLDER,
    RowTemplate,
    TemplateRow,
    Values,
    placeholder,
)
from klaviyo_sandbox.account.procedural.timelines import Timeline
from klaviyo_sandbox.account.procedural.virtual_table import SortOrder, VirtualTable
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.attributions import MOST, attribution
from klaviyo_sandbox.account.seeded.event_properties import EventContext
from klaviyo_sandbox.account.seeded.mailings import Mailing, Mailings
from klaviyo_sandbox.account.seeded.metric_kinds import metric_kinds
from klaviyo_sandbox.spec.times import format_second

# Names of the values; the touches are the ids of the events that an event is attributed to.
VALUE_NAMES = ("id", "timestamp", "datetime", "uuid", "profile", "send_time", "first_touch", "second_touch")
TOUCH_NAMES = VALUE_NAMES[6:]

_CHUNK_SIZE = 512
# Neighbouring chunks that are about the same people.
_CHUNKS_PER_GROUP = 4
_TEMPLATES_PER_MONTH = 128
_MONTH = 30 * 86_400
# Chunks, and groups of people, that are cached: the pages of a hundred concurrent windows share them. About 40 MB.
_CACHED = 192
_SEND_LAG = 900
_SECOND = re.compile(r"(?<!\d)\d{10}(?!\d)")
# A random UUID (version 4).
_UUID = b"xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx"


class EventTemplate(RowTemplate):
    """An event with placeholders.

    Attributes:
        window: for how many seconds conversions are attributed to such an event; 0: they never are.
        is_conversion: may such an event be attributed?
    """

    def __init__(self, row: Row, mailing: Mailing | None, window: float, *, is_conversion: bool) -> None:
        super().__init__(row, VALUE_NAMES)
        self.mailing = mailing
        self.window = window
        self.is_conversion = is_conversion


class EventRow(TemplateRow):
    """An event, its person, and the touches that it is attributed to, the latest first."""

    __slots__ = ("person", "touches")

    def __init__(
        self, template: EventTemplate, values: Values, person: TemplateRow, touches: Sequence[tuple[str, Mailing]]
    ) -> None:
        super().__init__(template, values)
        self.person = person
        self.touches = touches


class ProceduralEvents:
    """Events by number, in the order of their time.

    Args:
        seed: of everything that is drawn.
        count: how many there are.
        start, hours: the account's time.
        profiles: whose events they are; at least one.
        metric_ids: one for each of ``metric_kinds()``.
        mailings: what was sent.
        windows: those in which conversions are attributed to what the same person did shortly before.
    """

    def __init__(
        self,
        seed: str,
        count: int,
        start: int,
        hours: int,
        profiles: ProceduralProfiles,
        metric_ids: Sequence[str],
        mailings: Mailings,
        windows: Mapping[str, float],
    ) -> None:
        self._seed = seed
        self._count = count
        rng = random.Random(seed)
        self._salt = rng.getrandbits(20)
        self._crowd_salt = random.Random(f"{seed} crowds").getrandbits(64)
        self._timeline = Timeline(rng, start, hours, count)
        self._profiles = profiles
        self._metric_ids = metric_ids
        self._mailings = mailings
        self._windows = windows
        self._chunk: Callable[[int], Sequence[EventRow]] = functools.lru_cache(maxsize=_CACHED)(self._draw_chunk)
        self._people_of: Callable[[int], Sequence[TemplateRow]] = functools.lru_cache(maxsize=_CACHED)(
            self._draw_people
        )
        self._month_templates: Callable[[int], Sequence[EventTemplate]] = functools.cache(self._draw_month)
        self._chunks_about: Callable[[int], Sequence[int]] = functools.lru_cache(maxsize=_CACHED)(
            self._find_chunks_about
        )

    def id(self, number: int) -> str:
        return event_id(number, self._salt)

    def find(self, text: str) -> int | None:
        number = event_number(text, self._salt)
        return number if number is not None and number < self._count else None

    def row(self, number: int) -> EventRow:
        """The event as a row."""
        part, position = divmod(number, _CHUNK_SIZE)
        return self._chunk(part)[position]

    def table(self) -> VirtualTable:
        by_time = SortOrder(
            lambda number: (format_second(self._timeline.second_at(number)), self.id(number)), lambda position: position
        )
        by_id = SortOrder(lambda number: (self.id(number), self.id(number)), lambda position: position)
        orders = {"id": by_id, "datetime": by_time}
        return VirtualTable(
            self._count,
            self.row,
            self.find,
            orders,
            # Every event has a profile and a metric, by which `has(profile)` finds all.
            ("metric_id", "datetime", "profile", "metric"),
            {"unique_id": self._at_seconds},
            {"profile_id": self._numbers_about},
        )

    def _at_seconds(self, unique_id: str) -> Iterator[int]:
        """Numbers of the events in the seconds that a unique id names; a computed event names its own second."""
        for second in map(int, _SECOND.findall(unique_id)):
            yield from range(self._timeline.count_before(second), self._timeline.count_before(second + 1))

    def _numbers_about(self, profile_id: str, numbers: range) -> Iterator[int]:
        """Those of the numbers, in their order, whose events are about a profile."""
        person = self._profiles.find(profile_id)
        if person is None:
            return
        key, (low, high) = profile_id.encode(), sorted((numbers[0], numbers[-1]))
        chunks = self._chunks_about(person)
        for part in chunks if numbers.step > 0 else reversed(chunks):
            if low < (part + 1) * _CHUNK_SIZE and high >= part * _CHUNK_SIZE:
                rows = self._chunk(part)
                of_chunk = range(part * _CHUNK_SIZE, part * _CHUNK_SIZE + len(rows))
                for number in of_chunk[:: numbers.step]:
                    if number in numbers and rows[number - of_chunk.start].person.row_values[0] == key:
                        yield number

    def _find_chunks_about(self, person: int) -> Sequence[int]:
        """The chunks that may have events of a profile, ascending."""
        chunk_count = -(-self._count // _CHUNK_SIZE)
        groups = range(-(-chunk_count // _CHUNKS_PER_GROUP))
        found = [group for group in groups if person in self._crowd(group)]
        return [
            part
            for group in found
            for part in range(group * _CHUNKS_PER_GROUP, min(chunk_count, (group + 1) * _CHUNKS_PER_GROUP))
        ]

    def attributions(self) -> Mapping[str, tuple[Row, ...]]:
        """Event id -> attributions of the event."""
        return _Attributions(self)

    def _draw_chunk(self, part: int) -> Sequence[EventRow]:
        """Draw neighbouring events together, because that is many times cheaper."""
        rng = random.Random(f"{self._seed} {part}")
        first = part * _CHUNK_SIZE
        size = min(_CHUNK_SIZE, self._count - first)
        seconds = self._timeline.seconds(first, first + size)
        people = rng.choices(self._people_of(part // _CHUNKS_PER_GROUP), k=size)
        templates = rng.choices(self._month_templates(seconds[0] // _MONTH), k=size)
        ids = [self.id(number) for number in range(first, first + size)]
        touches = {
            position: [(ids[touch], _mailing(templates[touch])) for touch in touch_positions]
            for position, touch_positions in _find_touches(templates, people, seconds).items()
        }
        times = {second: _time_values(second) for second in dict.fromkeys(seconds)}
        rows = []
        uuids = _uuids(rng, size)
        for position, (row_id, second, uuid, person) in enumerate(zip(ids, seconds, uuids, people, strict=True)):
            timestamp, datetime_text, send_time = times[second]
            values = (row_id.encode(), timestamp, datetime_text, uuid, person.row_values[0], send_time)
            rows.append(EventRow(templates[position], values, person, touches.get(position, ())))
        return rows

    def _draw_people(self, group: int) -> Sequence[TemplateRow]:
        """Draw the people whose events are in a group of chunks."""
        return [self._profiles.row(number) for number in self._crowd(group).people()]

    def _crowd(self, group: int) -> Crowd:
        hour = self._timeline.hour_at(group * _CHUNKS_PER_GROUP * _CHUNK_SIZE)
        return draw_crowd(self._crowd_salt, group, max(1, self._profiles.count_before_hour(hour)))

    def _draw_month(self, month: int) -> Sequence[EventTemplate]:
        """Draw the templates of a month: one of every kind of event, and more of the kinds that happen often."""
        rng = random.Random(f"{self._seed} era {month}")
        indexes = range(len(metric_kinds()))
        numbers = [
            *indexes,
            *rng.choices(indexes, [kind.weight for kind in metric_kinds()], k=_TEMPLATES_PER_MONTH - len(indexes)),
        ]
        return [self._draw_template(rng, number, month * _MONTH) for number in numbers]

    def _draw_template(self, rng: random.Random, number: int, month_start: int) -> EventTemplate:
        kind = metric_kinds()[number]
        mailing = self._mailings.pick(rng, kind.channel, month_start) if kind.channel else None
        profile = {"email": rng.choice(("a@example.com", "a@example.org", None)), "phone_number": "+12025550123"}
        row = {
            "id": placeholder("id"),
            "metric_id": self._metric_ids[number],
            "profile_id": placeholder("profile"),
            "timestamp": SECOND_PLACEHOLDER,
            "datetime": placeholder("datetime"),
            "uuid": placeholder("uuid"),
            "event_properties": kind.properties(EventContext(rng, profile, SECOND_PLACEHOLDER, mailing)),
        }
        window = 0.0 if kind.touch is None else self._windows[kind.touch]
        return EventTemplate(row, mailing, window, is_conversion=kind.is_conversion)


class _Attributions(Mapping[str, tuple[Row, ...]]):
    """Event id -> its attributions. Events without any are not in it; listing the others computes every event."""

    def __init__(self, events: ProceduralEvents) -> None:
        self._table = events.table()

    def __getitem__(self, key: str) -> tuple[Row, ...]:
        event: Any = self._table.rows[key]
        if not event.touches:
            raise KeyError(key)
        return tuple(attribution(key, *touch) for touch in event.touches)

    def __iter__(self) -> Iterator[str]:
        return (key for key in self._table.rows if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _mailing(template: EventTemplate) -> Mailing:
    if template.mailing is None:
        raise ValueError("this event is about no message")
    return template.mailing


def _find_touches(
    templates: Sequence[EventTemplate], people: Sequence[TemplateRow], seconds: Sequence[int]
) -> dict[int, list[int]]:
    """Position of a conversion -> positions of its touches, the latest first, as many as an event can have."""
    earlier_touches: dict[bytes, list[int]] = {}
    touches: dict[int, list[int]] = {}
    for position, template in enumerate(templates):
        person = people[position].row_values[0]
        if template.window:
            earlier_touches.setdefault(person, []).append(position)
        elif template.is_conversion and person in earlier_touches:
            second = seconds[position]
            recent = [
                touch for touch in earlier_touches[person] if 0 < second - seconds[touch] <= templates[touch].window
            ]
            if recent:
                touches[position] = recent[-MOST:][::-1]
    return touches


def _uuids(rng: random.Random, count: int) -> list[bytes]:
    digits = rng.randbytes(15 * count).hex().encode()
    text = bytearray(_UUID * count)
    # Column by column: all first digits, then all second ones ...
    for number, column in enumerate(index for index, character in enumerate(_UUID) if character == ord("x")):
        text[column :: len(_UUID)] = digits[number::30]
    return [bytes(text[start : start + len(_UUID)]) for start in range(0, len(text), len(_UUID))]


def _time_values(second: int) -> tuple[bytes, bytes, bytes]:
    """The values "timestamp", "datetime" and "send_time"."""
    return b"%d" % second, format_second(second).encode(), b"%d" % (second - _SEND_LAG)
