"""Answers reads: filters, sorts and pages the rows that an entry of ``operations.py`` finds."""

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
from klaviyo_sandbox.reads.operations import read_operation
from klaviyo_sandbox.reads.paging import Order, find_page, parse_cursor
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
    """Refuse parameters that are not declared or have a value outside their enumeration, and required ones missing.

    Raises:
        Refusal: 400 that names the parameter.
    """
    declared = request.operation.parameters
    for name, value in request.query.items():
        if name not in declared or declared[name]["in"] != "query":
            raise invalid_parameter(f"'{name}' is not a valid query parameter for this resource.", name)
        choices = request.operation.choices(name)
        not_allowed = [item for item in split_names(value) if item not in choices] if choices else []
        if not_allowed or (name == "sort" and value not in choices):
            detail = f"'{', '.join(not_allowed) or value}' is not allowed for '{name}'. Allowed: {', '.join(choices)}."
            raise invalid_parameter(detail, name)
    for name, parameter in declared.items():
        if parameter["required"] and parameter["in"] == "query" and name not in request.query:
            raise invalid_parameter(f"'{name}' is required for this resource.", name)


def read(store: Store, request: Request) -> dict[str, Any] | bytes:
    """The document that answers a read, or its JSON.

    Raises:
        Refusal: 400 for a filter, cursor or page size that is not allowed; 404 for what the account does not have.
    """
    operation = read_operation(request.operation)
    if operation.rows is None:
        row_id = request.params[operation.id_parameter]
        row = find_row(store, operation.kind, row_id)
        if row is None:
            raise unknown_resource(operation.kind, row_id)
        return documents(store, request).one(operation.kind, operation.view(store, row), request.path)
    table = operation.rows(store, request.params)
    if operation.to_one:
        return _to_one_document(store, request, operation, table)
    return _collection_document(store, request, operation, table)


def _to_one_document(store: Store, request: Request, operation: ReadOperation, table: Table) -> dict[str, Any]:
    row = next(iter(table.rows.values()), None)
    # Only an identity may be null in the specification, a resource may not.
    if row is None and request.operation.data is not None and request.operation.data.attributes:
        raise not_found(f"There is no {operation.kind} here.")
    shown = None if row is None else operation.view(store, row)
    return documents(store, request).one(operation.kind, shown, request.path)


def _collection_document(
    store: Store, request: Request, operation: ReadOperation, table: Table
) -> dict[str, Any] | bytes:
    query = request.query
    aliases = operation.aliases
    clauses = [_to_stored_terms(clause, aliases) for clause in _filter_clauses(store, request, operation)]
    sort = query.get("sort", "id")
    field = sort.removeprefix("-")
    order = Order(aliases.get(field, field), descending=sort.startswith("-"))
    page = find_page(
        _narrow_to_filtered_profiles(store, operation, table, clauses),
        order,
        clauses,
        lambda row, clause: clause.holds(values_at(row, operation.stored_paths.get(clause.field, clause.field))),
        lambda row: operation.view(store, row),
        parse_cursor(query["page[cursor]"]) if "page[cursor]" in query else None,
        _page_size(request),
    )
    has_cursor = "page[cursor]" in request.operation.parameters
    before, after = (page.before, page.after) if has_cursor else (None, None)
    builder = documents(store, request)
    if store.page_renderer is not None and store.page_renderer.can_render(builder, page.rows):
        return store.page_renderer.page(builder, operation.kind, page.rows, request.path, before, after)
    return builder.many(operation.kind, page.rows, request.path, before, after)


def _narrow_to_filtered_profiles(
    store: Store, operation: ReadOperation, table: Table, clauses: Sequence[Clause]
) -> Table:
    """The rows of the profiles that the filter names by id or identifier, so that no other profile is looked at.

    The whole table for other resources, and when the filter names no profile.
    """
    if operation.kind != "profile":
        return table
    for clause in clauses:
        is_id = clause.field in ("id", "profile_id")
        is_indexed = is_id or (clause.field in IDENTIFIERS and store.profiles.is_indexed(clause.field))
        if is_indexed and clause.operator in ("equals", "any"):
            values = clause.value if isinstance(clause.value, tuple) else (clause.value,)
            row_ids = values if is_id else store.profiles.ids_with(clause.field, values)
            return Table(table.rows[row_id] for row_id in dict.fromkeys(row_ids) if row_id in table)
    return table


def _filter_clauses(store: Store, request: Request, operation: ReadOperation) -> list[Clause]:
    """The clauses of the request's filter, and those that hold by default."""
    text = request.query.get("filter")
    clauses = [] if text is None else list(parse(text, request.operation.filters, store.now()))
    fields = {clause.field for clause in clauses}
    if operation.required_filters and fields.isdisjoint(operation.required_filters):
        required = " or ".join(f"'{name}'" for name in operation.required_filters)
        raise invalid_parameter(f"A filter on {required} is required for this resource.", "filter")
    defaults = [
        Clause("equals", field, value) for field, value in operation.default_filters.items() if field not in fields
    ]
    return [clause for clause in clauses if (clause.field, clause.value) not in operation.match_all.items()] + defaults


def _to_stored_terms(clause: Clause, aliases: Mapping[str, str]) -> Clause:
    """The clause with its field and value as rows store them."""
    if clause.field == "email":
        # Addresses are stored in lower case, and found in whatever case they are asked for.
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
