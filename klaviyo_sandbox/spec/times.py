"""Points in time as the account stores, compares and reads them."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def format_datetime(when: datetime) -> str:
    """The one form in which points in time are stored and compared: UTC, ``2026-01-31T12:00:00+00:00``."""
    return when.astimezone(UTC).isoformat()


def format_microsecond(when: datetime) -> str:
    """The same with a fraction of six digits, whatever it is: Klaviyo shows some times so, and some by the second."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def format_second(second: int) -> str:
    """A whole second since 1970 in the same form, made quickly: a page of events needs a thousand of them."""
    minute, rest = divmod(second, 60)
    return f"{_minute(minute)}{rest:02d}+00:00"


@functools.lru_cache(maxsize=8192)
def _minute(minute: int) -> str:
    return format_datetime(datetime.fromtimestamp(minute * 60, UTC)).removesuffix("00+00:00")


def parse_datetime(text: str) -> datetime:
    """RFC 3339 with an explicit zone; a space may stand for the ``T``.

    Raises:
        ValueError: the text is something else, or no such day exists.
    """
    if not _DATETIME.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text.upper())
