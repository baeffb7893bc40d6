"""Rows cast from moulds: many rows that differ in a few short values only.

A mould is a row with *marks* where the values go. Written as JSON once, it becomes a stencil, and each row after that
costs one substitution. That is what lets a stand-in serve pages as fast as a benchmark asks for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.spec.exchange import encode_json

# Stands for an event's second where a row calculates with it; what was calculated is no further back than an hour.
SECOND = 7_777_777_777

Values = tuple[bytes, ...]
_MARK = re.compile(rb"<<(\w+)>>|777777\d{4}")


def mark(name: str) -> str:
    """The text that stands for a value."""
    return f"<<{name}>>"


class Stencil:
    """JSON text with holes for the values that ``names`` lists. ``SECOND`` is the mark "at", less than it "sent"."""

    def __init__(self, value: Any, names: Sequence[str]) -> None:
        holes: list[int] = []

        def hole(found: re.Match[bytes]) -> bytes:
            name = found[1].decode() if found[1] else "at" if int(found[0]) == SECOND else "sent"
            holes.append(names.index(name))
            return b"%b"

        self._text = _MARK.sub(hole, encode_json(value).replace(b"%", b"%%"))
        # `itemgetter` of fewer than two gives no tuple.
        self._pick = itemgetter(*holes) if len(holes) > 1 else lambda values: tuple(values[at] for at in holes)

    def fill(self, values: Values) -> bytes:
        """The text with these values, which are ASCII and need no escapes."""
        return self._text % self._pick(values)


class Mould:
    """A row with marks.

    Attributes:
        row: its members; ``names`` the marks, in the order of the values. The first value is the id.
        fixed: the members without a mark, the same in every row.
    """

    def __init__(self, row: Row, names: Sequence[str]) -> None:
        self.row = row
        self.names = names
        self.fixed = {name: value for name, value in row.items() if not _MARK.search(encode_json(value))}
        self._stencil = Stencil({name: value for name, value in row.items() if name not in self.fixed}, names)

    def members(self, values: Values) -> dict[str, Any]:
        """The members that have these values in them."""
        found: dict[str, Any] = json.loads(self._stencil.fill(values))
        return found


class Cast(Mapping[str, Any]):
    """One row of a mould, made out only when something else than what is fixed is asked for."""

    __slots__ = ("_members", "mould", "own")

    def __init__(self, mould: Mould, values: Values) -> None:
        self.mould = mould
        self.own = values
        self._members: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if name in self.mould.fixed:
            return self.mould.fixed[name]
        if name == "id":
            return self.own[0].decode()
        if self._members is None:
            self._members = self.mould.members(self.own)
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.mould.row)

    def __len__(self) -> int:
        return len(self.mould.row)
