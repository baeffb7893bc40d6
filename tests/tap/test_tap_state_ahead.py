"""A STATE that is ahead of now, from another clock or another tool: nothing may be missed in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from support.front import Answer, front_of
from tap_support import config, discovered, run_tap, select

from klaviyo_client.api.operations import operation
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import Table
from tap_klaviyo.tables import STREAMS

NAMES = ("profiles", "events", "event_group_ids")


def ahead(**tables: str) -> dict[str, Any]:
    """Bookmarks of so many tables, in a time to come."""
    return {
        "bookmarks": {
            table: {"replication_key": column, "replication_key_value": "2099-01-01T00:00:00+00:00"}
            for table, column in tables.items()
        }
    }


AHEAD = ahead(profiles="updated", events="event_datetime", event_group_ids="event_datetime")


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """Profiles and events of the past."""
    return make_sandbox(profiles=20, events=60, limits=False)


def test_a_bookmark_ahead_of_now_is_read_from_lookback_before_now(account: RunningSandbox, tmp_path: Path) -> None:
    """One warning a table, the rows of the days that are read again, and a STATE of the past."""
    lookback = {"events": 4000, "profiles": 4000}
    catalog = select(discovered(), dict.fromkeys(NAMES))
    run = run_tap(tmp_path, config(account, lookback=lookback), catalog=catalog, state=AHEAD)
    assert run.code == 0, run.errors
    # Who is suppressed comes by the time of that, too.
    assert (len({row["profile_id"] for row in run.rows("profiles")}), len(run.rows("events"))) == (20, 60)
    warnings = run.said("WARNING")
    assert [sum(f"the bookmark of {name} " in line for line in warnings) for name in NAMES] == [1, 1, 1]
    assert all("2099-01-01" in line and "in the future" in line for line in warnings)
    for name in NAMES:
        reached = datetime.fromisoformat(run.state["bookmarks"][name]["replication_key_value"])
        assert reached <= datetime.now(UTC)
    again = run_tap(tmp_path, config(account, lookback=lookback), catalog=catalog, state=run.state)
    assert again.code == 0
    assert again.said("WARNING") == []


def test_nothing_is_said_of_a_bookmark_of_the_last_seconds(account: RunningSandbox, tmp_path: Path) -> None:
    """A target may have been written to a moment ago."""
    moment = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    state = {"bookmarks": {"profiles": {"replication_key": "updated", "replication_key_value": moment}}}
    run = run_tap(tmp_path, config(account), catalog=select(discovered(), {"profiles": None}), state=state)
    assert run.code == 0
    assert run.said("WARNING") == []


def test_a_start_date_ahead_of_now_is_told(account: RunningSandbox, tmp_path: Path) -> None:
    """It is what the user says, and hardly what they mean."""
    catalog = select(discovered(), {"profiles": None, "metrics": None})
    run = run_tap(tmp_path, config(account, start_date="2099-01-01"), catalog=catalog)
    assert run.code == 0
    (line,) = run.said("WARNING")
    assert "start_date 2099-01-01 is in the future" in line


def filtered_by_time() -> dict[str, Table]:
    """The tables whose rows Klaviyo can be asked for from a time on, by name."""
    tables = {name: tables[0] for name, tables in STREAMS.items() if tables[0].collection.bookmark}
    return {
        name: table
        for name, table in tables.items()
        if operation(table.collection.operation).operators(str(table.collection.bookmark))
        & {"greater-than", "greater-or-equal"}
    }


@pytest.mark.parametrize("ahead_of_now", ["start_date", "a bookmark of tomorrow", "a bookmark of this moment"])
def test_nothing_is_asked_for_that_begins_in_the_future(
    account: RunningSandbox, tmp_path: Path, ahead_of_now: str
) -> None:
    """Klaviyo refuses it, and the last seconds of changes: every table that is filtered by time keeps behind now."""
    tables = filtered_by_time()
    assert {
        "events",
        "profiles",
        "lists",
        "segments",
        "campaigns",
        "flows",
        "list_profiles",
        "templates",
    } <= tables.keys()
    lookback = {table.collection.name: 0 for table in tables.values()}
    settings, state = config(account, lookback=lookback, reread=[]), None
    if ahead_of_now == "start_date":
        settings["start_date"] = "2099-01-01"
    else:
        reached = datetime.now(UTC) + timedelta(days=ahead_of_now.endswith("tomorrow"))
        state = {
            "bookmarks": {
                name: {"replication_key": table.bookmark, "replication_key_value": reached.isoformat()}
                for name, table in tables.items()
            }
        }
    run = run_tap(tmp_path, settings, catalog=select(discovered(), dict.fromkeys(tables)), state=state)
    assert run.code == 0, run.errors
    refused = [request for request in account.requests if request.status >= 400]
    assert refused == []
    assert any("greater-" in request.query.get("filter", "") for request in account.requests)


@pytest.mark.parametrize("table", ["profiles", "events", "lists", "list_profiles", "campaigns"])
def test_a_bookmark_between_two_clocks_is_ahead_of_now(account: RunningSandbox, tmp_path: Path, table: str) -> None:
    """Also where it is the first thing that is read: now is the earlier of our clock and Klaviyo's."""
    reached, ours = datetime.now(UTC) - timedelta(minutes=10), datetime.now(UTC)
    column = STREAMS[table][0].bookmark
    state = {"bookmarks": {table: {"replication_key": column, "replication_key_value": reached.isoformat()}}}
    asked: list[str] = []

    def answer(address: str) -> Answer | None:
        asked.append(unquote(address))
        return None

    with front_of(account.url, answer, behind=3600) as url:
        settings = {**config(account, lookback={STREAMS[table][0].collection.name: 4000}), "api_url": url}
        run = run_tap(tmp_path, settings, catalog=select(discovered(), {table: None}), state=state)
    assert run.code == 0, run.errors
    assert any(f"the bookmark of {table} " in line and "in the future" in line for line in run.said("WARNING"))
    limit = (ours - timedelta(minutes=59)).isoformat()
    assert all(bound < limit for address in asked for bound in re.findall(r"\d{4}-\d\d-\d\dT[\d:]+", address))
    assert run.state["bookmarks"][table]["replication_key_value"] <= limit


def test_a_bookmark_of_last_year_costs_no_question(account: RunningSandbox, tmp_path: Path) -> None:
    """No clock is off by so much, or no certificate would hold."""
    state = {"bookmarks": {"profiles": {"replication_key": "updated", "replication_key_value": "2025-01-01T00:00:00Z"}}}
    run = run_tap(tmp_path, config(account), catalog=select(discovered(), {"profiles": None}), state=state)
    assert run.code == 0
    # Those who changed, and those who were suppressed.
    assert len([request for request in account.requests if "filter" in request.query]) == len(account.requests) == 2
