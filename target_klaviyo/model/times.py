"""Points in time: as they come in records, and as Klaviyo takes them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from target_klaviyo.model.records import RejectedRecord

# The time of an event, as the specification of create_event has it: after 1990, up to one year ahead.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
MAX_AHEAD = timedelta(days=365)
# Seconds since 1970, of 1973 and later; thousandths where there are thirteen digits. 20260131 is a day.
_UNIX = re.compile(r"([0-9]{9,13})(?:\.[0-9]+)?")
_DIGITS_OF_THOUSANDTHS = 13
# A zone as databases write it: `2026-01-31 10:00:00 UTC`, `... +0000`.
_ZONE = re.compile(r"(?<=[0-9])\s+(UTC|GMT|Z|[+-][0-9]{2}(?::?[0-9]{2})?)$")


def with_iso_zone(text: str) -> str:
    """A time of ISO 8601 whose zone a database has written, with its zone as ISO 8601 has it."""
    return _ZONE.sub(lambda zone: "Z" if zone[1].isalpha() else zone[1], text)


def parse_time(value: Any, field: str) -> datetime:
    """ISO 8601 (without a zone: UTC) or unix seconds as a point in time, to the second.

    Raises:
        RejectedRecord: it is neither.
    """
    text = str(value).strip()
    try:
        if unix := _UNIX.fullmatch(text):
            seconds = int(unix[1])
            return datetime.fromtimestamp(seconds // 1000 if len(unix[1]) == _DIGITS_OF_THOUSANDTHS else seconds, UTC)
        parsed = datetime.fromisoformat(with_iso_zone(text))
        aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        return aware.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError, OSError) as error:
        reason = f"{field} is neither an ISO 8601 time nor unix seconds"
        raise RejectedRecord("invalid_time", reason, pointer=f"/{field}") from error


def to_event_time(value: Any, now: datetime) -> str:
    """The time of an event as Klaviyo takes it.

    Raises:
        RejectedRecord: it is no time, or one that Klaviyo does not take.
    """
    when = parse_time(value, "time")
    if not EARLIEST <= when <= now + MAX_AHEAD:
        raise RejectedRecord("invalid_time", "time must be after 1990 and at most one year ahead", pointer="/time")
    return when.isoformat()
