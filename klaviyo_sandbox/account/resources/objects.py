"""Custom objects: data sources, types with their schemas and records, and logs of what went wrong with records."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id, ulid
from klaviyo_sandbox.account.objects import LOG, RAW, RECORD
from klaviyo_sandbox.account.relations import referenced_by, references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

SOURCE, TYPE, SCHEMA = "data-source", "object-type", "object-schema"

READS: Mapping[str, ReadOperation] = {
    "get_data_sources": ReadOperation(SOURCE, all_rows(SOURCE)),
    "get_data_source": ReadOperation(SOURCE),
    "get_object_types": ReadOperation(TYPE, all_rows(TYPE)),
    "get_object_type": ReadOperation(TYPE),
    "get_object_schema": ReadOperation(SCHEMA),
    "get_object_record": ReadOperation(RECORD),
    "get_current_schema_for_object_type": ReadOperation(SCHEMA, related_rows(TYPE, "current-schema"), to_one=True),
    "get_schema_versions_for_object_type": ReadOperation(SCHEMA, related_rows(TYPE, "schema-versions")),
    "get_schema_version_ids_for_object_type": ReadOperation(SCHEMA, related_rows(TYPE, "schema-versions")),
    "get_records_for_object_type": ReadOperation(RECORD, related_rows(TYPE, "object-records")),
    "get_record_ids_for_object_type": ReadOperation(RECORD, related_rows(TYPE, "object-records")),
    "get_ingestion_logs_for_object_type": ReadOperation(LOG, related_rows(TYPE, "object-ingestion-logs")),
    "get_ingestion_log_ids_for_object_type": ReadOperation(LOG, related_rows(TYPE, "object-ingestion-logs")),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    (TYPE, "current-schema"): references(SCHEMA, "current_schema_id"),
    (TYPE, "draft-schema"): references(SCHEMA, "draft_schema_id"),
    (TYPE, "schema-versions"): referenced_by(SCHEMA, "type_id"),
    (TYPE, "object-records"): referenced_by(RECORD, "type_id"),
    (TYPE, "object-ingestion-logs"): referenced_by(LOG, "type_id"),
    (LOG, "object-type"): references(TYPE, "type_id"),
    (LOG, "object-record"): references(RECORD, "record_id"),
}
# (title of a type, number of versions of its schema, number of records); the first has more than a page of records.
_TYPES = (("Subscription", 3, 130), ("Größentabelle", 1, 4), ("Draft only", 1, 0))
_PROPERTIES = (
    ("name", "string"),
    ("started", "timestamp"),
    ("boxes", "int"),
    ("paused", "boolean"),
    ("weight", "float"),
)
_LOG_DAYS = 14
# (title of a data source, whether others see it)
_SOURCES = (("Warehouse", False), ("Käufe ✨", True))


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Two data sources; three types, of which one has records on several pages and one only a draft."""
    _ = store
    rng = rng_for("custom objects")
    types, schemas, records, logs = list[Row](), list[Row](), list[Row](), list[Row]()
    for title, versions, count in _TYPES:
        type_id = short_id(rng)
        type_schemas = [_schema(rng, type_id, title, index, is_draft=count == 0, end=end) for index in range(versions)]
        type_records = [_record(rng, type_id, index, end) for index in range(count)]
        schemas += type_schemas
        records += type_records
        types.append(_type(rng, type_id, title, type_schemas[-1]["id"], is_draft=count == 0, start=start, end=end))
        logs += [
            _log(rng, type_id, row["id"] if index % 2 else None, end) for index, row in enumerate(type_records[:9])
        ]
    return {
        # The first source feeds the first type.
        SOURCE: Table(
            {**_source(rng, title, start, shared=is_shared), "type_id": None if is_shared else types[0]["id"]}
            for title, is_shared in _SOURCES
        ),
        RAW: Table(),
        TYPE: Table(types),
        SCHEMA: Table(schemas),
        RECORD: Table(records),
        LOG: Table(logs),
    }


def _source(rng: random.Random, title: str, start: datetime, *, shared: bool) -> Row:
    return {
        "id": ulid(int(start.timestamp() * 1000), rng),
        "title": title,
        "description": f"Rows of {title}",
        "namespace": "custom-objects",
        "visibility": "shared" if shared else "private",
    }


def _type(
    rng: random.Random, type_id: str, title: str, schema_id: str, *, is_draft: bool, start: datetime, end: datetime
) -> Row:
    created = start + timedelta(seconds=rng.randrange(86_400 * 300))
    return {
        "id": type_id,
        "title": title,
        "description": f"One {title} for each row",
        "status": "draft" if is_draft else "active",
        "namespace": "custom-objects",
        "created_at": format_datetime(created),
        "updated_at": format_datetime(created + (end - created) * rng.random()),
        "current_schema_id": None if is_draft else schema_id,
        "draft_schema_id": schema_id if is_draft else None,
    }


def _schema(rng: random.Random, type_id: str, title: str, index: int, *, is_draft: bool, end: datetime) -> Row:
    properties = _PROPERTIES[: 2 + index]
    return {
        "id": short_id(rng),
        "type_id": type_id,
        "title": f"{title} {index + 1}",
        "description": f"Version {index + 1}",
        "status": "draft" if is_draft else "active",
        "visibility": "private",
        "properties": [
            {"id": number, "name": name, "type": kind, "description": None}
            for number, (name, kind) in enumerate(properties)
        ],
        "required": ["name"],
        "published_at": None if is_draft else format_datetime(end - timedelta(days=300 - 100 * index)),
    }


def _record(rng: random.Random, type_id: str, index: int, end: datetime) -> Row:
    properties: dict[str, Any] = {
        "name": rng.choice(("Coffee", "Tee für zwei", "Kaffee ☕")),
        "started": format_datetime(end - timedelta(days=rng.randrange(1, 500))),
        "boxes": rng.randrange(5),
        "paused": rng.random() < 0.3,
        "weight": None if index % 7 == 0 else round(rng.uniform(0.2, 3), 2),
    }
    return {"id": f"record-{index}-{short_id(rng)}", "type_id": type_id, "record_properties": properties}


def _log(rng: random.Random, type_id: str, record_id: str | None, end: datetime) -> Row:
    error = {"code": "invalid_type", "message": "boxes must be an int", "property": "boxes", "invalid_value": "many"}
    return {
        "id": short_id(rng, 12),
        "type_id": type_id,
        "record_id": record_id,
        "status": rng.choice(("error", "warning", "info")),
        "event_type": "validation_error",
        "timestamp": format_datetime(end - timedelta(seconds=rng.randrange(86_400 * _LOG_DAYS))),
        "summary": "A record does not fit the schema",
        "errors": [error, {**error, "invalid_value": None}][: rng.randrange(3)],
    }
