"""Bodies of writes that hold every declared member, and the same with one fault each. Made from the committed facts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from support.conformance import raw_facts
from support.scripts import script

openapi = script("openapi")
_FACTS = raw_facts()
Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

UNKNOWN = "no/such~thing"
# Members, by name, that must be a text of some form.
_TEXTS = {
    "email": "full@example.com",
    "phone_number": "+12025550142",
    "time": "2026-01-31T12:00:00Z",
    "consented_at": "2025-01-31T12:00:00Z",
    "age_gated_date_of_birth": "1990-01-31",
    "start": "2026-01-05T00:00:00+00:00",
    "end": "2026-01-09T23:59:59+00:00",
    "timezone": "Europe/Berlin",
    "value_currency": "EUR",
    "expires_at": "2030-01-31T12:00:00Z",
}
_WRONG_VALUES = {"object": "text", "array": {}, "string": 5, "boolean": "text", "number": "text", "integer": "text"}


# What the vendor's prose asks of queries, whose attributes are texts and lists to the specification.
_TIMES = ["greater-or-equal(datetime,2026-01-05T00:00:00)", "less-than(datetime,2026-01-09T00:00:00)"]
_REQUIRED_BY_PROSE: Mapping[str, Mapping[str, Any]] = {
    "query_campaign_values": {
        "group_by": ["campaign_id", "campaign_message_id"],
        "filter": 'equals(send_channel,"email")',
    },
    "query_form_values": {"filter": 'equals(form_id,"one")'},
    "query_segment_values": {"filter": 'any(segment_id,["one","two"])'},
    "query_metric_aggregates": {"filter": _TIMES, "page_size": 500, "return_fields": ["count"]},
    "query_flow_values": {
        "group_by": ["flow_id", "flow_message_id"],
        "filter": 'contains-any(send_channel,["email","sms"])',
    },
}


# Members that a request may not have together with others that the specification declares as well.
_EXCLUDED: Mapping[str, tuple[Path, ...]] = {
    "bulk_suppress_profiles": (("data", "relationships"),),
    "bulk_unsuppress_profiles": (("data", "relationships"),),
    # A cursor is given by the account, and stands for none of the others.
    "query_metric_aggregates": (("data", "attributes", "page_cursor"),),
    "request_profile_deletion": (
        ("data", "attributes", "profile", "data", "id"),
        ("data", "attributes", "profile", "data", "attributes", "phone_number"),
    ),
}


@dataclass(frozen=True)
class Place:
    """A value inside a body, the schema that it follows, and whether it may be null or missing."""

    path: Path
    schema: Schema
    nullable: bool
    optional: bool

    @property
    def pointer(self) -> str:
        return pointer(self.path)


def pointer(path: Path) -> str:
    """The JSON Pointer to a place; the document itself is called ``/data`` in errors."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path) or "/data"


def full_body(operation: str) -> Any:
    """Every declared member at every depth, one item in each array."""
    return _example(_FACTS["operations"][operation]["body"], "")


def faulty_bodies(operation: str) -> Iterator[tuple[Any, str]]:
    """The full body with one fault, and the pointer to it: a member unknown, missing, null, or of a wrong type."""
    body = full_body(operation)
    for place in _places(_FACTS["operations"][operation]["body"], ()):
        for name in place.schema.get("required", ()):
            yield _without(body, (*place.path, name)), pointer((*place.path, name))
        if "properties" in place.schema:
            yield _with(body, (*place.path, UNKNOWN), "x"), pointer((*place.path, UNKNOWN))
        yield _with(body, place.path, _value_of_wrong_type(place.schema)), place.pointer
        if "enum" in place.schema:
            yield _with(body, place.path, UNKNOWN), place.pointer
        if not place.nullable:
            yield _with(body, place.path, None), place.pointer


def _example(schema: Schema, name: str) -> Any:
    schema = openapi.resolve(schema, _FACTS["schemas"])
    if "oneOf" in schema:
        return _example(schema["oneOf"][-1], name)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {member: _example(child, member) for member, child in schema["properties"].items()}
    kind = schema.get("type", "object")
    if kind == "array":
        return [_example(schema["items"], name)]
    # The values of a free object are those of a patch of addresses, which takes nothing else.
    return {
        "object": {"email": "other@example.com"},
        "string": _TEXTS.get(name, "text"),
        "boolean": True,
        "integer": 500,
    }.get(kind, 1.5)


def _places(schema: Schema, path: Path, *, optional: bool = False) -> Iterator[Place]:
    resolved = openapi.resolve(schema, _FACTS["schemas"])
    yield Place(path, resolved, bool(schema.get("nullable") or resolved.get("nullable")), optional)
    for name, child in resolved.get("properties", {}).items():
        yield from _places(child, (*path, name), optional=name not in resolved.get("required", ()))
    if "items" in resolved:
        yield from _places(resolved["items"], (*path, 0))


def _value_of_wrong_type(schema: Schema) -> Any:
    # What has several forms is never an object here.
    return {} if "oneOf" in schema else _WRONG_VALUES[schema.get("type", "object")]


def _with(body: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    _holder(changed, path)[path[-1]] = value
    return changed


def _without(body: Any, path: Path) -> Any:
    changed = copy.deepcopy(body)
    del _holder(changed, path)[path[-1]]
    return changed


def _holder(body: Any, path: Path) -> Any:
    for part in path[:-1]:
        body = body[part]
    return body


def acceptable_body(operation: str, ids: Mapping[str, str]) -> Any:
    """The full body without what excludes each other, with ids that the account knows, by resource type."""
    body = full_body(operation)
    for path in _EXCLUDED.get(operation, ()):
        body = _without(body, path)
    for name, value in _REQUIRED_BY_PROSE.get(operation.replace("_series", "_values"), {}).items():
        body = _with(body, ("data", "attributes", name), value)
    return _with_known_ids(body, ids)


def acceptable_variants(operation: str, ids: Mapping[str, str]) -> Iterator[tuple[Any, str]]:
    """The acceptable body with one optional member left out, or one nullable member null, and the pointer to it."""
    body = acceptable_body(operation, ids)
    for place in _places(_FACTS["operations"][operation]["body"], ()):
        if place.path and _is_in(body, place.path):
            if place.nullable:
                yield _with(body, place.path, None), place.pointer
            if place.optional:
                yield _without(body, place.path), place.pointer


def _with_known_ids(node: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_with_known_ids(item, ids) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {name: _with_known_ids(value, ids) for name, value in node.items()}
    changed |= {name: ids["metric"] for name in ("metric_id", "conversion_metric_id") if name in node}
    return {**changed, "id": ids[node["type"]]} if "id" in node else changed


def _is_in(body: Any, path: Path) -> bool:
    try:
        _holder(body, path)[path[-1]]
    except (KeyError, IndexError):
        return False
    return True
