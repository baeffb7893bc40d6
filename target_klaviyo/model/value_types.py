"""Types of columns as the option ``types`` states them, and values read strictly by them. Pure.

What has two readings is never guessed: without a format a date is one of ISO 8601, and a number has no thousands marks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from klaviyo_client.plugin.booleans import BOOLEAN_WORDS, parse_boolean
from target_klaviyo.model.texts import is_blank, parse_json, parse_number, to_text
from target_klaviyo.model.times import with_iso_zone

_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ISO_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}.*)?", re.IGNORECASE)
# An example such as `1.234,50`: digits, thousands marks perhaps, and a decimal mark.
_EXAMPLE = re.compile("[0-9]+(?:([.,'\u2019\\s])[0-9]{3})?(?:\\1[0-9]{3})*([.,])([0-9]+)")
_GROUP = 3
# Typed, and typeset.
_APOSTROPHES, _MINUS = "'\u2019", "\u2212"
# What differs from machine to machine, or cannot be told from other readings.
_UNCLEAR_DIRECTIVES = re.compile(r"(?<!%)(?:%%)*(%[cxXZ])")
# A moment of which every part has a value that no other part has.
_SAMPLE = datetime(2026, 11, 23, 14, 35, 46, tzinfo=UTC)
_SAMPLE_TIMES = {(0, 0, 0), (14, 0, 0), (14, 35, 0), (14, 35, 46)}


class NotOfType(ValueError):
    """A value does not fit a type. Says what is expected, and never quotes the value."""


@dataclass(frozen=True)
class ValueType:
    """A type that values are read by.

    Attributes:
        name: one of ``TYPES``.
        format: of dates as ``strptime`` has it; of numbers an example.
    """

    name: str
    format: str | None = None

    def read(self, value: Any) -> Any:
        """The value in its type: a number, a boolean, a text or a list; None where it says nothing.

        A date is a text such as 2026-01-31, a datetime one of RFC 3339; without a zone it is in UTC.

        Raises:
            NotOfType: it is none.
        """
        if value is None or (self.name != "string" and is_blank(value)):
            return None
        return _READERS[self.name](value, self.format)


def parse_type(entry: Any) -> ValueType:
    """A type as the option has it: its name, or ``{"type": name, "format": format}``.

    Raises:
        ValueError: it is none, or its format cannot work; begins with a verb, for the setting's name before it.
    """
    stated = entry if isinstance(entry, Mapping) else {"type": entry}
    name, form = stated.get("type"), stated.get("format")
    if name not in TYPES or stated.keys() - {"type", "format"} or not isinstance(form, str | None):
        example = '{"type": "date", "format": "%d.%m.%Y"}'
        raise ValueError(f"must be one of {', '.join(TYPES)}, or one with its format, such as {example}")
    if form is not None:
        if name not in _FORMAT_CHECKS:
            raise ValueError(f"must have no format: only {', '.join(_FORMAT_CHECKS)} have one")
        _FORMAT_CHECKS[name](form)
    return ValueType(name, form)


# Numbers --------------------------------------------------------------------------------------------------------------


def _read_number(value: Any, form: str | None) -> int | float:
    expected = "a number" if form is None else f"a number such as {form}"
    number = value
    if isinstance(value, str):
        number = parse_number(value) if form is None else _parse_formatted(value, form)
    if isinstance(number, Decimal) and number.is_finite():
        number = int(number) if number == number.to_integral_value() else float(number)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise NotOfType(f"must be {expected}")
    return number


def _read_integer(value: Any, form: str | None) -> int:
    number = _read_number(value, form)
    if number != int(number):
        raise NotOfType("must be a whole number")
    return int(number)


def _parse_formatted(text: str, form: str) -> int | float | None:
    """The number that a text is by the marks of an example; None where it is none."""
    thousands, decimal = _marks_of(form)
    text = text.strip().replace(_MINUS, "-")
    group = _group_pattern(thousands)
    pattern = rf"[+-]?(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)(?:{re.escape(decimal)}[0-9]+)?"
    if re.fullmatch(pattern if thousands else pattern.replace(group, "(?!)"), text) is None:
        return None
    plain = re.sub(group, "", text) if thousands else text
    return parse_number(plain.replace(decimal, "."))


def _group_pattern(mark: str | None) -> str:
    """What stands between thousands: spaces, and apostrophes, are written in several ways."""
    if mark is None:
        return "(?!)"
    if mark.isspace():
        return r"\s"
    return f"[{_APOSTROPHES}]" if mark in _APOSTROPHES else re.escape(mark)


def _marks_of(form: str) -> tuple[str | None, str]:
    """(thousands mark or None, decimal mark) of an example.

    Raises:
        ValueError: it does not say them.
    """
    match = _EXAMPLE.fullmatch(form.strip())
    is_unclear = match is not None and match[1] is None and len(match[3]) == _GROUP  # 1.234 may be a thousand and more
    if match is None or is_unclear or match[1] == match[2]:
        raise ValueError('must have an example as its format that says the marks, such as "1.234,50" or "1,234.50"')
    return match[1], match[2]


# Dates ----------------------------------------------------------------------------------------------------------------


def _read_date(value: Any, form: str | None) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return _parse_moment(value, form, "a date").date().isoformat()


def _read_datetime(value: Any, form: str | None) -> str:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        moment = _parse_moment(value, form, "a time")
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()


def _parse_moment(value: Any, form: str | None, what: str) -> datetime:
    text = str(to_text(value)).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    try:
        if form is not None:
            return datetime.strptime(text, form)  # noqa: DTZ007 - a text without a zone is in UTC
        if _ISO_DATETIME.fullmatch(text):
            return datetime.fromisoformat(with_iso_zone(text))
    except (ValueError, OverflowError):
        pass
    raise NotOfType(f"must be {what} {f'as {form} has it' if form else 'of ISO 8601, such as 2026-01-31'}")


def _check_date_format(form: str, *, has_time: bool = False) -> None:
    fault = f'must have a format such as "%d.%m.%Y{" %H:%M" if has_time else ""}"'
    if unclear := _UNCLEAR_DIRECTIVES.search(form):
        raise ValueError(f"{fault}; {unclear[1]} differs between languages")
    try:
        found = datetime.strptime(_SAMPLE.strftime(form), form)  # noqa: DTZ007
    except (ValueError, re.error) as error:
        raise ValueError(fault) from error
    time_found = (found.hour, found.minute, found.second)
    if found.date() != _SAMPLE.date() or time_found not in _SAMPLE_TIMES:
        raise ValueError(f"{fault}: it must cover the whole {'time' if found.date() == _SAMPLE.date() else 'date'}")


# Others ---------------------------------------------------------------------------------------------------------------


def _read_string(value: Any, _form: str | None) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            text = to_text(value)
            if isinstance(text, str):
                return text
        case Decimal() if value.is_finite():
            return f"{value:f}"
        case datetime() | date():
            return value.isoformat()
    raise NotOfType("must be a text")


def _read_boolean(value: Any, _form: str | None) -> bool | None:
    try:
        return parse_boolean(value)
    except ValueError as error:
        raise NotOfType(f"must be one of {BOOLEAN_WORDS}") from error


def _read_list(value: Any, _form: str | None) -> list[Any]:
    """A list, the JSON of one, or what stands between commas; of a number that alone."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            value = parse_json(value)
        else:
            value = [part.strip() for part in value.split(",") if not is_blank(part)]
    elif isinstance(value, int | float | Decimal):
        value = [value]
    if not isinstance(value, list | tuple | set):
        raise NotOfType("must be a list, a JSON array, or text separated by commas")
    return list(value)


_READERS: Mapping[str, Callable[[Any, str | None], Any]] = {
    "string": _read_string,
    "number": _read_number,
    "integer": _read_integer,
    "boolean": _read_boolean,
    "date": _read_date,
    "datetime": _read_datetime,
    "list": _read_list,
}
TYPES = tuple(_READERS)
_FORMAT_CHECKS: Mapping[str, Callable[[str], object]] = {
    "number": _marks_of,
    "integer": _marks_of,
    "date": _check_date_format,
    "datetime": lambda form: _check_date_format(form, has_time=True),
}
