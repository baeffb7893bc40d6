"""What the columns of a SCHEMA alone say: paths of a mapping that never match, and streams about nobody. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from target_klaviyo.intake.column_types import OBJECTS
from target_klaviyo.intake.routes import Route
from target_klaviyo.model.identifiers import IDENTIFIERS, VISITOR_IDENTIFIERS
from target_klaviyo.model.records import RejectedRecord

Columns = Mapping[str, Any]

_JSON_TYPES = frozenset(("string", "number", "integer", "boolean", "array", "null", "object"))
# The fields that may hold identifiers inside, beside the columns that may.
_OBJECT_FIELDS = ("profile", "properties")
# Field -> what names of columns look like that are meant for it; the first that fits is offered.
_GUESSES = {
    "email": re.compile("mail", re.IGNORECASE),
    "phone_number": re.compile("phone|mobile", re.IGNORECASE),
    "external_id": re.compile("(?<![A-Za-z])(id|ID|Id)(?![a-z])|Id$"),
}
# So many columns are named.
_SHOWN = 20


def unreachable_paths(stream: str, route: Route, columns: Columns) -> list[str]:
    """Warnings about paths of the mapping into columns that, by the SCHEMA, never hold what they lead to."""
    paths = [source.path for source in route.mapper.mapped.values() if source.path is not None]
    return [
        f"streams.{stream}.mapping reads {path}, and by the SCHEMA the column {column} has nothing there"
        for path in paths
        if path not in columns
        for column, *steps in [path.split(".")]
        if column in columns and not _may_hold(columns[column], steps)
    ]


def _may_hold(schema: Any, steps: list[str]) -> bool:
    """Whether a value of this schema may have something at a path."""
    if not steps or not isinstance(schema, Mapping):
        return schema is not False
    alternatives = [entry for name in ("anyOf", "oneOf") for entry in schema.get(name) or ()]
    if alternatives:
        return any(_may_hold(entry, steps) for entry in alternatives)
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type") or ["object"]
    if "object" not in types and all(kind in _JSON_TYPES for kind in types):
        return False
    known, step = schema.get("properties") or {}, steps[0]
    if step in known:
        return _may_hold(known[step], steps[1:])
    # JSON Schema lets an object have more than it names, but taps name what there is.
    is_open = schema.get("additionalProperties", not known) or schema.keys() & {"patternProperties", "$ref", "allOf"}
    return bool(is_open)


def unidentified_stream(stream: str, route: Route, columns: Columns) -> list[str]:
    """A warning where no column can say whom a record is about, with the line that would."""
    if not columns or not route.action.is_about_people or _may_identify(route, columns):
        return []
    entry = {**route.entry, "action": route.action.name}
    entry["mapping"] = {**(entry.get("mapping") or {}), **_guess(route, columns)}
    names = list(columns)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    line = json.dumps({"streams": {stream: {name: entry[name] for name in ("action", "mapping")}}}, ensure_ascii=False)
    shown = f"{', '.join(names[:_SHOWN])}{more}"
    fault = f"no column of the stream {stream} says whom its records are about: it has {shown}"
    return [f"{fault}. Where one does, map it: {line[1:-1]}"]


def _may_identify(route: Route, columns: Columns) -> bool:
    """Whether a record of these columns may name somebody: tried with one that has a text in each."""
    mapped = route.mapper.mapped
    identifying = (*IDENTIFIERS, *VISITOR_IDENTIFIERS, *_OBJECT_FIELDS)
    for path, source in mapped.items():
        if len(path) == 1 and path[0] in identifying and (source.path is None or source.column in columns):
            return True
    if any(OBJECTS.find(name.partition("[")[0]) for name in columns):
        return True
    record = dict.fromkeys(columns, "1")
    try:
        fields = route.action.arrange(route.mapper.fields(route.action.normalize(record)))
    except RejectedRecord:
        return True  # a text is nothing to go by
    return any(name in fields for name in identifying[:-1])


def _guess(route: Route, columns: Columns) -> dict[str, str]:
    """The entry of the mapping that may be missing: an identifier of the action, and a column that looks like it."""
    for field, looks_like in _GUESSES.items():
        for column in columns:
            if field in route.contract.fields and looks_like.search(column):
                return {field: column}
    return {next(field for field in (*_GUESSES, "id") if field in route.contract.fields): "<column>"}
