"""A page shaped piece by piece, to lines. Pure, but for what the lookups bring.

A page of a thousand events is too large for a processor's cache: by the time that its last row is decoded, its first
one is gone from there. Pieces are decoded, shaped and written one after the other instead. Rows that must know of a
lookup wait until the page has been seen, and are then put where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Slice
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.page_rows import Shaper, asking, wanted
from tap_klaviyo.rows.paths import follower, parse_source
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.rows.record_lines import Lines, record_lines
from tap_klaviyo.rows.roots import LookupFunction

# Rows. Half or twice as many cost the same.
PIECE = 100


@dataclass(frozen=True)
class Waiting:
    """Rows that are not made yet: the values of their roots so far."""

    found: list[dict[str, Any]]
    page: Page


class Sheet:
    """The lines of one table, in order, with gaps for rows that wait."""

    def __init__(self, table: str, projection: Projection, extracted: datetime, version: int | None) -> None:
        self._table = table
        self._version = version
        self._projection = projection
        self._extracted = extracted
        self._parts: list[Lines | Waiting] = []
        lookups = projection.lookups
        # A second detail may be found by what the first one says: then nothing can be known beforehand.
        self._match = follower(parse_source(lookups[0].match_path)) if len(lookups) == 1 else None
        self._never_waits = not lookups

    def add(self, resources: Sequence[Mapping[str, Any]], page: Page, given: Mapping[str, Any]) -> None:
        """Print the rows of these resources, but for those that wait."""
        found = self._projection.begin(resources, page, given)
        match = self._match
        # Rows that wait must not keep the resources of all others.
        page = Page((), page.included)

        def waits(values: Mapping[str, Any]) -> bool:
            return not self._never_waits and (match is None or bool(match(values, page)))

        for is_waiting, values in groupby(found, waits):
            run = list(values)
            self._parts.append(Waiting(run, page) if is_waiting else self._printed(run, page))

    def wishes(self) -> Iterator[tuple[str, str, list[str]]]:
        """(lookup, owner, ids) that the first lookup of rows that wait is to bring."""
        for part in self._parts:
            if isinstance(part, Waiting):
                lookup = self._projection.lookups[0]
                for owner, ids in wanted(lookup, part.found, part.page).items():
                    yield lookup.name, owner, ids

    def lines(self, look_up: LookupFunction) -> Lines:
        """All lines, those that waited included."""
        parts = [
            part if isinstance(part, Lines) else self._printed(part.found, part.page, look_up) for part in self._parts
        ]
        return Lines(b"".join(part.data for part in parts), sum(part.count for part in parts))

    def _printed(self, found: list[dict[str, Any]], page: Page, *look_up: LookupFunction) -> Lines:
        rows = self._projection.finish(found, page, *look_up)
        return record_lines(self._table, rows, self._extracted, self._version)


def shape_in_pieces(
    shaper: Shaper, pieces: Iterable[Page], part: Slice, cut: str | None, knowledge: Lookups, extracted: datetime
) -> tuple[dict[str, Lines], list[str | None]]:
    """What ``shaper.shape`` makes of a page, as lines of each table; and the bookmarks of what was taken.

    Args:
        shaper: makes the rows.
        pieces: the page; each is done with before the next one is asked for.
        part: the slice that it is of.
        cut: as ``slice_rows.own_rows`` takes it.
        knowledge: what lookups are known by.
        extracted: when the page was read, in UTC.
    """
    sheets = {
        name: Sheet(name, projection, extracted, shaper.versions[name])
        for name, projection in shaper.projections.items()
    }
    times: list[str | None] = []
    for page in pieces:
        own = shaper.own(page, part, cut, knowledge, extracted)
        times += own.times
        for name, sheet in sheets.items():
            sheet.add(shaper.chosen(name, own), page, own.given)
    known, ask = _asked(sheets.values(), knowledge), asking(knowledge)

    def look_up(lookup: Lookup, rows: Sequence[Mapping[str, Any]], page: Page) -> Mapping[str, Any]:
        return known[lookup.name] if lookup.name in known else ask(lookup, rows, page)

    return {name: sheet.lines(look_up) for name, sheet in sheets.items()}, times


def _asked(sheets: Iterable[Sheet], knowledge: Lookups) -> dict[str, Mapping[str, Any]]:
    """What all rows that wait want to know of their first lookup, asked for at once."""
    wishes: dict[str, dict[str, list[str]]] = {}
    for sheet in sheets:
        for lookup, owner, ids in sheet.wishes():
            wishes.setdefault(lookup, {}).setdefault(owner, []).extend(ids)
    return {lookup: knowledge.get(lookup, wanted) for lookup, wanted in wishes.items()}
