"""Rows of the account, and the values by which they are found, sorted and told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
SortKey = tuple[str, str]
EventKey = tuple[str, str, str]

IDENTIFIERS = ("email", "phone_number", "external_id")
# Only events name somebody by it, and it is never shown.
ANONYMOUS = "anonymous_id"


def values_at(row: Row, path: str) -> list[Any]:
    """Every value under a dotted path; lists on the way are looked through, and nulls are left out."""
    found: list[Any] = [row]
    for name in path.split("."):
        below = [value.get(name) for value in found if isinstance(value, Mapping)]
        found = []
        for value in below:
            found.extend(value if isinstance(value, list) else [value])
    return [value for value in found if value is not None]


def sort_key(row: Row, field: str) -> SortKey:
    return max(map(_sortable, values_at(row, field)), default=""), row["id"]


def _sortable(value: Any) -> str:
    """As text that is in the value's own order; whole numbers (sizes, ratings) are not negative."""
    return f"{value:018d}" if type(value) is int else str(value)


def normalize_identifier(name: str, value: str) -> str:
    """An identifier as identifiers are compared: e-mail addresses without case."""
    return value.lower() if name == "email" else value


def identifiers_of(row: Row) -> list[tuple[str, str]]:
    """(name, value) of everything that a profile is identified by, further e-mail addresses included."""
    pairs = [(name, normalize_identifier(name, row[name])) for name in (*IDENTIFIERS, ANONYMOUS) if row.get(name)]
    return pairs + [("email", address.lower()) for address in row.get("other_emails", ())]


def event_key(row: Row) -> EventKey:
    """What no two events have in common: profile, metric and unique id, or the second where there is none."""
    unique_id = row.get("unique_id") or (row["event_properties"] or {}).get("$event_id") or row["timestamp"]
    return row["profile_id"], row["metric_id"], str(unique_id)


def pending_id(list_id: str | None, email: str) -> str:
    """What a consent is known by until it is confirmed."""
    return f"{list_id or ''}/{email.lower()}"
