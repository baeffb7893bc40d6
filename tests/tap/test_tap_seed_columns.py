"""The V2 specification's columns: each has its column here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tap_klaviyo import schemas
from tap_klaviyo.tables import TABLES

# Table -> column of the specification -> ours. Written once from the specification, and never made from the schemas.
V2: dict[str, dict[str, str]] = json.loads((Path(__file__).parents[1] / "seeds" / "v2_columns.json").read_text())

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
    missing = [column for column in V2[name].values() if column not in schemas.load(name)["properties"]]
    assert missing == []
