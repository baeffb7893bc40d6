"""Reads the collections of one account, each once for all of its tables."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import chain, islice

from klaviyo_client.api.operations import Operation, operation
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import KlaviyoError, NotAllowed, Refused, SettingsError, Unavailable
from tap_klaviyo.files.run_files import RunFiles
from tap_klaviyo.model import Collection, Lookup, PathEquals, Resource, SelectedTable, Slice, SlicePage
from tap_klaviyo.reading import event_metrics, prefetch
from tap_klaviyo.reading.batches import Batch, BatchMaker
from tap_klaviyo.reading.gaps import Gaps, ids_in
from tap_klaviyo.reading.lookup_calls import LookupCalls
from tap_klaviyo.reading.lookups import LookupCache
from tap_klaviyo.reading.members_of import MembersOf
from tap_klaviyo.reading.page_reader import PageReader
from tap_klaviyo.reading.prefetch import Prefetcher, is_prefetchable
from tap_klaviyo.reading.requests import PageRequests
from tap_klaviyo.reading.selection import ACCOUNT_COLLECTION, Selection
from tap_klaviyo.reading.slices import SETTLE, TICK, BookmarkTracker, plan_slices
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.tables import property_columns
from tap_klaviyo.workers.protocol import RowSpec

logger = logging.getLogger("tap-klaviyo")

# Pages that are read before worker processes are started: these take half a second to start, too much for a nightly
# handful. When so many times as many are still expected, they are started at once: what a page shows may be a rush.
PAGES_BEFORE_WORKERS, CERTAINLY_MANY = 20, 4
ROWS_PER_SECOND_OF_ONE_CORE = 20_000
# A clock that is off by more takes Klaviyo's certificate for one of another time.
_MAX_SKEW = timedelta(days=31)


@dataclass
class AccountReader:
    """One run over one account: what is selected, and what was already read.

    Args:
        client: the account.
        now: when the run began, on our clock.
        selected: every table that is wanted.
        collections: every collection there is, by name.
        reread: names of the collections that are read whole although they have a bookmark.
        event_metrics: the metrics whose events are wanted, as ``event_metrics.resolve`` takes them; empty for all.
        members_of: the lists and segments whose members are wanted, by name or id; empty for all.
        exclude: collection -> resources that no table gets.
        integration: what the V1 tables call the account; by default its id.
        concurrency: how many answers to wait for at once.
        processes: worker processes for a collection that one core cannot keep up with; 0 for none.
        omit_nulls: whether lines lack the columns that are null.
        sample_only: read only the first resource of each collection, to see whether it can be read.
        on_denied: called with columns that the key may not read; they are null then.
        failed: operation -> the error by which it failed in this run; it is not called again for what needs it.
        files: the files that rows go to, in place of lines; None where they go to none.

    Attributes:
        incomplete: the collections of which something was skipped.
    """

    client: KlaviyoClient
    now: datetime
    selected: Sequence[SelectedTable]
    collections: Mapping[str, Collection]
    reread: Container[str] = ()
    event_metrics: Sequence[str] = ()
    members_of: Sequence[str] = ()
    exclude: Mapping[str, PathEquals] = field(default_factory=dict)
    integration: str | None = None
    concurrency: int = 8
    processes: int = 0
    omit_nulls: bool = False
    sample_only: bool = False
    on_denied: Callable[[Sequence[str], NotAllowed], None] = lambda _columns, _error: None
    failed: Mapping[str, KlaviyoError] = field(default_factory=dict)
    files: RunFiles | None = None
    incomplete: set[str] = field(default_factory=set)
    _resources: dict[str, list[Resource]] = field(default_factory=dict)
    _account_error: NotAllowed | None = None
    _has_begun: bool = False

    def read(
        self, collection: Collection, starts: Mapping[str, datetime | None], *, as_lines: bool = False
    ) -> Generator[Batch, None, None]:
        """Read the collection once for all of its selected tables.

        Args:
            collection: what to read.
            starts: the bookmark that each of its tables that are read now starts at; None where it starts at the
                beginning. The read starts at the oldest of them, and what is older than a table's own is left out of
                that table.
            as_lines: whether the rows are wanted as lines of RECORD messages, or as what goes into files.
        """
        self._check_names()
        if self.selection.reads_all_attributes(collection):
            logger.info("%s: attributes is selected, so Klaviyo sends all attributes, in larger pages", collection.name)
        self._prefetch(collection)
        is_whole = collection.name in self.reread or None in starts.values()
        since = None if is_whole else min(start for start in starts.values() if start)
        spec = self._row_spec(collection, starts)
        ids = self._gaps.ids_to_keep(spec.tables) if since is None else {}
        slices = self._slices(collection, since)
        batches = self._batch_maker(spec, slices, ids, as_lines=as_lines)
        has_workers = as_lines and not ids and self.processes > 0 and _is_fast(operation(collection.operation))
        with contextlib.closing(self._pages(collection, slices)) as pages:
            first: Iterable[SlicePage] = pages_before_workers(pages) if has_workers else pages
            left: Iterator[SlicePage] = pages
            if has_workers and self.files is not None:
                # What writes files takes memory and a start in each process: where there is much, workers alone do.
                first = list(first)
                if len(first) == PAGES_BEFORE_WORKERS or _expects_many(pages):
                    first, left = (), chain(first, pages)
            stopped = yield from batches.make_here(first)
            if stopped:
                return
            # What is left is much, when anything is left.
            yield from batches.make_in_workers(left, self.processes)
        yield Batch(batches.bookmark.at_end(), ended=True)
        # Only a whole read that came to its end knows every resource.
        if since is None:
            self._resources[collection.name] = _once_each(batches.resources)
            self._gaps.keep_ids(collection, ids)
        self._prefetch(collection)
        for line in batches.row_maker.warnings():
            logger.warning("%s", line)

    def _batch_maker(
        self, spec: RowSpec, slices: Sequence[Slice], ids: Mapping[str, set[str]], *, as_lines: bool
    ) -> BatchMaker:
        name, row_maker = spec.collection.name, spec.row_maker()
        return BatchMaker(
            self.client,
            spec,
            row_maker,
            LookupCache(
                {**row_maker.lookups, **{entry.lookup.name: entry.lookup for entry in spec.collection.listed}},
                partial(self.lookup_calls.pages, spec.collection, request=self._requests.lookup_pages),
                partial(self._lookup_denied, spec.collection),
                row_maker.complete,
            ),
            BookmarkTracker(now=self.began, ordered=len(slices) == 1 and name not in self.reread),
            encoders=spec.encoders(gaps_as_lines=False) if as_lines else None,
            files=self.files if as_lines else None,
            keep_resources=name in self.selection.collections_others_need,
            sample_only=self.sample_only,
            ids=ids,
            gaps={entry.table.name: self._gaps.rows(entry) for entry in spec.tables if entry.table.gap is not None},
        )

    def _row_spec(self, collection: Collection, starts: Mapping[str, datetime | None]) -> RowSpec:
        account = self._account(collection)
        tables = self._tables(collection, starts)
        known = {} if self.sample_only else self._gaps.known(tables)
        files = self.files.spec if self.files else None
        return RowSpec(
            collection,
            [entry for entry in tables if entry.table.gap is None or entry.table.name in known],
            account,
            self.client.api_url,
            self.exclude.get(collection.name),
            {"id": self.integration} if self.integration else account,
            known,
            files,
            self.omit_nulls,
            self._listed(collection),
        )

    def _listed(self, collection: Collection) -> dict[tuple[str, str], Resource] | None:
        """The resources that pages need not include, as other collections list them; None where they are included."""
        listed: dict[tuple[str, str], Resource] = {}
        if self.sample_only:
            return None
        for entry in self.selection.listed_for(collection):
            # Where they cannot be listed, pages are asked for them, and say what is wrong.
            with contextlib.suppress(Refused, Unavailable):
                listed |= {(entry.relationship, one["id"]): one for one in self.resources(entry.collection)}
                self._requests.listed.add(entry.relationship)
        return listed if any(entry.relationship in self._requests.listed for entry in collection.listed) else None

    def began(self) -> datetime:
        """When the run began, by the earlier of our clock and Klaviyo's, which is not known before an answer."""
        return self.client.server_clock.earlier(self.now)

    def began_before(self, collection: Collection, bookmarks: Iterable[datetime | None]) -> datetime:
        """As ``began``; where a bookmark may be ahead of Klaviyo's clock, an answer is waited for that shows it.

        Raises:
            Refused, Unavailable: there is none, and none to what the collection is read by.
        """
        is_near = any(bookmark and bookmark > self.now - _MAX_SKEW for bookmark in bookmarks)
        if is_near and not self.client.server_clock.is_known:
            if collection.parent:
                self.resources(collection.parent)
            else:
                self._requests.ask_clock(collection)
        return self.began()

    def resources(self, name: str) -> list[Resource]:
        """Id and needed attributes of every resource of a collection, read at most once in a run."""
        if name not in self._resources:
            collection = self.collections[name]
            if collection.operation in self.failed:
                raise self.failed[collection.operation]
            with contextlib.closing(self._pages(collection, self._slices(collection))) as reader:
                pages = (self.client.decode(collection.operation, page.page) for page in reader)
                # The first filter sets may show nothing: a sample needs one resource to go on with.
                resources = (resource for page in pages for resource in page.data)
                is_sample = self.sample_only and name not in self._named
                self._resources[name] = _once_each(islice(resources, 1) if is_sample else resources)
        return self._resources[name]

    def close(self) -> None:
        """Request nothing more of what was to be read later."""
        self._prefetcher.close()

    @cached_property
    def lookup_calls(self) -> LookupCalls:
        """The calls of look-ups that rows wait for."""
        return LookupCalls(self.client.rate_limit_share, self.selection.deselectable)

    @cached_property
    def _gaps(self) -> Gaps:
        return Gaps(self.selected, self.incomplete, self._read_ids)

    def _read_ids(self, entry: SelectedTable) -> Iterator[str]:
        """The ids that the table's rows have, in a read of its own."""
        collection = entry.table.collection
        if collection.operation in self.failed:
            raise self.failed[collection.operation]
        with contextlib.closing(self._requests.pages(collection, self._slices(collection))) as reader:
            yield from ids_in(reader, entry, self.client)

    # What to request --------------------------------------------------------------------------------------------------

    def _tables(self, collection: Collection, starts: Mapping[str, datetime | None]) -> list[SelectedTable]:
        """The tables that are read, each with its own start, unless the collection is read whole on purpose."""
        return [
            replace(
                entry,
                since=self._since(entry, starts.get(entry.table.name)),
                parents=self.groups.of_table(entry.table),
            )
            for entry in self.selection.tables_of(collection)
            if entry.table.name in starts or entry.table.gap is not None
        ]

    def _since(self, entry: SelectedTable, start: datetime | None) -> str | None:
        if start is None:
            return None
        if entry.table.gap is not None:
            return bookmark_text(start)
        if entry.table.collection.name in self.reread:
            return None
        return bookmark_text(min(start, self.began() - SETTLE) - TICK)

    def _slices(self, collection: Collection, since: datetime | None = None) -> list[Slice]:
        # First, as an answer shows Klaviyo's clock.
        parents = self.resources(collection.parent) if collection.parent else ()
        if (wanted := self.groups.of_collection(collection)) is not None:
            parents = [parent for parent in parents if parent["id"] in wanted]
        extra_conditions = self._extra_conditions(collection)
        return plan_slices(
            collection, since=since, now=self.began(), parents=parents, extra_conditions=extra_conditions
        )

    def _extra_conditions(self, collection: Collection) -> Sequence[tuple[str, ...]]:
        """The user's own conditions."""
        is_filtered = collection.name == event_metrics.FILTERED and self.event_metrics
        return self._metric_conditions if is_filtered else ((),)

    @cached_property
    def _metric_conditions(self) -> Sequence[tuple[str, ...]]:
        metrics = self.resources(event_metrics.COLLECTION)
        ids, unknown = event_metrics.resolve(self.event_metrics, metrics)
        if not ids:
            raise SettingsError(f"event_metrics: the account has no metric called {' or '.join(unknown)}")
        for entry in unknown:
            logger.warning("event_metrics: the account has no metric called %s", entry)
        for preset, names in event_metrics.presets_without_metric(self.event_metrics, metrics).items():
            logger.info("event_metrics: of %s, the account has no metric called %s", preset, " or ".join(names))
        return event_metrics.conditions(ids)

    def _check_names(self) -> None:
        """Find out before anything is read whether there are such metrics, lists and segments: they are read late."""
        is_first, self._has_begun = not self._has_begun, True
        if is_first:
            self.groups.check()
        if is_first and self.event_metrics and self.selection.tables_of(self.collections[event_metrics.FILTERED]):
            # If metrics cannot be read, that is reported when it is the turn of the events.
            with contextlib.suppress(Refused, Unavailable):
                self._metric_conditions  # noqa: B018 - kept for the events' turn
        if is_first and (named := property_columns.metrics_named(self.selected)) and not self.sample_only:
            with contextlib.suppress(Refused, Unavailable):
                for entry in event_metrics.resolve(named, self.resources(event_metrics.COLLECTION))[1]:
                    logger.warning("event_properties: the account has no metric called %s", entry)

    @cached_property
    def selection(self) -> Selection:
        """What is selected, and what that needs."""
        return Selection(
            self.selected, self.exclude, bool(self.event_metrics), bool(self.integration), self.groups.by_name
        )

    @cached_property
    def _named(self) -> Container[str]:
        """The collections of which the user names resources: one of them is no sample."""
        return (*self.groups.by_name, *((event_metrics.COLLECTION,) if self.event_metrics else ()))

    @cached_property
    def groups(self) -> MembersOf:
        """Whose members are read."""
        return MembersOf(self.members_of, self.selected, self.resources)

    @cached_property
    def _prefetcher(self) -> Prefetcher:
        return Prefetcher(
            lambda collection: self._requests.pages(
                collection, self._slices(collection), workers=prefetch.THREADS, memory=prefetch.MEMORY
            )
        )

    def _prefetch(self, current: Collection) -> None:
        """Start small collections as soon as their parents are known; not where few answers may be waited for."""
        if not self.sample_only and self.concurrency > prefetch.THREADS:
            collections = {entry.table.collection.name: entry.table.collection for entry in self.selected}.values()
            self._prefetcher.start(
                collection
                for collection in collections
                if is_prefetchable(collection, self.reread)
                and collection != current
                and (collection.parent is None or collection.parent in self._resources)
            )

    def _pages(self, collection: Collection, slices: Sequence[Slice]) -> PageReader:
        """The pages of these slices, which may have been read before their turn."""
        return self._prefetcher.take(collection) or self._requests.pages(collection, slices)

    @cached_property
    def _requests(self) -> PageRequests:
        return PageRequests(
            self.client,
            self.selection,
            self.now,
            self.reread,
            concurrency=self.concurrency,
            sample_only=self.sample_only,
            incomplete=self.incomplete,
            whole=self._named,
        )

    # What the key may not read ----------------------------------------------------------------------------------------

    def _account(self, collection: Collection) -> Resource | None:
        """The account itself, requested only when a column reads it."""
        readers = self.selection.columns_that_read(collection, *self.selection.account_roots)
        if not readers:
            return None
        if self._account_error is None:
            try:
                return next(iter(self.resources(ACCOUNT_COLLECTION)), None)
            except NotAllowed as error:
                self._account_error = error
        self.on_denied(readers, self._account_error)
        return None

    def _lookup_denied(self, collection: Collection, lookup: Lookup, error: NotAllowed) -> None:
        self.on_denied(self.selection.columns_that_read(collection, lookup.name), error)


def pages_before_workers(pages: PageReader) -> Iterator[SlicePage]:
    """The first pages, until those to come are worth worker processes."""
    for page in islice(pages, PAGES_BEFORE_WORKERS):
        yield page
        if _expects_many(pages):
            return


def _expects_many(pages: PageReader) -> bool:
    return pages.pages_expected >= CERTAINLY_MANY * PAGES_BEFORE_WORKERS


def _once_each(resources: Iterable[Resource]) -> list[Resource]:
    """The resources by id, each as it came last: a page that was read twice would double what is read of them."""
    return list({resource["id"]: resource for resource in resources}.values())


def _is_fast(op: Operation) -> bool:
    """Whether Klaviyo gives more rows a second than one core can take."""
    return op.steady * (op.page_size or 0) / 60 > ROWS_PER_SECOND_OF_ONE_CORE
