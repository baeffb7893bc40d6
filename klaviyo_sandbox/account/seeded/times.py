"""The two years that a seeded account lies in, and points in time between them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

END = datetime(2026, 6, 1, tzinfo=UTC)
START = END - timedelta(days=730)


def with_microseconds(when: datetime) -> datetime:
    """A time within a whole second, always the same one, and never its beginning."""
    return when.replace(microsecond=int(when.timestamp()) * 7919 % 999_999 + 1)


def random_time(rng: random.Random, start: datetime, end: datetime, *, microseconds: bool = False) -> datetime:
    """A random time from ``start`` on and before ``end``, in whole seconds unless microseconds are asked for."""
    span = max(1, int((end - start).total_seconds()))
    return start + timedelta(seconds=rng.randrange(span), microseconds=rng.randrange(1_000_000) if microseconds else 0)
