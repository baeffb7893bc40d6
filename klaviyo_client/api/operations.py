"""Operations of Klaviyo's API: what the specification says of each. ``operations.json`` is generated, never edited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class ReducedLimit:
    """Stricter rate limits, which a request has when one query parameter names a value."""

    parameter: str
    value: str
    burst: int
    steady: int


@dataclass(frozen=True)
class QueryBody:
    """The body of an operation that reads by POST.

    Attributes:
        type: the JSON:API type of the body's resource, and of the answer's.
        required: attributes that must be there.
        values: attribute -> the values that it, or each of its items, may have.
        paged_in_body: whether the cursor of the next page goes into the body.
        max_years: how long a time frame may be, None where the specification names no bound.
        max_days: interval -> how many days a time frame may have that is reported by it.
        default_group_by: what Klaviyo groups by when a request names nothing.
        required_group_by: what must always be among the names.
        group_by_requires: name to group by -> another one that it requires.
        timeframes: names of time frames, such as ``last_30_days``.
    """

    type: str
    required: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    paged_in_body: bool
    max_years: int | None = None
    max_days: Mapping[str, int] = field(default_factory=dict)
    default_group_by: tuple[str, ...] = ()
    required_group_by: tuple[str, ...] = ()
    group_by_requires: Mapping[str, str] = field(default_factory=dict)
    timeframes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One operation of Klaviyo's API.

    Attributes:
        id: Klaviyo's operation id; ``id@revision`` where another revision has one of that id, too, that we use.
        revision: the API revision that it is asked for in, whose facts these are.
        burst: requests per second that an account may make.
        steady: requests per minute.
        daily: requests per day, where the specification names a limit.
        scopes: those that the key must have.
        page_size: the largest ``page[size]``, if the operation takes one.
        filters: field -> form (``single``, ``list``, ``none``) -> operators.
        filter_values: field -> the values that a filter may name, where the specification lists them.
        fields: resource type -> names that ``fields[type]`` takes.
        max_items, max_bytes, max_item_bytes: bounds of one request, in items and bytes.
        reads: whether it changes nothing, so that it may be repeated at any time.
        query: what its body holds, where it reads by POST.
    """

    id: str
    revision: str
    method: str
    path: str
    burst: int
    steady: int
    daily: int | None = None
    scopes: tuple[str, ...] = ()
    page_size: int | None = None
    paged: bool = False
    filters: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    filter_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sort: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    additional_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    max_items: int | None = None
    max_bytes: int | None = None
    max_item_bytes: int | None = None
    reduced: tuple[ReducedLimit, ...] = ()
    reads: bool = False
    query: QueryBody | None = None

    @property
    def endpoint(self) -> str:
        """The id without a revision: Klaviyo limits the requests of an endpoint, in whichever revision they ask."""
        return self.id.partition("@")[0]

    def operators(self, name: str) -> frozenset[str]:
        """Operators that the field can be filtered with; empty when it cannot."""
        return frozenset(op for form in self.filters.get(name, {}).values() for op in form)

    def rates(self, query: Mapping[str, str]) -> tuple[int, int]:
        """(burst, steady) for a request with this query: the strictest that applies."""
        rates = [(self.burst, self.steady)]
        rates += [
            (limit.burst, limit.steady)
            for limit in self.reduced
            if limit.value in map(str.strip, query.get(limit.parameter, "").split(","))
        ]
        return min(burst for burst, _ in rates), min(steady for _, steady in rates)

    def is_reduced(self, query: Mapping[str, str]) -> bool:
        """Whether a request with this query has stricter limits than others of the operation."""
        return self.rates(query) != (self.burst, self.steady)


def has_shared_limit(query: Mapping[str, str]) -> bool:
    """Whether a request counts for the limit that all requests with ``include`` or ``additional-fields`` share.

    Klaviyo does not say how much that is.
    """
    return any(name == "include" or name.startswith("additional-fields[") for name, value in query.items() if value)


def _operation(name: str, facts: Mapping[str, Any]) -> Operation:
    page_size = facts.get("page_size")
    return Operation(
        id=name,
        revision=facts.get("revision") or default_revision(),
        method=facts["method"],
        path=facts["path"],
        burst=facts["burst"],
        steady=facts["steady"],
        daily=facts.get("daily"),
        scopes=tuple(facts["scopes"]),
        page_size=page_size["maximum"] if page_size else None,
        paged=facts["paged"],
        filters=facts.get("filters", {}),
        filter_values={name: tuple(values) for name, values in facts.get("filter_values", {}).items()},
        sort=tuple(facts.get("sort", ())),
        include=tuple(facts.get("include", ())),
        fields={kind: frozenset(names) for kind, names in facts.get("fields", {}).items()},
        additional_fields={kind: frozenset(names) for kind, names in facts.get("additional_fields", {}).items()},
        max_items=facts.get("max_items"),
        max_bytes=facts.get("max_bytes"),
        max_item_bytes=facts.get("max_item_bytes"),
        reduced=tuple(ReducedLimit(**limit) for limit in facts.get("reduced", ())),
        reads=facts["method"] == "GET" or facts.get("reads", False),
        query=_query(facts["query"]) if "query" in facts else None,
    )


def _query(facts: Mapping[str, Any]) -> QueryBody:
    return QueryBody(
        type=facts["type"],
        required=tuple(facts["required"]),
        values={name: tuple(values) for name, values in facts["values"].items()},
        paged_in_body=facts["paged_in_body"],
        max_years=facts.get("max_years"),
        max_days=facts.get("max_days", {}),
        default_group_by=tuple(facts.get("default_group_by", ())),
        required_group_by=tuple(facts.get("required_group_by", ())),
        group_by_requires=facts.get("group_by_requires", {}),
        timeframes=tuple(facts.get("timeframes", ())),
    )


@cache
def _document() -> Mapping[str, Any]:
    text = resources.files("klaviyo_client.api").joinpath("operations.json").read_text("utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return document


def default_revision() -> str:
    """The API revision of every operation that names none, such as ``2026-07-15``."""
    return str(_document()["revision"])


@cache
def operation(name: str) -> Operation:
    """The operation with this id, or ``id@revision``.

    Raises:
        KeyError: the specification has no such operation.
    """
    return _operation(name, _document()["operations"][name])
