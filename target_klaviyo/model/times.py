"""Points in time as they come in records, as Klaviyo takes them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from target_klaviyo.model.records import Unfit

# The time of an event, as the specification of create_event has it: after 1990, up to one year ahead.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=365)
# Seconds since 1970, of 1973 and later; thousandths where there are thirteen digits. 20260131 is a day.
_UNIX = re.compile(r"([0-9]{9,13})(?:\.[0-9]+)?")
_DIGITS_OF_THOUSANDTHS = 13
# A zone as databases write it: `2026-01-31 10:00:00 UTC`, `... +0000`.
_ZONE = re.compile(r"(?<=[0-9])\s+(UTC|GMT|Z|[+-][0-9]{2}(?::?[0-9]{2})?)$")


def _zone(found: re.Match[str]) -> str:
    return "Z" if found[1].isalpha() else found[1]


def moment(value: Any, field: str) -> datetime:
    """ISO 8601 (without a zone: UTC) or unix seconds as a point in time, to the second.

    Raises:
        Unfit: it is neither.
    """
    text = str(value).strip()
    try:
        if unix := _UNIX.fullmatch(text):
            seconds = int(unix[1])
            return datetime.fromtimestamp(seconds // 1000 if len(unix[1]) == _DIGITS_OF_THOUSANDTHS else seconds, UTC)
        found = datetime.fromisoformat(_ZONE.sub(_zone, text))
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return aware.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError, OSError) as error:
        reason = f"{field} is neither an ISO 8601 time nor unix seconds"
        raise Unfit("invalid_time", reason, pointer=f"/{field}") from error


def event_time(value: Any, now: datetime) -> str:
    """The time of an event as Klaviyo takes it.

    Raises:
        Unfit: it is no time, or one that Klaviyo does not take.
    """
    when = moment(value, "time")
    if not EARLIEST <= when <= now + AHEAD:
        raise Unfit("invalid_time", "time must be after 1990 and at most one year ahead", pointer="/time")
    return when.isoformat()
