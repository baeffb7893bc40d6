"""The mark by which a source says that a record is deleted. Pure."""

from __future__ import annotations

from typing import Any

from klaviyo_client.plugin.booleans import parse_boolean
from target_klaviyo.model.records import Record
from target_klaviyo.model.times import parse_time

_DELETED = "_sdc_deleted_at"
# Databases such as Snowflake write the names of columns in capitals.
_DELETED_IN_CAPITALS = _DELETED.upper()


def is_marked_deleted(record: Record) -> bool:
    """Whether the source marks a record as deleted: by a time, or by a word.

    Raises:
        RejectedRecord: the mark is neither. Nobody is removed by it, and nobody who is gone is kept.
    """
    if _DELETED in record and _is_mark(record[_DELETED]):
        return True
    return _DELETED_IN_CAPITALS in record and _is_mark(record[_DELETED_IN_CAPITALS])


def _is_mark(value: Any) -> bool:
    try:
        return bool(parse_boolean(value))
    except ValueError:
        parse_time(value, _DELETED)
        return True
