"""Profiles of a procedural account: a million from a few hundred templates; each has only id, addresses and times."""

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
from klaviyo_sandbox.account.procedural.row_templates import RowTemplate, TemplateRow, placeholder
from klaviyo_sandbox.account.procedural.timelines import Timeline
from klaviyo_sandbox.account.procedural.virtual_table import SortOrder, VirtualTable
from klaviyo_sandbox.account.rows import SortKey
from klaviyo_sandbox.account.seeded.consents import with_consents
from klaviyo_sandbox.account.seeded.histories import Person, address, with_history
from klaviyo_sandbox.account.seeded.profiles import profile
from klaviyo_sandbox.spec.exchange import encode_json
from klaviyo_sandbox.spec.times import format_datetime, format_second

_TEMPLATES = 256
# A profile's number stands in its e-mail address and external id, with at least six digits.
_NUMBER = re.compile(r"[0-9]{6,18}")
_VALUE_NAMES = ("id", "number", "created", "updated")
# Every profile was last updated so long after another one of its block was created: hence after itself, too.
_UPDATE_LAG = 73 * 86_400
_BLOCK = 41 * 86_400


class ProceduralProfiles:
    """Profiles by number, in the order in which they were created.

    Args:
        rng: draws the templates and the times.
        count: how many there are.
        start, end: the account's time.
        list_ids: lists that some are suppressed from.
    """

    def __init__(self, rng: random.Random, count: int, start: datetime, end: datetime, list_ids: Sequence[str]) -> None:
        self._salt = rng.getrandbits(40)
        first, last = int(start.timestamp()), int(end.timestamp()) - _UPDATE_LAG
        self._created = Timeline(rng, first, (last - first) // 3600, count)
        self._templates = _draw_templates(rng, end, list_ids)
        borders = [self._created.count_before(second) for second in range(first, last, _BLOCK)]
        self._blocks = [_Block(low, high) for low, high in zip(borders, [*borders[1:], count], strict=True)]
        self._block_starts = borders

    def __len__(self) -> int:
        return len(self._created)

    def count_before_hour(self, hour: int) -> int:
        """How many profiles were created before an hour of the account."""
        return self._created.count_before_hour(hour)

    def created(self, number: int) -> int:
        return self._created.second_at(number)

    def id(self, number: int) -> str:
        return profile_id(number, self._created.second_at(number), self._salt)

    def find(self, text: str) -> int | None:
        number = number_in_profile_id(text)
        return number if number is not None and number < len(self) and self.id(number) == text else None

    def row(self, number: int) -> TemplateRow:
        """The profile as a row."""
        created = self._created.second_at(number)
        updated = self._created.second_at(self._block(number).rank(number)) + _UPDATE_LAG
        values = (
            profile_id(number, created, self._salt).encode(),
            b"%06d" % number,
            format_second(created).encode(),
            format_second(updated).encode(),
        )
        # The multiplier spreads neighbours over the templates; it is odd, so every template has its share.
        return TemplateRow(self._templates[number * 0x9E3779B1 + self._salt & _TEMPLATES - 1], values)

    def table(self) -> VirtualTable:
        by_number = SortOrder(lambda number: (format_second(self.created(number)), self.id(number)), _same_number)
        by_id = SortOrder(lambda number: (self.id(number), self.id(number)), _same_number)
        orders = {"created": by_number, "id": by_id, "updated": SortOrder(self._updated_key, self._updated_number)}
        finders = {"email": _numbers_in, "external_id": _numbers_in, "phone_number": _no_numbers}
        return VirtualTable(len(self), self.row, self.find, orders, ("created", "updated"), finders)

    def _block(self, number: int) -> _Block:
        return self._blocks[bisect.bisect_right(self._block_starts, number) - 1]

    def _updated_key(self, position: int) -> SortKey:
        return format_second(self._created.second_at(position) + _UPDATE_LAG), self.id(self._updated_number(position))

    def _updated_number(self, position: int) -> int:
        """Number of the profile at a position of the order by ``updated``; within a second the order is by id."""
        second = self._created.second_at(position)
        first, numbers = self._numbers_in_second(second)
        return numbers[position - first]

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - one object per account, which lives as long as the process
    def _numbers_in_second(self, second: int) -> tuple[int, list[int]]:
        first, last = self._created.count_before(second), self._created.count_before(second + 1)
        return first, sorted(self._block(position).number(position) for position in range(first, last))


@dataclass(frozen=True)
class _Block:
    """A range of numbers that a fixed shuffle maps to the same range of ranks in the order by ``updated``."""

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


def _numbers_in(value: str) -> Sequence[int]:
    """The only number that an address or external id can belong to."""
    match = _NUMBER.search(value)
    return (int(match[0]),) if match else ()


def _no_numbers(_: str) -> Sequence[int]:
    return ()


def _same_number(position: int) -> int:
    return position


def _draw_templates(rng: random.Random, end: datetime, list_ids: Sequence[str]) -> list[RowTemplate]:
    # Drawn as if created in the last hour, so that the consents in it are later than any profile is created.
    created = end - timedelta(hours=1)
    created_text, templates = format_datetime(created), []
    for template_number in range(_TEMPLATES):
        sample = with_consents(rng, profile(rng, _SAMPLE_NUMBER, created, end, [end]), list_ids, end)
        person = Person(sample, sample["email"] or address(_SAMPLE_NUMBER), None, list_ids, end)
        sample = with_history(person, template_number)
        row = _with_placeholder(sample, str(_SAMPLE_NUMBER), placeholder("number"))
        row = _with_placeholder(row, created_text, placeholder("created"))
        times = {"id": placeholder("id"), "updated": placeholder("updated"), "last_event_date": placeholder("updated")}
        templates.append(RowTemplate({**row, **times}, _VALUE_NAMES))
    return templates


# A number that no text of a profile contains by chance. There is no phone number for it: few are reserved for fiction.
_SAMPLE_NUMBER = 987_654_321


def _with_placeholder(row: object, text: str, name: str) -> dict[str, object]:
    replaced: dict[str, object] = json.loads(encode_json(row).decode().replace(text, name))
    return replaced
