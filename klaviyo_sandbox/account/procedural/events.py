"""A hundred million events, drawn a few hundred at a time from moulds.

An event's own are its id, second, UUID, profile, mould and what it is attributed to. The moulds (which metric, which
message, which properties) are 128 for every month of the account; 2,048 neighbours belong to at most 256 people.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account.procedural.ids import event_id, event_number
from klaviyo_sandbox.account.procedural.profiles import ProceduralProfiles
from klaviyo_sandbox.account.procedural.row_templates import SECOND, Cast, Mould, Values, mark
from klaviyo_sandbox.account.procedural.timelines import Timeline
from klaviyo_sandbox.account.procedural.virtual_table import Order, VirtualTable
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.attributions import attribution
from klaviyo_sandbox.account.seeded.event_properties import Scene, kinds
from klaviyo_sandbox.account.seeded.mailings import Mailing, Mailings
from klaviyo_sandbox.spec.times import format_second

# Names of the values; "first" and "second" are the ids of the events that an event is attributed to.
NAMES = ("id", "at", "when", "uuid", "profile", "sent", "first", "second")
TOUCHES = NAMES[6:]

_CHUNK = 512
# So many chunks are about the same people.
_CROWDED, _PEOPLE = 4, 256
_MOULDS = 128
_ERA = 30 * 86_400
# Chunks that are kept, and crowds: the pages of a hundred concurrent windows overlap in them. About 40 MB.
_KEPT = 192
_SEND_LAG = 900
_SECOND = re.compile(r"(?<!\d)\d{10}(?!\d)")
_ATTRIBUTION_WINDOW = 5 * 86_400
_ATTRIBUTED = 0.6
# A random UUID (version 4).
_UUID = b"xxxxxxxx-xxxx-4xxx-axxx-xxxxxxxxxxxx"


class EventMould(Mould):
    """An event with marks, and what may become of it."""

    def __init__(self, row: Row, mailing: Mailing | None, *, is_touch: bool, is_conversion: bool) -> None:
        super().__init__(row, NAMES)
        self.mailing = mailing
        self.is_touch = is_touch and mailing is not None
        self.is_conversion = is_conversion


class EventCast(Cast):
    """An event, whose it is, and the events that it is attributed to, the latest first."""

    __slots__ = ("person", "touches")

    def __init__(self, mould: EventMould, values: Values, person: Cast, touches: Sequence[tuple[str, Mailing]]) -> None:
        super().__init__(mould, values)
        self.person = person
        self.touches = touches


class ProceduralEvents:
    """Events by number, in the order of their time.

    Args:
        seed: of everything that is drawn.
        count: how many.
        start, hours: the account's time.
        profiles: whose events they are; at least one.
        metric_ids: one for each of ``seeded_properties.kinds()``.
        mailings: what was sent.
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
    ) -> None:
        self._seed = seed
        self._count = count
        rng = random.Random(seed)
        self._salt = rng.getrandbits(20)
        self._timeline = Timeline(rng, start, hours, count)
        self._profiles = profiles
        self._metric_ids = metric_ids
        self._mailings = mailings
        self._chunk: Callable[[int], Sequence[EventCast]] = functools.lru_cache(maxsize=_KEPT)(self._draw)
        self._crowd: Callable[[int], Sequence[Cast]] = functools.lru_cache(maxsize=_KEPT)(self._draw_crowd)
        self._era: Callable[[int], Sequence[EventMould]] = functools.cache(self._draw_era)

    def id(self, number: int) -> str:
        return event_id(number, self._salt)

    def find(self, text: str) -> int | None:
        number = event_number(text, self._salt)
        return number if number is not None and number < self._count else None

    def cast(self, number: int) -> EventCast:
        """The event as a row."""
        part, place = divmod(number, _CHUNK)
        return self._chunk(part)[place]

    def table(self) -> VirtualTable:
        by_time = Order(lambda number: (format_second(self._timeline.at(number)), self.id(number)), lambda place: place)
        by_id = Order(lambda number: (self.id(number), self.id(number)), lambda place: place)
        orders = {"id": by_id, "datetime": by_time}
        return VirtualTable(
            self._count, self.cast, self.find, orders, ("metric_id", "datetime"), {"unique_id": self._at_seconds}
        )

    def _at_seconds(self, unique_id: str) -> Iterator[int]:
        """Events of the seconds that a unique id names: every one that is made here names its own."""
        for second in map(int, _SECOND.findall(unique_id)):
            yield from range(self._timeline.before(second), self._timeline.before(second + 1))

    def attributions(self) -> Mapping[str, tuple[Row, ...]]:
        """What events are attributed to, by their id."""
        return _Attributions(self)

    def _draw(self, part: int) -> Sequence[EventCast]:
        """Neighbouring events, worked out together because that is many times cheaper."""
        rng = random.Random(f"{self._seed} {part}")
        first = part * _CHUNK
        size = min(_CHUNK, self._count - first)
        seconds = self._timeline.between(first, first + size)
        people = rng.choices(self._crowd(part // _CROWDED), k=size)
        moulds = rng.choices(self._era(seconds[0] // _ERA), k=size)
        ids = [self.id(number) for number in range(first, first + size)]
        touched = _touched(rng, moulds, people, seconds)
        touches = {place: [(ids[at], _mailing(moulds[at])) for at in before] for place, before in touched.items()}
        times = {second: _times(second) for second in dict.fromkeys(seconds)}
        found = []
        for place, (own, second, uuid, person) in enumerate(zip(ids, seconds, _uuids(rng, size), people, strict=True)):
            at, when, sent = times[second]
            values = (own.encode(), at, when, uuid, person.own[0], sent)
            found.append(EventCast(moulds[place], values, person, touches.get(place, ())))
        return found

    def _draw_crowd(self, number: int) -> Sequence[Cast]:
        """Whose events are in so many chunks."""
        rng = random.Random(f"{self._seed} crowd {number}")
        known = max(1, self._profiles.known(self._timeline.at(number * _CROWDED * _CHUNK)))
        return [self._profiles.cast(rng.randrange(known)) for _ in range(min(_PEOPLE, known))]

    def _draw_era(self, era: int) -> Sequence[EventMould]:
        """The moulds of a month: one of every kind of event, and more of the kinds that happen often."""
        rng = random.Random(f"{self._seed} era {era}")
        every = range(len(kinds()))
        numbers = [*every, *rng.choices(every, [kind.weight for kind in kinds()], k=_MOULDS - len(every))]
        return [self._mould(rng, number, era * _ERA) for number in numbers]

    def _mould(self, rng: random.Random, number: int, era_start: int) -> EventMould:
        kind = kinds()[number]
        sent = self._mailings.pick(rng, kind.channel, era_start) if kind.channel else None
        who = {"email": rng.choice(("a@example.com", "a@example.org", None)), "phone_number": "+12025550123"}
        row = {
            "id": mark("id"),
            "metric_id": self._metric_ids[number],
            "profile_id": mark("profile"),
            "timestamp": SECOND,
            "datetime": mark("when"),
            "uuid": mark("uuid"),
            "event_properties": kind.properties(Scene(rng, who, SECOND, sent)),
        }
        return EventMould(row, sent, is_touch=kind.is_touch, is_conversion=kind.is_conversion)


class _Attributions(Mapping[str, tuple[Row, ...]]):
    """Event id -> its attributions. Events without any are not in it; to list those that are takes every event."""

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


def _mailing(mould: EventMould) -> Mailing:
    if mould.mailing is None:
        raise ValueError("this event is about no message")
    return mould.mailing


def _touched(
    rng: random.Random, moulds: Sequence[EventMould], people: Sequence[Cast], seconds: Sequence[int]
) -> dict[int, list[int]]:
    """Place of a conversion -> places of the messages it is owed to, the latest first, at most two of them."""
    before: dict[bytes, list[int]] = {}
    found: dict[int, list[int]] = {}
    for place, mould in enumerate(moulds):
        person = people[place].own[0]
        if mould.is_touch:
            before.setdefault(person, []).append(place)
        elif mould.is_conversion and person in before and rng.random() < _ATTRIBUTED:
            count = 2 if place % 3 == 0 else 1
            near = [at for at in before[person][-count:] if 0 < seconds[place] - seconds[at] <= _ATTRIBUTION_WINDOW]
            if near:
                found[place] = near[::-1]
    return found


def _uuids(rng: random.Random, count: int) -> list[bytes]:
    digits = rng.randbytes(15 * count).hex().encode()
    written = bytearray(_UUID * count)
    # Column by column: all first digits, then all second ones ...
    for number, column in enumerate(at for at, character in enumerate(_UUID) if character == ord("x")):
        written[column :: len(_UUID)] = digits[number::30]
    return [bytes(written[at : at + len(_UUID)]) for at in range(0, len(written), len(_UUID))]


def _times(second: int) -> tuple[bytes, bytes, bytes]:
    """The values "at", "when" and "sent"."""
    return b"%d" % second, format_second(second).encode(), b"%d" % (second - _SEND_LAG)
