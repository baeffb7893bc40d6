"""ACTIVATE_VERSION: what lets a target take out rows, and when it must not come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tap_support import Run, config, discovered, run_tap, run_tap_until, select

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.settings import REREAD
from tap_klaviyo.streams.deletions import sends_activate_version
from tap_klaviyo.tables import STREAMS

MakeSandbox = Callable[..., RunningSandbox]
ON = {"emit_activate_version_messages": True}
# Read whole in every run by default, and of no flow.
WHOLE = {
    *("lists", "list_tags", "segments", "segment_tags", "tags", "metrics"),
    "member_lists",
    *("campaigns", "campaign_audiences_included", "campaign_audiences_excluded", "campaign_messages"),
    *("campaign_message_send_times", "campaign_tags", "campaign_utm_params"),
}


def of(run: Run, kind: str, stream: str) -> list[dict[str, Any]]:
    return [message for message in run.messages if (message["type"], message.get("stream")) == (kind, stream)]


def activated(run: Run) -> set[str]:
    return {str(message["stream"]) for message in run.messages if message["type"] == "ACTIVATE_VERSION"}


@pytest.fixture(scope="module")
def account(make_shared_sandbox: MakeSandbox) -> RunningSandbox:
    return make_shared_sandbox(profiles=30, events=200, seed=2, limits=False)


@pytest.fixture(scope="module")
def run(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = run_tap(tmp_path_factory.mktemp("versions"), config(account, **ON))
    assert found.code == 0, found.errors
    return found


def test_it_comes_once_after_the_last_row(run: Run) -> None:
    """Every row of its stream bears its version and comes before it, so that no target empties a table early."""
    assert activated(run) == WHOLE
    versions = set()
    for stream in WHOLE:
        [message] = of(run, "ACTIVATE_VERSION", stream)
        rows = of(run, "RECORD", stream)
        assert rows
        assert {row["version"] for row in rows} == {message["version"]}
        assert run.messages.index(message) > max(map(run.messages.index, rows))
        versions.add(message["version"])
    assert len(versions) == 1


def test_other_rows_bear_no_version(run: Run) -> None:
    """Flows keep what events refer to, and what is read incrementally cannot say what is gone."""
    others = [row for row in run.messages if row["type"] == "RECORD" and row["stream"] not in WHOLE]
    assert {"flows", "flow_actions", "profiles", "events", "list_profiles"} <= {row["stream"] for row in others}
    assert [row for row in others if "version" in row] == []


def test_a_later_run_has_a_greater_version(run: Run, account: RunningSandbox, tmp_path: Path) -> None:
    """Whatever the STATE says: rows of the run before are older."""
    again = run_tap(tmp_path, config(account, **ON), catalog=select(discovered(), {"tags": None}), state=run.state)
    [before], [after] = (of(found, "ACTIVATE_VERSION", "tags") for found in (run, again))
    assert after["version"] > before["version"]


def test_without_the_setting_there_is_none(account: RunningSandbox, tmp_path: Path) -> None:
    """A target that deletes must be asked for."""
    alone = run_tap(tmp_path, config(account), catalog=select(discovered(), {"tags": None, "lists": None}))
    assert activated(alone) == set()
    assert [row for row in alone.messages if "version" in row] == []


def test_what_is_reread_may_go_and_lanes_say_so_too(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """With members and events among `reread`, who left can go; rows that processes made say it, too."""
    sandbox = make_sandbox(profiles=60, events=9_000, seed=4, limits=False)
    wanted = select(discovered(), {"list_profiles": None, "events": {"id"}})
    settings = config(sandbox, **ON, reread=["list_profiles", "events"], processes=1)
    run = run_tap(tmp_path, settings, catalog=wanted)
    assert activated(run) == {"list_profiles", "events"}
    rows = [row for row in run.messages if row["type"] == "RECORD"]
    assert len(rows) > 9_000
    assert len({row["version"] for row in rows}) == 1


def test_not_when_a_part_was_skipped(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """A list that is deleted while its members are read is skipped: then nobody's row may go."""
    sandbox = make_sandbox(profiles=400, events=0, seed=4, limits=False, latency=0.05)
    ids = sorted(sandbox.store.lists.rows)
    catalog = select(discovered(), {"lists": None, "list_profiles": None, "tags": None})
    settings = config(sandbox, **ON, reread=["lists", "list_profiles"], concurrency=1)
    run = run_tap_until(
        tmp_path,
        settings,
        catalog,
        lambda message: (message["type"], message.get("stream")) == ("ACTIVATE_VERSION", "lists"),
        lambda _process: sandbox.control.delete("lists", ids[-1]),
    )
    assert run.code == 0
    assert "was deleted during the run; skipped" in run.errors
    assert activated(run) == {"lists", "tags"}


def test_not_when_the_key_may_not_read_it(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """A stream that is skipped for a missing scope keeps its rows."""
    sandbox = make_sandbox(profiles=5, events=0, scopes="lists:read", limits=False)
    run = run_tap(tmp_path, config(sandbox, **ON), catalog=select(discovered(), {"lists": {"name"}, "tags": None}))
    assert run.code == 1
    assert activated(run) == {"lists"}


def test_what_settings_leave_out_is_not_gone() -> None:
    """Events of other metrics, and those that the target pushed, stay where they were loaded."""
    events = STREAMS["events"]
    assert sends_activate_version(events, {**ON, "reread": ["events"]})
    assert not sends_activate_version(events, {**ON, "reread": ["events"], "event_metrics": ["Placed Order"]})
    assert not sends_activate_version(events, {**ON, "reread": ["events"], "exclude_pushed_events": True})
    assert not sends_activate_version(events, {**ON, "reread": []})


def test_no_table_of_flows_may_lose_rows() -> None:
    """Not even one to which something else gives rows, too."""
    of_flows = {name for name, tables in STREAMS.items() if any(table.collection.name == "flows" for table in tables)}
    assert {"flows", "flow_actions", "flow_action_messages", "flow_tags", "esp_campaigns"} <= of_flows
    for name in of_flows:
        assert not sends_activate_version(STREAMS[name], {**ON, "reread": REREAD})


def test_no_table_of_bulk_jobs_may_lose_rows() -> None:
    """Klaviyo forgets jobs by itself; what else is read whole may go."""
    of_jobs = {"catalog_jobs", "coupon_code_bulk_create_jobs", "profile_suppression_jobs", "profile_bulk_import_jobs"}
    of_jobs |= {f"profile_bulk_import_job_{part}" for part in ("errors", "lists", "profiles")}
    kept = {
        name: not sends_activate_version(STREAMS[name], ON)
        for name in (*of_jobs, "catalog_items", "catalog_variants", "catalog_item_categories", "coupon_codes")
    }
    assert {name for name, stays in kept.items() if stays} == of_jobs
