"""Values of a record, turned into what JSON and an action's fields hold: texts, lists, yes or no. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from klaviyo_client.api.json_text import decode_json_marking_losses
from klaviyo_client.plugin.booleans import BOOLEAN_WORDS, parse_boolean
from target_klaviyo.model.pointers import to_pointer
from target_klaviyo.model.records import RejectedRecord
from target_klaviyo.model.texts import is_blank, parse_json, parse_number, to_text

FieldPath = tuple[str, ...]
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
# What stands between the words of a list, as people write it.
_SEPARATORS = re.compile(r"[\s,;|]+")


def to_json(value: Any, path: FieldPath = ()) -> Any:
    """The value in JSON's types; a stream map can make others. ``path`` is the field that an error names.

    Raises:
        RejectedRecord: it is not a finite number, or an integer beyond 64 bits.
    """
    match value:
        case int() if not is_small(value):
            reason = f"{'.'.join(path)} is an integer of more than 64 bits"
            raise RejectedRecord("invalid_field", reason, pointer=to_pointer(path))
        case None | str() | bool() | int():
            return value
        case float() | Decimal():
            if not math.isfinite(value):
                raise RejectedRecord(
                    "invalid_field", f"{'.'.join(path)} is not a finite number", pointer=to_pointer(path)
                )
            return value if isinstance(value, float) else to_json(_to_number(value), path)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return {str(name): to_json(entry, path) for name, entry in value.items()}
        case list() | tuple() | set():
            return [to_json(entry, path) for entry in value]
        case _:
            return str(value)


def _to_number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


def is_finite_number(value: Any) -> bool:
    """Whether a value is a number, or a bool, that JSON holds as it is."""
    kind = type(value)
    return kind is bool or (kind is int and is_small(value)) or (kind is float and math.isfinite(value))


def is_small(value: int) -> bool:
    """Whether an integer has 64 bits at most, with a sign or without: no others can be sent."""
    return _SMALLEST <= value <= _LARGEST


def to_number(value: Any) -> Any:
    """A number where the field is one and the column is the text of one; what is none stays, and is refused."""
    if not isinstance(value, str):
        return value
    number = parse_number(value)
    return value if number is None else number


def parse_boolean_field(value: Any, field: str) -> bool | None:
    """The value of a field that is yes or no; None where it says nothing.

    Raises:
        RejectedRecord: it is no word for either.
    """
    try:
        return parse_boolean(value)
    except ValueError as error:
        pointer = "/" + field.replace(".", "/")
        raise RejectedRecord("invalid_field", f"{field} must be one of {BOOLEAN_WORDS}", pointer=pointer) from error


def parse_list(value: Any, *, are_words: bool, are_texts: bool = True) -> Any:
    """The entries of a list, each once: CSV files, forms and old plugins write one text for all of them.

    A text is the JSON of a list, or words with commas between them, or, where entries are no words, one entry: the
    name of a list may hold a comma. Where entries are texts, a number is the text of one; where they are objects, a
    text is the JSON of one. Blank entries are left out. Whatever else is no list stays as it is.
    """
    if isinstance(value, str):
        parsed = _parse_json_list(value)
        parts = [part for part in _SEPARATORS.split(value) if part] if are_words else [value]
        value = parts if parsed is None else parsed
    if not are_texts:
        return _parse_objects(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list):
        return value
    entries = [to_text(entry) for entry in value]
    entries = [_strip(entry) if isinstance(entry, str) else entry for entry in entries]
    if are_words:
        entries = [entry.casefold() if isinstance(entry, str) else entry for entry in entries]
    # Forms send an empty field where nothing was chosen.
    only_texts = all(isinstance(entry, str) for entry in entries)
    return list(dict.fromkeys(filter(None, entries))) if only_texts else entries


def _strip(text: str) -> str:
    return "" if is_blank(text) else text.strip()


def _parse_objects(value: Any) -> Any:
    """The objects of a list, as many as there are: two equal lines of an order are two."""
    if isinstance(value, Mapping):
        value = [value] if value else []
    return [_parse_entry(entry) for entry in value if not is_blank(entry)] if isinstance(value, list) else value


def _parse_entry(entry: Any) -> Any:
    parsed = parse_json(entry) if isinstance(entry, str) else None
    return parsed if isinstance(parsed, Mapping) else entry


def _parse_json_list(text: str) -> list[Any] | None:
    """The list that a text is the JSON of, None where it is not."""
    if text.strip() == "null":
        return []
    if not text.lstrip().startswith("["):
        return None
    try:
        value, _ = decode_json_marking_losses(text.encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None
