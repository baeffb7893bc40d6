"""Rules for events. Pure: attributes -> problems.

The bounds are those of the specification's prose and of the vendor's page on the limits of events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.spec.errors import Problem, invalid
from klaviyo_sandbox.spec.times import parse_datetime

EARLIEST_TIME = datetime(1990, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=365)
MAX_PROPERTIES = 400
MAX_ITEMS = 4_000
MAX_STRING_BYTES = 100_000
MAX_DEPTH = 10
MAX_NAME_LENGTH = 127
_CURRENCY = re.compile(r"[A-Z]{3}")


def event_problem(attributes: Mapping[str, Any], pointer: str, now: datetime) -> Problem | None:
    """The first problem of an event; ``pointer`` points to its attributes."""
    return next(_event_problems(attributes, pointer, now), None)


def _event_problems(attributes: Mapping[str, Any], pointer: str, now: datetime) -> Iterator[Problem]:
    name = attributes["metric"]["data"]["attributes"]["name"]
    name_pointer = f"{pointer}/metric/data/attributes/name"
    if not name.strip():
        yield invalid("This field may not be blank.", name_pointer)
    if len(name) > MAX_NAME_LENGTH:
        yield invalid(f"A metric's name must not be longer than {MAX_NAME_LENGTH} characters.", name_pointer)
    time = attributes.get("time")
    if time is not None and (detail := _time_text_error(time, now)):
        yield invalid(detail, f"{pointer}/time")
    currency = attributes.get("value_currency")
    if currency is not None and not _CURRENCY.fullmatch(currency):
        yield invalid(f"'{currency}' is not a currency of ISO 4217.", f"{pointer}/value_currency")
    properties = attributes["properties"]
    if len(properties) > MAX_PROPERTIES:
        yield invalid(f"An event must not have more than {MAX_PROPERTIES} properties.", f"{pointer}/properties")
    for key, value in properties.items():
        if detail := _value_error(value, 1):
            yield invalid(detail, f"{pointer}/properties/{key.replace('~', '~0').replace('/', '~1')}")


def _time_text_error(text: str, now: datetime) -> str | None:
    try:
        when = parse_datetime(text)
    except ValueError:
        return f"'{text}' is not a date and time of ISO 8601."
    return time_error(when, now)


def time_error(when: datetime, now: datetime) -> str | None:
    """What is wrong with the time of an event; None when Klaviyo takes it. Both times have a zone."""
    if not EARLIEST_TIME <= when <= now + MAX_AHEAD:
        return "The time must be after the year 1990 and at most one year in the future."
    return None


def _value_error(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        too_long = len(value.encode("utf-8", "surrogatepass")) > MAX_STRING_BYTES
        return f"A string must not be larger than {MAX_STRING_BYTES} bytes." if too_long else None
    if not isinstance(value, (dict, list)):
        return None
    if depth > MAX_DEPTH:
        return f"A property must not be nested deeper than {MAX_DEPTH} levels."
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        return f"An array must not have more than {MAX_ITEMS} items."
    inner = value.values() if isinstance(value, dict) else value
    return next((error for item in inner if (error := _value_error(item, depth + 1))), None)
