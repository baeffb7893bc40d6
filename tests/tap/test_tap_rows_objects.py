"""Which rows the pages of custom objects give."""

from __future__ import annotations

from page_support import columns, rows


def test_data_sources_and_types() -> None:
    """A type without a published schema has only a draft."""
    assert set(columns("data_sources", "title", "visibility")) == {("Warehouse", "private"), ("Käufe ✨", "shared")}
    by_title = {row["title"]: row for row in rows("object_types")}
    subscription, draft = by_title["Subscription"], by_title["Draft only"]
    assert (subscription["status"], subscription["draft_schema_id"]) == ("active", None)
    assert (draft["status"], draft["current_schema_id"]) == ("draft", None)
    assert draft["draft_schema_id"] != subscription["current_schema_id"]


def test_object_schemas_are_versions() -> None:
    """Each with the properties that it had; the type is the one that was asked."""
    made = rows("object_schemas")
    assert sorted(len(row["properties"]) for row in made) == [2, 3, 4]
    assert {row["object_type_id"] for row in made} == {"ABC123"}
    assert [row["required"] for row in made] == [["name"]] * 3


def test_object_records_keep_their_properties_as_they_are() -> None:
    """What a shop calls its properties is no column; a null stays one."""
    first, *_ = rows("object_records")
    assert first["object_type_id"] == "ABC123"
    assert set(first["record_properties"]) == {"name", "started", "boxes", "paused", "weight"}
    assert first["record_properties"]["weight"] is None


def test_object_ingestion_logs() -> None:
    """A message names its record where it is known, and what was wrong with it."""
    made = rows("object_ingestion_logs")
    assert [row["event_type"] for row in made] == ["validation_error"] * 3
    assert {row["object_record_id"] is None for row in made} == {True, False}
    assert {error["property"] for row in made for error in row["errors"]} <= {"boxes"}
