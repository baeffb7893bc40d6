"""Points in time as they come in records, as Klaviyo takes them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from target_klaviyo.model import Unfit

# The time of an event, as the specification of create_event has it: after 1990, up to one year ahead.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=365)
# Unix seconds have ten digits since 2001, and thirteen where they count thousandths.
_THOUSANDTHS = 100_000_000_000


def moment(value: Any, field: str) -> datetime:
    """ISO 8601 (without a zone: UTC) or unix seconds as a point in time, to the second.

    Raises:
        Unfit: it is neither.
    """
    try:
        number = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError):
        number = None
    try:
        if number is not None:
            seconds = number / 1000 if abs(number) >= _THOUSANDTHS else number
            return datetime.fromtimestamp(int(seconds), UTC)
        found = datetime.fromisoformat(str(value).strip())
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
