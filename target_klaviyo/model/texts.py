"""Texts as people see them. Pure."""

from __future__ import annotations

import unicodedata

# Space, and characters that nothing shows of: zero-width spaces, byte order marks, control characters.
_INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Zs")


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen.

    >>> is_blank(" \u200b"), is_blank("News")
    (True, False)
    """
    return all(unicodedata.category(character) in _INVISIBLE for character in text)
