"""Rows of tables that fill the gaps of others of their name: which resources give one, and which rows are new. Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Resource, SelectedTable
from tap_klaviyo.rows.paths import OWN, follower, parse_source, sources
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.rows.roots import EXTRACTED, requirements
from tap_klaviyo.rows.values import id_text

_NO_PAGE = Page(())


class GapFinder:
    """Finds the resources that fill gaps.

    Args:
        entry: the table that fills them.
        known: the ids that need no row.
    """

    def __init__(self, entry: SelectedTable, known: Container[str]) -> None:
        if entry.table.gap is None:
            raise ValueError(f"{entry.table.name} fills no gaps")
        self._known = known
        self._since = entry.since
        self._began = entry.table.gap.began
        self._id_of = follower(parse_source(entry.table.gap.id_path))
        needs = {
            source
            for source in requirements(entry.table, sources(entry.schema, entry.columns).values())
            if source.root == OWN
        }
        self._values_of: list[Callable[..., Any]] = [follower(source) for source in sorted(needs, key=str)]

    def resources(self, resources: Sequence[Resource], times: Sequence[str | None]) -> Sequence[Resource]:
        """Those with an unknown id, the last of each that say the same: most of a page's say nothing new.

        Args:
            resources: some of a page.
            times: their bookmarks.
        """
        by_content: dict[str, Resource] = {}
        for resource, time in zip(resources, times, strict=True):
            roots = {OWN: resource}
            value = self._id_of(roots, _NO_PAGE)
            # Of almost every event; what follows costs more.
            if value is None or (isinstance(value, str) and value in self._known):
                continue
            row_id = id_text(value)
            if row_id is not None and row_id not in self._known and self._is_new(resource, time):
                content = repr([value(roots, _NO_PAGE) for value in self._values_of])
                by_content.pop(content, None)
                by_content[content] = resource
        return list(by_content.values())

    def _is_new(self, resource: Resource, time: str | None) -> bool:
        """Whether earlier runs, which read to ``since``, met neither the resource nor what its row is about."""
        return self._since is None or all(
            moment is None or moment > self._since for moment in (time, self._began(resource))
        )


class GapRows:
    """The rows that fill the gaps of one table, as far as they were not written yet in this run.

    Args:
        entry: the table that fills them.
    """

    def __init__(self, entry: SelectedTable) -> None:
        (self._key,) = entry.table.key
        # When a row was read is no reason to write it again.
        self._passing = {
            name for name, source in sources(entry.schema, entry.columns).items() if source.root == EXTRACTED
        }
        self._written: dict[Any, dict[str, Any]] = {}

    def take_new(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """One row for each id, and another one when what is said of it changed; what is said no more stays."""
        new = {}
        for row in rows:
            row_id = row[self._key]
            before = self._written.get(row_id, {})
            merged = {name: before.get(name) if value is None else value for name, value in row.items()}
            if any(merged[name] != before.get(name) for name in merged.keys() - self._passing):
                self._written[row_id] = new[row_id] = merged
        return list(new.values())


def rows_of(lines: Lines) -> Iterator[dict[str, Any]]:
    """The rows that lines of RECORD messages hold."""
    for line in lines.data.splitlines():
        message: Mapping[str, Any] = msgspec.json.decode(line)
        yield message["record"]
