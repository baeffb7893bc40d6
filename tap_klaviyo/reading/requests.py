"""What a collection's slices ask of Klaviyo, page by page."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from klaviyo_client.api import pages, protocol
from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page, RawPage
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotFound
from tap_klaviyo.model import Collection, Lookup, Slice
from tap_klaviyo.reading.frontier import Frontier, Part, Times
from tap_klaviyo.reading.page_reader import MEMORY, Reading, no_times
from tap_klaviyo.reading.selection import Selection
from tap_klaviyo.reading.slices import SETTLE, can_be_cut, conditions
from tap_klaviyo.rows.values import ConversionError, as_datetime

logger = logging.getLogger("tap-klaviyo")

NOTHING = RawPage(pages.pack(b'{"data":[]}'), None, 0)


@dataclass(frozen=True)
class Asker:
    """Opens readings.

    Args:
        client: the account.
        selection: what is selected of it.
        now: when the run began.
        reread: names of the collections that are read whole although they have a bookmark.
        concurrency: how many answers to wait for at once.
        glance: ask for the first resource only.
        partial: the collections of which something was skipped; added to.
    """

    client: KlaviyoClient
    selection: Selection
    now: datetime
    reread: Container[str]
    concurrency: int
    glance: bool
    partial: set[str]

    def pages(
        self, collection: Collection, slices: Sequence[Slice], workers: int | None = None, memory: int = MEMORY
    ) -> Reading:
        """The pages of these slices; none of a slice, with a warning, when its parent is gone meanwhile."""
        op = operation(collection.operation)
        query = self.selection.query(collection)
        ordered = collection.name not in self.reread and can_be_cut(collection, op)
        if collection.bookmark in op.sort and collection.name not in self.reread:
            query["sort"] = str(collection.bookmark)
        if self.glance and "page[size]" in query:
            query["page[size]"] = "1"

        def ask(part: Part) -> RawPage:
            found = conditions(part.slice, collection, op)
            asked = {**query, "filter": protocol.all_of(found)} if found else query
            return self._page(collection.name, op.id, asked, collection.parent, part)

        frontier = Frontier(
            slices, page_size=op.page_size or 0, end=self.now - SETTLE if ordered and not self.glance else None
        )
        return Reading(
            frontier,
            ask,
            workers=1 if self.glance else min(self.concurrency, workers or self.concurrency),
            memory=memory,
            turn=lambda: self.client.turn(op.id, query),
            rate=op.rates(query)[1] / 60,
            times=partial(_times, collection.bookmark) if ordered else no_times,
        )

    def lookups(self, lookup: Lookup, owners: Iterable[str]) -> Iterator[Page]:
        size = operation(lookup.operation).page_size
        query = {**lookup.query, **({"page[size]": str(size)} if size else {})}
        reading = Reading(
            Frontier(Slice({"id": owner}, parent={"id": owner}) for owner in owners),
            lambda part: self._page(lookup.operation, lookup.operation, query, lookup.owner_kind, part),
            workers=self.concurrency,
            turn=lambda: self.client.turn(lookup.operation, query),
        )
        with contextlib.closing(reading):
            for taken in reading:
                yield self.client.decoded(lookup.operation, taken.page)

    def _page(self, name: str, operation_id: str, query: Mapping[str, str], parent: str | None, part: Part) -> RawPage:
        try:
            return self.client.raw_page(operation_id, path=part.slice.path, query=query, link=part.link, turn=part.turn)
        except NotFound:
            if part.slice.parent is None:
                raise
            logger.warning("%s: %s %s is gone since it was listed, skipped", name, parent, part.slice.parent["id"])
            self.partial.add(name)
            return NOTHING


def _times(bookmark: str | None, page: RawPage) -> Times:
    return Times(*(_moment(end.get("attributes"), bookmark) for end in page.ends))


def _moment(attributes: Any, bookmark: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(as_datetime((attributes or {}).get(bookmark)))
    except (ConversionError, AttributeError):
        return None
