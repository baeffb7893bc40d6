"""Klaviyo's filter language: writes the conditions of the query parameter ``filter``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

_ENDS_OR_ESCAPES = re.compile(r'["\\]')


def literal(value: str | float | bool | datetime | Iterable[str]) -> str:
    """A value in Klaviyo's filter language: quoted text, bare numbers and times, bracketed lists."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return utc_text(value)
        case int() | float():
            return repr(value)
        case str():
            return _quoted(value)
        case _:
            return "[" + ",".join(map(_quoted, value)) + "]"


def _quoted(text: str) -> str:
    """The text in quotes. Only what would end it, or escape that, is escaped: a line break stands for itself."""
    return '"' + _ENDS_OR_ESCAPES.sub(r"\\\g<0>", text) + '"'


def condition(operator: str, name: str, value: str | float | bool | datetime | Iterable[str]) -> str:
    """One condition, such as ``greater-than(updated,2026-01-01T00:00:00Z)``."""
    return f"{operator}({name},{literal(value)})"


def all_of(conditions: Sequence[str]) -> str:
    """The conditions joined by "and"; Klaviyo's filters have no "or"."""
    return conditions[0] if len(conditions) == 1 else f"and({','.join(conditions)})"


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with ``Z``, with microseconds only where there are some."""
    text = moment.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")
