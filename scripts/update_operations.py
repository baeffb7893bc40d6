#!/usr/bin/env python3
"""Turn the vendor's OpenAPI document into the two files of facts that this project commits.

    python scripts/update_operations.py                     # write both files, from the document that tests/ keeps
    python scripts/update_operations.py PATH_TO_DOCUMENT    # from a newer one, which is then kept instead
    python scripts/update_operations.py --check             # write nothing, fail when they differ

* ``klaviyo_client/api/operations.json``: for every operation its method, path, budgets, scopes, page size, filters,
  sorts, includes and sparse fields, the batch limits that only the description states, and of queries (what reads by
  POST) the attributes of the body with their values and the bounds that only their descriptions state.
* ``klaviyo_sandbox/spec/facts.json``: for every operation named in ``klaviyo_sandbox/spec/served.txt`` its parameters
  and the shapes of its bodies, without prose. The sandbox has its own file so that it stays an independent witness.
"""

from __future__ import annotations

import argparse
import json
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generated import settle

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = ROOT / "klaviyo_client" / "api" / "operations.json"
SERVED = ROOT / "klaviyo_sandbox" / "spec" / "served.txt"
FACTS = ROOT / "klaviyo_sandbox" / "spec" / "facts.json"
KEPT = ROOT / "tests" / "specification"

METHODS = ("get", "post", "patch", "put", "delete")
SHAPE_KEYWORDS = (
    *("type", "format", "nullable", "enum", "items", "properties", "required", "additionalProperties"),
    *("oneOf", "anyOf", "allOf", "$ref", "discriminator", "default"),
    *("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"),
)
UNITS = {"KB": 1_000, "MB": 1_000_000}

# The document states these limits in prose only, in one of these sentences.
MAX_ITEMS = (
    r"[Aa]ccepts (?:up to|a maximum of) `?([\d,]+)`? (?!jobs)",
    r"Max(?:imum)? number of (?:profiles|coupon codes)[^.:]*?(?:: ?|is )([\d,]+)",
    r"Email address per request limit: ([\d,]+)",
)
MAX_BYTES = r"maximum allowed payload size is (\d+)(KB|MB)"
# The body's own prose says it where the operation's does not.
MAX_EVENT_BYTES = r"size of the event payload must not exceed (\d+) (KB|MB)"
MAX_ITEM_BYTES = r"maximum allowed payload size per-\w+ is (\d+)(KB|MB)"
# Operations that read by POST, and what their attributes' descriptions state; 52 weeks are told in days.
QUERY = "query_"
MAX_YEARS = r"Max length: (\d+) year"
MAX_SPAN = r"If (\w+) is used, the timeframe cannot be longer than (\d+) (days|weeks)"
SPANS = {"days": 1, "weeks": 7}
DEFAULT_GROUP_BY = r"the data will be grouped by ([\w, ]+)"
REQUIRED_GROUP_BY = r"following group by attributes are required: ([\w, ]+)"
FILTERED_BY = (
    r"\(([\w, ]+)\): Supported operators: ([\w, -]+)\."
    r"|Allowed filters are ([\w, ]+)\.\nAllowed operators are ([\w, -]+)\."
)
FILTER_VALUES = r"When filtering on (\w+), allowed values are ([\w, -]+)\."
GROUP_BY_REQUIRES = r"The prerequisites for (\w+) is (\w+)"
REDUCED = r"Rate limits when using the `([^`=]+)=([^`]+)` parameter[^:]*:<br>Burst: `(\d+)/s`<br>Steady: `(\d+)/m`"


def operations_of(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (path, method, operation) for every operation of the document."""
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def parameters_of(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation.get("parameters", [])}


def choices(parameter: dict[str, Any]) -> list[str]:
    schema = parameter["schema"]
    return list(schema.get("enum") or schema.get("items", {}).get("enum") or [])


def number(text: str) -> int:
    return int(text.replace(",", ""))


def first_match(patterns: tuple[str, ...], text: str) -> re.Match[str] | None:
    return next((found for found in (re.search(pattern, text) for pattern in patterns) if found), None)


def budgets(operation: dict[str, Any]) -> dict[str, int]:
    """Requests per second (burst), minute (steady) and day (daily)."""
    return {name: int(rate.split("/")[0]) for name, rate in operation["x-klaviyo-ratelimit"].items()}


def by_type(parameters: dict[str, dict[str, Any]], prefix: str) -> dict[str, list[str]]:
    """``fields[profile]`` and its like, as {resource type: names}."""
    return {
        name[len(prefix) + 1 : -1]: choices(parameter)
        for name, parameter in parameters.items()
        if name.startswith(f"{prefix}[")
    }


def spelled(value: str, allowed: list[str]) -> str:
    """The value as the parameter takes it: the prose says ``include=list`` where the parameter says ``lists``."""
    return next((choice for choice in allowed if choice in (value, f"{value}s")), value)


def body_prose(spec: dict[str, Any], operation: dict[str, Any]) -> str:
    """All that the document says of the request body, as JSON text."""
    schemas: dict[str, Any] = spec["components"]["schemas"]
    reached: dict[str, str] = {}
    waiting = set(references(operation.get("requestBody", {})))
    while waiting:
        name = waiting.pop()
        reached[name] = json.dumps(schemas[name])
        waiting |= set(references(schemas[name])) - reached.keys()
    return "".join(reached.values())


def prose_limits(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    description, parameters = operation.get("description", ""), parameters_of(operation)
    facts: dict[str, Any] = {}
    if found := first_match(MAX_ITEMS, description):
        facts["max_items"] = number(found[1])
    for key, pattern in (("max_bytes", MAX_BYTES), ("max_item_bytes", MAX_ITEM_BYTES)):
        if found := re.search(pattern, description):
            facts[key] = int(found[1]) * UNITS[found[2]]
    if found := re.search(MAX_EVENT_BYTES, body_prose(spec, operation)):
        facts.setdefault("max_bytes", int(found[1]) * UNITS[found[2]])
    reduced = [
        {
            "parameter": name,
            "value": spelled(value, choices(parameters[name]) if name in parameters else []),
            "burst": int(burst),
            "steady": int(steady),
        }
        for name, value, burst, steady in re.findall(REDUCED, description)
    ]
    if reduced:
        facts["reduced"] = reduced
    return facts


def is_read(method: str, operation: dict[str, Any]) -> bool:
    """Whether it changes nothing: a GET, or what takes a body but only needs to be allowed to read."""
    scopes = operation.get("x-klaviyo-scopes", [])
    return method == "get" or (bool(scopes) and all(scope.endswith(":read") for scope in scopes))


def query_facts(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The attributes that a query takes in its body; empty for what has no such attributes."""
    body = body_shape_with_prose(spec, operation)
    attributes = body["data"]["attributes"]
    prose = {name: attribute.get("description", "") for name, attribute in attributes["properties"].items()}
    values = {name: choices({"schema": attribute}) for name, attribute in attributes["properties"].items()}
    facts: dict[str, Any] = {
        "type": body["data"]["type"]["enum"][0],
        "required": attributes["required"],
        "values": {name: found for name, found in values.items() if found},
        "paged_in_body": "page_cursor" in attributes["properties"],
    }
    if found := re.search(MAX_YEARS, prose.get("timeframe", "")):
        facts["max_years"] = int(found[1])
    if spans := re.findall(MAX_SPAN, prose.get("interval", "")):
        facts["max_days"] = {interval: int(count) * SPANS[unit] for interval, count, unit in spans}
    grouping = prose.get("group_by", "")
    for key, pattern in (("default_group_by", DEFAULT_GROUP_BY), ("required_group_by", REQUIRED_GROUP_BY)):
        if found := re.search(pattern, grouping):
            facts[key] = found[1].split(", ")
    if needs := re.findall(GROUP_BY_REQUIRES, grouping):
        facts["group_by_requires"] = dict(needs)
    return facts


def body_shape_with_prose(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The members of a query's ``data``, references to named schemas followed."""
    schemas = spec["components"]["schemas"]

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        return schemas[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema

    whole = resolved(next(iter(operation["requestBody"]["content"].values()))["schema"])
    data = resolved(whole["properties"]["data"])
    return {"data": {name: resolved(member) for name, member in data["properties"].items()}}


def query_filters(spec: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """What a query's one filter may name, as ``x-klaviyo-filters`` tells it of other operations."""
    attributes = body_shape_with_prose(spec, operation)["data"]["attributes"]
    prose = attributes["properties"].get("filter", {}).get("description", "")
    values = {name: found.split(", ") for name, found in re.findall(FILTER_VALUES, prose)}
    rules: dict[str, Any] = {}
    for scalars, operators, allowed, theirs in re.findall(FILTERED_BY, prose):
        named = (operators or theirs).split(", ")
        forms = {"single": [op for op in named if op == "equals"], "list": [op for op in named if op != "equals"]}
        for name in (scalars or allowed).split(", "):
            value = {"type": "string", **({"enum": values[name]} if name in values else {})}
            rules[name] = {"operators": {form: ops for form, ops in forms.items() if ops}, "value": value}
    return rules


def client_facts(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """What the client needs to know of one operation."""
    parameters = parameters_of(operation)
    facts: dict[str, Any] = {
        "method": method.upper(),
        "path": path,
        **budgets(operation),
        "scopes": operation.get("x-klaviyo-scopes", []),
    }
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
            facts[key] = choices(parameters[key])
    for key in ("fields", "additional-fields"):
        if found := by_type(parameters, key):
            facts[key.replace("-", "_")] = found
    facts.update(prose_limits(spec, operation))
    if method != "get" and is_read(method, operation):
        facts["reads"] = True
        if operation["operationId"].startswith(QUERY):
            facts["query"] = query_facts(spec, operation)
    return facts


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without prose and examples; references point into ``#/schemas``."""
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


def references(node: Any) -> Iterator[str]:
    """Names of the component schemas that a shape points to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rsplit("/", 1)[-1]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def body_shape(holder: dict[str, Any]) -> dict[str, Any] | None:
    content = holder.get("content")
    return shape(next(iter(content.values()))["schema"]) if content else None


def sandbox_facts(spec: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """What the sandbox needs to know of one operation."""
    responses = {}
    for status, response in operation["responses"].items():
        if "$ref" in response:
            response = spec["components"]["responses"][response["$ref"].rsplit("/", 1)[-1]]
        responses[status] = body_shape(response)
    facts: dict[str, Any] = {
        "method": method.upper(),
        "path": path,
        **budgets(operation),
        "scopes": operation.get("x-klaviyo-scopes", []),
        "filters": operation.get("x-klaviyo-filters", {}),
        "parameters": {
            name: {"in": p["in"], "required": bool(p.get("required")), "schema": shape(p["schema"])}
            for name, p in parameters_of(operation).items()
        },
        "responses": responses,
    }
    if "requestBody" in operation:
        facts["body"] = body_shape(operation["requestBody"])
    if operation["operationId"].startswith(QUERY):
        facts["query"] = {**query_facts(spec, operation), "filters": query_filters(spec, operation)}
    facts.update(prose_limits(spec, operation))
    return facts


def closure(spec: dict[str, Any], served: dict[str, Any]) -> dict[str, Any]:
    """Every component schema that the served operations reach."""
    schemas: dict[str, Any] = {}
    waiting = set(references(served))
    while waiting:
        name = waiting.pop()
        schemas[name] = shape(spec["components"]["schemas"][name])
        waiting |= set(references(schemas[name])) - schemas.keys()
    return dict(sorted(schemas.items()))


def one_line_each(document: dict[str, Any]) -> str:
    """JSON with one line per entry of each top-level object, so that a diff names what changed."""
    parts = []
    for key, value in document.items():
        if isinstance(value, dict):
            lines = ",\n".join(
                f"  {json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in value.items()
            )
            parts.append(f"{json.dumps(key)}: {{\n{lines}\n}}")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def build(spec: dict[str, Any], served_names: list[str]) -> dict[Path, str]:
    """The text of both files, by path.

    Raises:
        SystemExit: an operation that the sandbox wants to serve is not in the document.
    """
    found = {op["operationId"]: (path, method, op) for path, method, op in operations_of(spec)}
    if missing := [name for name in served_names if name not in found]:
        raise SystemExit(f"not in the specification: {', '.join(missing)}")
    revision = spec["info"]["version"]
    served = {name: sandbox_facts(spec, *found[name]) for name in sorted(served_names)}
    return {
        OPERATIONS: one_line_each(
            {
                "revision": revision,
                "operations": {name: client_facts(spec, *found[name]) for name in sorted(found)},
            }
        ),
        FACTS: one_line_each({"revision": revision, "operations": served, "schemas": closure(spec, served)}),
    }


def kept() -> Path:
    """The vendor's document that the repository keeps for the tests."""
    (found,) = KEPT.glob("*.json.xz")
    return found


def keep(content: bytes, revision: str) -> None:
    """Keep the bytes of another document in its place."""
    kept().unlink()
    (KEPT / f"klaviyo-{revision}.json.xz").write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, nargs="?", help="the vendor's OpenAPI document (JSON)")
    parser.add_argument("--check", action="store_true", help="fail when a committed file differs")
    arguments = parser.parse_args()
    content = arguments.spec.read_bytes() if arguments.spec else lzma.decompress(kept().read_bytes())
    spec = json.loads(content)
    texts = build(spec, SERVED.read_text().split())
    if arguments.spec and not arguments.check:
        keep(content, spec["info"]["version"])
    return settle(texts, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
