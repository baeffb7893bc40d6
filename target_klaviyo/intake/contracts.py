"""The actions' contracts, and checks of values against JSON Schema that do not quote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from klaviyo_client.plugin.schema_files import load_schema
from target_klaviyo.model.records import Record, RejectedRecord


@dataclass(frozen=True)
class Contract:
    """What an action accepts, as a JSON Schema of its fields."""

    schema: Mapping[str, Any]
    validator: Draft202012Validator

    @property
    def fields(self) -> Mapping[str, Mapping[str, Any]]:
        """Field -> its schema."""
        properties: Mapping[str, Mapping[str, Any]] = self.schema["properties"]
        return properties

    def check(self, fields: Record) -> None:
        """Refuse what the contract forbids.

        Raises:
            RejectedRecord: naming the first field that is wrong, and what is expected of it.
        """
        if self.validator.is_valid(fields):  # several times faster than looking for errors
            return
        for error in self.validator.iter_errors(fields):
            raise to_rejection(error, self.schema, fields, "invalid_field")


@cache
def load(action: str) -> Contract:
    """The contract of an action.

    ``x-extends`` names another contract: what that one says holds here too, unless it is said differently.
    """
    schema = load_schema("target", action)
    if "x-extends" in schema:
        base = load(schema["x-extends"]).schema
        schema = {**base, **schema, "properties": {**base["properties"], **schema["properties"]}}
    return Contract(schema, Draft202012Validator(schema))


def to_rejection(error: ValidationError, schema: Mapping[str, Any], value: Any, code: str) -> RejectedRecord:
    """The rejection that a validation error of a value means, without it: the validator's own message quotes it."""
    path = [str(step) for step in error.instance_path]
    if names := _forbidden_names(error, schema, value):
        pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in [*path, names[0]])
        return RejectedRecord(code, f"{_field_name(path)} must not have {', '.join(names)}", pointer=f"/{pointer}")
    rule = error.schema_path[-1] if error.schema_path else "schema"
    expected: Any = schema
    for step in error.schema_path:
        expected = expected[step] if _has(expected, step) else "as the schema says"
    if rule == "required":
        missing = [name for name in expected if name not in _value(error)] if isinstance(expected, list) else []
        return RejectedRecord(code, f"{_field_name(path)} lacks {', '.join(missing)}", pointer="/" + "/".join(path))
    if isinstance(expected, dict | list) and rule not in ("type", "enum"):
        return RejectedRecord(
            code, f"{_field_name(path)} does not fit the schema ({rule})", pointer="/" + "/".join(path)
        )
    return RejectedRecord(
        code, f"{_field_name(path)}: {rule} must be {json.dumps(expected)}", pointer="/" + "/".join(path)
    )


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
