"""What texts stand for where a number or an object is meant: CSV files, forms and many taps have texts only. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from target_klaviyo.model.records import RejectedRecord

# As JSON writes numbers, and as people do: +3, .5, 5., 007. A comma says one thing here and another elsewhere.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]{1,4})?")
# Space, and characters that nothing shows of: zero-width spaces, byte order marks, control characters.
_INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Zs")
# What a null becomes in a CSV file, a data frame, a spreadsheet, a form or a dump of a database.
_NOTHING = frozenset(("null", "none", "nan", "n/a", "undefined", "\\n"))
_LONGEST = max(map(len, _NOTHING))
# More digits than any number that Klaviyo keeps; what is longer is some other thing.
_MAX_DIGITS = 400


def is_blank(value: Any) -> bool:
    """Whether a value says nothing: null, or a text of which nothing can be seen, which is the null of a CSV file.

    >>> is_blank(None), is_blank(" \u200b"), is_blank("News")
    (True, True, False)
    """
    if not isinstance(value, str):
        return value is None
    if not value.strip():
        return True
    return not value.isprintable() and all(unicodedata.category(character) in _INVISIBLE for character in value)


def parse_id(value: Any) -> Any:
    """An id without space around it; None where its text is a word for nothing. What is no text or number stays.

    >>> parse_id(" a7 "), parse_id(7.0), parse_id("None")
    ('a7', '7', None)
    """
    text = value if isinstance(value, str) else to_text(value)
    if not isinstance(text, str):
        return value
    text = text.strip()
    if len(text) > _LONGEST and text.isprintable():  # most are, and nothing else has to be asked of them
        return text
    return None if is_blank(text) or text.casefold() in _NOTHING else text


def parse_number(text: str) -> int | float | None:
    """The number that a text is, None where it is none.

    >>> parse_number(" 12.50"), parse_number("1001"), parse_number("1,234")
    (12.5, 1001, None)
    """
    text = text.strip()
    match = _NUMBER.fullmatch(text) if len(text) <= _MAX_DIGITS else None
    if match is None:
        return None
    if not any(match.groups()):
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def to_text(value: Any) -> Any:
    """The text of a number where a text is meant: ids, phone numbers, postal codes. What is no number stays.

    >>> to_text(7), to_text(7.0), to_text(12.5), to_text(True)
    ('7', '7', '12.5', True)
    """
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value) if math.isfinite(value) else value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def parse_json(text: str) -> Any:
    """The JSON value of a text; None where it is not JSON.

    Half a surrogate pair is no text that could be sent, and 1e400 no number.
    """
    try:
        return msgspec.json.decode(text.encode())
    except (ValueError, RecursionError):
        return None


def parse_object(value: Any, field: str) -> Mapping[str, Any] | None:
    """An object, or the one that a text is the JSON of; None where there is none, or an empty one.

    Raises:
        RejectedRecord: it is something else.
    """
    if is_blank(value) or (isinstance(value, str) and value.strip() == "null"):
        return None
    parsed = parse_json(value) if isinstance(value, str) else value
    if isinstance(parsed, Mapping) or parsed == []:  # PHP writes an empty object as an empty list
        return parsed or None
    reason = f"{field} must be an object, or the JSON of one"
    raise RejectedRecord("invalid_field", reason, pointer=f"/{field.replace('.', '/')}")
