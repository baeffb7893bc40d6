"""Builds the requests for the pages of a collection's slices, and opens readers of these pages."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from klaviyo_client.api import filters, pages
from klaviyo_client.api.links import MAX_RESTARTS, PageTrail, is_about_cursor
from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page, RawPage
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadRequest, NotFound, Refused
from tap_klaviyo.model import Collection, Lookup, Slice
from tap_klaviyo.reading.frontier import Frontier, SliceRead
from tap_klaviyo.reading.linked_query import LinkedQuery
from tap_klaviyo.reading.page_reader import MEMORY, PageReader, no_times
from tap_klaviyo.reading.page_times import PageTimes
from tap_klaviyo.reading.refused_includes import RefusedIncludes
from tap_klaviyo.reading.selection import Selection
from tap_klaviyo.reading.slices import SETTLE, can_be_cut, conditions, plan_slices
from tap_klaviyo.rows.values import ConversionError, as_datetime

logger = logging.getLogger("tap-klaviyo")

EMPTY_PAGE = RawPage(pages.compress(b'{"data":[]}'), None, 0)


@dataclass(frozen=True)
class PageRequests:
    """Makes the requests of one run, and readers that send them.

    Args:
        client: the account.
        selection: what is selected of it.
        now: when the run began.
        reread: names of the collections that are read whole although they have a bookmark.
        concurrency: how many answers to wait for at once.
        sample_only: request the first resource only.
        incomplete: the collections of which something was skipped; added to.
        whole: the collections of which one resource is no sample, because the user names some of them.

    Attributes:
        listed: the relationships whose resources were listed, so that pages need not include them.
        unlinked: the operations whose answers were seen to lack the ids of what is not included.
    """

    client: KlaviyoClient
    selection: Selection
    now: datetime
    reread: Container[str]
    concurrency: int
    sample_only: bool
    incomplete: set[str]
    whole: Container[str] = ()
    listed: set[str] = field(default_factory=set)
    unlinked: set[str] = field(default_factory=set)

    def pages(
        self, collection: Collection, slices: Sequence[Slice], workers: int | None = None, memory: int = MEMORY
    ) -> PageReader:
        """A reader of these slices' pages. A slice whose parent is gone meanwhile has none, and a warning is logged."""
        op = operation(collection.operation)
        query = self.selection.query(collection, with_linked=True)
        ordered = collection.name not in self.reread and can_be_cut(collection, op)
        if collection.has_order and collection.bookmark in op.sort and collection.name not in self.reread:
            query["sort"] = str(collection.bookmark)
        if self.sample_only and "page[size]" in query and collection.name not in self.whole:
            query["page[size]"] = "1"
        needed = self.selection.needed_includes(collection)
        listed = self.listed.intersection(entry.relationship for entry in collection.listed)
        linked = LinkedQuery.of(op, query, (collection.linked - needed) | listed)

        def fetch(read: SliceRead) -> RawPage:
            terms = conditions(read.slice, collection, op)
            condition = {"filter": filters.all_of(terms)} if terms else {}
            return self._whole_page(collection, linked, condition, read)

        can_cut = ordered and not self.sample_only
        frontier = Frontier(slices, page_size=op.page_size or 0, end=self._settled if can_cut else None)
        return PageReader(
            frontier,
            fetch,
            workers=1 if self.sample_only else min(self.concurrency, workers or self.concurrency),
            memory=memory,
            acquire=lambda: self.client.acquire(op.id, self._query(op.id, linked)),
            rate=op.rates(query)[1] / 60,
            times=partial(_page_times, collection.bookmark) if ordered else no_times,
        )

    def ask_clock(self, collection: Collection) -> None:
        """Ask for one resource of a collection without parents, for an answer that shows Klaviyo's clock.

        Raises:
            Unavailable: there is no answer. A refusal is one, and comes again when the collection is read.
        """
        op = operation(collection.operation)
        terms = plan_slices(collection, since=None, now=self.now)[0].conditions
        query = {"filter": filters.all_of(terms)} if terms else {}
        with contextlib.suppress(Refused):
            self.client.page(op.id, query={**query, "page[size]": "1"} if op.page_size else query)

    def _settled(self) -> datetime:
        return self.client.server_clock.earlier(self.now) - SETTLE

    def lookup_pages(self, lookup: Lookup, owners: Iterable[str]) -> Iterator[Page]:
        """The pages of a look-up for these owners."""
        size = operation(lookup.operation).page_size
        query = {**lookup.query, **({"page[size]": str(size)} if size else {})}
        linked = LinkedQuery.of(operation(lookup.operation), query, lookup.linked & self.listed)
        owner_kind = None if lookup.may_lack else lookup.owner_kind
        reader = PageReader(
            Frontier(Slice({"id": owner}, parent={"id": owner}) for owner in owners),
            lambda read: self._request(lookup.operation, lookup.operation, linked, {}, owner_kind, read),
            workers=self.concurrency,
            acquire=lambda: self.client.acquire(lookup.operation, self._query(lookup.operation, linked)),
        )
        with contextlib.closing(reader):
            for page in reader:
                yield self.client.decode(lookup.operation, page.page)

    def _query(self, operation_id: str, linked: LinkedQuery) -> Mapping[str, str]:
        """The short query, unless answers of this account were seen to lack ids that it relies on."""
        return linked.whole if operation_id in self.unlinked else linked.short

    @cached_property
    def _refused(self) -> RefusedIncludes:
        return RefusedIncludes(self.client)

    def _whole_page(
        self, collection: Collection, linked: LinkedQuery, condition: Mapping[str, str], read: SliceRead
    ) -> RawPage:
        """A page with all that was asked for, also where Klaviyo refuses to include it."""
        op, parent = operation(collection.operation), None if collection.at_most_one else collection.parent

        def request() -> RawPage:
            allowed = linked.without(op, self._refused.of(collection))
            return self._request(collection.name, op.id, allowed, condition, parent, read)

        try:
            page = request()
        except BadRequest as error:
            if not self._refused.note(collection, linked.short, error):
                raise
            read.permit = self.client.acquire(op.id, self._query(op.id, linked))
            page = request()
        return self._refused.complete(collection, page)

    def _request(
        self,
        name: str,
        operation_id: str,
        linked: LinkedQuery,
        condition: Mapping[str, str],
        parent: str | None,
        read: SliceRead,
    ) -> RawPage:
        read.trail = read.trail or PageTrail(operation_id)
        if read.link is not None:
            read.trail.add_link(read.link)
        query = self._query(operation_id, linked)
        try:
            page = self._page(operation_id, {**query, **condition}, read.link, read)
            if query is linked.short and linked.is_unlinked(page):
                self.unlinked.add(operation_id)
                read.permit = self.client.acquire(operation_id, linked.whole)
                link = None if read.link is None else linked.whole_link(read.link)
                page = self._page(operation_id, {**linked.whole, **condition}, link, read)
        except (NotFound, BadRequest) as error:
            if read.link is not None and read.restarts < MAX_RESTARTS and is_about_cursor(error):
                logger.warning("%s: a cursor expired; the tap reads its pages again", name)
                read.link, read.trail, read.restarts = None, None, read.restarts + 1
                return self._request(name, operation_id, linked, condition, parent, read)
            if read.slice.parent is None or not (isinstance(error, NotFound) or _is_about_id(error)):
                raise
            if parent is not None:
                logger.warning("%s: %s %s was deleted during the run; skipped", name, parent, read.slice.parent["id"])
                self.incomplete.add(name)
            return EMPTY_PAGE
        read.trail.add_page(page.content)
        return page

    def _page(self, operation_id: str, query: Mapping[str, str], link: str | None, read: SliceRead) -> RawPage:
        return self.client.raw_page(operation_id, path=read.slice.path, query=query, link=link, permit=read.permit)


def _is_about_id(error: BadRequest) -> bool:
    """Whether Klaviyo says that there can be no such id, in place of answering that there is none."""
    places = [entry.pointer or entry.parameter or "" for entry in error.errors]
    return bool(places) and all(
        place.rstrip("/").endswith("id")
        or (place.rstrip("/") in ("", "/data") and re.search(r"\bid\b", entry.detail, re.IGNORECASE))
        for place, entry in zip(places, error.errors, strict=True)
    )


def _page_times(bookmark: str | None, page: RawPage) -> PageTimes:
    if not page.first_and_last:
        return PageTimes()
    first, last = (_bookmark_of(resource, bookmark) for resource in page.first_and_last)
    return PageTimes(first, last, partial(_every_time, bookmark, page))


def _every_time(bookmark: str | None, page: RawPage) -> list[datetime | None]:
    return [
        _bookmark_of({"attributes": {bookmark: value}}, bookmark)
        for value in pages.attribute_values(page.body, str(bookmark))
    ]


def _bookmark_of(resource: Any, bookmark: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(as_datetime((resource.get("attributes") or {}).get(bookmark)))
    except (ConversionError, AttributeError):
        return None
