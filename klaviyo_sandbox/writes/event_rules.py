"""What Klaviyo demands of an event. Pure: attributes -> problems.

The bounds are those of the specification's prose and of the vendor's page on the limits of events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.spec.errors import Problem, invalid
from klaviyo_sandbox.spec.times import parse_datetime

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=365)
MOST_PROPERTIES = 400
MOST_ITEMS = 4_000
MOST_BYTES = 100_000
DEEPEST = 10
LONGEST_NAME = 127
_CURRENCY = re.compile(r"[A-Z]{3}")


def event_problem(attributes: Mapping[str, Any], pointer: str, now: datetime) -> Problem | None:
    """The first thing wrong with an event, whose attributes ``pointer`` points to."""
    return next(_event_problems(attributes, pointer, now), None)


def _event_problems(attributes: Mapping[str, Any], pointer: str, now: datetime) -> Iterator[Problem]:
    name = attributes["metric"]["data"]["attributes"]["name"]
    name_pointer = f"{pointer}/metric/data/attributes/name"
    if not name.strip():
        yield invalid("This field may not be blank.", name_pointer)
    if len(name) > LONGEST_NAME:
        yield invalid(f"A metric's name must not be longer than {LONGEST_NAME} characters.", name_pointer)
    time = attributes.get("time")
    if time is not None and (detail := _time_fault(time, now)):
        yield invalid(detail, f"{pointer}/time")
    currency = attributes.get("value_currency")
    if currency is not None and not _CURRENCY.fullmatch(currency):
        yield invalid(f"'{currency}' is not a currency of ISO 4217.", f"{pointer}/value_currency")
    properties = attributes["properties"]
    if len(properties) > MOST_PROPERTIES:
        yield invalid(f"An event must not have more than {MOST_PROPERTIES} properties.", f"{pointer}/properties")
    for key, value in properties.items():
        if detail := _value_fault(value, 1):
            yield invalid(detail, f"{pointer}/properties/{key.replace('~', '~0').replace('/', '~1')}")


def _time_fault(text: str, now: datetime) -> str | None:
    try:
        when = parse_datetime(text)
    except ValueError:
        return f"'{text}' is not a date and time of ISO 8601."
    return time_error(when, now)


def time_error(when: datetime, now: datetime) -> str | None:
    """What is wrong with the time of an event; None when Klaviyo takes it. Both times have a zone."""
    if not EARLIEST <= when <= now + AHEAD:
        return "The time must be after the year 1990 and at most one year in the future."
    return None


def _value_fault(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        too_long = len(value.encode()) > MOST_BYTES
        return f"A string must not be larger than {MOST_BYTES} bytes." if too_long else None
    if not isinstance(value, (dict, list)):
        return None
    if depth > DEEPEST:
        return f"A property must not be nested deeper than {DEEPEST} levels."
    if isinstance(value, list) and len(value) > MOST_ITEMS:
        return f"An array must not have more than {MOST_ITEMS} items."
    inner = value.values() if isinstance(value, dict) else value
    return next((fault for item in inner if (fault := _value_fault(item, depth + 1))), None)
