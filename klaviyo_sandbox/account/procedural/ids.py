"""Ids that are computed from a row's number and give it back, and that sort as the numbers do."""

from __future__ import annotations

import functools
import itertools

_CAPITALS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(map("".join, itertools.product(_CAPITALS, repeat=2)))
_CROCKFORD_PAIRS = tuple(map("".join, itertools.product(_CROCKFORD, repeat=2)))
_TAILS = len(_PAIRS) ** 2


@functools.lru_cache(maxsize=4096)
def _head(number: int) -> str:
    digits = ""
    for _ in range(5):
        number, digit = divmod(number, 36)
        digits = _CAPITALS[digit] + digits
    return digits


def event_id(number: int, salt: int) -> str:
    """11 capitals and digits: seven for the number (below 36 to the seventh), four that follow from it and the salt."""
    head, tail = divmod(number, len(_PAIRS))
    high, low = divmod((number * 1_103_515_247 + salt) % _TAILS, len(_PAIRS))
    return f"{_head(head)}{_PAIRS[tail]}{_PAIRS[high]}{_PAIRS[low]}"


def event_number(text: str, salt: int) -> int | None:
    """The number that gives this id with this salt; None when no number does."""
    number = int(text[:7], 36) if len(text) == 11 and text.isascii() and text.isalnum() else None
    return number if number is not None and event_id(number, salt) == text else None


def profile_id(number: int, second: int, salt: int) -> str:
    """26 characters as a ULID has them: the second, its number (40 bits), and 40 bits made of that and the salt."""
    tail = (number * 0x9E3779B97F4A7C15 + salt) & 0xFFFFFFFFFF
    value = second * 1000 << 80 | number << 40 | tail
    return "".join([_CROCKFORD_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def number_in_profile_id(text: str) -> int | None:
    """The number inside such an id. The caller must compare the whole id."""
    if len(text) != 26 or not set(text) <= set(_CROCKFORD):
        return None
    number = 0
    for character in text[10:18]:
        number = number << 5 | _CROCKFORD.index(character)
    return number
