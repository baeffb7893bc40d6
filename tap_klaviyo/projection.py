"""A table's schema compiled into one function from a resource to its rows. Pure: never edits a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from klaviyo_client.protocol import Page
from tap_klaviyo.model import Detail, Resource, Table
from tap_klaviyo.paths import Source, follow, sources
from tap_klaviyo.roots import expand, needed
from tap_klaviyo.values import Convert, Unfit, converter


def emitted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as Singer sees it: without our ``x-`` keys."""
    return {
        key: (
            {name: {k: v for k, v in column.items() if not k.startswith("x-")} for name, column in value.items()}
            if key == "properties"
            else value
        )
        for key, value in schema.items()
        if not key.startswith(("x-", "$"))
    }


@dataclass
class _Node:
    leaves: list[tuple[str, Convert]] = field(default_factory=list)
    children: dict[str, _Node] = field(default_factory=dict)


class Projection:
    """The row function of one table, for the columns that are selected.

    Attributes:
        unfit: how many values of each column did not fit its type and became null.
        keyless: how many rows were left out because a column of their key was null.
    """

    def __init__(self, table: Table, schema: Mapping[str, Any], columns: Iterable[str]) -> None:
        self._table = table
        self._columns = tuple(columns)
        self._trees: dict[Source, _Node] = {}
        self.unfit: Counter[str] = Counter()
        self.keyless = 0
        found = sources(schema, self._columns)
        self._roots = needed(table, found.values())
        for name, source in found.items():
            node = self._trees.setdefault(Source(source.root, source.relationship, ()), _Node())
            for token in source.tokens:
                node = node.children.setdefault(token, _Node())
            node.leaves.append((name, converter(schema["properties"][name])))

    @property
    def details(self) -> tuple[Detail, ...]:
        """The details that the columns read."""
        return tuple(root for root in self._roots if isinstance(root, Detail))

    def roots_before(
        self, detail: Detail, resource: Resource, page: Page, given: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """The roots that a detail's owner is found by, once for each row."""
        return expand(self._roots[: self._roots.index(detail)], resource, page, given, {})

    def rows(
        self,
        resource: Resource,
        page: Page,
        given: Mapping[str, Any] | None = None,
        kept: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[dict[str, Any]]:
        """The resource as rows: every selected column, null where the page says nothing; one row for each key.

        ``given`` and ``kept`` are as ``roots.expand`` takes them.
        """
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for values in expand(self._roots, resource, page, given or {}, kept or {}):
            row = self._row(values, page)
            key = tuple(row.get(name) for name in self._table.key)
            if None in key:
                self.keyless += 1
            else:
                rows[key] = row
        return list(rows.values())

    def complaints(self) -> Iterator[str]:
        """What a user should be told of the values that were met, each to be read after the table's name."""
        for column, count in self.unfit.items():
            yield f".{column}: {count} values did not fit the column's type and became null"
        if self.keyless:
            yield f": {self.keyless} rows were left out because a column of their key was null"

    def _row(self, roots: Mapping[str, Any], page: Page) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(self._columns)
        for source, tree in self._trees.items():
            start = follow(source, roots, page)
            if start is not None:
                self._fill(row, tree, start)
        return row

    def _fill(self, row: dict[str, Any], node: _Node, value: Any) -> None:
        for name, convert in node.leaves:
            try:
                row[name] = convert(value)
            except Unfit:
                self.unfit[name] += 1
        if node.children and isinstance(value, dict):
            for token, child in node.children.items():
                found = value.get(token)
                if found is not None:
                    self._fill(row, child, found)
