"""Converters: JSON values become what a column's type promises. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

Convert = Callable[[Any], Any]
# What an integer column of a destination holds at most: 64 bits.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1

# ``json.dumps`` makes a writer for each value, which takes longer than the value.
_write_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

# Two of each event of a page.
_KNOWN_TIMES = 2000


class ConversionError(ValueError):
    """A value that cannot be converted to the column's type."""


def converter(column: Mapping[str, Any]) -> Convert:
    """The function that converts a JSON value to the column's type, or raises ConversionError."""
    types = column["type"] if isinstance(column["type"], list) else [column["type"]]
    kind = next(name for name in types if name != "null")
    if kind == "string" and column.get("format") in _FORMATS:
        return _FORMATS[column["format"]]
    return _CONVERTERS[kind]


def passthrough_type(column: Mapping[str, Any]) -> type | None:
    """The Python type whose values ``converter`` gives back unchanged; None where there is none.

    Whatever they are, but for ``int``: only those of 64 bits. ``float`` is none: infinity is one.
    """
    types = column["type"] if isinstance(column["type"], list) else [column["type"]]
    kind = next(name for name in types if name != "null")
    return None if column.get("format") in _FORMATS else _PASSTHROUGH.get(kind)


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        # Klaviyo has numbers in many columns of text.
        return str(value) if type(value) is int else _write_text(value)
    except ValueError as error:
        if isinstance(value, float):
            raise ConversionError from error
        # Null, as in an object's column: a destination that parses the text knows no NaN.
        return msgspec.json.encode(value).decode()


def as_number(value: Any) -> float:
    if isinstance(value, bool):
        raise ConversionError
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConversionError from error
    # JSON has neither NaN nor infinity: the writer would make them null without a word.
    if not math.isfinite(number):
        raise ConversionError
    return value if isinstance(value, int) else number


def as_integer(value: Any) -> int:
    number = as_number(value)
    whole = int(number)
    if number != whole or not MIN_INTEGER <= whole <= MAX_INTEGER:
        raise ConversionError
    return whole


def as_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    match value:
        case "true" | "True" | 1:
            return True
        case "false" | "False" | 0:
            return False
    raise ConversionError


def as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConversionError
    return value


def as_array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ConversionError
    return value


def as_datetime(value: Any) -> str:
    """RFC 3339 in UTC, as ``2026-01-31T12:00:00+00:00``; texts of this form sort as the times do."""
    try:
        time = datetime.fromisoformat(value)
        # What Klaviyo mostly sends is of this form already; the places tell it from 2026-W05-6T..., which is as long.
        if len(value) == 25 and value[19:] == "+00:00" and value[7::3] == "-T::+:":
            return str(value)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return time.astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError) as error:
        raise ConversionError from error


def as_date(value: Any) -> str:
    """A day, as ``2026-01-31``; of a time the day that it says itself, wherever that is: a birthday has no zone."""
    try:
        return datetime.fromisoformat(value).date().isoformat()
    except (TypeError, ValueError) as error:
        raise ConversionError from error


class KnownTimes(dict[Any, str]):
    """Texts of times that ``as_datetime`` has converted, and what they became. Of the last few pages."""

    def learn(self, value: Any) -> str | None:
        """A value as ``as_datetime`` has it, None where it is no time."""
        time = time_or_none(value)
        if time is not None:
            if len(self) >= _KNOWN_TIMES:
                self.clear()
            self[value] = time
        return time


def time_or_none(value: Any) -> str | None:
    """A value as ``as_datetime`` has it, None where it is no time."""
    try:
        return as_datetime(value)
    except ConversionError:
        return None


def bookmark_text(time: datetime) -> str:
    """A time as RFC 3339 in UTC: the form in which bookmarks are compared."""
    return time.astimezone(UTC).isoformat()


def md5_of(*parts: Any) -> str | None:
    """Lower-case hex MD5 of the parts' texts with colons between, as a warehouse makes it.

    A part that is a number counts as the text that JSON has of it. None where a part says nothing: null, a text of
    which nothing can be seen, an empty list or object. Nothing has no id, and the hash of it would join rows.
    """
    if any(_says_nothing(part) for part in parts):
        return None
    try:
        text = ":".join(map(as_text, parts))
    except ConversionError:
        return None
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def id_text(value: Any) -> str | None:
    """An id as text, whether it is a text or a whole number; None for what is none, blank texts included."""
    if isinstance(value, str):
        return None if _says_nothing(value) else value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _says_nothing(part: Any) -> bool:
    if not isinstance(part, str):
        return part is None or part == [] or part == {}
    if part.isprintable():
        return not part.strip(" ")
    return not any(character.isprintable() and not character.isspace() for character in part)


_PASSTHROUGH: Mapping[str, type] = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}
_FORMATS: Mapping[str, Convert] = {"date-time": as_datetime, "date": as_date}
_CONVERTERS: Mapping[str, Convert] = {
    "string": as_text,
    "number": as_number,
    "integer": as_integer,
    "boolean": as_boolean,
    "object": as_object,
    "array": as_array,
}
