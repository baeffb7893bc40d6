"""Answers reads: filters, sorts and pages the rows that ``reads.py`` names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from klaviyo_sandbox.account.relations import find_row, related_identities
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, unknown_resource
from klaviyo_sandbox.account.rows import IDENTIFIERS, values_at
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.reads.operations import READS
from klaviyo_sandbox.reads.paging import Order, page, read_cursor
from klaviyo_sandbox.spec.documents import Documents, split_names
from klaviyo_sandbox.spec.errors import invalid_parameter, not_found
from klaviyo_sandbox.spec.exchange import Request
from klaviyo_sandbox.spec.filters import Clause, parse
from klaviyo_sandbox.spec.times import format_datetime

# The specification declares no page[size] for metrics; the prose says 200.
DEFAULT_PAGE = 200


def documents(store: Store, request: Request) -> Documents:
    """The builder of the answer to a request."""
    return Documents(
        request.operation,
        request.base,
        request.query,
        lambda kind, row, name: related_identities(store, kind, row, name),
        lambda kind, row_id: find_row(store, kind, row_id),
    )


def check_query(request: Request) -> None:
    """Refuse parameters that the operation does not declare, values outside their enumerations, and what is missing.

    Raises:
        Refusal: 400 that names the parameter.
    """
    declared = request.operation.parameters
    for name, value in request.query.items():
        if name not in declared or declared[name]["in"] != "query":
            raise invalid_parameter(f"'{name}' is not a valid query parameter for this resource.", name)
        choices = request.operation.choices(name)
        wrong = [item for item in split_names(value) if item not in choices] if choices else []
        if wrong or (name == "sort" and value not in choices):
            detail = f"'{', '.join(wrong) or value}' is not allowed for '{name}'. Allowed: {', '.join(choices)}."
            raise invalid_parameter(detail, name)
    for name, parameter in declared.items():
        if parameter["required"] and parameter["in"] == "query" and name not in request.query:
            raise invalid_parameter(f"'{name}' is required for this resource.", name)


def read(store: Store, request: Request) -> dict[str, Any] | bytes:
    """The document that answers a read, or its JSON.

    Raises:
        Refusal: 400 for a filter, cursor or page size that is not allowed; 404 for what is not there.
    """
    spec = READS[request.operation.id]
    if spec.rows is None:
        row_id = request.params[spec.id_parameter]
        row = find_row(store, spec.kind, row_id)
        if row is None:
            raise unknown_resource(spec.kind, row_id)
        return documents(store, request).one(spec.kind, spec.view(store, row), request.path)
    table = spec.rows(store, request.params)
    return _related_one(store, request, spec, table) if spec.to_one else _collection(store, request, spec, table)


def _related_one(store: Store, request: Request, spec: ReadOperation, table: Table) -> dict[str, Any]:
    row = next(iter(table.rows.values()), None)
    # Only an identity may be null in the specification, a resource may not.
    if row is None and request.operation.data is not None and request.operation.data.attributes:
        raise not_found(f"There is no {spec.kind} here.")
    return documents(store, request).one(spec.kind, row, request.path)


def _collection(store: Store, request: Request, spec: ReadOperation, table: Table) -> dict[str, Any] | bytes:
    query = request.query
    aliases = spec.aliases
    clauses = [_in_stored_terms(clause, aliases) for clause in _clauses(store, request, spec)]
    sort = query.get("sort", "id")
    field = sort.removeprefix("-")
    order = Order(aliases.get(field, field), descending=sort.startswith("-"))
    found = page(
        _narrowed(store, spec, table, clauses),
        order,
        clauses,
        lambda row, clause: clause.holds(values_at(row, spec.stored_paths.get(clause.field, clause.field))),
        lambda row: spec.view(store, row),
        read_cursor(query["page[cursor]"]) if "page[cursor]" in query else None,
        _page_size(request),
    )
    paged = "page[cursor]" in request.operation.parameters
    before, after = (found.before, found.after) if paged else (None, None)
    made = documents(store, request)
    if store.page_renderer is not None and store.page_renderer.can_render(made, found.rows):
        return store.page_renderer.page(made, spec.kind, found.rows, request.path, before, after)
    return made.many(spec.kind, found.rows, request.path, before, after)


def _narrowed(store: Store, spec: ReadOperation, table: Table, clauses: Sequence[Clause]) -> Table:
    """The rows that can be meant, where the filter says which people: the account is not looked through for them."""
    if spec.kind != "profile":
        return table
    for clause in clauses:
        findable = clause.field == "id" or (clause.field in IDENTIFIERS and store.profiles.is_indexed(clause.field))
        if findable and clause.operator in ("equals", "any"):
            values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
            named = values if clause.field == "id" else store.profiles.ids_with(clause.field, values)
            return Table(table.rows[row_id] for row_id in dict.fromkeys(named) if row_id in table)
    return table


def _clauses(store: Store, request: Request, spec: ReadOperation) -> list[Clause]:
    text = request.query.get("filter")
    clauses = [] if text is None else list(parse(text, request.operation.filters, store.now()))
    named = {clause.field for clause in clauses}
    if spec.required_filters and named.isdisjoint(spec.required_filters):
        fields = " or ".join(f"'{name}'" for name in spec.required_filters)
        raise invalid_parameter(f"A filter on {fields} is required for this resource.", "filter")
    silent = [Clause("equals", name, value) for name, value in spec.default_filters.items() if name not in named]
    return [clause for clause in clauses if (clause.field, clause.value) not in spec.match_all.items()] + silent


def _in_stored_terms(clause: Clause, aliases: Mapping[str, str]) -> Clause:
    if clause.field == "email":
        # Addresses are kept in small letters, and found in whatever letters they are asked for.
        lowered = tuple(map(str.lower, clause.value)) if isinstance(clause.value, tuple) else clause.value.lower()
        return replace(clause, value=lowered)
    if clause.field not in aliases:
        return clause
    when = format_datetime(datetime.fromtimestamp(clause.value, UTC))
    return replace(clause, field=aliases[clause.field], value=when)


def _page_size(request: Request) -> int:
    bounds = request.operation.page_size
    if bounds is None:
        return DEFAULT_PAGE
    text = request.query.get("page[size]")
    if text is None:
        return bounds.default
    if not (re.fullmatch(r"[0-9]{1,6}", text) and bounds.minimum <= int(text) <= bounds.maximum):
        detail = f"Page size must be an integer between {bounds.minimum} and {bounds.maximum}."
        raise invalid_parameter(detail, "page_size")
    return int(text)
