"""Check of request bodies against their declared schema. Pure; knows the subset of JSON Schema that the facts use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from klaviyo_sandbox.spec.facts import Schema, resolve

# (JSON Pointer, detail)
Violation = tuple[str, str]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def find_violations(
    schema: Schema, value: Any, schemas: Mapping[str, Schema], pointer: str = ""
) -> Iterator[Violation]:
    """Yield (JSON Pointer, detail) for everything in ``value`` that the schema does not allow.

    Members that the schema does not declare are violations; an object that declares no members may hold any.
    """
    nullable = schema.get("nullable", False)
    schema = resolve(schema, schemas)
    if value is None:
        if not (nullable or schema.get("nullable", False)):
            yield pointer, "This field may not be null."
        return
    if "oneOf" in schema:
        if all(any(find_violations(choice, value, schemas)) for choice in schema["oneOf"]):
            yield pointer, "The value has none of the allowed forms."
        return
    kind = schema.get("type", "object")
    if not _has_type(value, kind):
        yield pointer, f"Expected a value of type {kind}."
    elif "enum" in schema and value not in schema["enum"]:
        yield pointer, f"{value!r} is not one of {', '.join(map(str, schema['enum']))}."
    elif isinstance(value, dict) and "properties" in schema:
        yield from _object_violations(schema, value, schemas, pointer)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from find_violations(schema.get("items", {}), item, schemas, f"{pointer}/{position}")


def _has_type(value: Any, kind: str) -> bool:
    # bool is an int to Python, not to JSON; NaN is in no range.
    is_odd = (isinstance(value, bool) and kind != "boolean") or (isinstance(value, float) and not math.isfinite(value))
    return isinstance(value, _TYPES[kind]) and not is_odd


def _object_violations(
    schema: Schema, value: Mapping[str, Any], schemas: Mapping[str, Schema], pointer: str
) -> Iterator[Violation]:
    declared = schema["properties"]
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{pointer}/{_escape(name)}", f"'{name}' is a required field."
    for name, child in value.items():
        if name not in declared:
            yield f"{pointer}/{_escape(name)}", f"'{name}' is not a valid field here."
        else:
            yield from find_violations(declared[name], child, schemas, f"{pointer}/{_escape(name)}")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
