"""Row templates: many rows that differ in a few short values only.

A row template is a row with placeholders where the values go. It is encoded as JSON once; each row after that costs one
substitution. That is what lets the sandbox serve pages as fast as a benchmark asks for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.spec.exchange import encode_json

# Placeholder for an event's second where a row calculates with it; a result is no further back than an hour.
SECOND_PLACEHOLDER = 7_777_777_777

Values = tuple[bytes, ...]
_PLACEHOLDER = re.compile(rb"<<(\w+)>>|777777\d{4}")


def placeholder(name: str) -> str:
    """The text in a row template that stands for a value."""
    return f"<<{name}>>"


class JsonTemplate:
    """JSON text with placeholders for the values that ``names`` lists.

    ``SECOND_PLACEHOLDER`` stands for the value "timestamp", a number a little less than it for "send_time".
    """

    def __init__(self, value: Any, names: Sequence[str]) -> None:
        positions: list[int] = []

        def replace(match: re.Match[bytes]) -> bytes:
            if match[1]:
                name = match[1].decode()
            else:
                name = "timestamp" if int(match[0]) == SECOND_PLACEHOLDER else "send_time"
            positions.append(names.index(name))
            return b"%b"

        self._text = _PLACEHOLDER.sub(replace, encode_json(value).replace(b"%", b"%%"))
        if len(positions) > 1:
            self._pick: Callable[[Values], Values] = itemgetter(*positions)
        else:
            # `itemgetter` of fewer than two gives no tuple.
            self._pick = lambda values: tuple(values[position] for position in positions)

    def fill(self, values: Values) -> bytes:
        """The text with these values, which are ASCII and need no escapes."""
        return self._text % self._pick(values)


class RowTemplate:
    """A row with placeholders.

    Attributes:
        row: its members, some of them with placeholders.
        names: the names of the placeholders, in the order of the values. The first value is the id.
        fixed: the members without a placeholder, the same in every row.
    """

    def __init__(self, row: Row, names: Sequence[str]) -> None:
        self.row = row
        self.names = names
        self.fixed = {name: value for name, value in row.items() if not _PLACEHOLDER.search(encode_json(value))}
        self._json_template = JsonTemplate(
            {name: value for name, value in row.items() if name not in self.fixed}, names
        )

    def members_with(self, values: Values) -> dict[str, Any]:
        """The members that have placeholders, with these values in them."""
        members: dict[str, Any] = json.loads(self._json_template.fill(values))
        return members


class TemplateRow(Mapping[str, Any]):
    """One row of a template. Its members that have values in them are decoded when one of them is first asked for."""

    __slots__ = ("_members", "row_values", "template")

    def __init__(self, template: RowTemplate, values: Values) -> None:
        self.template = template
        self.row_values = values
        self._members: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if name in self.template.fixed:
            return self.template.fixed[name]
        if name == "id":
            return self.row_values[0].decode()
        if self._members is None:
            self._members = self.template.members_with(self.row_values)
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.template.row)

    def __len__(self) -> int:
        return len(self.template.row)
