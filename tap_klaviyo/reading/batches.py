"""Makes the rows of a collection's pages, in this process or in worker processes: one batch for each page."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, islice
from typing import Any

from klaviyo_client.client import KlaviyoClient
from tap_klaviyo.files.rows import WrittenRows
from tap_klaviyo.files.run_files import RunFiles
from tap_klaviyo.model import Resource, Slice, SlicePage
from tap_klaviyo.reading.lookups import LookupCache
from tap_klaviyo.reading.slices import BookmarkTracker
from tap_klaviyo.rows.gaps import GapRows, rows_of
from tap_klaviyo.rows.page_lines import LineMaker
from tap_klaviyo.rows.page_rows import PageRows, RowMaker
from tap_klaviyo.rows.record_lines import Encoded, Encoder, Lines
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.workers.pool import WorkerPool
from tap_klaviyo.workers.protocol import RowSpec

# To make types, and code for them, takes as long as they save by so many rows.
ROWS_BEFORE_TYPES = 2000


@dataclass(frozen=True)
class Batch:
    """The rows of one page.

    Attributes:
        bookmark: the bookmark that holds once all of the rows are written, None when none does.
        rows: the rows of each table, in the page's order.
        encoded: the same as lines of RECORD messages, or as what goes into files, in place of the rows, where wanted.
        ended: whether a slice ends with the page.
        slice: the slice that the page is of.
    """

    bookmark: str | None
    rows: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    encoded: Mapping[str, Encoded] = field(default_factory=dict)
    ended: bool = False
    slice: Slice | None = None


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batches of one read of a collection.

    Args:
        client: the account; decodes pages.
        spec: what it takes to make rows.
        row_maker: makes them in this process, and counts problems wherever they are made.
        lookups: the values that cost a call of their own.
        bookmark: how far the collection is read.
        encoders: make of each table's rows what is written of them; None where the rows themselves are wanted.
        keep_resources: whether others need this collection's resources.
        ids: table -> the values of its only key column so far, for tables of which they are to be kept.
        gaps: the rows of tables that fill gaps, as far as they were written in this run.
        sample_only: stop after the first page that has a resource.
        files: the files of the run, if rows go there.

    Attributes:
        resources: id and attributes of the resources so far, when they are to be kept.
    """

    client: KlaviyoClient
    spec: RowSpec
    row_maker: RowMaker
    lookups: LookupCache
    bookmark: BookmarkTracker
    encoders: Mapping[str, Encoder[Any]] | None
    keep_resources: bool
    sample_only: bool
    ids: Mapping[str, set[str]] = field(default_factory=dict)
    gaps: Mapping[str, GapRows] = field(default_factory=dict)
    files: RunFiles | None = None
    resources: list[Resource] = field(default_factory=list)

    def make_here(self, pages: Iterable[SlicePage]) -> Generator[Batch, None, bool]:
        """Make batches in this process; whether it stopped, because only a sample is wanted."""
        rows_seen = 0
        for page in pages:
            if rows_seen >= ROWS_BEFORE_TYPES and self._line_maker is not None:
                yield self._make_lines(page, self._line_maker)
                continue
            rows_seen += page.page.size
            page_rows = self._make_rows(page)
            if self.keep_resources:
                self.resources.extend(
                    {"id": resource["id"], "attributes": resource.get("attributes")} for resource in page_rows.resources
                )
            bookmark = self.bookmark.after_page(page_rows.times)
            if self.encoders is not None:
                yield Batch(bookmark, encoded=self._encode(page_rows.rows), ended=page.ended, slice=page.slice)
            else:
                yield Batch(bookmark, rows=page_rows.rows, ended=page.ended, slice=page.slice)
            if self.sample_only and page_rows.resources:
                return True
        return False

    def make_in_workers(self, pages: Iterator[SlicePage], processes: int) -> Generator[Batch, None, None]:
        """Make batches in so many worker processes, which are started when there is a page."""
        for first in islice(pages, 1):
            pool = WorkerPool(self.spec, self.lookups, processes, self.files)
            for page, result in pool.map_pages(chain((first,), pages)):
                self.row_maker.add_problems(result.problems)
                bookmark = self.bookmark.after_page(result.times)
                written = {name: WrittenRows(count) for name, count in result.counts.items()}
                encoded = {**self._without_known(result.lines), **written}
                yield Batch(bookmark, encoded=encoded, ended=page.ended, slice=page.slice)

    @cached_property
    def _line_maker(self) -> LineMaker[Any] | None:
        """Makes lines faster, where nothing but these is wanted of a page."""
        if self.encoders is None or self.keep_resources or self.sample_only or self.ids or self.gaps:
            return None
        return self.spec.line_maker(self.encoders)

    def _make_lines(self, page: SlicePage, line_maker: LineMaker[Any]) -> Batch:
        cut = None if page.cut is None else bookmark_text(page.cut)
        lookups, now = self.lookups, datetime.now(UTC)
        try:
            encoded, times, problems = line_maker.make_lines(page.page.body, page.slice, cut, lookups, now)
        except ValueError:
            # Raises what the user is told.
            self.client.decode(self.spec.collection.operation, page.page)
            raise
        self.row_maker.add_problems(problems)
        return Batch(self.bookmark.after_page(times), encoded=encoded, ended=page.ended, slice=page.slice)

    def _encode(self, rows: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Encoded]:
        encoders, now = self.encoders or {}, datetime.now(UTC)
        return {name: encoders[name].encode(rows, now) for name, rows in rows.items()}

    def _make_rows(self, page: SlicePage) -> PageRows:
        cut = None if page.cut is None else bookmark_text(page.cut)
        decoded = self.client.decode(self.spec.collection.operation, page.page)
        made = self.row_maker.make_rows(decoded, page.slice, cut, self.lookups, datetime.now(UTC))
        for entry in self.spec.tables:
            if entry.table.name in self.ids:
                (key,) = entry.table.key
                self.ids[entry.table.name].update(row[key] for row in made.rows[entry.table.name])
        if not self.gaps:
            return made
        new = {name: gaps.take_new(made.rows[name]) for name, gaps in self.gaps.items()}
        return replace(made, rows={**made.rows, **new})

    def _without_known(self, lines: Mapping[str, Lines]) -> dict[str, Encoded]:
        """The lines, but for those that fill gaps that were filled before."""
        new = {name: gaps.take_new(rows_of(lines[name])) for name, gaps in self.gaps.items() if name in lines}
        return {**lines, **self._encode(new)}
