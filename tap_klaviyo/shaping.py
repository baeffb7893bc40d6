"""A collection's pages become the rows of all its selected tables. Pure, but for what the details bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from klaviyo_client.pages import Page
from tap_klaviyo.model import Collection, Detail, Mark, Resource, Slice, Table
from tap_klaviyo.paths import OWN, follower, parse_source
from tap_klaviyo.projection import Projection
from tap_klaviyo.roots import ACCOUNT, PARENT, PASS
from tap_klaviyo.slices import owned
from tap_klaviyo.values import Unfit, as_datetime

# Owner -> the ids to find among what it has.
Wanted = Mapping[str, Sequence[str]]
# Table -> how many values of each column did not fit, how many rows had no key.
Faults = Mapping[str, tuple[Mapping[str, int], int]]


class Knowledge(Protocol):
    """What details are known by."""

    def see(self, detail: str, values: Mapping[str, Any]) -> None:
        """Remember what a page of the collection itself says of a detail."""

    def known(self, detail: str, wanted: Wanted) -> Mapping[str, Any]:
        """The wanted values by id, None or nothing for what Klaviyo does not have."""


@dataclass(frozen=True)
class Selected:
    """A table that is wanted.

    Attributes:
        table: the table.
        schema: its schema file.
        columns: the columns that are wanted.
        since: leave out what has an older bookmark (RFC 3339 in UTC); None takes everything.
    """

    table: Table
    schema: Mapping[str, Any]
    columns: tuple[str, ...]
    since: str | None = None


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


class Shaper:
    """Makes rows of a collection's pages.

    Args:
        collection: what the pages are of.
        tables: its tables that are wanted.
        account: the account itself, for columns that read it.
        without: what no table is to have; it still counts among a page's times and resources.
    """

    def __init__(
        self,
        collection: Collection,
        tables: Sequence[Selected],
        account: Resource | None = None,
        without: Mark | None = None,
    ) -> None:
        self._bookmark = collection.bookmark
        self._account = account
        self._without = without
        self._since = {entry.table.name: entry.since for entry in tables}
        self._projections = {entry.table.name: Projection(entry.table, entry.schema, entry.columns) for entry in tables}

    @property
    def details(self) -> dict[str, Detail]:
        """The details that the tables read, by name."""
        return {detail.name: detail for projection in self._projections.values() for detail in projection.details}

    def shape(self, page: Page, part: Slice, cut: str | None, knowledge: Knowledge) -> Shaped:
        """The rows of a page of this slice; ``cut`` is as ``slices.owned`` takes it."""
        times = [self._time(resource) for resource in page.data]
        own = owned(part, times, cut)
        for detail in self.details.values():
            if detail.seen is not None:
                knowledge.see(detail.name, detail.keep(page))

        def look_up(detail: Detail, rows: Sequence[Mapping[str, Any]], page: Page) -> Mapping[str, Any]:
            return knowledge.known(detail.name, wanted(detail, rows, page))

        given = {PARENT: part.parent, PASS: part.constants, ACCOUNT: self._account}
        taken, times = page.data[own.start : own.stop], times[own.start : own.stop]
        kept, their_times = taken, times
        if self._without is not None:
            places = _unmarked(taken, self._without, page)
            kept, their_times = [taken[at] for at in places], [times[at] for at in places]
        rows = {}
        for name, projection in self._projections.items():
            chosen = self._chosen(name, kept, their_times)
            rows[name] = projection.rows(chosen, page, given, look_up) if chosen else []
        return Shaped(rows, times, taken)

    def faults(self) -> Faults:
        """What was found wrong since this was asked last."""
        found = {}
        for name, projection in self._projections.items():
            if projection.unfit or projection.keyless:
                found[name] = dict(projection.unfit), projection.keyless
                projection.unfit.clear()
                projection.keyless = 0
        return found

    def add(self, faults: Faults) -> None:
        """Count what another shaper of the same tables found wrong."""
        for name, (unfit, keyless) in faults.items():
            self._projections[name].unfit.update(unfit)
            self._projections[name].keyless += keyless

    def complaints(self) -> Iterator[str]:
        """What a user should be told of the values that were met, table by table."""
        for name, projection in self._projections.items():
            for line in projection.complaints():
                yield f"{name}{line}"

    def _chosen(self, table: str, kept: Sequence[Resource], times: Sequence[str | None]) -> Sequence[Resource]:
        """What of a page a table is to have: a sibling that is behind has not to be waited for with old rows."""
        since = self._since[table]
        if since is None:
            return kept
        return [found for found, time in zip(kept, times, strict=True) if time is None or time >= since]

    def _time(self, resource: Resource) -> str | None:
        if self._bookmark is None:
            return None
        try:
            return as_datetime((resource.get("attributes") or {}).get(self._bookmark))
        except Unfit:
            return None


def _unmarked(resources: Sequence[Resource], mark: Mark, page: Page) -> list[int]:
    """The places of the resources that do not bear the mark."""
    value = follower(parse_source(mark.path))
    return [at for at, resource in enumerate(resources) if value({OWN: resource}, page) != mark.value]


def wanted(detail: Detail, rows: Sequence[Mapping[str, Any]], page: Page) -> dict[str, list[str]]:
    """Owner -> the ids that rows want to find among what it has."""
    owner, match = follower(parse_source(detail.owner)), follower(parse_source(detail.match))
    found: dict[str, list[str]] = {}
    for roots in rows:
        wish = match(roots, page)
        name = owner(roots, page) if wish else None
        if isinstance(name, str) and isinstance(wish, str) and name:
            found.setdefault(name, []).append(wish)
    return found
