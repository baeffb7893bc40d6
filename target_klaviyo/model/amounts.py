"""Amounts and limits as settings have them: a number of records or people, or a percentage of all. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_ALL = 100.0


def parse_amount(text: str) -> int | float:
    """A count as an int; a percentage as a float, the part of all in [0, 1].

    >>> parse_amount("100"), parse_amount("5%")
    (100, 0.05)

    Raises:
        ValueError: it is neither.
    """
    match = _AMOUNT.fullmatch(text)
    if match and match[2] and float(match[1]) <= _ALL:
        return float(match[1]) / _ALL
    if match and not match[2] and match[1].isdigit():
        return int(match[1])
    raise ValueError("neither a number nor a percentage")


@dataclass(frozen=True)
class Limit:
    """The most that is allowed: a number, a part of all, or the smaller of both.

    Attributes:
        count: this many; None for any number.
        share: this part of all, in [0, 1]; None for any.
    """

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, *texts: str) -> Limit:
        """The limit that these texts say; each is a number such as ``500`` or a percentage such as ``5%``.

        >>> Limit.parse("500", "5%")
        Limit(count=500, share=0.05)

        Raises:
            ValueError: one of them is neither.
        """
        count: int | None = None
        share: float | None = None
        for text in texts:
            amount = parse_amount(text)
            if isinstance(amount, float):
                share = amount
            else:
                count = amount
        return cls(count, share)

    def allows(self, number: int, total: int | None = None) -> bool:
        """Whether so many of so many are allowed. While the total is not known, only the count can be exceeded."""
        if total is None:
            return self.count is None or number <= self.count
        return number <= self.of(total)

    def of(self, total: int) -> int:
        """The most that is allowed of so many."""
        bounds = [total if self.count is None else self.count]
        if self.share is not None:
            bounds.append(int(total * self.share))
        return min(bounds)
