"""Amounts as settings have them: a number of records or people, or a percentage of all. Pure."""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_ALL = 100.0


def amount(text: str) -> int | float:
    """A count as an int; a percentage as a float, the part of all in [0, 1].

    >>> amount("100"), amount("5%")
    (100, 0.05)

    Raises:
        ValueError: it is neither.
    """
    found = _AMOUNT.fullmatch(text)
    if found and found[2] and float(found[1]) <= _ALL:
        return float(found[1]) / _ALL
    if found and not found[2] and found[1].isdigit():
        return int(found[1])
    raise ValueError("neither a number nor a percentage")
