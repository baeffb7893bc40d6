"""A million profiles out of a few hundred moulds: of each only id, addresses and times are its own."""

from __future__ import annotations

import bisect
import functools
import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from klaviyo_sandbox.account.procedural.ids import number_in_profile_id, profile_id
from klaviyo_sandbox.account.procedural.row_templates import Cast, Mould, mark
from klaviyo_sandbox.account.procedural.timelines import Timeline
from klaviyo_sandbox.account.procedural.virtual_table import Order, VirtualTable
from klaviyo_sandbox.account.rows import SortKey
from klaviyo_sandbox.account.seeded.consents import with_consents
from klaviyo_sandbox.account.seeded.profiles import profile
from klaviyo_sandbox.spec.exchange import encode_json
from klaviyo_sandbox.spec.times import format_datetime, format_second

_MOULDS = 256
# The marks are in e-mail addresses and external ids with at least six digits.
_NUMBER = re.compile(r"[0-9]{6,18}")
_NAMES = ("id", "number", "created", "updated")
# Every profile was last touched so long after another one of its block was made: hence after itself, too.
_LAG = 73 * 86_400
_BLOCK = 41 * 86_400


class ProceduralProfiles:
    """Profiles by number, in the order in which they were made.

    Args:
        rng: draws the moulds and the times.
        count: how many.
        start, end: the account's time.
        list_ids: lists that some are suppressed from.
    """

    def __init__(self, rng: random.Random, count: int, start: datetime, end: datetime, list_ids: Sequence[str]) -> None:
        self._salt = rng.getrandbits(40)
        first, last = int(start.timestamp()), int(end.timestamp()) - _LAG
        self._created = Timeline(rng, first, (last - first) // 3600, count)
        self._moulds = _moulds(rng, end, list_ids)
        borders = [self._created.before(second) for second in range(first, last, _BLOCK)]
        self._blocks = [_Block(low, high) for low, high in zip(borders, [*borders[1:], count], strict=True)]
        self._block_starts = borders

    def __len__(self) -> int:
        return len(self._created)

    def known(self, second: int) -> int:
        """How many there were before a second."""
        return self._created.before(second)

    def created(self, number: int) -> int:
        return self._created.at(number)

    def id(self, number: int) -> str:
        return profile_id(number, self._created.at(number), self._salt)

    def find(self, text: str) -> int | None:
        number = number_in_profile_id(text)
        return number if number is not None and number < len(self) and self.id(number) == text else None

    def cast(self, number: int) -> Cast:
        """The profile as a row."""
        created = self._created.at(number)
        updated = self._created.at(self._block(number).rank(number)) + _LAG
        values = (
            profile_id(number, created, self._salt).encode(),
            b"%06d" % number,
            format_second(created).encode(),
            format_second(updated).encode(),
        )
        # The multiplier spreads neighbours over the moulds; it is odd, so every mould has its share.
        return Cast(self._moulds[number * 0x9E3779B1 + self._salt & _MOULDS - 1], values)

    def table(self) -> VirtualTable:
        by_number = Order(lambda number: (format_second(self.created(number)), self.id(number)), _same)
        by_id = Order(lambda number: (self.id(number), self.id(number)), _same)
        orders = {"created": by_number, "id": by_id, "updated": Order(self._updated_key, self._updated_number)}
        finders = {"email": _named, "external_id": _named, "phone_number": _nobody}
        return VirtualTable(len(self), self.cast, self.find, orders, ("created", "updated"), finders)

    def _block(self, number: int) -> _Block:
        return self._blocks[bisect.bisect_right(self._block_starts, number) - 1]

    def _updated_key(self, place: int) -> SortKey:
        return format_second(self._created.at(place) + _LAG), self.id(self._updated_number(place))

    def _updated_number(self, place: int) -> int:
        """The profile at a place of the order by ``updated``; where several share a second, they go by id."""
        second = self._created.at(place)
        first, numbers = self._together(second)
        return numbers[place - first]

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - one object per account, which lives as long as the process
    def _together(self, second: int) -> tuple[int, list[int]]:
        first, last = self._created.before(second), self._created.before(second + 1)
        return first, sorted(self._block(place).number(place) for place in range(first, last))


@dataclass(frozen=True)
class _Block:
    """A stretch of numbers, and of places in the order by ``updated``, that a fixed shuffle maps to each other."""

    low: int
    high: int

    @functools.cached_property
    def _factor(self) -> int:
        size = self.high - self.low
        return next(n for n in range(int(size * 0.618) + 1, 2 * size + 3) if math.gcd(n, size) == 1)

    def rank(self, number: int) -> int:
        return self.low + (number - self.low) * self._factor % (self.high - self.low)

    def number(self, rank: int) -> int:
        size = self.high - self.low
        return self.low + (rank - self.low) * pow(self._factor, -1, size) % size


def _named(value: str) -> Sequence[int]:
    """The only number that an address or external id can belong to."""
    found = _NUMBER.search(value)
    return (int(found[0]),) if found else ()


def _nobody(_: str) -> Sequence[int]:
    return ()


def _same(place: int) -> int:
    return place


def _moulds(rng: random.Random, end: datetime, list_ids: Sequence[str]) -> list[Mould]:
    # Drawn as if made in the last hour, so that what follows from it (consents) is later than any profile is made.
    created = end - timedelta(hours=1)
    text, moulds = format_datetime(created), []
    for _ in range(_MOULDS):
        drawn = with_consents(rng, profile(rng, _STAND_IN, created, end, [end]), list_ids, end)
        row = _marked(drawn, str(_STAND_IN), mark("number"))
        row = _marked(row, text, mark("created"))
        own = {"id": mark("id"), "updated": mark("updated"), "last_event_date": mark("updated")}
        moulds.append(Mould({**row, **own}, _NAMES))
    return moulds


# A number that no text of a profile holds by chance. There is no phone number for it: few are reserved for fiction.
_STAND_IN = 987_654_321


def _marked(row: object, text: str, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(encode_json(row).decode().replace(text, name))
    return found
