"""`--test` says what the key may read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_client.api.operations import operation
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.selection import Selection
from tap_klaviyo.rows import schema_files
from tap_klaviyo.streams.permissions import queries, table_requirements
from tap_klaviyo.tables import BY_DEFAULT, COLLECTIONS, STREAMS, TABLES


def verdicts(run: Run) -> dict[str, str]:
    """Stream -> what the log says of it."""
    lines = (line.rpartition("| ")[2] for line in run.said("INFO", "WARNING"))
    return dict(found.groups() for line in lines if (found := re.fullmatch(r"(\w+): ((?:not )?usable.*)", line)))


def whole(*names: str) -> Selection:
    """These tables, or all, with all of their columns."""
    tables = [table for table in TABLES if not names or table.name in names]
    schema = {table.name: schema_files.load(table.name) for table in tables}
    return Selection(
        [SelectedTable(table, schema[table.name], tuple(schema[table.name]["properties"])) for table in tables]
    )


def test_every_selected_stream_is_judged(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """By one request for each scope, on any account; what is missing is named, and no message is written."""
    sandbox = make_sandbox(
        profiles=0, events=0, scopes="profiles:read lists:read metrics:read campaigns:read", limits=False
    )
    run = run_tap(tmp_path, config(sandbox), "--test")
    assert run.code == 2
    assert run.messages == []
    found = verdicts(run)
    assert set(found) == {table.name for table in TABLES if table.name in BY_DEFAULT}
    assert found["profiles"] == found["list_profiles"] == found["campaign_messages"] == "usable"
    assert found["member_lists"] == "usable; not key, the key lacks accounts:read"
    assert found["segment_profiles"] == found["segments"] == "not usable, the key lacks segments:read"
    assert found["flow_action_messages"] == "not usable, the key lacks flows:read"
    last = run.errors.splitlines()[-1]
    assert last.endswith("these scopes are needed: accounts:read, events:read, flows:read, segments:read, tags:read")
    asked = [entry.operation for entry in sandbox.requests]
    assert len(asked) == len(set(asked)) == 9
    assert {entry.query.get("page[size]", "1") for entry in sandbox.requests} == {"1"}
    assert {entry.status for entry in sandbox.requests} == {200, 403}


@pytest.mark.parametrize("catalog_first", [True, False])
def test_only_what_the_catalog_selects_is_judged(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, catalog_first: bool
) -> None:
    """Columns, too, wherever the option stands; then a row of each stream is read, and no message is written."""
    sandbox = make_sandbox(profiles=60, events=20, scopes="lists:read profiles:read", limits=False)
    members = {"list_id", "member_id", "subscribed_at", "email"}
    catalog = tmp_path / "chosen.json"
    catalog.write_text(json.dumps(select(discovered(), {"lists": None, "member_lists": members})))
    options = ["--catalog", str(catalog), "--test"]
    run = run_tap(tmp_path, config(sandbox), *(options if catalog_first else (options[2], *options[:2])))
    assert run.code == 0, run.errors
    assert verdicts(run) == {"lists": "usable", "member_lists": "usable"}
    assert run.messages == []
    assert run.errors.rstrip().endswith("the key can read everything that is selected")
    read = [entry for entry in sandbox.requests if entry.status == 200]
    assert {entry.operation for entry in read} == {"get_lists", "get_profiles", "get_profiles_for_list"}


def test_a_stream_of_two_collections_needs_both() -> None:
    """And a collection that belongs to another needs that one; columns with calls of their own are optional."""
    found = {requirement.name: requirement for requirement in table_requirements(whole(), COLLECTIONS)}
    assert set(found) == set(STREAMS)
    assert set(found["esp_campaigns"].operations) == {"get_campaigns", "get_flows"}
    assert found["list_profiles"].operations == ["get_profiles_for_list", "get_lists"]
    assert found["campaign_messages"].optional == {
        name: ["get_messages_for_campaign"] for name in ("template_data_type", "template_data_id")
    }
    assert "key" in found["esp_sends"].optional


def test_filtered_events_need_the_metrics() -> None:
    """Which are looked up by their names."""
    selection = Selection(whole("events").tables, by_metric=True)
    (requirement,) = table_requirements(selection, COLLECTIONS)
    assert requirement.operations == ["get_events", "get_metrics"]


def test_what_is_requested_is_what_a_read_requests() -> None:
    """With the includes and filters of a collection's first page."""
    found = queries(whole(), COLLECTIONS, datetime(2026, 1, 1, tzinfo=UTC))
    assert set(found) == {table.collection.operation for table in TABLES}
    assert found["get_campaigns"]["filter"].startswith("and(equals(messages.channel,")
    assert set(found["get_events"]["include"].split(",")) <= set(operation("get_events").include)


def test_reports_are_judged_and_none_is_read(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Reads of the same scopes tell, so that a look at the key costs none of a day's few calls."""
    sandbox = make_sandbox(profiles=5, events=0, scopes="campaigns:read accounts:read metrics:read", limits=False)
    settings = config(sandbox, reports=[{"report": "campaign_values"}, {"report": "flow_series"}])
    run = run_tap(tmp_path, settings, "--test")
    assert run.code == 2
    found = verdicts(run)
    assert found["campaign_values"] == "usable"
    assert found["flow_series"] == "not usable, the key lacks flows:read"
    assert [entry.operation for entry in sandbox.requests if entry.method == "POST"] == []
