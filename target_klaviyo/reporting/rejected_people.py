"""Whom a rejected record is about, so that its owner knows it again and nobody else does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from klaviyo_client.privacy.redaction import hint_at
from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS
from target_klaviyo.model.names import fold_name
from target_klaviyo.model.texts import is_blank

# Spellings that people use, folded; the first that a record has is taken.
_NAMES = (
    *(fold_name(name) for name in ATTRIBUTE_IDENTIFIERS),
    *("emailaddress", "mail", "phone", "mobile", "mobilephone", "id"),
)
_MAX_DEPTH = 4


def hint_at_person(record: Any) -> str:
    """A masked identifier of a record; its first value where none is known; empty where there is nothing to show."""
    values = [(fold_name(name).lstrip("$"), value) for name, value in _values(record, _MAX_DEPTH)]
    for name in _NAMES:
        for other, value in values:
            if other == name:
                return hint_at(value)
    addresses = (value for _, value in values if "@" in value)
    return next((hint_at(value) for value in (*addresses, *(value for _, value in values))), "")


def _values(record: Any, depth: int) -> Iterator[tuple[str, str]]:
    """The names and values of what a record holds that is not blank, the outer ones first."""
    if not isinstance(record, Mapping) or not depth:
        return
    for name, value in record.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool) and not is_blank(value):
            yield str(name), str(value)
    for value in record.values():
        yield from _values(value, depth - 1)
