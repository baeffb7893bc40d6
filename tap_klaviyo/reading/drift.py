"""How answers differ from what columns read: attributes without a column, columns without a value, other types. Pure.

What is found has names only, of tables, columns, attributes and JSON types, so that it can be shown to strangers.
Names that the account chose are left out, too: those of custom properties, and whatever stands below an attribute that
holds such.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup, Resource, Root, SelectedTable, Table
from tap_klaviyo.reading.selection import ACCOUNT_COLLECTION, resource_type
from tap_klaviyo.rows.paths import INCLUDED, OWN, Source, flatten_hashes, follower, parse_source, sources
from tap_klaviyo.rows.roots import (
    ACCOUNT,
    INTEGRATION,
    PARENT,
    expand,
    needs_of,
    no_lookup,
    required_roots,
    roots_behind,
)
from tap_klaviyo.rows.values import ConversionError, converter

Schemas = Mapping[str, Mapping[str, Any]]
Collections = Mapping[str, Collection]

_ATTRIBUTES = "attributes"
_ALL_ATTRIBUTES = Source(OWN, None, (_ATTRIBUTES,))
# Below these, names are the account's own.
_OF_THE_ACCOUNT = frozenset(
    (
        *("properties", "event_properties", "record_properties", "custom_metadata", "metadata", "kv_pairs", "headers"),
        *("extra", "allocations", "original_payload", "event_payload", "send_times", "custom_tracking_params"),
    )
)
# Klaviyo's own names look like this; another one may be anything.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
_JSON_TYPES: tuple[tuple[type, str], ...] = (
    *((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")),
)


# JSON has one kind of number, and no times.
_FITTING = {"integer": ("integer", "number"), "number": ("integer", "number"), "time": ("string",)}


@dataclass
class ReadNode:
    """What columns read of a value: all of it, or what is below these names; of a list, of each of its elements."""

    whole: bool = False
    children: dict[str, ReadNode] = field(default_factory=dict)

    def add(self, tokens: Iterable[str]) -> None:
        """A column reads what is at the end of this path."""
        node = self
        for token in tokens:
            node = node.children.setdefault(token, ReadNode())
        node.whole = True


@dataclass
class TableFindings:
    """What the rows of a table showed.

    Attributes:
        rows: how many there were.
        found: the columns that had a value in one of them.
        present: the columns whose attribute was there, if only as null.
        missing: the columns whose attribute was not there where it should have been.
        other_types: column -> JSON types of values that are not the column's, and were converted to it.
        misfits: column -> JSON types of values that could not be, and became null.
    """

    rows: int = 0
    found: set[str] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    other_types: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    misfits: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


@dataclass
class Drift:
    """What all answers showed.

    Attributes:
        unread: (resource type, dotted path) -> JSON types, of the attributes that no column reads.
        reshaped: the same of attributes of which columns read parts, but which have none.
        unnamed: how many attributes that no column reads are not named, since no name of Klaviyo's is like theirs.
        tables: findings by table.
    """

    unread: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    reshaped: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    unnamed: set[tuple[str, str]] = field(default_factory=set)
    tables: dict[str, TableFindings] = field(default_factory=lambda: defaultdict(TableFindings))


@dataclass(frozen=True)
class _Place:
    """Where a value stands: a resource's type, and the path in it; not exact where a function works it out of that."""

    resource: str
    tokens: tuple[str, ...]
    is_exact: bool = True


def attributes_read(tables: Iterable[Table], schemas: Schemas, collections: Collections) -> dict[str, ReadNode]:
    """Resource type -> what the columns of these tables read of it.

    What a function works out counts as read whole.
    """
    read: dict[str, ReadNode] = defaultdict(ReadNode)
    for table in tables:
        schema = schemas[table.name]
        needs = [need for root in table.roots for need in needs_of(root)]
        lookups = [root for root in table.roots if isinstance(root, Lookup)]
        needs += [parse_source(path) for lookup in lookups for path in lookup.own_page_paths or ()]
        for place in (
            *(place for source in needs for place in _places(table, source, collections)),
            *(
                place
                for source in sources(schema, schema["properties"]).values()
                # A column of all attributes says nothing of any.
                if source != _ALL_ATTRIBUTES
                for place in _places(table, source, collections)
            ),
        ):
            read[place.resource].add(place.tokens)
    return dict(read)


def _places(table: Table, source: Source, collections: Collections) -> Iterator[_Place]:
    """Where the values of a source stand; nowhere for what is looked up, or no part of any resource."""
    roots = {root.name: root for root in table.roots if isinstance(root, Root)}
    for part in flatten_hashes([source]):
        root = roots.get(part.root)
        if root is None:
            kind = _resource_of(table.collection, part, collections)
            if kind is not None:
                yield _Place(kind, part.tokens)
            continue
        for need in needs_of(root):
            for place in _places(table, need, collections):
                tokens = (*place.tokens, *part.tokens) if root.make is None else place.tokens
                yield _Place(place.resource, tokens, place.is_exact and root.make is None)


def _resource_of(collection: Collection, source: Source, collections: Collections) -> str | None:
    """The type of the resource that a source of the collection starts from; None for none."""
    if source.root == INCLUDED:
        return resource_type(operation(collection.operation), str(source.relationship))
    if source.root == PARENT and collection.parent:
        return collections[collection.parent].resource
    named = {
        OWN: collection.resource,
        **dict.fromkeys((ACCOUNT, INTEGRATION), collections[ACCOUNT_COLLECTION].resource),
    }
    return named.get(source.root)


def add_attributes(drift: Drift, read: Mapping[str, ReadNode], page: Page) -> None:
    """Compare the attributes of all resources of a page with what columns read."""
    for resource in (*page.data, *page.included.values()):
        kind = resource.get("type")
        if isinstance(kind, str) and kind in read:
            attributes = resource.get(_ATTRIBUTES)
            _add_members(drift, kind, (), read[kind].children.get(_ATTRIBUTES, ReadNode()), attributes)


def is_new(kind: str, path: str, collections: Collections) -> bool:
    """Whether the revision that is asked for does not have an attribute, as far as its sparse fields tell."""
    operations = {collection.operation for collection in collections.values()}
    names = {name for op in map(operation, operations) for name in op.fields.get(kind, ())}
    parent = path.rpartition(".")[0]
    tells = bool(names) if not parent else any(name.startswith(f"{parent}.") for name in names)
    return tells and path not in names


def _add_members(drift: Drift, kind: str, path: tuple[str, ...], node: ReadNode, value: Any) -> None:
    if node.whole or value is None:
        return
    if isinstance(value, list):
        for element in value:
            _add_members(drift, kind, path, node, element)
        return
    if not isinstance(value, dict):
        drift.reshaped[kind, ".".join(path) or _ATTRIBUTES].add(json_type(value))
        return
    for name, member in value.items():
        if (child := node.children.get(name)) is not None:
            _add_members(drift, kind, (*path, name), child, member)
        elif not _OF_THE_ACCOUNT.isdisjoint(path) or _NAME.fullmatch(name) is None:
            drift.unnamed.add((kind, ".".join((*path, name))))
        else:
            drift.unread[kind, ".".join((*path, name))].add(json_type(member))


def add_rows(
    drift: Drift,
    entry: SelectedTable,
    resources: Iterable[Resource],
    page: Page,
    context: Mapping[str, Any],
    collections: Collections,
) -> None:
    """Note what the selected columns of a table find in resources of a page; context as ``roots.expand`` takes it."""
    findings = drift.tables[entry.table.name]
    resources = list(resources)
    columns = sources(entry.schema, entry.columns)
    rows = expand(required_roots(entry.table, columns.values()), resources, page, context, no_lookup)
    findings.rows += len(rows)
    for column, source in columns.items():
        value_at = follower(source)
        for roots in rows:
            _add_value(findings, column, entry.schema["properties"][column], value_at(roots, page), source)
        if column not in findings.present:
            _add_presence(findings, column, list(_places(entry.table, source, collections)), page)


def _add_value(findings: TableFindings, name: str, column: Mapping[str, Any], value: Any, source: Source) -> None:
    if value is None:
        return
    findings.found.add(name)
    if source.hash_parts:
        return
    kind, met = column_type(column), json_type(value)
    try:
        converter(column)(value)
    except ConversionError:
        findings.misfits[name].add(met)
    else:
        if met not in _FITTING.get(kind, (kind,)):
            findings.other_types[name].add(met)


def _add_presence(findings: TableFindings, column: str, places: Iterable[_Place], page: Page) -> None:
    resources = (*page.data, *page.included.values())
    for place in places:
        if (
            place.tokens[:1] != (_ATTRIBUTES,)
            or not place.is_exact
            or not _OF_THE_ACCOUNT.isdisjoint(place.tokens[:-1])
        ):
            # What a function works out, or a custom property, need not be there.
            findings.present.add(column)
            return
        seen = {_is_there(one, place.tokens) for one in resources if one.get("type") == place.resource}
        if True in seen:
            findings.present.add(column)
        elif False in seen:
            findings.missing.add(column)


def _is_there(value: Any, tokens: tuple[str, ...]) -> bool | None:
    """Whether an object has the member at the end of a path; None where nothing says what it would have."""
    if isinstance(value, list):
        seen = {_is_there(element, tokens) for element in value}
        return True if True in seen else False if False in seen else None
    if not isinstance(value, dict):
        return None
    if tokens[0] not in value:
        return False
    return _is_there(value[tokens[0]], tokens[1:]) if len(tokens) > 1 else True


def unseen_columns(entry: SelectedTable, findings: TableFindings) -> tuple[list[str], list[str]]:
    """(the columns whose attribute was nowhere, those that were null in every row); none of what was not looked up."""
    lookups = {root.name for root in entry.table.roots if isinstance(root, Lookup)}
    columns = sources(entry.schema, entry.columns)
    empty = [
        name
        for name, source in columns.items()
        if name not in findings.found and roots_behind(entry.table, source).isdisjoint(lookups)
    ]
    gone = [name for name in empty if name in findings.missing - findings.present]
    return gone, [name for name in empty if name not in gone]


def column_type(column: Mapping[str, Any]) -> str:
    """The JSON type of a column's values; ``time`` for texts that are times."""
    if column.get("format") == "date-time":
        return "time"
    types = column["type"] if isinstance(column["type"], list) else [column["type"]]
    return next(str(name) for name in types if name != "null")


def json_type(value: Any) -> str:
    """The name of a value's JSON type; whole numbers are integers."""
    return next((name for kind, name in _JSON_TYPES if isinstance(value, kind)), "null")
