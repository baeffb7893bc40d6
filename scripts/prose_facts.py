"""Facts that the vendor's document states in prose only: limits of requests, and what a query's body may hold.

A query is an operation that reads by POST.
"""

from __future__ import annotations

import json
import re
from typing import Any

import openapi

UNITS = {"KB": 1_000, "MB": 1_000_000}

# Limits of requests: each stands in one of these sentences.
MAX_ITEMS = (
    r"[Aa]ccepts (?:up to|a maximum of) `?([\d,]+)`? (?!jobs)",
    r"Max(?:imum)? number of (?:profiles|coupon codes)[^.:]*?(?:: ?|is )([\d,]+)",
    r"Email address per request limit: ([\d,]+)",
)
MAX_BYTES = r"maximum allowed payload size is (\d+)(KB|MB)"
# The body's own prose says it where the operation's does not.
MAX_EVENT_BYTES = r"size of the event payload must not exceed (\d+) (KB|MB)"
MAX_ITEM_BYTES = r"maximum allowed payload size per-\w+ is (\d+)(KB|MB)"
REDUCED = r"Rate limits when using the `([^`=]+)=([^`]+)` parameter[^:]*:<br>Burst: `(\d+)/s`<br>Steady: `(\d+)/m`"

# What the descriptions of a query's attributes state; a span of weeks becomes days.
MAX_YEARS = r"Max length: (\d+) year"
MAX_SPAN = r"If (\w+) is used, the timeframe cannot be longer than (\d+) (days|weeks)"
SPANS = {"days": 1, "weeks": 7}
DEFAULT_GROUP_BY = r"the data will be grouped by ([\w, ]+)"
REQUIRED_GROUP_BY = r"following group by attributes are required: ([\w, ]+)"
GROUP_BY_REQUIRES = r"The prerequisites for (\w+) is (\w+)"
FILTERED_BY = (
    r"\(([\w, ]+)\): Supported operators: ([\w, -]+)\."
    r"|Allowed filters are ([\w, ]+)\.\nAllowed operators are ([\w, -]+)\."
)
FILTER_VALUES = r"When filtering on (\w+), allowed values are ([\w, -]+)\."


def request_limits(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """``max_items``, ``max_bytes``, ``max_item_bytes`` and ``reduced`` of an operation, as far as its prose has them.

    ``reduced``: parameters with a value that lowers the rate limits, and the limits that then hold.
    """
    description = operation.get("description", "")
    facts: dict[str, Any] = {}
    if match := _first_match(MAX_ITEMS, description):
        facts["max_items"] = int(match[1].replace(",", ""))
    for key, pattern in (("max_bytes", MAX_BYTES), ("max_item_bytes", MAX_ITEM_BYTES)):
        if match := re.search(pattern, description):
            facts[key] = int(match[1]) * UNITS[match[2]]
    if match := re.search(MAX_EVENT_BYTES, _body_prose(spec, operation)):
        facts.setdefault("max_bytes", int(match[1]) * UNITS[match[2]])
    if reduced := _reduced_limits(operation, description):
        facts["reduced"] = reduced
    return facts


def query_facts(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The attributes that a query takes in its body."""
    members = _data_members(spec, operation)
    attributes = members["attributes"]
    prose = {name: attribute.get("description", "") for name, attribute in attributes["properties"].items()}
    values = {name: openapi.choices(attribute) for name, attribute in attributes["properties"].items()}
    facts: dict[str, Any] = {
        "type": members["type"]["enum"][0],
        "required": attributes["required"],
        "values": {name: listed for name, listed in values.items() if listed},
        "paged_in_body": "page_cursor" in attributes["properties"],
    }
    if names := _timeframe_names(spec, attributes["properties"].get("timeframe", {})):
        facts["timeframes"] = names
    if match := re.search(MAX_YEARS, prose.get("timeframe", "")):
        facts["max_years"] = int(match[1])
    if spans := re.findall(MAX_SPAN, prose.get("interval", "")):
        facts["max_days"] = {interval: int(count) * SPANS[unit] for interval, count, unit in spans}
    grouping = prose.get("group_by", "")
    for key, pattern in (("default_group_by", DEFAULT_GROUP_BY), ("required_group_by", REQUIRED_GROUP_BY)):
        if match := re.search(pattern, grouping):
            facts[key] = match[1].split(", ")
    if needs := re.findall(GROUP_BY_REQUIRES, grouping):
        facts["group_by_requires"] = dict(needs)
    return facts


def query_filters(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """What the one filter of a query may name, in the form that ``x-klaviyo-filters`` has for other operations."""
    attributes = _data_members(spec, operation)["attributes"]
    prose = attributes["properties"].get("filter", {}).get("description", "")
    values = {name: listed.split(", ") for name, listed in re.findall(FILTER_VALUES, prose)}
    rules: dict[str, Any] = {}
    # Of the two sentences that state filters, one leaves its groups empty.
    for fields, operators, other_fields, other_operators in re.findall(FILTERED_BY, prose):
        named = (operators or other_operators).split(", ")
        forms = {"single": [op for op in named if op == "equals"], "list": [op for op in named if op != "equals"]}
        for name in (fields or other_fields).split(", "):
            value = {"type": "string", **({"enum": values[name]} if name in values else {})}
            rules[name] = {"operators": {form: ops for form, ops in forms.items() if ops}, "value": value}
    return rules


def _timeframe_names(spec: dict[str, Any], timeframe: dict[str, Any]) -> list[str]:
    """The names of time frames that a query takes in place of a start and an end."""
    schemas = spec["components"]["schemas"]
    forms = [openapi.resolve(form, schemas) for form in timeframe.get("oneOf", ())]
    return [name for form in forms for name in openapi.choices(form["properties"].get("key", {}))]


def _first_match(patterns: tuple[str, ...], text: str) -> re.Match[str] | None:
    return next((match for match in (re.search(pattern, text) for pattern in patterns) if match), None)


def _body_prose(spec: dict[str, Any], operation: dict[str, Any]) -> str:
    """All that the document says of the request body, as JSON text."""
    schemas = spec["components"]["schemas"]
    reached = openapi.reachable(operation.get("requestBody", {}), schemas.__getitem__)
    return "".join(json.dumps(schema) for schema in reached.values())


def _reduced_limits(operation: dict[str, Any], description: str) -> list[dict[str, Any]]:
    parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
    return [
        {
            "parameter": name,
            "value": _declared_value(value, openapi.choices(parameters[name]["schema"]) if name in parameters else []),
            "burst": int(burst),
            "steady": int(steady),
        }
        for name, value, burst, steady in re.findall(REDUCED, description)
    ]


def _declared_value(value: str, allowed: list[str]) -> str:
    """The value as the parameter takes it: the prose says ``include=list`` where the parameter says ``lists``."""
    return next((choice for choice in allowed if choice in (value, f"{value}s")), value)


def _data_members(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The members of ``data`` in a query's body, with the schemas that they refer to in their place."""
    schemas = spec["components"]["schemas"]
    body = openapi.resolve(openapi.body_schema(operation["requestBody"]) or {}, schemas)
    data = openapi.resolve(body["properties"]["data"], schemas)
    return {name: openapi.resolve(member, schemas) for name, member in data["properties"].items()}
