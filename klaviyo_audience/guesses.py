"""Guesses of a column's type from its texts. What two readings leave open is asked, never guessed. Pure.

A type is guessed where nine of ten values have it (all of them, for whole numbers, which may be codes); each value that
does not is told. Words for nothing count as no value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import combinations
from typing import Any, TypeAlias

from klaviyo_client.plugin.booleans import NO, YES
from target_klaviyo.model.texts import parse_id

# What the target's option ``types`` takes for a column.
TypeOption: TypeAlias = str | Mapping[str, str]
_BOOLEANS = {word for word in (*YES, *NO) if word.isalpha() and len(word) > 1}
_LETTERS = {"y", "n", "t", "f"}
# Longer whole numbers are ids, as are those with zeros or a sign before them; JSON readers keep 15 digits.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
# Example of a format -> what is written so.
_NUMBERS = {
    "": re.compile(r"[+-]?(?:0|[1-9][0-9]*)\.[0-9]+"),
    "1,234.50": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?"),
    "1.234,50": re.compile(r"[+-]?(?:[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?|(?:0|[1-9][0-9]*),[0-9]+)"),
    "1 234,50": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[ \u00a0\u202f][0-9]{3})+(?:,[0-9]+)?"),
    "1 234.50": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[ \u00a0\u202f][0-9]{3})+(?:\.[0-9]+)?"),
    "1'234.50": re.compile(r"[+-]?[1-9][0-9]{0,2}(?:['\u2019][0-9]{3})+(?:\.[0-9]+)?"),
}
# What fits a format beside what is written in full: numbers below a thousand have no mark between thousands.
_ALSO = {"1,234.50": ("",), "1 234.50": ("",), "1'234.50": ("",)}
_COMMA = re.compile(r"[+-]?(?:0|[1-9][0-9]*),[0-9]+")
_DATE = re.compile(r"([0-9]{1,4})([./-])([0-9]{1,2})\2([0-9]{1,4})")
_MONTH_NAME = re.compile(
    r"(?:[0-9]{1,2}[ -])?[A-Za-z]{3,9}[ -][0-9]{1,2},? ?[0-9]{2,4}|[0-9]{1,2}[ -][A-Za-z]{3,9}[ -][0-9]{4}"
)
_MONTH_FORMATS = ("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
_TIME = re.compile(
    r"[ T][0-9]{1,2}:[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<rest>\.[0-9]+)?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_LONGEST = 40
_CACHED = 4096


@dataclass(frozen=True)
class Kind:
    """One way to read a text.

    Attributes:
        type: string, number, integer, boolean, date or datetime.
        format: how it is written: of a date as ``strptime`` has it, of a number an example; empty where plain.
    """

    type: str
    format: str = ""

    @property
    def option(self) -> TypeOption:
        """As the target's option ``types`` takes it."""
        return {"type": self.type, "format": self.format} if self.format else self.type

    @property
    def text(self) -> str:
        """As ``--types`` takes it."""
        return f"{self.type}:{self.format}" if self.format else self.type


Readings: TypeAlias = Mapping[Kind, Any]
STRING, BOOLEAN, INTEGER, NUMBER = Kind("string"), Kind("boolean"), Kind("integer"), Kind("number")
DATE, DATETIME = Kind("date"), Kind("datetime")
_FORMATTED = tuple(Kind("number", example) for example in _NUMBERS if example)


def read_text(text: str) -> Readings:
    """Every way to read a text that is more than a text, with what it says then.

    >>> sorted((kind.text, str(value)) for kind, value in read_text("02/03/2026").items())
    [('date:%d/%m/%Y', '2026-03-02'), ('date:%m/%d/%Y', '2026-02-03')]
    """
    if len(text) > _LONGEST:
        return {}
    word = text.casefold()
    if word in _BOOLEANS or word in _LETTERS:
        return {BOOLEAN: word in YES}
    if _INTEGER.fullmatch(text):
        whole = int(text)
        return {INTEGER: whole, NUMBER: whole, **dict.fromkeys(_FORMATTED, whole)}
    return _read_number(text) or _read_date(text)


def _read_number(text: str) -> Readings:
    fitting = {example for example, written in _NUMBERS.items() if written.fullmatch(text)}
    fitting |= {example for example, others in _ALSO.items() if fitting.intersection(others)}
    if "1.234,50" in fitting and _COMMA.fullmatch(text):
        fitting.add("1 234,50")
    return {Kind("number", example): _number(text, example) for example in _NUMBERS if example in fitting}


def _number(text: str, example: str) -> float:
    decimal = "," if example.endswith(",50") else "."
    return float("".join("." if sign == decimal else sign for sign in text if sign in f"+-0123456789{decimal}"))


def _read_date(text: str) -> Readings:
    time = _TIME.search(text)
    day = text[: time.start()] if time is not None else text
    if time is not None and time.end() != len(text):
        return {}
    days = {**_numeric_dates(day), **_named_dates(day)}
    if time is None:
        return {**days, DATETIME: days[DATE]} if DATE in days else days
    if DATE in days:
        return {DATETIME: days[DATE]}
    if time["zone"] or time["rest"]:
        return {}
    suffix = f"{text[time.start()]}%H:%M{':%S' if time['seconds'] else ''}"
    return {Kind("datetime", f"{kind.format}{suffix}"): value for kind, value in days.items()}


def _numeric_dates(text: str) -> dict[Kind, date]:
    found = _DATE.fullmatch(text)
    if found is None:
        return {}
    first, mark, second, third = found[1], found[2], found[3], found[4]
    orders = [("%Y", "%m", "%d")] if len(first) == 4 else [("%d", "%m", "%Y"), ("%m", "%d", "%Y")]
    dates: dict[Kind, date] = {}
    for order in orders:
        parts = dict(zip(order, (first, second, third), strict=True))
        if len(parts["%Y"]) not in (2, 4) or any(len(parts[part]) > 2 for part in ("%d", "%m")):
            continue
        year = int(parts["%Y"]) + (0 if len(parts["%Y"]) == 4 else 2000 if int(parts["%Y"]) < 69 else 1900)
        try:
            value = date(year, int(parts["%m"]), int(parts["%d"]))
        except ValueError:
            continue
        names = [part if part != "%Y" or len(parts[part]) == 4 else "%y" for part in order]
        is_iso = order[0] == "%Y" and mark == "-" and len(second) == len(third) == 2
        dates[DATE if is_iso else Kind("date", mark.join(names))] = value
    return dates


def _named_dates(text: str) -> dict[Kind, date]:
    if not _MONTH_NAME.fullmatch(text):
        return {}
    for pattern in _MONTH_FORMATS:
        try:
            return {Kind("date", pattern): datetime.strptime(text, pattern).date()}  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return {}


@dataclass(frozen=True)
class Guess:
    """What a column's values are.

    Attributes:
        kind: the type; a string where nothing else fits.
        values: how many values there are.
        misfits: how many of them are of another type.
        misfit: the first of these.
        readings: (kind, what ``sample`` says then) of each, where several are possible and none was chosen.
        sample: a value that two readings take for two things.
    """

    kind: Kind
    values: int = 0
    misfits: int = 0
    misfit: str = ""
    readings: Sequence[tuple[Kind, Any]] = ()
    sample: str = ""


@dataclass
class ColumnGuess:
    """Looks at a column's values, one after the other.

    Attributes:
        guesses_text: whether texts may stand for something else; not where the source has types.
    """

    guesses_text: bool
    _counts: Counter[frozenset[Kind]] = field(default_factory=Counter)
    _samples: dict[frozenset[Kind], tuple[str, Readings]] = field(default_factory=dict)
    _firsts: dict[frozenset[Kind], str] = field(default_factory=dict)
    _cache: dict[str, frozenset[Kind]] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        """Look at a value that is not null."""
        if isinstance(value, str):
            kinds = self._cache.get(value)
            if kinds is None:
                kinds = self._kinds_of(value)
                if len(self._cache) < _CACHED:
                    self._cache[value] = kinds
            if kinds is not _NOTHING:
                self._counts[kinds] += 1
        else:
            self._counts[_typed(value)] += 1

    def _kinds_of(self, text: str) -> frozenset[Kind]:
        if not self.guesses_text:
            return frozenset()
        readings = read_text(text)
        if not readings and parse_id(text) is None:
            return _NOTHING
        kinds = frozenset(readings)
        if len({str(value) for value in readings.values()}) > 1:
            self._samples.setdefault(kinds, (text, readings))
        elif len(kinds) > 1:
            kinds |= {_SAME}
        self._firsts.setdefault(kinds, text)
        return kinds

    def guess(self) -> Guess:
        """What the column is."""
        values = sum(self._counts.values())
        possible = [kind for kind in _all_kinds(self._counts) if self._fits(kind) >= self._needed(kind, values)]
        if not values or not possible:
            return Guess(STRING, values)
        best = [kind for kind in possible if not any(self._beats(other, kind) for other in possible)]
        kind = min(best, key=_preference)
        sample = next(self._undecided(best), None)
        if sample is None:
            misfit = next((text for kinds, text in self._firsts.items() if kind not in kinds), "")
            return Guess(kind, values, values - self._fits(kind), misfit)
        text, readings = sample
        meanings: dict[str, Kind] = {}
        for reading in sorted(readings.keys() & set(best), key=_preference):
            meanings.setdefault(str(readings[reading]), reading)
        readings_of_kinds = [(kind, readings[kind]) for kind in meanings.values()]
        return Guess(STRING, values, readings=readings_of_kinds, sample=text)

    def _fits(self, kind: Kind) -> int:
        return sum(count for kinds, count in self._counts.items() if kind in kinds)

    def _needed(self, kind: Kind, values: int) -> int:
        is_plain = kind == INTEGER or (kind.type == "number" and self._fits(INTEGER) == self._fits(kind))
        return values if is_plain or values < _FEW else values - values // 10

    def _beats(self, one: Kind, other: Kind) -> bool:
        """Whether one reading takes all that the other does, and more."""
        more = any(one in kinds and other not in kinds for kinds in self._counts)
        return more and not any(other in kinds and one not in kinds for kinds in self._counts)

    def _undecided(self, best: Sequence[Kind]) -> Iterator[tuple[str, Readings]]:
        for one, other in combinations(best, 2):
            for kinds, (text, readings) in self._samples.items():
                if one in kinds and other in kinds and readings[one] != readings[other]:
                    yield text, readings


_NOTHING: frozenset[Kind] = frozenset({Kind("nothing")})
# Marks a set of kinds whose readings all say the same.
_SAME = Kind("same")
_PREFERRED = ("boolean", "integer", "number", "date", "datetime")
# Of so few values none may be of another type.
_FEW = 5


def _typed(value: Any) -> frozenset[Kind]:
    """The kind of a value that comes with a type."""
    match value:
        case bool():
            return frozenset({BOOLEAN})
        case int():
            return frozenset({INTEGER, NUMBER, *_FORMATTED, _SAME})
        case float():
            return frozenset({NUMBER, *_FORMATTED, _SAME})
        case datetime():
            return frozenset({DATETIME})
        case date():
            return frozenset({DATE, DATETIME, _SAME})
    return frozenset()


def _preference(kind: Kind) -> tuple[int, int, str]:
    """Puts first what says most with the plainest format."""
    formats = list(_NUMBERS)
    return _PREFERRED.index(kind.type), formats.index(kind.format) if kind.format in formats else 0, kind.format


def _all_kinds(counts: Mapping[frozenset[Kind], int]) -> list[Kind]:
    return sorted({kind for kinds in counts for kind in kinds if kind != _SAME}, key=lambda kind: kind.text)
