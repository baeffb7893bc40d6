"""Rows of a page, for all selected tables of its collection. Pure, but for what look-ups ask."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup, PathEquals, Resource, SelectedTable, Slice
from tap_klaviyo.rows.gaps import GapFinder
from tap_klaviyo.rows.listed import ListedResources
from tap_klaviyo.rows.lookup_protocol import Lookups
from tap_klaviyo.rows.paths import OWN, flatten_hashes, follower, parse_source, sources
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.rows.roots import ACCOUNT, EXTRACTED, INTEGRATION, PARENT, PASS, LookupFunction, required_roots
from tap_klaviyo.rows.slice_rows import latest_listed_time, own_rows
from tap_klaviyo.rows.typed_rows import TypedResources
from tap_klaviyo.rows.values import time_or_none

_NO_PAGE = Page(())


@dataclass(frozen=True)
class RowProblems:
    """What was met in pages.

    Attributes:
        tables: table -> how many values of each column could not be converted, how many rows had no key.
        without_id: how many resources were left out because they have no id.
    """

    tables: Mapping[str, tuple[Mapping[str, int], int]]
    without_id: int = 0


@dataclass(frozen=True)
class PageRows:
    """What one page gives.

    Attributes:
        rows: the rows of each table, in the page's order.
        times: the bookmarks of the resources that are the slice's own.
        resources: these resources.
    """

    rows: Mapping[str, Sequence[dict[str, Any]]]
    times: Sequence[str | None]
    resources: Sequence[Resource]


@dataclass(frozen=True)
class SlicePart:
    """The part of a page that is its slice's own.

    Attributes:
        resources: all resources of it, with their bookmarks in ``times``.
        wanted: those of them that tables get, with their bookmarks in ``wanted_times``; where these lead into lists,
            with the latest of each.
        context: the values of ``roots.CONTEXT_ROOTS``.
    """

    resources: Sequence[Resource]
    times: Sequence[str | None]
    wanted: Sequence[Resource]
    wanted_times: Sequence[str | None]
    context: Mapping[str, Any]


class RowMaker:
    """Makes rows of a collection's pages.

    Args:
        collection: the collection of the pages.
        tables: its tables that are read.
        account: the account itself, for columns that read it.
        exclude: resources that no table gets; they still count among a page's times and resources.
        integration: what the V1 tables call the account, for columns that read it.
        known: table that fills gaps -> the ids that need no row of it.
        typed: what resources are, where they are no dictionaries.
        listed: the resources that its own name and pages need not include, by (type, id); None where pages do.

    Attributes:
        projections: the row functions of the tables, by name.
        versions: the tables' versions.
    """

    def __init__(
        self,
        collection: Collection,
        tables: Sequence[SelectedTable],
        account: Resource | None = None,
        exclude: PathEquals | None = None,
        integration: Resource | None = None,
        known: Mapping[str, Container[str]] | None = None,
        typed: TypedResources | None = None,
        listed: Mapping[tuple[str, str], Resource] | None = None,
    ) -> None:
        self._collection = collection.name
        self._times = _times_at(collection.bookmark if collection.has_order else None, typed)
        self._listed = collection if collection.bookmark is not None and not collection.has_order else None
        self._without_id = 0
        self._listed_resources = None if listed is None else ListedResources(collection.listed, listed)
        self._context = {ACCOUNT: account, **({INTEGRATION: integration} if integration else {})}
        table_sources = (sources(entry.schema, entry.columns).values() for entry in tables)
        self._reads_extracted = any(
            source.root == EXTRACTED for each in table_sources for source in flatten_hashes(each)
        )
        self._is_excluded = None if exclude is None else _meets(exclude, typed)
        self.versions = {entry.table.name: entry.version for entry in tables}
        self._since = {entry.table.name: entry.since for entry in tables}
        self._parents = {entry.table.name: entry.parents for entry in tables}
        self._gaps = {
            entry.table.name: GapFinder(entry, (known or {}).get(entry.table.name, ()))
            for entry in tables
            if entry.table.gap is not None
        }
        made = {
            root.name
            for entry in tables
            for root in required_roots(entry.table, sources(entry.schema, entry.columns).values())
            if isinstance(root, Lookup) and not root.optional
        }
        self.projections = {
            entry.table.name: Projection(entry.table, entry.schema, entry.columns, made, typed) for entry in tables
        }
        self.lookups = {lookup.name: lookup for each in self.projections.values() for lookup in each.lookups}
        own_lookups = [lookup for lookup in self.lookups.values() if lookup.own_page_paths is not None]
        self._own_values = {
            lookup.name: lookup.extract if typed is None else typed.own_values(lookup) for lookup in own_lookups
        }

    def complete(self, page: Page, lookups: Lookups) -> Page:
        """The page as if it had included what was listed."""
        return page if self._listed_resources is None else self._listed_resources.complete(page, lookups)

    def make_rows(self, page: Page, part: Slice, cut: str | None, lookups: Lookups, extracted: datetime) -> PageRows:
        """Make the rows of a page of this slice, read at this time; ``cut`` is as ``slice_rows.own_rows`` takes it."""
        page = self.complete(page, lookups)
        own, look_up = self.slice_part(page, part, cut, lookups, extracted), lookup_with(lookups)
        rows = {}
        for name, projection in self.projections.items():
            resources = self.resources_for(name, own)
            rows[name] = projection.rows(resources, page, own.context, look_up) if resources else []
        return PageRows(rows, own.times, own.resources)

    def slice_part(self, page: Page, part: Slice, cut: str | None, lookups: Lookups, extracted: datetime) -> SlicePart:
        """The part of a page that is the slice's own. Adds to the look-ups what the whole page has of them."""
        times = self._times(page.data)
        own = own_rows(part, times, cut)
        self._without_id += page.without_id
        for name, own_values in self._own_values.items():
            lookups.add(name, own_values(page))
        resources: Sequence[Resource] = page.data
        if len(own) < len(times):
            resources, times = [page.data[place] for place in own], [times[place] for place in own]
        wanted, wanted_times = resources, times
        if self._is_excluded is not None:
            indexes = [index for index, own in enumerate(resources) if not self._is_excluded(own)]
            wanted, wanted_times = [resources[index] for index in indexes], [times[index] for index in indexes]
        if self._listed is not None:
            wanted_times = [latest_listed_time(resource, self._listed, part.parent) for resource in wanted]
        context: dict[str, Any] = {PARENT: part.parent, PASS: part.filter_set, **self._context}
        if self._reads_extracted:
            context[EXTRACTED] = extracted.isoformat()
        return SlicePart(resources, times, wanted, wanted_times, context)

    def resources_for(self, table: str, part: SlicePart) -> Sequence[Resource]:
        """The resources for one table: those at or after the table's own start. A sibling table may start earlier.

        None of a parent whose rows the table does not have.
        """
        since, parents = self._since[table], self._parents[table]
        if parents is not None and (part.context[PARENT] or {}).get("id") not in parents:
            return ()
        if table in self._gaps:
            return self._gaps[table].resources(part.wanted, part.wanted_times)
        if since is None:
            return part.wanted
        pairs = zip(part.wanted, part.wanted_times, strict=True)
        return [resource for resource, time in pairs if time is None or time >= since]

    def take_problems(self) -> RowProblems:
        """The problems that were counted since the last call; the counters start again from 0."""
        problems = {}
        for name, projection in self.projections.items():
            if projection.conversion_errors or projection.rows_without_key:
                problems[name] = dict(projection.conversion_errors), projection.rows_without_key
                projection.conversion_errors.clear()
                projection.rows_without_key = 0
        without_id, self._without_id = self._without_id, 0
        return RowProblems(problems, without_id)

    def add_problems(self, problems: RowProblems) -> None:
        """Count the problems that another maker of the same tables' rows met."""
        self._without_id += problems.without_id
        for name, (conversion_errors, rows_without_key) in problems.tables.items():
            self.projections[name].conversion_errors.update(conversion_errors)
            self.projections[name].rows_without_key += rows_without_key

    def warnings(self) -> Iterator[str]:
        """Texts for the user about the problems that were counted, table by table."""
        if self._without_id:
            yield f"{self._collection}: {self._without_id} resources without an id were left out"
        for name, projection in self.projections.items():
            for line in projection.warnings():
                yield f"{name}{line}"


def _times_at(bookmark: str | None, typed: TypedResources | None) -> Callable[[Sequence[Any]], list[str | None]]:
    """The function from resources to their bookmarks."""
    if bookmark is None:
        return lambda resources: [None] * len(resources)
    if typed is not None:
        return typed.times_at(f"/attributes/{bookmark}")
    return lambda resources: [time_or_none((resource.get("attributes") or {}).get(bookmark)) for resource in resources]


def _meets(condition: PathEquals, typed: TypedResources | None) -> Callable[[Any], bool]:
    """The function that says whether a resource meets a condition."""
    if typed is not None:
        value_of = typed.value_at(condition.path)
        return lambda resource: bool(value_of(resource) == condition.value)
    value = follower(parse_source(condition.path))
    return lambda resource: bool(value({OWN: resource}, _NO_PAGE) == condition.value)


def lookup_with(lookups: Lookups) -> LookupFunction:
    """The function that ``roots.expand`` looks values up with."""
    return lambda lookup, rows, page: lookups.get(lookup.name, wanted_ids(lookup, rows, page))


def wanted_ids(lookup: Lookup, rows: Sequence[Mapping[str, Any]], page: Page) -> dict[str, list[str]]:
    """Owner's id -> the ids that rows look for among what the owner has."""
    owner_of, id_of = follower(parse_source(lookup.owner_path)), follower(parse_source(lookup.match_path))
    ids: dict[str, list[str]] = {}
    for roots in rows:
        wanted_id = id_of(roots, page)
        owner = owner_of(roots, page) if wanted_id else None
        if isinstance(owner, str) and isinstance(wanted_id, str) and owner:
            ids.setdefault(owner, []).append(wanted_id)
    return ids
