"""Whether the rows of a run are what their SCHEMA promises: what a loader may take without looking at it again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import jsonschema

# jsonschema checks no date-time unless yet another package is there, and says nothing of formats that it does not know.
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
CHECKER = jsonschema.FormatChecker()


@CHECKER.checks("date-time", raises=ValueError)
def _is_date_time(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    return bool(_RFC_3339.fullmatch(value)) and datetime.fromisoformat(value) is not None


def validator(schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
    """What judges rows by a schema, formats included.

    Raises:
        LookupError: the schema names a format that nothing here checks.
    """
    unknown = set(_formats(schema)) - CHECKER.checkers.keys()
    if unknown:
        raise LookupError(f"nothing checks {sorted(unknown)}")
    return jsonschema.Draft202012Validator(schema, format_checker=CHECKER)


def misfits(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """What does not fit in the RECORDs of a run, each by the SCHEMA before it: wrong values, columns that it lacks."""
    validators: dict[str, jsonschema.Draft202012Validator] = {}
    found = []
    for message in messages:
        stream = message.get("stream", "")
        if message["type"] == "SCHEMA":
            whole = {**message["schema"], "additionalProperties": False, "required": message["key_properties"]}
            validators[stream] = validator(whole)
        elif message["type"] == "RECORD":
            errors = validators[stream].iter_errors(message["record"])
            found += [f"{stream}{error.json_path.removeprefix('$')}: {error.message}" for error in errors]
    return found


def _formats(schema: Any) -> Iterator[str]:
    """The formats that a schema names, at whatever depth; a property may be called format."""
    if isinstance(schema, dict):
        if isinstance(schema.get("format"), str):
            yield schema["format"]
        for value in schema.values():
            yield from _formats(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _formats(value)
