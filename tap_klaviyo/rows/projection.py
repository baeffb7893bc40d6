"""A table's schema compiled into one function from a resource to its rows. Pure: never edits a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Resource, Table
from tap_klaviyo.rows.compiler import compile_rows
from tap_klaviyo.rows.paths import sources
from tap_klaviyo.rows.roots import LookupFunction, expand, extend, known_to_nobody, needed


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


class Projection:
    """The row function of one table, for the columns that are selected.

    Attributes:
        unfit: how many values of each column did not fit its type and became null.
        keyless: how many rows were left out because a column of their key was null.
    """

    def __init__(self, table: Table, schema: Mapping[str, Any], columns: Iterable[str]) -> None:
        columns = tuple(columns)
        self.unfit: Counter[str] = Counter()
        self.keyless = 0
        roots = needed(table, sources(schema, columns).values())
        first = next((at for at, root in enumerate(roots) if isinstance(root, Lookup)), len(roots))
        self._before, self._after = roots[:first], roots[first:]
        self._row = compile_rows(schema, columns, self.unfit)
        key = [name for name in table.key if name in columns]
        self._compound = len(key) > 1
        self._key_of = itemgetter(*key) if key else None

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """The lookups that the columns read."""
        return tuple(root for root in self._after if isinstance(root, Lookup))

    def rows(
        self,
        resources: Iterable[Resource],
        page: Page,
        given: Mapping[str, Any] | None = None,
        look_up: LookupFunction = known_to_nobody,
    ) -> list[dict[str, Any]]:
        """The page's resources as rows: every selected column, null where the page says nothing; one row for each key.

        ``given`` and ``look_up`` are as ``roots.expand`` takes them.
        """
        return self.finish(self.begin(resources, page, given or {}), page, look_up)

    def begin(self, resources: Iterable[Resource], page: Page, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The values of all roots that come before the first lookup, once for each row."""
        return expand(self._before, resources, page, given, known_to_nobody)

    def finish(
        self, found: list[dict[str, Any]], page: Page, look_up: LookupFunction = known_to_nobody
    ) -> list[dict[str, Any]]:
        """The rows of what ``begin`` gave, or of some of it."""
        made = self._row
        rows = [made(values, page) for values in extend(self._after, found, page, look_up)]
        if self._key_of is None:
            return rows
        by_key: dict[Any, dict[str, Any]] = {}
        for row in rows:
            key = self._key_of(row)
            if key is None or (self._compound and None in key):
                self.keyless += 1
            else:
                by_key[key] = row
        return list(by_key.values())

    def complaints(self) -> Iterator[str]:
        """What a user should be told of the values that were met, each to be read after the table's name."""
        for column, count in self.unfit.items():
            yield f".{column}: {count} values did not fit the column's type and became null"
        if self.keyless:
            yield f": {self.keyless} rows were left out because a column of their key was null"
