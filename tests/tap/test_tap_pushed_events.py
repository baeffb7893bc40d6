"""The setting exclude_pushed_events: what the target recorded is not read back."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tap_support import config, discovered, run_tap, select, two_at_a_time

from klaviyo_client.api.pages import Page
from klaviyo_sandbox.account import changes
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable, Slice
from tap_klaviyo.reading import account_reader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.page_rows import RowMaker
from tap_klaviyo.tables import TABLES
from tap_klaviyo.tables.events import EVENTS, PUSHED_BY_TARGET
from tap_klaviyo.tap import TapKlaviyo
from tap_klaviyo.workers import pool
from target_klaviyo.actions.events import SOURCE, SOURCE_VALUE

BY_NAME = {table.name: table for table in TABLES if table.collection == EVENTS}


def push(sandbox: RunningSandbox, count: int) -> tuple[set[str], datetime]:
    """Record events as the target does, about a list and owed to a message of one; their ids, and when the last was."""
    store, rng, last = sandbox.store, random.Random(count), datetime.now(UTC).replace(microsecond=0)
    owed = {"$attributed_event_id": "M", "$message": "M", "$send_ts": 1, "$group_ids": ["PUSHED"]}
    said = {"$group_ids": ["PUSHED"], "$attribution": owed, SOURCE: SOURCE_VALUE}
    with store.lock:
        person, metric = next(iter(store.profiles.rows)), next(iter(store.metrics.rows))
        times = [last - timedelta(minutes=1, hours=at) for at in range(count)]
        made = [changes.add_event(store, rng, person, metric, when, said) for when in times]
    return {row["id"] for row in made}, times[0]


def test_tap_and_target_mean_the_same_mark() -> None:
    """They never import each other, so each has words of its own for it."""
    assert (PUSHED_BY_TARGET.path, PUSHED_BY_TARGET.value) == (f"/attributes/event_properties/{SOURCE}", SOURCE_VALUE)


def test_pushed_events_are_left_out_of_every_table_when_asked(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Although no selected column reads their properties, which are then asked for; by default they are rows, too."""
    sandbox = make_sandbox(profiles=20, events=200, limits=False)
    pushed, _ = push(sandbox, 5)
    catalog = select(
        discovered(),
        {"events": {"event_datetime"}, "event_group_ids": None, "event_attribution_group_ids": None},
    )
    whole, without = two_at_a_time(
        partial(run_tap, tmp_path / str(on), config(sandbox, exclude_pushed_events=on), catalog=catalog)
        for on in (False, True)
        if not (tmp_path / str(on)).mkdir()
    )

    for table, key in (("events", "id"), ("event_group_ids", "event_id"), ("event_attribution_group_ids", "event_id")):
        assert {row[key] for row in whole.rows(table)} >= pushed
        assert without.rows(table) == [row for row in whole.rows(table) if row[key] not in pushed]
        assert without.rows(table)


def test_properties_are_asked_for_only_with_the_setting(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """They are most of a page."""
    sandbox = make_sandbox(profiles=5, events=20, limits=False)
    pushed, _ = push(sandbox, 3)
    asked = []
    for on in (False, True):
        catalog = select(discovered(), {"events": {"event_datetime"}})
        run = run_tap(tmp_path, config(sandbox, exclude_pushed_events=on), catalog=catalog)
        assert bool(pushed & {row["id"] for row in run.rows("events")}) is not on
        asked.append(sandbox.requests[-1].query["fields[event]"])
    assert asked == ["datetime", "datetime,event_properties"]


def test_bookmarks_move_over_pushed_events(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Where there are no others, too: the next run does not read them again."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False)
    _, last = push(sandbox, 4)
    catalog = select(discovered(), {"events": None, "event_group_ids": None})

    run = run_tap(tmp_path, config(sandbox, exclude_pushed_events=True), catalog=catalog)

    assert run.code == 0, run.errors
    assert run.streams == set()
    bookmarks = run.state["bookmarks"]
    assert {datetime.fromisoformat(bookmarks[name]["replication_key_value"]) for name in bookmarks} == {last}


def test_processes_leave_them_out_too(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What they must know of the setting is in their order."""
    sandbox = make_sandbox(profiles=20, events=4000, limits=False)
    pushed, _ = push(sandbox, 200)
    catalog = select(discovered(), dict.fromkeys(BY_NAME))
    monkeypatch.setattr(account_reader, "PAGES_BEFORE_WORKERS", 1)
    started: list[subprocess.Popen[bytes]] = []
    start = pool._start_worker
    monkeypatch.setattr(pool, "_start_worker", lambda lines: started.append(start(lines)) or started[-1])

    def run(processes: int) -> list[tuple[str, dict[str, Any]]]:
        settings = config(sandbox, processes=processes, concurrency=2, exclude_pushed_events=True)
        TapKlaviyo(config=settings, catalog=catalog, parse_env_config=False).sync_all()
        messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        rows = [(found["stream"], found["record"]) for found in messages if found["type"] == "RECORD"]
        # When they were read is another time in each run.
        return [(stream, {name: row[name] for name in row if name != "__synced_at"}) for stream, row in rows]

    alone = run(0)
    assert started == []
    assert sorted(run(2), key=str) == sorted(alone, key=str)
    assert len(started) == 2
    assert sum(stream == "events" for stream, _ in alone) == 4000
    assert not pushed & {row.get("id", row.get("event_id")) for _, row in alone}


class NoLookups:
    """Has no values, and forgets what is added."""

    def add(self, lookup: str, values: Mapping[str, Any]) -> None: ...

    def get(self, lookup: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}


def test_a_table_that_is_ahead_gets_neither_old_ones_nor_pushed_ones() -> None:
    """Every resource of the page still counts for the bookmark."""
    page = Page(
        [
            {"type": "event", "id": mark + str(hour), "attributes": attributes}
            for hour in (1, 2)
            for mark, properties in (("own", {"x": 1}), ("pushed", {SOURCE: SOURCE_VALUE}), ("odd", None))
            for attributes in ({"datetime": f"2026-01-01T0{hour}:00:00Z", "event_properties": properties},)
        ]
    )
    schema = schema_files.load("events")
    found = {}
    for since in (None, "2026-01-01T02:00:00+00:00"):
        selected = SelectedTable(BY_NAME["events"], schema, ("id",), since)
        page_rows = RowMaker(EVENTS, [selected], exclude=PUSHED_BY_TARGET).make_rows(
            page, Slice(), None, NoLookups(), datetime.now(UTC)
        )
        assert len(page_rows.times) == len(page_rows.resources) == 6
        found[since] = [row["id"] for row in page_rows.rows["events"]]
    assert list(found.values()) == [["own1", "odd1", "own2", "odd2"], ["own2", "odd2"]]
