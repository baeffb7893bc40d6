"""What bodies and resources hold by an OpenAPI document: the names at which a value may stand, and its type. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import openapi

# JSON type, whether it must be there, the values that it may have.
Member = tuple[str, bool, frozenset[str]]
# By path: ``definition.content.subject``, ``triggers[].id``.
Members = dict[str, Member]


def body_members(document: Mapping[str, Any], facts: Mapping[str, Any]) -> Members:
    """The members of a request's body, without the frame of JSON:API around attributes."""
    schema = facts.get("body")
    found = dict(_members(schema, document["components"]["schemas"])) if schema else {}
    return {name.replace("data.attributes.", ""): member for name, member in found.items()}


def answer_members(document: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Members]:
    """Resource type -> the members of its attributes, in what a success brings."""
    schemas = document["components"]["schemas"]
    kinds: dict[str, Members] = {}
    for status, schema in facts["responses"].items():
        if not status.startswith("2") or schema is None:
            continue
        for resource in _resources(schema, schemas):
            attributes = resource["properties"].get("attributes")
            names = openapi.choices(_resolved(resource["properties"].get("type", {}), schemas))
            if attributes is not None and names:
                kinds.setdefault(names[0], {}).update(_members(attributes, schemas))
    return kinds


def _resources(schema: Mapping[str, Any], schemas: openapi.Schemas) -> Iterator[dict[str, Any]]:
    """The schemas of the resources in a document: those of ``data``, and those of ``included``."""
    top = _resolved(schema, schemas).get("properties", {})
    for name in ("data", "included"):
        waiting = [top[name]] if name in top else []
        while waiting:
            one = _resolved(waiting.pop(), schemas)
            waiting += [one["items"]] if "items" in one else [*_alternatives(one)]
            if "properties" in one:
                yield one


def _members(
    schema: Mapping[str, Any], schemas: openapi.Schemas, seen: tuple[str, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """(path, member) of what an object may hold, alternatives together; what holds itself is not followed again."""
    if "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen = (*seen, schema["$ref"])
    schema = _resolved(schema, schemas)
    for alternative in _alternatives(schema):
        yield from _members(alternative, schemas, seen)
    if "items" in schema:
        for name, member in _members(schema["items"], schemas, seen):
            yield f"[].{name}", member
    for name, value in schema.get("properties", {}).items():
        resolved = _resolved(value, schemas)
        enum = frozenset(map(str, openapi.choices(resolved)))
        yield name, (_type_of(resolved), name in schema.get("required", ()), enum)
        for inner, member in _members(value, schemas, seen):
            yield f"{name}{inner}" if inner.startswith("[") else f"{name}.{inner}", member


def _resolved(schema: Mapping[str, Any], schemas: openapi.Schemas) -> dict[str, Any]:
    return openapi.resolve(dict(schema), schemas)


def _alternatives(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for key in ("oneOf", "anyOf", "allOf") for one in schema.get(key, ())]


def _type_of(schema: Mapping[str, Any]) -> str:
    if kind := schema.get("type"):
        return f"{kind} ({schema['format']})" if "format" in schema else str(kind)
    return "one of several" if _alternatives(schema) else "anything"
