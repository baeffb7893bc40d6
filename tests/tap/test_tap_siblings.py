"""One read feeds all tables of its collection: here a second table of profiles, which no user has yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tap_support import Run, config

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo import tap
from tap_klaviyo.model import Table
from tap_klaviyo.rows import schema_files
from tap_klaviyo.streams import table as table_streams
from tap_klaviyo.tables import TABLES
from tap_klaviyo.tables.profiles import PROFILES

PLACES = Table("places", PROFILES, key=("profile_id",), bookmark="updated")


@pytest.fixture
def read(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Run, list[str]]]:
    """Runs the tap over profiles and places, from a state; gives the run, and the filters that Klaviyo was asked."""
    found = schema_files.load
    places = {**found("profiles"), "properties": dict(found("profiles")["properties"])}
    for name in list(places["properties"]):
        if name not in ("profile_id", "updated", "location_city"):
            del places["properties"][name]
    people = [table for table in TABLES if table.name == "profiles"]
    monkeypatch.setattr(tap, "STREAMS", {table.name: (table,) for table in (*people, PLACES)})
    monkeypatch.setattr(table_streams, "BY_DEFAULT", {"profiles", "places"})
    monkeypatch.setattr(schema_files, "load", lambda name: places if name == "places" else found(name))
    sandbox = make_sandbox(profiles=150, events=0, limits=False)

    def run(**bookmarks: str) -> tuple[Run, list[str]]:
        before = len(sandbox.requests)
        state: dict[str, Any] = {
            "bookmarks": {
                name: {"replication_key": "updated", "replication_key_value": value}
                for name, value in bookmarks.items()
            }
        }
        tap.TapKlaviyo(config=config(sandbox), state=state, parse_env_config=False).sync_all()
        messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        asked = [entry.query.get("filter", "") for entry in list(sandbox.requests)[before:]]
        return Run(0, messages, ""), asked

    return run


def test_nothing_is_fetched_twice(read: Callable[..., tuple[Run, list[str]]]) -> None:
    """Two pages for both tables; a SCHEMA each, before the first row; the same people in both, and both bookmarked."""
    run, asked = read()
    assert len(asked) == 2
    assert sorted(message["stream"] for message in run.messages if message["type"] == "SCHEMA") == [
        "places",
        "profiles",
    ]
    assert [message["type"] for message in run.messages[:2]] == ["SCHEMA", "SCHEMA"]
    people, places = run.rows("profiles"), run.rows("places")
    assert len(people) == 150
    assert [row["profile_id"] for row in places] == [row["profile_id"] for row in people]
    assert {frozenset(row) for row in places} == {frozenset({"profile_id", "updated", "location_city"})}
    bookmarks = run.state["bookmarks"]
    assert bookmarks["places"]["replication_key_value"] == bookmarks["profiles"]["replication_key_value"]


def test_a_newly_selected_table_starts_at_its_own_beginning(read: Callable[..., tuple[Run, list[str]]]) -> None:
    """Although its sibling is ahead: the read starts at the oldest bookmark, and no bookmark goes back."""
    ahead = "2026-05-01T00:00:00+00:00"
    run, asked = read(profiles=ahead)
    assert asked[0] == ""
    assert len(run.rows("places")) == 150
    assert run.state["bookmarks"]["profiles"]["replication_key_value"] >= ahead

    run, asked = read(profiles=ahead, places="2026-03-01T00:00:00+00:00")
    assert asked[0] == "greater-than(updated,2026-02-28T23:59:59Z)"
    assert 0 < len(run.rows("places")) < 150


def test_a_leader_that_is_ahead_writes_the_bookmarks_of_its_siblings(
    read: Callable[..., tuple[Run, list[str]]],
) -> None:
    """As they move, not only at the end: a kill must not send a new table back to its beginning."""
    run, _ = read(profiles="2099-01-01T00:00:00+00:00")
    assert run.rows("profiles") == []
    kinds = [message["type"] for message in run.messages if message.get("stream") != "profiles"]
    assert "RECORD" in kinds[kinds.index("STATE") :]


def test_every_state_is_safe_for_both_tables(read: Callable[..., tuple[Run, list[str]]]) -> None:
    """When a STATE is written, every row of either table up to its bookmark was written before it."""
    run, _ = read()
    whole = {name: [row["updated"] for row in run.rows(name)] for name in ("profiles", "places")}
    written = dict.fromkeys(whole, 0)
    for message in run.messages:
        if message["type"] == "RECORD":
            written[message["stream"]] += 1
        elif message["type"] == "STATE":
            for name, entry in message["value"].get("bookmarks", {}).items():
                if edge := entry.get("replication_key_value"):
                    assert all(updated >= edge for updated in whole[name][written[name] :])
