"""A collection's pages become the rows of all its selected tables. Pure, but for what the lookups bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup, PathEquals, Resource, SelectedTable, Slice
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.paths import OWN, follower, parse_source, plain, sources
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.rows.roots import ACCOUNT, EXTRACTED, INTEGRATION, PARENT, PASS, LookupFunction
from tap_klaviyo.rows.slice_rows import own_rows
from tap_klaviyo.rows.values import Unfit, as_datetime

# Table -> how many values of each column did not fit, how many rows had no key.
Faults = Mapping[str, tuple[Mapping[str, int], int]]


@dataclass(frozen=True)
class Shaped:
    """What one page gives.

    Attributes:
        rows: the rows of each table, in the page's order.
        times: the bookmarks of the resources that were taken.
        resources: these resources.
    """

    rows: Mapping[str, Sequence[dict[str, Any]]]
    times: Sequence[str | None]
    resources: Sequence[Resource]


@dataclass(frozen=True)
class Own:
    """What of a page is a slice's own.

    Attributes:
        resources: all of it, with their bookmarks in ``times``.
        kept: what of that tables are to have, with their bookmarks in ``kept_times``.
        given: the roots that are known before any page is read.
    """

    resources: Sequence[Resource]
    times: Sequence[str | None]
    kept: Sequence[Resource]
    kept_times: Sequence[str | None]
    given: Mapping[str, Any]


class Shaper:
    """Makes rows of a collection's pages.

    Args:
        collection: what the pages are of.
        tables: its tables that are wanted.
        account: the account itself, for columns that read it.
        without: what no table is to have; it still counts among a page's times and resources.
        integration: what the V1 tables call the account, for columns that read it.

    Attributes:
        projections: the row functions of the tables, by name.
        versions: the tables' versions.
    """

    def __init__(
        self,
        collection: Collection,
        tables: Sequence[SelectedTable],
        account: Resource | None = None,
        without: PathEquals | None = None,
        integration: Resource | None = None,
    ) -> None:
        self._bookmark = collection.bookmark
        self._given = {ACCOUNT: account, **({INTEGRATION: integration} if integration else {})}
        columns = (sources(entry.schema, entry.columns).values() for entry in tables)
        self._is_dated = any(source.root == EXTRACTED for found in columns for source in plain(found))
        self._without = without
        self.versions = {entry.table.name: entry.version for entry in tables}
        self._since = {entry.table.name: entry.since for entry in tables}
        self.projections = {entry.table.name: Projection(entry.table, entry.schema, entry.columns) for entry in tables}

    @property
    def lookups(self) -> dict[str, Lookup]:
        """The lookups that the tables read, by name."""
        return {lookup.name: lookup for projection in self.projections.values() for lookup in projection.lookups}

    def shape(self, page: Page, part: Slice, cut: str | None, knowledge: Lookups, extracted: datetime) -> Shaped:
        """The rows of a page of this slice, read at this time; ``cut`` is as ``slice_rows.own_rows`` takes it."""
        own, look_up = self.own(page, part, cut, knowledge, extracted), asking(knowledge)
        rows = {}
        for name, projection in self.projections.items():
            chosen = self.chosen(name, own)
            rows[name] = projection.rows(chosen, page, own.given, look_up) if chosen else []
        return Shaped(rows, own.times, own.resources)

    def own(self, page: Page, part: Slice, cut: str | None, knowledge: Lookups, extracted: datetime) -> Own:
        """What of a page is the slice's own; what all of the page says of lookups is told."""
        times = [self._time(resource) for resource in page.data]
        own = own_rows(part, times, cut)
        for lookup in self.lookups.values():
            if lookup.own_page_paths is not None:
                knowledge.add(lookup.name, lookup.extract(page))
        taken, times = page.data[own.start : own.stop], times[own.start : own.stop]
        kept, their_times = taken, times
        if self._without is not None:
            places = _unmarked(taken, self._without, page)
            kept, their_times = [taken[at] for at in places], [times[at] for at in places]
        given: dict[str, Any] = {PARENT: part.parent, PASS: part.filter_set, **self._given}
        if self._is_dated:
            given[EXTRACTED] = extracted.isoformat()
        return Own(taken, times, kept, their_times, given)

    def chosen(self, table: str, own: Own) -> Sequence[Resource]:
        """What a table is to have: a sibling that is behind has not to be waited for with old rows."""
        since = self._since[table]
        if since is None:
            return own.kept
        return [found for found, time in zip(own.kept, own.kept_times, strict=True) if time is None or time >= since]

    def faults(self) -> Faults:
        """What was found wrong since this was asked last."""
        found = {}
        for name, projection in self.projections.items():
            if projection.unfit or projection.keyless:
                found[name] = dict(projection.unfit), projection.keyless
                projection.unfit.clear()
                projection.keyless = 0
        return found

    def add(self, faults: Faults) -> None:
        """Count what another shaper of the same tables found wrong."""
        for name, (unfit, keyless) in faults.items():
            self.projections[name].unfit.update(unfit)
            self.projections[name].keyless += keyless

    def complaints(self) -> Iterator[str]:
        """What a user should be told of the values that were met, table by table."""
        for name, projection in self.projections.items():
            for line in projection.complaints():
                yield f"{name}{line}"

    def _time(self, resource: Resource) -> str | None:
        if self._bookmark is None:
            return None
        try:
            return as_datetime((resource.get("attributes") or {}).get(self._bookmark))
        except Unfit:
            return None


def _unmarked(resources: Sequence[Resource], mark: PathEquals, page: Page) -> list[int]:
    """The places of the resources that do not bear the mark."""
    value = follower(parse_source(mark.path))
    return [at for at, resource in enumerate(resources) if value({OWN: resource}, page) != mark.value]


def asking(knowledge: Lookups) -> LookupFunction:
    """The look-up of whoever has this knowledge."""
    return lambda lookup, rows, page: knowledge.get(lookup.name, wanted(lookup, rows, page))


def wanted(lookup: Lookup, rows: Sequence[Mapping[str, Any]], page: Page) -> dict[str, list[str]]:
    """Owner -> the ids that rows want to find among what it has."""
    owner, match = follower(parse_source(lookup.owner_path)), follower(parse_source(lookup.match_path))
    found: dict[str, list[str]] = {}
    for roots in rows:
        wish = match(roots, page)
        name = owner(roots, page) if wish else None
        if isinstance(name, str) and isinstance(wish, str) and name:
            found.setdefault(name, []).append(wish)
    return found
