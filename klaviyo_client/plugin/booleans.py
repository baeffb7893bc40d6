"""Booleans as settings, forms, CSV files and old plugins write them, parsed by closed lists of words. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

# In small letters, without surrounding space. Any other word is an error: who meant no must never be taken for yes.
YES = ("true", "t", "yes", "y", "on", "1", "1.0")
NO = ("false", "f", "no", "n", "off", "0", "0.0")
NOTHING = ("", "null", "none")
BOOLEAN_WORDS = "true, yes, y, t, on or 1, or one of false, no, n, f, off or 0"


def parse_boolean(value: Any) -> bool | None:
    """Whether a value says yes or no; None where it says nothing.

    >>> [parse_boolean(word) for word in (" Yes ", "FALSE", 0.0, "null")]
    [True, False, False, None]

    Raises:
        ValueError: it is neither, and not nothing.
    """
    match value:
        case bool() | None:
            return value
        case int() | float() | Decimal() if value in (0, 1):
            return value == 1
        case str():
            word = value.strip().casefold()
            if word in NOTHING:
                return None
            if word in YES or word in NO:
                return word in YES
    raise ValueError(f"neither {BOOLEAN_WORDS}")


def parse_boolean_setting(text: str) -> bool:
    """The boolean that a setting's text stands for. An empty text is a variable that is set to nothing, and means no.

    Raises:
        ValueError: it is no word for a boolean.
    """
    value = parse_boolean(text)
    if value is None and text.strip():
        raise ValueError(text)
    return bool(value)
