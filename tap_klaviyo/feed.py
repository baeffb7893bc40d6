"""One pass over a collection, for all of its tables at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from klaviyo_client import protocol
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotFound
from klaviyo_client.operations import operation
from klaviyo_client.protocol import Page
from tap_klaviyo import reader, selection
from tap_klaviyo.model import Collection, Resource, Slice, Table
from tap_klaviyo.projection import PATH, Projection, Source, parse_source, sources
from tap_klaviyo.slices import Edge, plan

logger = logging.getLogger("tap-klaviyo")


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
    """

    client: KlaviyoClient
    now: datetime
    selected: Sequence[Selected]
    collections: Mapping[str, Collection]
    _parents: dict[str, list[Resource]] = field(default_factory=dict)

    def read(self, collection: Collection, since: datetime | None) -> Iterator[Batch]:
        """Read the collection once for all of its selected tables.

        ``since`` is the oldest bookmark among them; None reads everything.
        """
        wanted = [entry for entry in self.selected if entry.table.collection == collection]
        projections = {entry.table.name: Projection(entry.schema, entry.columns) for entry in wanted}
        parents = self.parents(collection.parent) if collection.parent else []
        op = operation(collection.operation)
        slices = plan(collection, op, since=since, now=self.now, parents=parents)
        edge = Edge(now=self.now, ordered=len(slices) == 1 and not collection.reread)
        bookmarked = next((entry.table for entry in wanted if entry.table.bookmark), None)
        is_parent = any(entry.table.collection.parent == collection.name for entry in self.selected)
        seen: list[Resource] = []
        for part, page in reader.read(slices, self._fetcher(collection)):
            rows = {
                name: [projection.row(resource, page, part.parent) for resource in page.data]
                for name, projection in projections.items()
            }
            if is_parent:
                seen += [{"id": resource["id"], "attributes": resource.get("attributes")} for resource in page.data]
            values = (
                [row[bookmarked.bookmark] for row in rows[bookmarked.name]]
                if bookmarked and bookmarked.bookmark
                else []
            )
            yield Batch(rows, edge.after_page(values))
        yield Batch({}, edge.at_end())
        # Only a pass that came to its end knows every parent.
        self._parents[collection.name] = seen
        for name, projection in projections.items():
            for column, count in projection.unfit.items():
                logger.warning("%s.%s: %d values did not fit the column's type and became null", name, column, count)

    def parents(self, name: str) -> list[Resource]:
        """Id and needed attributes of every resource of a collection, read at most once in a run."""
        if name not in self._parents:
            pages = self._fetcher(self.collections[name])(Slice())
            self._parents[name] = [resource for page in pages for resource in page.data]
        return self._parents[name]

    def _fetcher(self, collection: Collection) -> Callable[[Slice], Iterator[Page]]:
        """What reads one slice of the collection; the query that all slices share is worked out once."""
        op = operation(collection.operation)
        shared = selection.query(op, collection.resource, self._needs(collection), self._known(collection))
        if collection.bookmark in op.sort and not collection.reread:
            shared["sort"] = str(collection.bookmark)

        def pages(part: Slice) -> Iterator[Page]:
            """The slice's pages; none, with a warning, when its parent is gone meanwhile."""
            query = {**shared, "filter": protocol.all_of(part.conditions)} if part.conditions else shared
            try:
                yield from self.client.pages(collection.operation, path=part.path, query=query)
            except NotFound:
                if part.parent is None:
                    raise
                logger.warning(
                    "%s: %s %s is gone since it was listed, skipped",
                    collection.name,
                    collection.parent,
                    part.parent["id"],
                )

        return pages

    def _needs(self, collection: Collection) -> list[Source]:
        """Sources of the selected columns, and of what selected child tables say of their parent."""
        needs: list[Source] = []
        for entry in self.selected:
            found = sources(entry.schema, entry.columns).values()
            if entry.table.collection == collection:
                needs += found
            if entry.table.collection.parent == collection.name:
                needs += [Source("own", None, source.tokens) for source in found if source.root == "parent"]
        return needs

    def _known(self, collection: Collection) -> list[Source]:
        return [
            parse_source(column[PATH])
            for entry in self.selected
            if entry.table.collection == collection
            for column in entry.schema["properties"].values()
        ]
