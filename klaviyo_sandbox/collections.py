"""What each read operation serves: which rows, how they look, how they are filtered and sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from klaviyo_sandbox import jobs
from klaviyo_sandbox.documents import Documents, Identity, split
from klaviyo_sandbox.errors import invalid_parameter, not_found
from klaviyo_sandbox.facts import Operation
from klaviyo_sandbox.filters import Clause, moment, parse
from klaviyo_sandbox.paging import Order, page, read_cursor
from klaviyo_sandbox.store import Row, Store, Table, values_at

# The specification declares no page[size] for metrics; the prose says 200.
DEFAULT_PAGE = 200

Params = Mapping[str, str]


def _as_it_is(_: Store, row: Row) -> Row:
    return row


@dataclass(frozen=True)
class Read:
    """One read operation.

    Attributes:
        kind: the JSON:API type of its resources.
        table: where the rows are; refuses with 404 when a parent in the path is unknown.
        id_parameter: name of the path part that picks one row; None for collections.
        view: the row as it is shown and filtered.
        same_as: fields that mean another one (an event's ``timestamp`` is its ``datetime`` in seconds).
    """

    kind: str
    table: Callable[[Store, Params], Table]
    id_parameter: str | None = None
    view: Callable[[Store, Row], Row] = _as_it_is
    same_as: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Request:
    """A request that has passed the checks that all operations share.

    Attributes:
        base: origin for links, such as ``http://127.0.0.1:8765``.
        path: as it was asked for.
        params: the parts of the path.
        query: the query parameters.
        body: the decoded body of a write, None for reads; ``body_bytes`` is its length.
    """

    operation: Operation
    base: str
    path: str
    params: Params
    query: Mapping[str, str]
    body: Any = None
    body_bytes: int = 0


def _members(groups: Callable[[Store], Mapping[str, Table]], word: str) -> Callable[[Store, Params], Table]:
    def table(store: Store, params: Params) -> Table:
        found = groups(store).get(params["id"])
        if found is None:
            raise not_found(f"{word} {params['id']} does not exist.")
        return found

    return table


def _member(store: Store, row: Row) -> Row:
    profile = store.profiles.rows[row["id"]]
    return {**profile, "profile_id": row["id"], "joined_group_at": row["joined_group_at"]}


def _counted_list(store: Store, row: Row) -> Row:
    return {**row, "profile_count": len(store.list_members[row["id"]])}


def _counted_segment(store: Store, row: Row) -> Row:
    return {**row, "profile_count": len(store.segment_members[row["id"]])}


_list_members = _members(lambda store: store.list_members, "List")
_segment_members = _members(lambda store: store.segment_members, "Segment")
_BY_TIME = {"timestamp": "datetime"}

READS: Mapping[str, Read] = {
    "get_accounts": Read("account", lambda store, _: store.accounts),
    "get_profiles": Read("profile", lambda store, _: store.profiles),
    "get_profile": Read("profile", lambda store, _: store.profiles, "id"),
    "get_lists": Read("list", lambda store, _: store.lists),
    "get_list": Read("list", lambda store, _: store.lists, "id", view=_counted_list),
    "get_profiles_for_list": Read("profile", _list_members, view=_member),
    "get_profile_ids_for_list": Read("profile", _list_members, view=_member),
    "get_segments": Read("segment", lambda store, _: store.segments),
    "get_segment": Read("segment", lambda store, _: store.segments, "id", view=_counted_segment),
    "get_profiles_for_segment": Read("profile", _segment_members, view=_member),
    "get_profile_ids_for_segment": Read("profile", _segment_members, view=_member),
    "get_metrics": Read("metric", lambda store, _: store.metrics),
    "get_metric": Read("metric", lambda store, _: store.metrics, "id"),
    "get_events": Read("event", lambda store, _: store.events, same_as=_BY_TIME),
    "get_event": Read("event", lambda store, _: store.events, "id"),
    "get_bulk_import_profiles_jobs": Read(jobs.KIND, lambda store, _: store.jobs, view=jobs.view),
    "get_bulk_import_profiles_job": Read(jobs.KIND, lambda store, _: store.jobs, "job_id", view=jobs.view),
    "get_errors_for_bulk_import_profiles_job": Read("import-error", jobs.errors_of),
}


def related(store: Store, kind: str, row: Row, name: str) -> Sequence[Identity]:
    """Identities on the other side of a relationship. What the account does not hold is an empty one."""
    if (kind, name) == ("profile", "lists"):
        return [("list", group_id) for group_id in store.groups_of("list", row["id"])]
    if (kind, name) == ("profile", "segments"):
        return [("segment", group_id) for group_id in store.groups_of("segment", row["id"])]
    if (kind, name) in (("event", "profile"), ("event", "metric")):
        return [(name, row[f"{name}_id"])]
    if (kind, name) == ("event", "attributions"):
        return [("attribution", found["id"]) for found in store.attributions.get(row["id"], ())]
    if kind == "attribution":
        return [row[name]] if name in row else []
    if (kind, name) == (jobs.KIND, "lists"):
        return [("list", list_id) for list_id in row["list_ids"]]
    return []


def find(store: Store, kind: str, row_id: str) -> Row | None:
    """The row of an included resource."""
    if kind == "attribution":
        event_id = row_id.partition(":")[0]
        return next((row for row in store.attributions.get(event_id, ()) if row["id"] == row_id), None)
    tables = {"profile": store.profiles, "list": store.lists, "segment": store.segments, "metric": store.metrics}
    return tables[kind].get(row_id) if kind in tables else None


def documents(store: Store, request: Request) -> Documents:
    """The builder of the answer to a request."""
    return Documents(
        request.operation,
        request.base,
        request.query,
        lambda kind, row, name: related(store, kind, row, name),
        lambda kind, row_id: find(store, kind, row_id),
    )


def check_query(request: Request) -> None:
    """Refuse parameters that the operation does not declare, and values outside their enumerations.

    Raises:
        Refusal: 400 that names the parameter.
    """
    declared = request.operation.parameters
    for name, value in request.query.items():
        if name not in declared or declared[name]["in"] != "query":
            raise invalid_parameter(f"'{name}' is not a valid query parameter for this resource.", name)
        choices = request.operation.choices(name)
        wrong = [item for item in split(value) if item not in choices] if choices else []
        if wrong or (name == "sort" and value not in choices):
            detail = f"'{', '.join(wrong) or value}' is not allowed for '{name}'. Allowed: {', '.join(choices)}."
            raise invalid_parameter(detail, name)


def read(store: Store, request: Request) -> dict[str, Any]:
    """The document that answers a read.

    Raises:
        Refusal: 400 for a filter, cursor or page size that is not allowed; 404 for what is not there.
    """
    spec = READS[request.operation.id]
    table = spec.table(store, request.params)
    builder = documents(store, request)
    if spec.id_parameter is None:
        return _collection(store, request, spec, table, builder)
    row = table.get(request.params[spec.id_parameter])
    if row is None:
        word = spec.kind.replace("-", " ").capitalize()
        raise not_found(f"A {word} with id {request.params[spec.id_parameter]} does not exist.")
    return builder.one(spec.kind, spec.view(store, row), request.path)


def _collection(store: Store, request: Request, spec: Read, table: Table, builder: Documents) -> dict[str, Any]:
    query = request.query
    same_as = spec.same_as or {}
    clauses = [_in_stored_terms(clause, same_as) for clause in _clauses(store, request)]
    sort = query.get("sort", "id")
    field = sort.removeprefix("-")
    order = Order(same_as.get(field, field), descending=sort.startswith("-"))
    found = page(
        table,
        order,
        clauses,
        lambda row, clause: clause.holds(values_at(row, _stored_field(clause.field))),
        lambda row: spec.view(store, row),
        read_cursor(query["page[cursor]"]) if "page[cursor]" in query else None,
        _page_size(request),
    )
    paged = "page[cursor]" in request.operation.parameters
    before, after = (found.before, found.after) if paged else (None, None)
    return builder.many(spec.kind, found.rows, request.path, before, after)


def _clauses(store: Store, request: Request) -> tuple[Clause, ...]:
    text = request.query.get("filter")
    return () if text is None else parse(text, request.operation.filters, store.now())


def _in_stored_terms(clause: Clause, same_as: Mapping[str, str]) -> Clause:
    if clause.field == "email":
        # Addresses are kept in small letters, and found in whatever letters they are asked for.
        lowered = tuple(map(str.lower, clause.value)) if isinstance(clause.value, tuple) else clause.value.lower()
        return replace(clause, value=lowered)
    if clause.field not in same_as:
        return clause
    when = moment(datetime.fromtimestamp(clause.value, UTC))
    return replace(clause, field=same_as[clause.field], value=when)


def _stored_field(field: str) -> str:
    """Events hold the ids of their profile and metric; ``has(profile)`` asks for the resource itself."""
    return {"profile": "profile_id", "metric": "metric_id"}.get(field, field)


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
