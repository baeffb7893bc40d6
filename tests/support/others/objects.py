"""Custom objects, found by the relationships of their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from support.second_path import Key, Witness


def _of_types(name: str, *, with_type: bool = False) -> Callable[[Witness], Iterable[Key]]:
    def keys(account: Witness) -> Iterable[Key]:
        for kind in account.rows("object-types"):
            for row in account.rows(f"object-types/{kind['id']}/relationships/{name}"):
                yield (kind["id"], row["id"]) if with_type else (row["id"],)

    return keys


TRUTHS = {
    "data_sources": (
        ("data_source_id",),
        lambda account: [(row["id"],) for row in account.rows("data-sources", page__size=1)],
    ),
    "object_types": (("object_type_id",), lambda account: [(row["id"],) for row in account.rows("object-types")]),
    "object_schemas": (("object_schema_id",), _of_types("schema-versions")),
    "object_records": (("object_type_id", "object_record_id"), _of_types("object-records", with_type=True)),
    "object_ingestion_logs": (("object_ingestion_log_id",), _of_types("object-ingestion-logs")),
}
