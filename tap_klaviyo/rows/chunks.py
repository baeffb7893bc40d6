"""Lines of a page, or what else is written of its rows, made chunk by chunk. Pure, but for what look-ups ask.

A page of a thousand events is too large for a processor's cache: when its last row has been decoded, its first one is
no longer there. So a page is cut into chunks, and each chunk is decoded, made into rows and encoded before the next one
is begun. Rows that need a look-up wait until the whole page has been seen; their lines are then put in their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Generic

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Slice
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.page_rows import RowMaker, lookup_with, wanted_ids
from tap_klaviyo.rows.paths import follower, parse_source
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.rows.record_lines import E, Encoder
from tap_klaviyo.rows.roots import LookupFunction

# Half or twice as many rows cost the same.
CHUNK_ROWS = 100


@dataclass(frozen=True)
class PendingRows:
    """Rows that are not made yet, because they need a look-up: the values of their roots so far, and their page."""

    root_values: list[dict[str, Any]]
    page: Page


class TableLines(Generic[E]):
    """The lines of one table for one page, in order, with places for rows that are pending."""

    def __init__(self, projection: Projection, extracted: datetime, encoder: Encoder[E]) -> None:
        self._encoder = encoder
        self._projection = projection
        self._extracted = extracted
        self._parts: list[E | PendingRows] = []
        self._lookups = projection.lookups
        # With several lookups, what the second one looks for may depend on what the first one finds.
        self._wanted_id = follower(parse_source(self._lookups[0].match_path)) if len(self._lookups) == 1 else None

    def add(self, resources: Sequence[Mapping[str, Any]], page: Page, context: Mapping[str, Any]) -> None:
        """Encode the rows of these resources, but for those that need a look-up."""
        root_values = self._projection.begin_rows(resources, page, context)
        # Pending rows must not keep the resources of all others.
        page = Page((), page.included)
        wanted_id = self._wanted_id
        if not root_values:
            return
        if not self._lookups:
            self._parts.append(self._encode(root_values, page))
        elif wanted_id is None:
            self._parts.append(PendingRows(root_values, page))
        else:
            for is_pending, values in groupby(root_values, lambda values: bool(wanted_id(values, page))):
                run = list(values)
                self._parts.append(PendingRows(run, page) if is_pending else self._encode(run, page))

    def pending_ids(self) -> Iterator[tuple[str, str, list[str]]]:
        """(lookup, owner's id, ids) for the first lookup of the pending rows."""
        for part in self._parts:
            if isinstance(part, PendingRows):
                lookup = self._lookups[0]
                for owner, ids in wanted_ids(lookup, part.root_values, part.page).items():
                    yield lookup.name, owner, ids

    def lines(self, look_up: LookupFunction) -> E:
        """All lines, those of pending rows included."""
        return self._encoder.join(
            self._encode(part.root_values, part.page, look_up) if isinstance(part, PendingRows) else part
            for part in self._parts
        )

    def _encode(self, root_values: list[dict[str, Any]], page: Page, *look_up: LookupFunction) -> E:
        rows = self._projection.finish_rows(root_values, page, *look_up)
        return self._encoder.encode(rows, self._extracted)


def make_lines_in_chunks(
    row_maker: RowMaker,
    chunks: Iterable[Page],
    part: Slice,
    cut: str | None,
    lookups: Lookups,
    extracted: datetime,
    encoders: Mapping[str, Encoder[E]],
) -> tuple[dict[str, E], list[str | None]]:
    """Make the rows that ``row_maker.make_rows`` would make of a page, as lines of each table.

    Args:
        row_maker: makes the rows.
        chunks: the page; each chunk is done with before the next one is taken.
        part: the slice that the page is of.
        cut: as ``slice_rows.own_rows`` takes it.
        lookups: finds what rows look up.
        extracted: when the page was read, in UTC.
        encoders: of each table; they decide whether lines are made, or what else.

    Returns:
        The lines by table, and the bookmarks of the resources that are the slice's own.
    """
    tables = {
        name: TableLines(projection, extracted, encoders[name]) for name, projection in row_maker.projections.items()
    }
    times: list[str | None] = []
    for chunk in chunks:
        page = row_maker.complete(chunk, lookups)
        own = row_maker.slice_part(page, part, cut, lookups, extracted)
        times += own.times
        for name, table in tables.items():
            table.add(row_maker.resources_for(name, own), page, own.context)
    known, look_up_now = _look_up_pending(tables.values(), lookups), lookup_with(lookups)

    def look_up(lookup: Lookup, rows: Sequence[Mapping[str, Any]], page: Page) -> Mapping[str, Any]:
        return known[lookup.name] if lookup.name in known else look_up_now(lookup, rows, page)

    return {name: table.lines(look_up) for name, table in tables.items()}, times


def _look_up_pending(tables: Iterable[TableLines[E]], lookups: Lookups) -> dict[str, Mapping[str, Any]]:
    """Look up at once what all pending rows need of their first lookup: lookup -> values by id."""
    wanted: dict[str, dict[str, list[str]]] = {}
    for table in tables:
        for lookup, owner, ids in table.pending_ids():
            wanted.setdefault(lookup, {}).setdefault(owner, []).extend(ids)
    return {lookup: lookups.get(lookup, ids_by_owner) for lookup, ids_by_owner in wanted.items()}
