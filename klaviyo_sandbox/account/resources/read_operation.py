"""One read operation: rows of which type, where they are, how they look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from klaviyo_sandbox.account.relations import find_row, related_identities, table_of
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import Refusal, not_found
from klaviyo_sandbox.spec.exchange import Params

Rows = Callable[[Store, Params], Table]


def _as_it_is(_: Store, row: Row) -> Row:
    return row


@dataclass(frozen=True)
class Read:
    """One read operation.

    Attributes:
        kind: the JSON:API type of its resources.
        rows: where they are; refuses with 404 when a parent in the path is unknown. None: the path names one row.
        id_parameter: name of the path part that names it.
        to_one: the rows are the one of a relationship, or none.
        view: the row as it is shown and filtered.
        same_as: fields that mean another one (an event's ``timestamp`` is its ``datetime`` in seconds).
        demanded: fields of which every filter has to name one.
        unless_asked: field -> value that it must have when the filter does not name it.
        stored_as: field of a filter -> where the row has it, if not under that name.
        for_all: field of a filter -> the value that leaves nothing out.
    """

    kind: str
    rows: Rows | None = None
    id_parameter: str = "id"
    to_one: bool = False
    view: Callable[[Store, Row], Row] = _as_it_is
    same_as: Mapping[str, str] = field(default_factory=dict)
    demanded: tuple[str, ...] = ()
    unless_asked: Mapping[str, Any] = field(default_factory=dict)
    stored_as: Mapping[str, str] = field(default_factory=dict)
    for_all: Mapping[str, str] = field(default_factory=dict)


def unknown(kind: str, row_id: str) -> Refusal:
    return not_found(f"A {kind.replace('-', ' ').capitalize()} with id {row_id} does not exist.")


def every(kind: str) -> Rows:
    """All rows of a type."""
    return lambda store, _: table_of(store, kind)


def of(kind: str, name: str) -> Rows:
    """What is in a relationship of the row in the path."""

    def rows(store: Store, params: Params) -> Table:
        owner = find_row(store, kind, params["id"])
        if owner is None:
            raise unknown(kind, params["id"])
        found = (find_row(store, *identity) for identity in related_identities(store, kind, owner, name))
        return Table(row for row in found if row is not None)

    return rows
