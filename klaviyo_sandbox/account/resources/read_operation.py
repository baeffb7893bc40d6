"""A read operation as data: the type of its rows, where they are found, and how they are shown and filtered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from klaviyo_sandbox.account.relations import find_row, related_identities, table_of
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.errors import Refusal, invalid, not_found
from klaviyo_sandbox.spec.exchange import Params

FindRows = Callable[[Store, Params], Table]
# Row -> the row as it is shown and filtered.
View = Callable[[Store, Row], Row]

# Types that answer 400 for an id that none of them can have, in place of a 404.
_ID_FORMS: Mapping[str, re.Pattern[str]] = {
    "event": re.compile("[0-9A-Za-z]{11}"),
    "flow-action": re.compile("[0-9]{1,18}"),
    "mapped-metric": re.compile(
        "added_to_cart|cancelled_sales|ordered_product|refunded_sales|revenue|started_checkout|viewed_product"
    ),
}


def _unchanged(_: Store, row: Row) -> Row:
    return row


@dataclass(frozen=True)
class ReadOperation:
    """One read operation.

    Attributes:
        kind: the JSON:API type of its resources.
        rows: finds them; refuses with 404 when a parent in the path is unknown. None: the path names one row.
        id_parameter: name of the path part that holds the row's id.
        to_one: the rows are those of a to-one relationship: one or none.
        view: row -> the row as it is shown and filtered.
        aliases: field -> the field that it means (an event's ``timestamp`` is its ``datetime`` in seconds).
        required_filters: fields of which every filter has to name one.
        default_filters: field -> value that it must have when the filter does not name it.
        stored_paths: field of a filter -> path in the row, where it is not the field's name.
        match_all: field of a filter -> the value that every row matches.
    """

    kind: str
    rows: FindRows | None = None
    id_parameter: str = "id"
    to_one: bool = False
    view: View = _unchanged
    aliases: Mapping[str, str] = field(default_factory=dict)
    required_filters: tuple[str, ...] = ()
    default_filters: Mapping[str, Any] = field(default_factory=dict)
    stored_paths: Mapping[str, str] = field(default_factory=dict)
    match_all: Mapping[str, str] = field(default_factory=dict)


def unknown_resource(kind: str, row_id: str) -> Refusal:
    """The 404 for an id that the account does not have, or a 400 for what is no id of the type."""
    form = _ID_FORMS.get(kind)
    if form is not None and not form.fullmatch(row_id):
        return Refusal([invalid(f"'{row_id}' is not a valid id.", "/data/id")])
    return not_found(f"A {kind.replace('-', ' ').capitalize()} with id {row_id} does not exist.")


def all_rows(kind: str) -> FindRows:
    """Finds all rows of a type."""
    return lambda store, _: table_of(store, kind)


def related_rows(kind: str, name: str) -> FindRows:
    """Finds the rows in a relationship of the row that the path names."""

    def find_rows(store: Store, params: Params) -> Table:
        owner = find_row(store, kind, params["id"])
        if owner is None:
            raise unknown_resource(kind, params["id"])
        rows = (find_row(store, *identity) for identity in related_identities(store, kind, owner, name))
        return Table(row for row in rows if row is not None)

    return find_rows
