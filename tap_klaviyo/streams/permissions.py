"""What the selected streams require of the key, for ``--test``: operations, and the first request of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from klaviyo_client.api import filters
from klaviyo_client.api.operations import operation
from klaviyo_client.permissions import UNUSED_ID, Queries, Requirement
from tap_klaviyo.model import Collection, Lookup, SelectedTable
from tap_klaviyo.reading import event_metrics
from tap_klaviyo.reading.selection import ACCOUNT_COLLECTION, Selection, columns_reading
from tap_klaviyo.reading.slices import conditions, plan_slices
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.rows.paths import sources
from tap_klaviyo.rows.roots import required_roots

Collections = Mapping[str, Collection]


def table_requirements(selection: Selection, collections: Collections) -> list[Requirement]:
    """The operations that each selected stream of tables needs; those of single columns are optional.

    A column whose operation the key may not call is null.
    """
    operations: dict[str, dict[str, None]] = {}
    optional: dict[str, dict[str, list[str]]] = {}
    for entry in selection.tables:
        name = entry.table.name
        if entry.table.gap is not None:
            continue
        needed = _operations(entry.table.collection, selection, collections)
        operations.setdefault(name, {}).update(dict.fromkeys(needed))
        by_column = optional.setdefault(name, {})
        for column, operation_id in _optional(entry, selection, collections):
            by_column.setdefault(column, []).append(operation_id)
    return [Requirement(name, list(operations[name]), optional[name]) for name in operations]


def report_requirements(reports: Iterable[Report]) -> list[Requirement]:
    """The operations that reports need: the time zone is the account's, and metrics are found by name."""
    return [
        Requirement(
            report.name, (report.operation.id, "get_accounts", *(("get_metrics",) if report.has_metric else ()))
        )
        for report in reports
    ]


def _operations(collection: Collection, selection: Selection, collections: Collections) -> Iterator[str]:
    yield collection.operation
    # What supplements others is left out where it cannot be read.
    if collection.parent and not collection.supplements:
        yield collections[collection.parent].operation
    if collection.name == event_metrics.FILTERED and selection.by_metric:
        yield collections[event_metrics.COLLECTION].operation


def _optional(entry: SelectedTable, selection: Selection, collections: Collections) -> Iterator[tuple[str, str]]:
    """(column, an operation that it needs beside those of its table)."""
    roots = required_roots(entry.table, sources(entry.schema, entry.columns).values())
    for lookup in (root for root in roots if isinstance(root, Lookup) and not root.optional):
        yield from ((column, lookup.operation) for column in columns_reading(entry, lookup.name))
    account = collections[ACCOUNT_COLLECTION].operation
    yield from ((column, account) for column in columns_reading(entry, *selection.account_roots))


def queries(selection: Selection, collections: Collections, now: datetime) -> Queries:
    """The query of the first request that a read would send of each selected collection, by operation."""
    by_operation: dict[str, dict[str, str]] = {}
    # Of those that share an operation, one that others only supplement is asked for.
    for collection in sorted(collections.values(), key=lambda each: each.supplements is None):
        if not selection.tables_of(collection):
            continue
        first = plan_slices(collection, since=None, now=now, parents=({"id": UNUSED_ID},))[0]
        terms = conditions(first, collection, operation(collection.operation))
        condition = {"filter": filters.all_of(terms)} if terms else {}
        by_operation[collection.operation] = {**selection.query(collection), **condition}
    return by_operation
