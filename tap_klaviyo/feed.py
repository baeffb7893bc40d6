"""One pass over a collection, for all of its tables at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import islice
from typing import Any

from klaviyo_client import protocol
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotAllowed, NotFound, SettingsError
from klaviyo_client.operations import operation
from klaviyo_client.protocol import Page
from tap_klaviyo import metrics, reader, selection
from tap_klaviyo.details import Details
from tap_klaviyo.model import Collection, Detail, Resource, Slice, Table
from tap_klaviyo.paths import OWN, Source, sources
from tap_klaviyo.projection import Projection
from tap_klaviyo.roots import ACCOUNT, PARENT, PASS, led_to, requirements
from tap_klaviyo.slices import Edge, plan
from tap_klaviyo.values import Unfit, as_datetime

logger = logging.getLogger("tap-klaviyo")

# The collection that holds the account itself, and nothing else.
THE_ACCOUNT = "accounts"


@dataclass(frozen=True)
class Selected:
    """A table that is wanted, with its schema file and the columns that are wanted of it."""

    table: Table
    schema: Mapping[str, Any]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """What one page gives.

    Attributes:
        rows: the rows of each table, in the page's order.
        edge: the bookmark that holds once these rows are written, None when the page is no edge.
    """

    rows: Mapping[str, Sequence[dict[str, Any]]]
    edge: str | None


@dataclass
class Account:
    """One run over one account: what is selected, and what was already read.

    Args:
        client: the account.
        now: when the run began.
        selected: every table that is wanted.
        collections: every collection there is, by name.
        reread: names of the collections that are read whole although they have a bookmark.
        event_metrics: the metrics whose events are wanted, as ``metrics.chosen`` takes them; empty for all.
        glance: read only the first resource of each collection, to see whether it can be read.
        denied: told of columns that the key may not read; they are null then.
    """

    client: KlaviyoClient
    now: datetime
    selected: Sequence[Selected]
    collections: Mapping[str, Collection]
    reread: Container[str] = ()
    event_metrics: Sequence[str] = ()
    glance: bool = False
    denied: Callable[[Sequence[str], NotAllowed], None] = lambda _columns, _error: None
    _resources: dict[str, list[Resource]] = field(default_factory=dict)

    def read(self, collection: Collection, since: datetime | None) -> Iterator[Batch]:
        """Read the collection once for all of its selected tables.

        ``since`` is the oldest bookmark among them; None reads everything.
        """
        wanted = self._wanted(collection)
        projections = {entry.table.name: Projection(entry.table, entry.schema, entry.columns) for entry in wanted}
        details = Details(projections, self._detail_pages, partial(self._detail_denied, wanted))
        slices = self._slices(collection, since)
        edge = Edge(now=self.now, ordered=len(slices) == 1 and collection.name not in self.reread)
        given: dict[str, Any] = {ACCOUNT: self._account(wanted)}
        seen: list[Resource] = []
        for part, page in reader.read(slices, self._fetcher(collection)):
            given.update({PARENT: part.parent, PASS: part.constants})
            kept = details.of(page, given)
            rows = {
                name: [row for resource in page.data for row in projection.rows(resource, page, given, kept)]
                for name, projection in projections.items()
            }
            if collection.name in self._looked_up:
                seen += [{"id": resource["id"], "attributes": resource.get("attributes")} for resource in page.data]
            yield Batch(rows, edge.after_page(_times(collection, page)))
            if self.glance and page.data:
                return
        yield Batch({}, edge.at_end())
        # Only a whole pass that came to its end knows every resource.
        if since is None or collection.name in self.reread:
            self._resources[collection.name] = seen
        for name, projection in projections.items():
            for line in projection.complaints():
                logger.warning("%s%s", name, line)

    def resources(self, name: str) -> list[Resource]:
        """Id and needed attributes of every resource of a collection, read at most once in a run."""
        if name not in self._resources:
            fetch = self._fetcher(self.collections[name])
            parts = self._slices(self.collections[name], None)
            pages = (page for part in parts for page in fetch(part))
            # Empty passes say nothing; a glance needs one resource to go on with.
            found = (resource for page in pages for resource in page.data)
            self._resources[name] = list(islice(found, 1) if self.glance else found)
        return self._resources[name]

    # What to ask for ------------------------------------------------------------------------------------------------

    def _wanted(self, collection: Collection) -> list[Selected]:
        return [entry for entry in self.selected if entry.table.collection == collection]

    def _slices(self, collection: Collection, since: datetime | None) -> list[Slice]:
        return plan(
            collection,
            operation(collection.operation),
            since=None if collection.name in self.reread else since,
            now=self.now,
            parents=self.resources(collection.parent) if collection.parent else (),
            narrowed=self._narrowed(collection),
        )

    def _narrowed(self, collection: Collection) -> Sequence[tuple[str, ...]]:
        """The user's own conditions."""
        if collection.name != metrics.NARROWS or not self.event_metrics:
            return ((),)
        ids, unknown = metrics.chosen(self.event_metrics, self.resources(metrics.COLLECTION))
        if not ids:
            raise SettingsError(f"event_metrics: the account has no metric called {' or '.join(unknown)}")
        for entry in unknown:
            logger.warning("event_metrics: the account has no metric called %s", entry)
        return metrics.conditions(ids)

    @cached_property
    def _looked_up(self) -> set[str]:
        """The collections whose resources others ask for."""
        found = {entry.table.collection.parent for entry in self.selected if entry.table.collection.parent}
        return found | ({metrics.COLLECTION} if self.event_metrics else set())

    def _fetcher(self, collection: Collection) -> Callable[[Slice], Iterator[Page]]:
        """What reads one slice of the collection; the query that all slices share is worked out once."""
        op = operation(collection.operation)
        shared = selection.query(op, collection.resource, self._needs(collection), self._known(collection))
        if collection.bookmark in op.sort and collection.name not in self.reread:
            shared["sort"] = str(collection.bookmark)
        if self.glance and "page[size]" in shared:
            shared["page[size]"] = "1"
        return partial(self._pages, collection.name, collection.operation, shared, collection.parent)

    def _detail_pages(self, detail: Detail, part: Slice) -> Iterator[Page]:
        size = operation(detail.operation).page_size
        query = {**detail.query, **({"page[size]": str(size)} if size else {})}
        return self._pages(detail.operation, detail.operation, query, detail.owners, part)

    def _pages(
        self, name: str, operation_id: str, query: Mapping[str, str], parent: str | None, part: Slice
    ) -> Iterator[Page]:
        """The slice's pages; none, with a warning, when its parent is gone meanwhile."""
        if part.conditions:
            query = {**query, "filter": protocol.all_of(part.conditions)}
        try:
            yield from self.client.pages(operation_id, path=part.path, query=query)
        except NotFound:
            if part.parent is None:
                raise
            logger.warning("%s: %s %s is gone since it was listed, skipped", name, parent, part.parent["id"])

    def _needs(self, collection: Collection) -> list[Source]:
        """What the selected columns need of the collection, and what others ask of it."""
        needs = list(metrics.NEEDS) if collection.name == metrics.COLLECTION and self.event_metrics else []
        for entry in self.selected:
            found = requirements(entry.table, sources(entry.schema, entry.columns).values())
            if entry.table.collection == collection:
                needs += found
            asked = {entry.table.collection.parent: PARENT, THE_ACCOUNT: ACCOUNT}.get(collection.name)
            needs += [Source(OWN, None, source.tokens) for source in found if source.root == asked]
        return needs

    def _known(self, collection: Collection) -> list[Source]:
        return [
            source
            for entry in self._wanted(collection)
            for source in requirements(entry.table, sources(entry.schema, entry.schema["properties"]).values())
        ]

    # What may be missing --------------------------------------------------------------------------------------------

    def _account(self, wanted: Sequence[Selected]) -> Resource | None:
        """The account itself, asked for only when a column reads it."""
        readers = _columns_that_read(wanted, ACCOUNT)
        if not readers:
            return None
        try:
            return next(iter(self.resources(THE_ACCOUNT)), None)
        except NotAllowed as error:
            self._resources[THE_ACCOUNT] = []
            self.denied(readers, error)
            return None

    def _detail_denied(self, wanted: Sequence[Selected], detail: Detail, error: NotAllowed) -> None:
        self.denied(_columns_that_read(wanted, detail.name), error)


def _columns_that_read(wanted: Iterable[Selected], root: str) -> list[str]:
    """``table.column`` for every selected column that a root, or one made of it, leads to."""
    return [
        f"{entry.table.name}.{column}"
        for entry in wanted
        for column, source in sources(entry.schema, entry.columns).items()
        if root in led_to(entry.table, source)
    ]


def _times(collection: Collection, page: Page) -> Iterator[str | None]:
    """The bookmark of each resource of the page."""
    for resource in page.data if collection.bookmark else ():
        try:
            yield as_datetime((resource.get("attributes") or {}).get(collection.bookmark))
        except Unfit:
            yield None
