"""Changes of custom objects: records that a data source brings, and the deletion of objects.

What Klaviyo makes of a record it says in logs only. Here the records of a source that feeds a type become its objects;
those of others are kept as they came.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.times import format_microsecond

RAW, RECORD, LOG = "data-source-record", "object-record", "object-ingestion-log"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "timestamp": (str,),
    "int": (int,),
    "float": (int, float),
    "boolean": (bool,),
}


def ingest(store: Store, source: Row, record: Mapping[str, Any]) -> None:
    """Take a record of a data source; one that does not fit the schema of its type is in the type's logs only."""
    raw = store.resources[RAW]
    raw.put({"id": f"{source['id']}-{len(raw)}", "source_id": source["id"], "record": dict(record)})
    if source.get("type_id") is None:
        return
    schema = store.resources["object-schema"].rows[
        store.resources["object-type"].rows[source["type_id"]]["current_schema_id"]
    ]
    errors = _errors(schema, record)
    if errors:
        _log(store, source["type_id"], errors)
        return
    # The first property that a schema requires tells one object from others.
    row_id = f"{source['type_id']}-{record[schema['required'][0]]}"
    before = (store.resources[RECORD].get(row_id) or {}).get("record_properties", {})
    store.resources[RECORD].put({
        "id": row_id,
        "type_id": source["type_id"],
        "record_properties": {**before, **record},
    })  # fmt: skip


def _errors(schema: Row, record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    kinds = {entry["name"]: entry["type"] for entry in schema["properties"]}
    missing = [name for name in schema["required"] if record.get(name) is None]
    wrong = [
        name
        for name, value in record.items()
        if name in kinds and value is not None and not _has_type(value, kinds[name])
    ]
    return [
        *(_error("missing_property", f"{name} is required", name, None) for name in missing),
        *(_error("invalid_type", f"{name} must be of type {kinds[name]}", name, str(record[name])) for name in wrong),
    ]


def _has_type(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _error(code: str, message: str, name: str, value: str | None) -> Mapping[str, Any]:
    return {"code": code, "message": message, "property": name, "invalid_value": value}


def _log(store: Store, type_id: str, errors: list[Mapping[str, Any]]) -> None:
    store.resources[LOG].put({
        "id": short_id(random.SystemRandom(), 12),
        "type_id": type_id,
        "record_id": None,
        "status": "error",
        "event_type": "validation_error",
        "timestamp": format_microsecond(store.now()),
        "summary": "A record does not fit the schema",
        "errors": errors,
    })  # fmt: skip
