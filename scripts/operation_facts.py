"""What the client and the sandbox each need to know of one operation of the vendor's document."""

from __future__ import annotations

from typing import Any

import openapi
from prose_facts import query_facts, query_filters, request_limits

# The operation ids of all queries, which read by POST, begin with this.
QUERY = "query_"
SHAPE_KEYWORDS = (
    *("type", "format", "nullable", "enum", "items", "properties", "required", "additionalProperties"),
    *("oneOf", "anyOf", "allOf", "$ref", "discriminator", "default"),
    *("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"),
)


def client_facts(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """What the client needs to know of one operation."""
    parameters = _parameters(operation)
    facts = _facts_of_both(path, method, operation)
    if size := parameters.get("page[size]"):
        facts["page_size"] = {key: size["schema"][key] for key in ("minimum", "default", "maximum")}
    facts["paged"] = "page[cursor]" in parameters
    if filters := operation.get("x-klaviyo-filters"):
        facts["filters"] = {field: rule["operators"] for field, rule in filters.items()}
        if values := {
            field: rule["value"]["enum"] for field, rule in filters.items() if "enum" in rule.get("value", {})
        }:
            facts["filter_values"] = values
    for key in ("sort", "include"):
        if key in parameters:
            facts[key] = openapi.choices(parameters[key]["schema"])
    for key in ("fields", "additional-fields"):
        if fields := _fields_by_type(parameters, key):
            facts[key.replace("-", "_")] = fields
    facts.update(request_limits(spec, operation))
    if method != "get" and is_read(method, operation):
        facts["reads"] = True
        if operation["operationId"].startswith(QUERY):
            facts["query"] = query_facts(spec, operation)
    return facts


def sandbox_facts(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """What the sandbox needs to know of one operation."""
    facts: dict[str, Any] = {
        **_facts_of_both(path, method, operation),
        "filters": operation.get("x-klaviyo-filters", {}),
        "parameters": {
            name: {"in": p["in"], "required": bool(p.get("required")), "schema": shape(p["schema"])}
            for name, p in _parameters(operation).items()
        },
        "responses": {
            status: None if schema is None else shape(schema)
            for status, schema in openapi.responses(spec, operation).items()
        },
    }
    if "requestBody" in operation:
        schema = openapi.body_schema(operation["requestBody"])
        facts["body"] = None if schema is None else shape(schema)
    if operation["operationId"].startswith(QUERY):
        facts["query"] = {**query_facts(spec, operation), "filters": query_filters(spec, operation)}
    facts.update(request_limits(spec, operation))
    return facts


def is_read(method: str, operation: dict[str, Any]) -> bool:
    """Whether it changes nothing: a GET, or an operation with a body that needs permissions to read only."""
    scopes = operation.get("x-klaviyo-scopes", [])
    return method == "get" or (bool(scopes) and all(scope.endswith(":read") for scope in scopes))


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without prose and examples; its references point into ``#/schemas``."""
    kept: dict[str, Any] = {}
    for key in SHAPE_KEYWORDS:
        if key not in schema:
            continue
        value = schema[key]
        if key == "$ref":
            value = value.replace("#/components/schemas/", "#/schemas/")
        elif key == "properties":
            value = {name: shape(child) for name, child in value.items()}
        elif key in ("oneOf", "anyOf", "allOf"):
            value = [shape(child) for child in value]
        elif isinstance(value, dict) and key in ("items", "additionalProperties"):
            value = shape(value)
        kept[key] = value
    return kept


def _facts_of_both(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Method, path, scopes, and how many requests are allowed in a second (burst), minute (steady) and day (daily)."""
    limits = {name: int(rate.partition("/")[0]) for name, rate in operation["x-klaviyo-ratelimit"].items()}
    return {"method": method.upper(), "path": path, **limits, "scopes": operation.get("x-klaviyo-scopes", [])}


def _parameters(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation.get("parameters", [])}


def _fields_by_type(parameters: dict[str, dict[str, Any]], prefix: str) -> dict[str, list[str]]:
    """The values of ``fields[profile]`` and its like, as {resource type: names}."""
    return {
        name[len(prefix) + 1 : -1]: openapi.choices(parameter["schema"])
        for name, parameter in parameters.items()
        if name.startswith(f"{prefix}[")
    }
