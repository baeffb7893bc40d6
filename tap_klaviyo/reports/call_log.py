"""The calls of reports by hour, kept in the STATE: Klaviyo's daily limit counts those of earlier runs, too. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from klaviyo_client.http.rate_limits import DAY_SECONDS

_HOUR = "%Y-%m-%dT%H"


def add_call(calls: Mapping[str, int], now: datetime) -> dict[str, int]:
    """The calls by hour (UTC, such as ``2026-01-31T09``) with one more, and without those of the day before."""
    hour = now.astimezone(UTC).strftime(_HOUR)
    kept = {name: count for name, count in calls.items() if _age(name, now) is not None}
    return {**kept, hour: kept.get(hour, 0) + 1}


def ages(calls: Iterable[Mapping[str, int]], now: datetime) -> list[float]:
    """How many seconds ago each call of the last day was, counted from the end of its hour."""
    return [age for log in calls for age in _ages(log, now)]


def _ages(calls: Mapping[str, int], now: datetime) -> Iterator[float]:
    for hour, count in calls.items():
        age = _age(hour, now)
        if age is not None:
            yield from [age] * count


def _age(hour: str, now: datetime) -> float | None:
    """How many seconds ago an hour ended; None for a text that is no hour, and for an hour of the day before."""
    try:
        ended = datetime.strptime(hour, _HOUR).replace(tzinfo=UTC) + timedelta(hours=1)
    except ValueError:
        return None
    age = max(0.0, (now - ended).total_seconds())
    return age if age < DAY_SECONDS else None
