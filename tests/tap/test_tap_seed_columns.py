"""The columns of the V1 and V2 specifications: each has its column here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import TABLES

# Table -> column of the specification -> ours. Written once from the specification, and never made from the schemas.
V2: dict[str, dict[str, str]] = json.loads((Path(__file__).parents[1] / "seeds" / "v2_columns.json").read_text())
# Of the V1 specification, whose columns have their own names here.
V1: dict[str, list[str]] = json.loads((Path(__file__).parents[1] / "seeds" / "v1_columns.json").read_text())

# Where the specification errs: the columns of another table, and two slips of the pen.
SLIPS = {
    ("metrics", "list_id"): "metric_id",
    ("metrics", "tag_id"): "name",
    ("flow_actions", "send_options_use_smart_tracking"): "send_options_use_smart_sending",
    ("flow_action_messages", "content_rom_label"): "content_from_label",
}


def test_the_specification_is_whole() -> None:
    """25 tables, 217 columns, and only its slips have other names here."""
    assert len(V2) == 25
    columns = {(table, seed): ours for table, found in V2.items() for seed, ours in found.items()}
    assert len(columns) == 217
    assert {place: ours for place, ours in columns.items() if ours != place[1].lower()} == SLIPS


@pytest.mark.parametrize("name", V2)
def test_every_column_of_a_table_is_there(name: str) -> None:
    """Also those that Klaviyo no longer gives: a query that names one must not fail."""
    assert name in {table.name for table in TABLES}
    missing = [column for column in V2[name].values() if column not in schema_files.load(name)["properties"]]
    assert missing == []


def test_the_first_specification_is_whole() -> None:
    """17 tables (one is printed twice), 188 columns, among them the addresses whose names were lost in print."""
    assert len(V1) == 17
    assert sum(map(len, V1.values())) == 188
    assert set(V1) == {table.name for table in TABLES if table.name.startswith("esp_")}


@pytest.mark.parametrize("name", V1)
def test_every_column_of_the_first_specification_is_there(name: str) -> None:
    """Also those that were always null."""
    assert [column for column in V1[name] if column not in schema_files.load(name)["properties"]] == []
