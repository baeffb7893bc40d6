"""Whom a record is about, for the examples of a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS, VISITOR_IDENTIFIERS
from target_klaviyo.model.names import fold_name
from target_klaviyo.model.records import Record
from target_klaviyo.model.texts import is_blank

# From what is known best on: the one that people know each other by goes before Klaviyo's own id.
_NAMES = (*ATTRIBUTE_IDENTIFIERS, "id", *VISITOR_IDENTIFIERS)
_MAX_CHARACTERS = 200


def name_of(record: Record, columns: Iterable[Mapping[str, Any]]) -> str | None:
    """The first identifier of a record that is not blank, whether or not it can be used; None where there is none.

    Args:
        record: as it came.
        columns: the stream's columns as the plan has them, with ``column`` and ``field``.
    """
    column_of = {column["field"].rpartition(".")[2]: column["column"] for column in columns if column["field"]}
    spelled = {fold_name(str(column)): column for column in record}
    for name in _NAMES:
        for column in (column_of.get(name), spelled.get(fold_name(name))):
            value = record.get(column) if column is not None else None
            if isinstance(value, str | int | float) and not is_blank(value):
                return str(value)[:_MAX_CHARACTERS]
    return None
