"""Rows of the account, and the values by which they are found, sorted and identified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]
SortKey = tuple[str, str]
EventKey = tuple[str, str, str]

IDENTIFIERS = ("email", "phone_number", "external_id")
# Only events name a profile by it, and it is never shown.
ANONYMOUS = "anonymous_id"


def values_at(row: Row, path: str) -> list[Any]:
    """Every value under a dotted path; lists on the way are searched item by item, and nulls are left out."""
    values: list[Any] = [row]
    for name in path.split("."):
        members = [value.get(name) for value in values if isinstance(value, Mapping)]
        values = []
        for member in members:
            values.extend(member if isinstance(member, list) else [member])
    return [value for value in values if value is not None]


def sort_key(row: Row, field: str) -> SortKey:
    """(greatest value of the field as text, id); "" where the row has no value."""
    return max(map(_sortable, values_at(row, field)), default=""), row["id"]


def _sortable(value: Any) -> str:
    """Text that sorts as the value does; whole numbers (sizes, ratings) are not negative."""
    return f"{value:018d}" if type(value) is int else str(value)


def normalize_identifier(name: str, value: str) -> str:
    """An identifier as identifiers are compared: e-mail addresses without case."""
    return value.lower() if name == "email" else value


def identifiers_of(row: Row) -> list[tuple[str, str]]:
    """(name, value) of everything that a profile is identified by, further e-mail addresses included."""
    pairs = [(name, normalize_identifier(name, row[name])) for name in (*IDENTIFIERS, ANONYMOUS) if row.get(name)]
    return pairs + [("email", address.lower()) for address in row.get("other_emails", ())]


def event_key(row: Row) -> EventKey:
    """The key of an event: profile, metric and unique id, or its second where it has no unique id."""
    unique_id = row.get("unique_id") or (row["event_properties"] or {}).get("$event_id") or row["timestamp"]
    return row["profile_id"], row["metric_id"], str(unique_id)


def pending_id(list_id: str | None, email: str) -> str:
    """The id of a consent that waits for its double opt-in."""
    return f"{list_id or ''}/{email.lower()}"
