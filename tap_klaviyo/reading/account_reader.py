"""One pass over a collection, for all of its tables at once."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import chain, islice
from typing import Any

from klaviyo_client.api.operations import Operation, operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotAllowed, SettingsError
from tap_klaviyo.model import Collection, Lookup, PathEquals, Resource, SelectedTable, Slice, SlicePage
from tap_klaviyo.reading import event_metrics, prefetch
from tap_klaviyo.reading.lookups import LookupCache
from tap_klaviyo.reading.page_reader import Reading
from tap_klaviyo.reading.prefetch import Ahead, is_small
from tap_klaviyo.reading.requests import Asker
from tap_klaviyo.reading.selection import THE_ACCOUNT, Selection
from tap_klaviyo.reading.slices import SETTLE, TICK, Edge, plan
from tap_klaviyo.rows.page_rows import PageRows, RowMaker
from tap_klaviyo.rows.record_lines import Lines, lines_by_table
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.workers.pool import WorkerPool
from tap_klaviyo.workers.protocol import RowSpec

logger = logging.getLogger("tap-klaviyo")

# Processes take half a second to start: not for a nightly handful.
PAGES_BEFORE_LANES = 20
ROWS_OF_ONE_CORE = 20_000


@dataclass(frozen=True)
class Batch:
    """What one page gives.

    Attributes:
        edge: the bookmark that holds once all of it is written, None when the page is no edge.
        rows: the rows of each table, in the page's order.
        lines: the same as lines of RECORD messages, in place of the rows, where these are wanted.
        ended: whether a slice ends with it.
        slice: the slice that the page is of.
    """

    edge: str | None
    rows: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    lines: Mapping[str, Lines] = field(default_factory=dict)
    ended: bool = False
    slice: Slice | None = None


@dataclass
class Account:
    """One run over one account: what is selected, and what was already read.

    Args:
        client: the account.
        now: when the run began.
        selected: every table that is wanted.
        collections: every collection there is, by name.
        reread: names of the collections that are read whole although they have a bookmark.
        event_metrics: the metrics whose events are wanted, as ``event_metrics.chosen`` takes them; empty for all.
        without: collection -> what of it no table is to have.
        integration: what the V1 tables call the account; by default its id.
        concurrency: how many answers to wait for at once.
        lanes: processes that shape the pages of a collection that one core cannot keep up with; 0 for none.
        glance: read only the first resource of each collection, to see whether it can be read.
        denied: told of columns that the key may not read; they are null then.

    Attributes:
        partial: the collections of which something was skipped.
    """

    client: KlaviyoClient
    now: datetime
    selected: Sequence[SelectedTable]
    collections: Mapping[str, Collection]
    reread: Container[str] = ()
    event_metrics: Sequence[str] = ()
    without: Mapping[str, PathEquals] = field(default_factory=dict)
    integration: str | None = None
    concurrency: int = 8
    lanes: int = 0
    glance: bool = False
    denied: Callable[[Sequence[str], NotAllowed], None] = lambda _columns, _error: None
    partial: set[str] = field(default_factory=set)
    _resources: dict[str, list[Resource]] = field(default_factory=dict)
    _no_account: NotAllowed | None = None
    _is_begun: bool = False

    def read(
        self, collection: Collection, starts: Mapping[str, datetime | None], *, as_lines: bool = False
    ) -> Generator[Batch, None, None]:
        """Read the collection once for all of its selected tables.

        Args:
            collection: what to read.
            starts: the bookmark that each of these tables starts at; None where it starts at the beginning. The read
                starts at the oldest of them, and what is older than a table's own is left out of that table.
            as_lines: whether the rows are wanted as lines of RECORD messages.
        """
        self._check_metrics()
        self._read_ahead(collection)
        whole = collection.name in self.reread or None in starts.values()
        since = None if whole else min(start for start in starts.values() if start)
        spec = self._row_spec(collection, starts)
        row_maker = spec.row_maker()
        lookups = LookupCache(row_maker.lookups, self._asker.lookups, partial(self._lookup_denied, collection))
        slices = self._slices(collection, since)
        edge = Edge(now=self.now, ordered=len(slices) == 1 and collection.name not in self.reread)
        seen: list[Resource] = []
        is_looked_up = collection.name in self.selection.looked_up
        in_lanes = as_lines and self.lanes > 0 and _is_fast(operation(collection.operation))
        with contextlib.closing(self._pages(collection, slices)) as pages:
            for taken in islice(pages, PAGES_BEFORE_LANES if in_lanes else None):
                shaped = self._shaped(collection, row_maker, taken, lookups)
                if is_looked_up:
                    seen += [{"id": found["id"], "attributes": found.get("attributes")} for found in shaped.resources]
                lines = lines_by_table(shaped.rows, datetime.now(UTC), row_maker.versions) if as_lines else None
                yield _batch(shaped, edge.after_page(shaped.times), taken, lines)
                if self.glance and shaped.resources:
                    return
            # What is left is much, when there is anything left: only then are processes started.
            for first in islice(pages, 1):
                for taken, made in WorkerPool(spec, lookups, self.lanes).map_pages(chain((first,), pages)):
                    row_maker.add_problems(made.problems)
                    yield Batch(edge.after_page(made.times), lines=made.lines, ended=taken.ended, slice=taken.slice)
        yield Batch(edge.at_end(), ended=True)
        # Only a whole pass that came to its end knows every resource.
        if since is None:
            self._resources[collection.name] = seen
        self._read_ahead(collection)
        for line in row_maker.warnings():
            logger.warning("%s", line)

    def _row_spec(self, collection: Collection, starts: Mapping[str, datetime | None]) -> RowSpec:
        account = self._account(collection)
        return RowSpec(
            collection,
            self._wanted(collection, starts),
            account,
            self.client.api_url,
            self.without.get(collection.name),
            {"id": self.integration} if self.integration else account,
        )

    def _shaped(self, collection: Collection, row_maker: RowMaker, taken: SlicePage, lookups: LookupCache) -> PageRows:
        cut = None if taken.cut is None else bookmark_text(taken.cut)
        return row_maker.make_rows(
            self.client.decoded(collection.operation, taken.page), taken.slice, cut, lookups, datetime.now(UTC)
        )

    def resources(self, name: str) -> list[Resource]:
        """Id and needed attributes of every resource of a collection, read at most once in a run."""
        if name not in self._resources:
            collection = self.collections[name]
            with contextlib.closing(self._pages(collection, self._slices(collection))) as reading:
                pages = (self.client.decoded(collection.operation, taken.page) for taken in reading)
                # Empty passes say nothing; a glance needs one resource to go on with.
                found = (resource for page in pages for resource in page.data)
                self._resources[name] = list(islice(found, 1) if self.glance else found)
        return self._resources[name]

    # What to ask for ------------------------------------------------------------------------------------------------

    def _wanted(self, collection: Collection, starts: Mapping[str, datetime | None]) -> list[SelectedTable]:
        """The collection's tables; those that are ahead of others say so, unless it is read whole on purpose."""
        wanted = self.selection.of(collection)
        if collection.name in self.reread:
            return wanted
        return [
            replace(entry, since=None if start is None else bookmark_text(min(start, self.now - SETTLE) - TICK))
            for entry in wanted
            for start in (starts.get(entry.table.name),)
        ]

    def _slices(self, collection: Collection, since: datetime | None = None) -> list[Slice]:
        return plan(
            collection,
            since=since,
            now=self.now,
            parents=self.resources(collection.parent) if collection.parent else (),
            narrowed=self._narrowed(collection),
        )

    def _narrowed(self, collection: Collection) -> Sequence[tuple[str, ...]]:
        """The user's own conditions."""
        is_narrowed = collection.name == event_metrics.NARROWS and self.event_metrics
        return self._of_metrics if is_narrowed else ((),)

    @cached_property
    def _of_metrics(self) -> Sequence[tuple[str, ...]]:
        ids, unknown = event_metrics.chosen(self.event_metrics, self.resources(event_metrics.COLLECTION))
        if not ids:
            raise SettingsError(f"event_metrics: the account has no metric called {' or '.join(unknown)}")
        for entry in unknown:
            logger.warning("event_metrics: the account has no metric called %s", entry)
        return event_metrics.conditions(ids)

    def _check_metrics(self) -> None:
        """Find out before anything is read whether there are such metrics: events are read last."""
        is_first, self._is_begun = not self._is_begun, True
        if is_first and self.event_metrics and self.selection.of(self.collections[event_metrics.NARROWS]):
            # Whoever may not read metrics is told when it is the turn of the events.
            with contextlib.suppress(NotAllowed):
                self._of_metrics  # noqa: B018 - kept for the events' turn

    @cached_property
    def selection(self) -> Selection:
        """What is selected, and what that takes."""
        return Selection(self.selected, self.without, bool(self.event_metrics), bool(self.integration))

    @cached_property
    def _ahead(self) -> Ahead:
        return Ahead(
            lambda found: self._asker.pages(
                found, self._slices(found), workers=prefetch.THREADS, memory=prefetch.MEMORY
            )
        )

    def _read_ahead(self, current: Collection) -> None:
        """Begin to read what is small, as soon as its parents are known; not where few answers may be waited for."""
        if not self.glance and self.concurrency > prefetch.THREADS:
            found = {entry.table.collection.name: entry.table.collection for entry in self.selected}.values()
            self._ahead.begin(
                collection
                for collection in found
                if is_small(collection, self.reread)
                and collection != current
                and (collection.parent is None or collection.parent in self._resources)
            )

    def _pages(self, collection: Collection, slices: Sequence[Slice]) -> Reading:
        """The pages of these slices, which may have been read before their turn."""
        return self._ahead.take(collection) or self._asker.pages(collection, slices)

    @cached_property
    def _asker(self) -> Asker:
        return Asker(
            self.client,
            self.selection,
            self.now,
            self.reread,
            concurrency=self.concurrency,
            glance=self.glance,
            partial=self.partial,
        )

    # What may be missing --------------------------------------------------------------------------------------------

    def _account(self, collection: Collection) -> Resource | None:
        """The account itself, asked for only when a column reads it."""
        readers = self.selection.columns_that_read(collection, *self.selection.account_roots)
        if not readers:
            return None
        if self._no_account is None:
            try:
                return next(iter(self.resources(THE_ACCOUNT)), None)
            except NotAllowed as error:
                self._no_account = error
        self.denied(readers, self._no_account)
        return None

    def _lookup_denied(self, collection: Collection, lookup: Lookup, error: NotAllowed) -> None:
        self.denied(self.selection.columns_that_read(collection, lookup.name), error)


def _batch(shaped: PageRows, edge: str | None, taken: SlicePage, lines: Mapping[str, Lines] | None) -> Batch:
    if lines is None:
        return Batch(edge, rows=shaped.rows, ended=taken.ended, slice=taken.slice)
    return Batch(edge, lines=lines, ended=taken.ended, slice=taken.slice)


def _is_fast(op: Operation) -> bool:
    """Whether Klaviyo gives more rows a second than one core shapes."""
    return op.steady * (op.page_size or 0) / 60 > ROWS_OF_ONE_CORE
