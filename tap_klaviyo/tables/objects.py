"""Tables of custom objects: their sources, types, schemas and records, and the errors of their ingestion."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table

DATA_SOURCES = Collection("data_sources", "get_data_sources", "data-source")
OBJECT_TYPES = Collection("object_types", "get_object_types", "object-type")
OBJECT_SCHEMAS = Collection(
    "object_schemas", "get_schema_versions_for_object_type", "object-schema", parent="object_types"
)
OBJECT_RECORDS = Collection("object_records", "get_records_for_object_type", "object-record", parent="object_types")
OBJECT_LOGS = Collection(
    "object_ingestion_logs",
    "get_ingestion_logs_for_object_type",
    "object-ingestion-log",
    bookmark="timestamp",
    parent="object_types",
)

TABLES = (
    Table(
        "data_sources",
        DATA_SOURCES,
        key=("data_source_id",),
        deletion_note="A deleted data source stays as it was last read.",
    ),
    Table(
        "object_types",
        OBJECT_TYPES,
        key=("object_type_id",),
        deletion_note="A deleted type stays as it was last read.",
    ),
    Table(
        "object_schemas",
        OBJECT_SCHEMAS,
        key=("object_schema_id",),
        deletion_note="The versions of a deleted type stay.",
    ),
    Table(
        "object_records",
        OBJECT_RECORDS,
        key=("object_type_id", "object_record_id"),
        deletion_note="A deleted record stays as it was last read.",
    ),
    Table(
        "object_ingestion_logs",
        OBJECT_LOGS,
        key=("object_ingestion_log_id",),
        bookmark="timestamp",
        deletion_note="Klaviyo forgets a message after 14 days; its row stays.",
    ),
)
