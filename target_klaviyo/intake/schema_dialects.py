"""SCHEMAs that are no JSON Schema of today (2020-12): older drafts, and what tools make up. Pure.

Both old tap-postgres write ``exclusiveMaximum: true`` (draft 4) for each NUMERIC column; others write ``items: []``,
types of databases, or references to other documents. What has a meaning is translated. Any other keyword that cannot
be is left out where it stands, so that all the rest of the SCHEMA still counts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError, meta

Schema = dict[str, Any]
# Marks the schema of a stream of which no column is known, also where stream maps have added some.
UNKNOWN_COLUMNS = "x-unknown-columns"

# Where a schema has others: one, a list of them, or some by a name.
_ONE = (
    *("items", "additionalItems", "additionalProperties", "contains", "not", "propertyNames", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
# Names of documents: nothing is looked up by them.
_ADDRESSES = ("$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$vocabulary")


def complete_message(message: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(a SCHEMA message with a schema that has properties, and with keys that are among them; what is to be said).

    Without properties nothing else of the schema is kept: it could only refuse records of which it says nothing.
    """
    about = f"the tap's SCHEMA of the stream {message['stream']}"
    schema = message.get("schema")
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties"), Mapping):
        warning = f"{about} has no properties, and its records are not checked against it"
        nothing = {"type": "object", "properties": {}, UNKNOWN_COLUMNS: True}
        return {**message, "schema": nothing, "key_properties": []}, [warning]
    given = message.get("key_properties") or []
    entries = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else [None]
    keys = [entry for entry in entries if isinstance(entry, str)]
    warnings = [] if given in (keys, tuple(keys)) else [f"{about} has key_properties that are no list of names"]
    columns = {**schema["properties"], **{key: {} for key in keys if key not in schema["properties"]}}
    return {**message, "schema": {**schema, "properties": columns}, "key_properties": keys}, warnings


def translate(schema: Mapping[str, Any]) -> tuple[Schema, list[str]]:
    """(a schema that says in 2020-12 what this one says, the columns of which it could not be left as it was).

    Args:
        schema: of a record; its ``properties`` are the columns.
    """
    translated = copy.deepcopy({name: entry for name, entry in schema.items() if name != "properties"})
    for definition in _schemas_in(translated):
        _translate_one(definition, schema)
    translated = _without_faults(translated)
    columns = {column: _translate_column(entry, schema) for column, entry in schema["properties"].items()}
    changed = [column for column, entry in columns.items() if entry != schema["properties"][column]]
    return {**translated, "properties": columns}, changed


def _translate_column(entry: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(entry, Mapping):
        return entry if isinstance(entry, bool) else True
    column = dict(copy.deepcopy(entry))
    for inner in _schemas_in(column):
        _translate_one(inner, root)
    return _without_faults(column)


def _schemas_in(schema: Schema) -> Iterator[Schema]:
    """This schema and all in it, each before those in it."""
    yield schema
    inner = [schema.get(name) for name in _ONE]
    inner += [entry for name in _SEVERAL if isinstance(entries := schema.get(name), list) for entry in entries]
    inner += [entry for name in _BY_NAME if isinstance(held := schema.get(name), dict) for entry in held.values()]
    for entry in inner:
        if isinstance(entry, dict):
            yield from _schemas_in(entry)


def _translate_one(schema: Schema, root: Mapping[str, Any]) -> None:
    """Rewrite in place what draft 4 says in another way, in the schema's own keywords only."""
    _translate_bounds(schema)
    _translate_items(schema)
    if "pattern" in schema and not _is_pattern(schema["pattern"]):
        del schema["pattern"]
    if isinstance(by_pattern := schema.get("patternProperties"), dict):
        schema["patternProperties"] = {pattern: entry for pattern, entry in by_pattern.items() if _is_pattern(pattern)}
    if "$ref" in schema and not _is_resolvable(schema["$ref"], root):
        del schema["$ref"]
    for name in _ADDRESSES:
        schema.pop(name, None)


def _translate_bounds(schema: Schema) -> None:
    for bound in ("maximum", "minimum"):
        exclusive = "exclusive" + bound.capitalize()
        if isinstance(is_exclusive := schema.get(exclusive), bool):
            del schema[exclusive]
            if is_exclusive and bound in schema:
                schema[exclusive] = schema.pop(bound)


def _translate_items(schema: Schema) -> None:
    if isinstance(items := schema.get("items"), list):
        del schema["items"]
        if items:
            schema["prefixItems"] = items
        if "additionalItems" in schema:
            schema["items"] = schema.pop("additionalItems")


def _is_pattern(text: Any) -> bool:
    try:
        Draft202012Validator({"pattern": text})
    except ValueError:
        return False
    return True


def _is_resolvable(reference: Any, root: Any) -> bool:
    """Whether a reference leads to a place in this schema."""
    if reference == "#":
        return True
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return False
    place = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, Mapping) or name not in place:
            return False
        place = place[name]
    return isinstance(place, Mapping | bool)


def _without_faults(schema: Schema) -> Schema:
    """The schema without the keywords that JSON Schema does not know in this form."""
    while True:
        try:
            meta.validate(schema)
        except ValidationError as error:
            _leave_out(schema, [*error.instance_path])
        else:
            return schema


def _leave_out(schema: Schema, path: list[Any]) -> None:
    """Take out what stands at a path, which begins with a keyword of this schema."""
    holders: list[Any] = [schema]
    for step in path[:-1]:
        holders.append(holders[-1][step])
    # Of a list that is wrong in part nothing can be kept: without one of its types it would refuse values of that type.
    while not isinstance(holders[-1], dict):
        holders.pop()
    holder, name = holders[-1], path[len(holders) - 1]
    is_named_schema = len(holders) > 1 and path[len(holders) - 2] in _BY_NAME
    if is_named_schema and holder[name] is not True:
        # A column whose schema is none stays a column.
        holder[name] = True
    else:
        del holder[name]
