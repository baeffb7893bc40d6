"""Reads one page of a collection as Klaviyo gives it: without sparse fields, the newest resources first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from klaviyo_client.api import filters
from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import KlaviyoError, NotFound
from tap_klaviyo.model import Collection, Resource, Slice
from tap_klaviyo.reading.selection import Selection
from tap_klaviyo.reading.slices import plan_slices

# The first parents may have nothing; whoever has one that does has it among so many, or not.
_MAX_PARENTS = 5


@dataclass
class Samples:
    """One page of each filter set of a collection; where it has parents, of the first of them that has something.

    Args:
        client: the account.
        selection: what is selected of it; what columns need beside attributes (includes, additional fields) is asked
            for.
        collections: every collection there is, by name.
        now: when the run began.
    """

    client: KlaviyoClient
    selection: Selection
    collections: Mapping[str, Collection]
    now: datetime
    _pages: dict[str, list[tuple[Slice, Page]] | KlaviyoError] = field(default_factory=dict)

    def pages(self, collection: Collection) -> list[tuple[Slice, Page]]:
        """Each with the slice that it is of; asked for once in a run.

        Raises:
            Refused, Unavailable: it cannot be read, or its parent cannot.
        """
        if collection.name not in self._pages:
            try:
                self._pages[collection.name] = list(self._read(collection))
            except KlaviyoError as error:
                self._pages[collection.name] = error
        found = self._pages[collection.name]
        if isinstance(found, KlaviyoError):
            raise found
        return found

    def resources(self, name: str) -> list[Resource]:
        """What the pages of a collection hold."""
        return [resource for _, page in self.pages(self.collections[name]) for resource in page.data]

    def _read(self, collection: Collection) -> Iterator[tuple[Slice, Page]]:
        parents = self.resources(collection.parent)[:_MAX_PARENTS] if collection.parent else ()
        query = self._query(collection)
        shown: set[str] = set()
        for part in plan_slices(collection, since=None, now=self.now, parents=parents):
            filter_set = repr(sorted(part.filter_set.items()))
            if filter_set in shown:
                continue
            condition = {"filter": filters.all_of(part.conditions)} if part.conditions else {}
            try:
                page = self.client.page(collection.operation, path=part.path, query={**query, **condition})
            except NotFound:
                if part.parent is None:
                    raise
                continue
            if page.data:
                shown.add(filter_set)
            yield part, page

    def _query(self, collection: Collection) -> dict[str, str]:
        op = operation(collection.operation)
        query = self.selection.query(collection)
        query = {name: value for name, value in query.items() if not name.startswith("fields[")}
        newest = f"-{collection.bookmark}"
        return {**query, "sort": newest} if newest in op.sort else query
