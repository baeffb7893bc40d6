"""The row function of one table: from resources of a page to its rows. Pure: never edits a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Resource, Table
from tap_klaviyo.rows.compiler import compile_rows
from tap_klaviyo.rows.paths import sources
from tap_klaviyo.rows.roots import (
    CONTEXT_ROOTS,
    LookupFunction,
    expand,
    extend,
    needs_of,
    no_lookup,
    required_roots,
)
from tap_klaviyo.rows.typed_rows import BeginRows, FinishRows, TypedResources, compile_begin, compile_finish


def singer_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A table's schema file as Singer sees it: without our ``x-`` keys."""
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

    Args:
        table: the table.
        schema: its schema file.
        columns: those that are selected.
        made: the look-ups that other tables make, which the table may use, too.
        typed: what resources are, where they are no dictionaries.

    Attributes:
        conversion_errors: how many values of each column could not be converted to its type and became null.
        rows_without_key: how many rows were left out because a column of their key was null.
    """

    def __init__(
        self,
        table: Table,
        schema: Mapping[str, Any],
        columns: Iterable[str],
        made: Container[str] = (),
        typed: TypedResources | None = None,
    ) -> None:
        columns = tuple(columns)
        self.conversion_errors: Counter[str] = Counter()
        self.rows_without_key = 0
        roots = [
            root
            for root in required_roots(table, sources(schema, columns).values())
            if not (isinstance(root, Lookup) and root.optional and root.name not in made)
        ]
        first = next((index for index, root in enumerate(roots) if isinstance(root, Lookup)), len(roots))
        self._before_lookups, self._from_lookups = roots[:first], roots[first:]
        compile_functions = self._plain_functions if typed is None else partial(self._typed_functions, typed)
        self._begin, self._finish = compile_functions(schema, columns)
        key = [name for name in table.key if name in columns]
        self._is_compound = len(key) > 1
        self._key_of = itemgetter(*key) if key else None

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """The lookups that the columns read."""
        return tuple(root for root in self._from_lookups if isinstance(root, Lookup))

    def rows(
        self,
        resources: Iterable[Resource],
        page: Page,
        context: Mapping[str, Any] | None = None,
        look_up: LookupFunction = no_lookup,
    ) -> list[dict[str, Any]]:
        """The page's resources as rows: every selected column, null where the page says nothing; one row for each key.

        ``context`` and ``look_up`` are as ``roots.expand`` takes them.
        """
        return self.finish_rows(self.begin_rows(resources, page, context or {}), page, look_up)

    def begin_rows(self, resources: Iterable[Resource], page: Page, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Evaluate all roots that come before the first lookup: their values, once for each row."""
        return self._begin(resources, page, context)

    def finish_rows(
        self, root_values: list[dict[str, Any]], page: Page, look_up: LookupFunction = no_lookup
    ) -> list[dict[str, Any]]:
        """Make the rows of what ``begin_rows`` gave, or of some of it."""
        rows = self._finish(root_values, page, look_up)
        if self._key_of is None:
            return rows
        by_key: dict[Any, dict[str, Any]] = dict(zip(map(self._key_of, rows), rows, strict=True))
        without_key = [key for key in by_key if None in key] if self._is_compound else [None] if None in by_key else []
        if without_key:
            self.rows_without_key += sum(self._key_of(row) in without_key for row in rows)
            for key in without_key:
                del by_key[key]
        return list(by_key.values())

    def _plain_functions(self, schema: Mapping[str, Any], columns: Sequence[str]) -> tuple[BeginRows, FinishRows]:
        make_row = compile_rows(schema, columns, self.conversion_errors)
        return (
            lambda resources, page, context: expand(self._before_lookups, resources, page, context, no_lookup),
            lambda root_values, page, look_up: [
                make_row(values, page) for values in extend(self._from_lookups, root_values, page, look_up)
            ],
        )

    def _typed_functions(
        self, typed: TypedResources, schema: Mapping[str, Any], columns: Sequence[str]
    ) -> tuple[BeginRows, FinishRows]:
        needs = {need.root for root in (*self._before_lookups, *self._from_lookups) for need in needs_of(root)}
        starts = needs | {source.root for source in sources(schema, columns).values()}
        return (
            compile_begin(self._before_lookups, not starts.isdisjoint(CONTEXT_ROOTS), typed.shape),
            compile_finish(self._before_lookups, self._from_lookups, schema, columns, self.conversion_errors, typed),
        )

    def warnings(self) -> Iterator[str]:
        """Texts for the user about the problems that were counted, each to be read after the table's name."""
        for column, count in self.conversion_errors.items():
            yield f".{column}: {count} values did not fit the column's type and became null"
        if self.rows_without_key:
            yield f": {self.rows_without_key} rows were left out because a column of their key was null"
