"""What the selected streams ask of Klaviyo, for ``--test`` to find out whether the key may read it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from klaviyo_client.api import protocol
from klaviyo_client.api.operations import operation
from klaviyo_client.permissions import NOBODY, Queries, Use
from tap_klaviyo.model import Collection, Lookup, SelectedTable
from tap_klaviyo.reading import event_metrics, selection
from tap_klaviyo.reading.selection import THE_ACCOUNT, Selection
from tap_klaviyo.reading.slices import conditions, plan
from tap_klaviyo.reports.declaration import Report
from tap_klaviyo.rows.paths import sources
from tap_klaviyo.rows.roots import required_roots

Collections = Mapping[str, Collection]


def uses(selected: Selection, collections: Collections) -> list[Use]:
    """What each selected stream takes. Its parts are columns, which are null where the key may not read them."""
    needs: dict[str, dict[str, None]] = {}
    parts: dict[str, dict[str, list[str]]] = {}
    for entry in selected.tables:
        name = entry.table.name
        needs.setdefault(name, {}).update(dict.fromkeys(_needs(entry.table.collection, selected, collections)))
        of_stream = parts.setdefault(name, {})
        for column, operation_id in _parts(entry, selected, collections):
            of_stream.setdefault(column, []).append(operation_id)
    return [Use(name, list(needs[name]), parts[name]) for name in needs]


def of_reports(reports: Iterable[Report]) -> list[Use]:
    """What reports take: the time zone is the account's, and metrics are found by name."""
    return [
        Use(found.name, (found.operation.id, "get_accounts", *(() if found.metric is None else ("get_metrics",))))
        for found in reports
    ]


def _needs(collection: Collection, selected: Selection, collections: Collections) -> Iterator[str]:
    yield collection.operation
    if collection.parent:
        yield collections[collection.parent].operation
    if collection.name == event_metrics.NARROWS and selected.by_metric:
        yield collections[event_metrics.COLLECTION].operation


def _parts(entry: SelectedTable, selected: Selection, collections: Collections) -> Iterator[tuple[str, str]]:
    """(column, the operation that it costs beside those of its table)."""
    roots = required_roots(entry.table, sources(entry.schema, entry.columns).values())
    for lookup in (root for root in roots if isinstance(root, Lookup)):
        yield from ((column, lookup.operation) for column in selection.columns(entry, lookup.name))
    account = collections[THE_ACCOUNT].operation
    yield from ((column, account) for column in selection.columns(entry, *selected.account_roots))


def queries(selected: Selection, collections: Collections, now: datetime) -> Queries:
    """What a read would ask of each selected collection first, by operation."""
    found: dict[str, dict[str, str]] = {}
    for collection in collections.values():
        if not selected.of(collection):
            continue
        first = plan(collection, since=None, now=now, parents=({"id": NOBODY},))[0]
        held = conditions(first, collection, operation(collection.operation))
        condition = {"filter": protocol.all_of(held)} if held else {}
        found[collection.operation] = {**selected.query(collection), **condition}
    return found
