"""Klaviyo's filter language: ``and(equals(metric_id,"X"),greater-than(datetime,2026-01-01T00:00:00Z))``.

Pure: text -> clauses, checked against what one operation allows.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.spec.errors import Refusal, invalid, invalid_parameter
from klaviyo_sandbox.spec.times import format_datetime, parse_datetime

# When a row was changed: Klaviyo takes a lower bound for a future one if it is closer to now than this.
SETTLING = timedelta(seconds=5)
_CHANGE_TIMES = ("updated", "updated_at")
# Times that are to come by their nature: whoever asks what is due later means it.
_PLANNED_TIMES = ("expires_at", "scheduled_at")

_NAME = re.compile(r"[A-Za-z_$][\w.$-]*")
_BARE = re.compile(r"[^,()\[\]\"']+")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_DIGITS = re.compile(r"[0-9]+")
_INTEGER = re.compile(r"-?\d{1,18}")
_OFFSET_WITHOUT_COLON = re.compile(r"(?<=[+-]\d\d)(?=\d\d$)")

# As JSON has them, for many clients write texts as JSON; any other character stands for itself.
_ESCAPE = re.compile(r"(?P<code_units>(?:\\u[0-9a-fA-F]{4})+)|\\.", re.DOTALL)
_ESCAPED: Mapping[str, str] = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}

_LOWER = ("greater-than", "greater-or-equal")
_UPPER = ("less-than", "less-or-equal")

# What is left of an offset whose plus sign was not escaped in the query.
_LOST_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "greater-than": operator.gt,
    "greater-or-equal": operator.ge,
    "less-than": operator.lt,
    "less-or-equal": operator.le,
}
_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "contains": operator.contains,
    "starts-with": str.startswith,
    "ends-with": str.endswith,
}


@dataclass(frozen=True)
class Quoted:
    """A value that was written in quotes."""

    text: str


@dataclass(frozen=True)
class Bare:
    """A value that was written without quotes."""

    text: str


@dataclass(frozen=True)
class Clause:
    """One condition. ``value`` is a str, number, bool, a tuple of these, or None for ``has(field)``.

    Date-times are strings as ``format_datetime`` makes them, so that they compare as text with what is stored.
    """

    operator: str
    field: str
    value: Any

    @property
    def is_bound(self) -> bool:
        return self.operator in _ORDER

    def holds(self, values: Iterable[Any]) -> bool:
        """Does any of a row's values for the field satisfy the condition?"""
        if self.operator == "has":
            return any(value is not None for value in values)
        if self.is_bound:
            compare = _ORDER[self.operator]
            return any(value is not None and compare(value, self.value) for value in values)
        if self.operator in _TEXT:
            return any(_TEXT[self.operator](value, self.value) for value in values)
        # A list after `equals` is read as `any`: no field here holds a list of its own.
        allowed = self.value if isinstance(self.value, tuple) else (self.value,)
        return any(value in allowed for value in values)


class _Parser:
    """Parser of one filter, from left to right; ``position`` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def clauses(self) -> Iterator[tuple[str, str, Any]]:
        yield from self._sequence()
        if self.position != len(self.text):
            raise self._syntax_error()

    def _sequence(self) -> Iterator[tuple[str, str, Any]]:
        yield from self._expression()
        while self._accept(","):
            yield from self._expression()

    def _expression(self) -> Iterator[tuple[str, str, Any]]:
        name = self._match(_NAME)
        self._expect("(")
        if name == "and":
            yield from self._sequence()
        else:
            field = self._match(_NAME)
            yield name, field, self._value() if self._accept(",") else None
        self._expect(")")

    def _value(self) -> Quoted | Bare | tuple[Quoted | Bare, ...]:
        if not self._accept("["):
            return self._scalar()
        items = [self._scalar()]
        while self._accept(","):
            items.append(self._scalar())
        self._expect("]")
        return tuple(items)

    def _scalar(self) -> Quoted | Bare:
        self._skip_space()
        for quote in "\"'":
            if self._accept(quote):
                return Quoted(self._quoted(quote))
        return Bare(self._match(_BARE).strip())

    def _quoted(self, quote: str) -> str:
        start = self.position
        while self.position < len(self.text):
            character = self.text[self.position]
            self.position += 2 if character == "\\" else 1
            if character == quote:
                return _ESCAPE.sub(_unescape, self.text[start : self.position - 1])
        raise self._syntax_error()

    def _skip_space(self) -> None:
        while self.text[self.position : self.position + 1] == " ":
            self.position += 1

    def _accept(self, token: str) -> bool:
        self._skip_space()
        is_next = self.text.startswith(token, self.position)
        self.position += len(token) if is_next else 0
        return is_next

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise self._syntax_error()

    def _match(self, pattern: re.Pattern[str]) -> str:
        self._skip_space()
        match = pattern.match(self.text, self.position)
        if not match:
            raise self._syntax_error()
        self.position = match.end()
        return match[0]

    def _syntax_error(self) -> Refusal:
        return _invalid_filter(f"Invalid filter provided: it cannot be read at character {self.position + 1}.")


def _unescape(match: re.Match[str]) -> str:
    if match["code_units"]:
        return str(json.loads(f'"{match[0]}"'))
    return _ESCAPED.get(match[0][1], match[0][1])


def parse(text: str, allowed: Mapping[str, Any], now: datetime) -> tuple[Clause, ...]:
    """Read a filter and check it against the ``filters`` of an operation.

    Raises:
        Refusal: 400 with ``source.parameter`` "filter" when the filter cannot be read, names a field, an operator, a
            form or a value that is not allowed, or can hold no row; with ``source.pointer``, the field, when a window
            of time begins in the future.
    """
    try:
        clauses = tuple(_clause(*raw, allowed) for raw in _Parser(text).clauses())
    except RecursionError:
        raise _invalid_filter("Invalid filter provided: it is nested too deeply.") from None
    for field in dict.fromkeys(clause.field for clause in clauses if clause.is_bound):
        _check_window([clause for clause in clauses if clause.field == field], now)
    return clauses


def _invalid_filter(detail: str) -> Refusal:
    return invalid_parameter(detail, "filter")


def _clause(name: str, field: str, raw: Any, allowed: Mapping[str, Any]) -> Clause:
    if field not in allowed:
        raise _invalid_filter(f"'{field}' is not a filterable field. Allowed fields: {', '.join(allowed) or 'none'}.")
    rule = allowed[field]
    form = "none" if raw is None else "list" if isinstance(raw, tuple) else "single"
    if name not in _operators(rule, form):
        operators = "; ".join(f"{', '.join(names)} ({kind})" for kind, names in rule["operators"].items())
        raise _invalid_filter(
            f"'{name}' with a {form} value is not allowed for '{field}'. Allowed operators: {operators}."
        )
    if raw is None:
        return Clause(name, field, None)
    if isinstance(raw, tuple):
        return Clause(name, field, tuple(_convert(field, item, rule["value"]) for item in raw))
    return Clause(name, field, _convert(field, raw, rule["value"]))


def _operators(rule: Mapping[str, Any], form: str) -> Sequence[str]:
    """What the specification declares for a form of value; what equals a list equals one value, too, as live has it."""
    declared = rule["operators"].get(form, ())
    takes_one = form == "single" and "equals" in rule["operators"].get("list", ())
    return (*declared, "equals") if takes_one else declared


def _convert(field: str, raw: Quoted | Bare, rule: Mapping[str, Any]) -> Any:
    kind = rule.get("format", rule["type"])
    # Live Klaviyo takes ids that are numbers without their quotes.
    is_number = isinstance(raw, Bare) and _DIGITS.fullmatch(raw.text) is not None
    if isinstance(raw, Quoted) != (kind == "string") and not (kind == "string" and is_number):
        word = "in quotes" if kind == "string" else "without quotes"
        raise _invalid_filter(f"The value for '{field}' is a {kind} and must be written {word}.")
    if raw.text not in rule.get("enum", [raw.text]):
        raise _invalid_filter(f"'{raw.text}' is not allowed for '{field}'. Allowed values: {', '.join(rule['enum'])}.")
    try:
        return _CONVERTERS[kind](raw.text)
    except (ValueError, OverflowError, OSError):
        raise _invalid_filter(f"'{raw.text}' is not a valid {kind} for '{field}'.") from None


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    number = float(text)
    # The only numbers with a fraction that can be filtered by are times: a number that is no time is refused here.
    datetime.fromtimestamp(number, UTC)
    return number


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _datetime(text: str) -> str:
    # Clients in production write +0000, too, which RFC 3339 does not have, and leave the plus sign unescaped.
    return format_datetime(parse_datetime(_OFFSET_WITHOUT_COLON.sub(":", _LOST_PLUS.sub("+", text))))


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "boolean": _boolean,
    "number": _number,
    "integer": _integer,
    "date-time": _datetime,
}


def _without_fraction(value: Any) -> Any:
    return value[:19] if isinstance(value, str) else value // 1


def _check_window(clauses: Sequence[Clause], now: datetime) -> None:
    # Bounds of sizes and ratings are no times.
    clauses = [clause for clause in clauses if not isinstance(clause.value, int)]
    lower = [clause for clause in clauses if clause.operator in _LOWER]
    if any(_begins_in_the_future(clause, now) for clause in lower):
        # The words are Klaviyo's own, although it is the beginning that it refuses.
        detail = "End date may not be in the future: YYYY-mm-ddTHH:MM:SS"
        raise Refusal([invalid(detail, lower[0].field)])
    earliest = [clause.value for clause in lower]
    latest = [clause.value for clause in clauses if clause.operator in _UPPER]
    # As the message says, the lower bound is exclusive and the upper inclusive; fractions of a second do not count.
    if earliest and latest and _without_fraction(max(earliest)) >= _without_fraction(min(latest)):
        raise _invalid_filter(f"Datetime bounds ({max(earliest)}, {min(latest)}] is empty or invalid.")


def _begins_in_the_future(clause: Clause, now: datetime) -> bool:
    if clause.field in _PLANNED_TIMES:
        return False
    limit = now - SETTLING if clause.field in _CHANGE_TIMES else now
    is_number = isinstance(clause.value, float)
    return bool(clause.value > (limit.timestamp() if is_number else format_datetime(limit)))
