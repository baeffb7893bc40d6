"""The actions' contracts, and checks of values against JSON Schema that do not quote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from klaviyo_client.plugin.schema_files import load_schema
from target_klaviyo.intake.field_values import FieldPath
from target_klaviyo.model.pointers import to_pointer
from target_klaviyo.model.records import Record, RejectedRecord


@dataclass(frozen=True)
class Contract:
    """What an action accepts, as a JSON Schema of its fields.

    Attributes:
        optional: the fields that a record can do without where they do not fit (``x-optional``: true, or the names of
            such members).
    """

    schema: Mapping[str, Any]
    validator: Draft202012Validator
    optional: frozenset[FieldPath] = frozenset()

    @property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """Field -> its schema."""
        properties: Mapping[str, Mapping[str, Any]] = self.schema["properties"]
        return properties

    def check(self, fields: Record) -> Record:
        """The fields, unless the contract forbids one.

        Raises:
            RejectedRecord: naming the first field that is wrong, and what is expected of it.
        """
        if not self.validator.is_valid(fields):  # several times faster than looking for errors
            for error in self.validator.iter_errors(fields):
                raise to_rejection(error, self.schema, fields, "invalid_field")
        return fields


@cache
def load(action: str) -> Contract:
    """The contract of an action.

    ``x-extends`` names another contract: what that one says holds here too, unless it is said differently.
    """
    schema = load_schema("target", action)
    if "x-extends" in schema:
        base = load(schema["x-extends"]).schema
        schema = {**base, **schema, "properties": {**base["properties"], **schema["properties"]}}
    return Contract(schema, Draft202012Validator(schema), frozenset(_optional_fields(schema["properties"])))


def _optional_fields(properties: Mapping[str, Mapping[str, Any]]) -> Iterator[FieldPath]:
    for name, entry in properties.items():
        optional = entry.get("x-optional", False)
        if optional is True:
            yield (name,)
        elif optional:
            yield from ((name, member) for member in optional)


def to_rejection(error: ValidationError, schema: Mapping[str, Any], value: Any, code: str) -> RejectedRecord:
    """The rejection that a validation error of a value means, without it: the validator's own message quotes it."""
    path = [str(step) for step in error.instance_path]
    if names := _forbidden_names(error, schema, value):
        pointer = to_pointer([*path, names[0]])
        return RejectedRecord(code, f"{_field_name(path)} must not have {', '.join(names)}", pointer=pointer)
    pointer = to_pointer(path) or "/"
    rule = error.schema_path[-1] if error.schema_path else "schema"
    expected: Any = schema
    for step in error.schema_path:
        expected = expected[step] if _has(expected, step) else "as the schema says"
    if rule == "required":
        missing = [name for name in expected if name not in _value(error)] if isinstance(expected, list) else []
        return RejectedRecord(code, f"{_field_name(path)} lacks {', '.join(missing)}", pointer=pointer)
    if isinstance(expected, dict | list) and rule not in ("type", "enum"):
        return RejectedRecord(code, f"{_field_name(path)} does not fit the schema ({rule})", pointer=pointer)
    return RejectedRecord(code, f"{_field_name(path)}: {rule} must be {json.dumps(expected)}", pointer=pointer)


def _forbidden_names(error: ValidationError, schema: Any, value: Any) -> list[str]:
    """The members that an object has and its schema forbids, where that is the error."""
    if unexpected := getattr(error.kind, "unexpected", None):
        return [str(name) for name in unexpected]
    if error.schema_path[-1:] != ["additionalProperties"]:
        return []
    # Of an object that may have no member at all the validator does not tell which it has.
    for step in error.instance_path:
        value = value[step]
    for step in error.schema_path[:-1]:
        schema = schema[step] if _has(schema, step) else {}
    known = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return [str(name) for name in value if name not in known] if isinstance(value, Mapping) else []


def _has(container: Any, step: str | int) -> bool:
    return step in container if isinstance(container, dict) else isinstance(container, list) and isinstance(step, int)


def _value(error: ValidationError) -> Mapping[str, Any]:
    return error.instance if isinstance(error.instance, dict) else {}


def _field_name(path: list[str]) -> str:
    return ".".join(path) or "the record"
