"""Campaigns of V1 that only events know of: messages of deleted flows and campaigns."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_client.api.pages import Page
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading import account_reader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.gaps import GapFinder, GapRows, rows_of
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import GAP_TABLES
from tap_klaviyo.tap import TapKlaviyo
from tap_klaviyo.workers import pool

CAMPAIGNS = "esp_campaigns"
WANTED = {CAMPAIGNS: None, "campaigns": None, "flow_action_messages": None, "esp_automations": None, "events": None}
SETTINGS = {"esp_integration_id": "4711"}
(MESSAGES,) = GAP_TABLES
NOW, LATER = (f"2026-06-0{day}T12:00:00+00:00" for day in (1, 2))


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_sandbox(profiles=20, events=900, seed=11, limits=False)


def read(
    account: RunningSandbox, folder: Path, state: dict[str, Any] | None = None, wanted: Any = None, **settings: Any
) -> Run:
    catalog = select(discovered(), wanted or WANTED)
    return run_tap(folder, config(account, **SETTINGS, **settings), catalog=catalog, state=state)


def by_id(*runs: Run) -> dict[str, dict[str, Any]]:
    """The campaigns as an upserting target has them after these runs, but for when they were read."""
    rows = (row for run in runs for row in run.rows(CAMPAIGNS))
    return {row["id"]: {name: row[name] for name in row if name != "__synced_at"} for row in rows}


def defined(run: Run) -> set[str]:
    campaigns = {row["campaign_id"] for row in run.rows("campaigns")}
    return campaigns | {row["flow_action_message_id"] for row in run.rows("flow_action_messages")}


def messages(run: Run) -> set[str]:
    """The messages that events name; a blank is none."""
    return {row["message"] for row in run.rows("events") if (row["message"] or "").strip()}


def delete_flow(account: RunningSandbox, flow_id: str) -> None:
    """As somebody does who deletes a flow in Klaviyo; its events stay."""
    store = account.store
    actions = [row for row in store.flow_actions.rows.values() if row["flow_id"] == flow_id]
    for action in actions:
        store.flow_actions.drop(action["id"])
    store.flows.drop(flow_id)


def test_every_message_of_events_is_a_campaign(account: RunningSandbox, tmp_path: Path) -> None:
    """Those of a deleted flow or campaign have what events say: name, subject and flow; each has one row."""
    run = read(account, tmp_path)
    assert (run.code, run.said("WARNING")) == (0, [])
    rows, only_events = by_id(run), messages(run) - defined(run)
    assert len(run.rows(CAMPAIGNS)) == len(rows)
    assert only_events
    assert set(rows) == defined(run) | only_events
    said = {row["message"]: row for row in run.rows("events")}
    for row_id in only_events:
        row, event = rows[row_id], said[row_id]
        assert (row["name"], row["subject"]) == (event["message_name"] or event["campaign_name"], event["subject"])
        flow = event["flow"]
        assert row["automation_key"] == (flow and hashlib.md5(flow.encode(), usedforsecurity=False).hexdigest())
        assert row["key"] == hashlib.md5(f"Klaviyo:4711:{row_id}".encode(), usedforsecurity=False).hexdigest()
        assert {row[name] for name in ("status", "created_at", "updated_at", "sent_at", "from_email")} == {None}
        assert (row["type"], row["esp_source"]) == ("Campaign", "Klaviyo")


def test_what_has_a_definition_is_as_without_events(account: RunningSandbox, tmp_path: Path) -> None:
    """No event takes the place of the fuller row, in a later run neither, whatever is read again."""
    alone = read(account, tmp_path, wanted={CAMPAIGNS: None, "flow_action_messages": None})
    assert "/api/events" not in {entry.path for entry in account.requests}
    first = read(account, tmp_path)
    again = read(account, tmp_path, first.state)
    bookmarked = read(account, tmp_path, first.state, reread=["tags"])
    assert messages(again) & defined(first)
    assert not {row["id"] for row in bookmarked.rows(CAMPAIGNS)} >= defined(first)
    for runs in ((first,), (first, again), (first, bookmarked), (first, again, bookmarked)):
        rows = by_id(*runs)
        assert {row_id: rows[row_id] for row_id in by_id(alone)} == by_id(alone)
        assert rows == by_id(first)


def test_definitions_are_read_once_and_before_events(account: RunningSandbox, tmp_path: Path) -> None:
    """Also where events are of an earlier table of the catalogue; only their own read says what they say."""
    run = read(account, tmp_path, wanted={CAMPAIGNS: None, "events": {"id"}, "flow_action_messages": None})
    paths = [entry.path for entry in account.requests]
    assert Counter(paths)["/api/campaigns"] == 6
    assert Counter(paths)["/api/flows"] == 2
    assert paths.index("/api/events") > paths.index("/api/flows")
    assert by_id(run) == by_id(read(account, tmp_path))
    assert run.kinds["SCHEMA", CAMPAIGNS] == 1


def test_a_deleted_flow_leaves_rows_of_its_messages(account: RunningSandbox, tmp_path: Path) -> None:
    """Those that were never read come from events; a whole read and daily ones have the same rows of them."""
    flows = {row["flow"] for row in read(account, tmp_path).rows("events") if row["flow"] in account.store.flows.rows}
    before = read(account, tmp_path, wanted={"esp_automations": None})
    gone = min(flows)
    delete_flow(account, gone)
    whole = read(account, tmp_path)
    of_flow = {row["message"] for row in whole.rows("events") if row["flow"] == gone}
    assert of_flow
    assert not of_flow & defined(whole)
    assert of_flow <= set(by_id(whole))
    automation = next(row["key"] for row in before.rows("esp_automations") if row["id"] == gone)
    assert {by_id(whole)[row_id]["automation_join_key"] for row_id in of_flow} == {automation}
    daily = read(account, tmp_path, whole.state)
    assert by_id(whole, daily) == by_id(whole)


def test_a_definition_that_was_read_stays(account: RunningSandbox, tmp_path: Path) -> None:
    """A flow that is deleted later takes nothing of its messages' rows away, whatever events are read again."""
    first = read(account, tmp_path)
    gone = {row["flow"] for row in first.rows("events") if row["flow"] in account.store.flows.rows}
    for flow_id in gone:
        delete_flow(account, flow_id)
    late = max(account.store.events.rows.values(), key=lambda row: row["datetime"])
    of_flow = next(
        row for row in account.store.events.rows.values() if (row["event_properties"] or {}).get("$flow") in gone
    )
    now = account.store.now_text()
    # An open of a mail that was sent when the flow was there, and a message that nobody has read before.
    account.store.events.put({**late, **of_flow, "id": "opened", "datetime": now, "uuid": late["uuid"]})
    unknown = {"$message": "NEW", "$flow": "GONE", "Message Name": "Short-lived", "Subject": "Hi"}
    account.store.events.put({**of_flow, "id": "new", "datetime": now, "event_properties": unknown})

    second = read(account, tmp_path, first.state, lookback={"events": 10_000})

    assert {"opened", "new"} <= {row["id"] for row in second.rows("events")}
    assert messages(second) & (defined(first) - defined(second))
    rows, new = by_id(first, second), by_id(second)["NEW"]
    assert (new["name"], new["subject"]) == ("Short-lived", "Hi")
    assert {row_id: rows[row_id] for row_id in by_id(first)} == by_id(first)
    assert by_id(first, second, read(account, tmp_path, second.state)) == rows
    assert by_id(read(account, tmp_path))["NEW"] == new


def test_an_unknown_definition_is_no_gap(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """A key that may not read flows does not know what was deleted: no row is made up, and that is said."""
    scopes = "events:read metrics:read profiles:read campaigns:read"
    sandbox = make_sandbox(profiles=20, events=300, limits=False, scopes=scopes)
    run = read(sandbox, tmp_path, wanted={CAMPAIGNS: None, "events": None})
    assert run.code == 1
    assert len(run.rows("events")) == 300
    assert set(by_id(run)) == set(sandbox.store.campaigns.rows)
    assert any("no rows for objects that only events mention" in line for line in run.said("WARNING"))


def test_events_without_campaigns_are_read_as_before(account: RunningSandbox, tmp_path: Path) -> None:
    """Who does not select the table pays nothing for it, and gets no row of it."""
    run = read(account, tmp_path, wanted={"events": {"id"}})
    assert run.streams == {"events"}
    assert {entry.path for entry in account.requests} == {"/api/events"}
    assert "event_properties" not in account.requests[-1].query["fields[event]"]


def test_stream_maps_have_these_rows_too(account: RunningSandbox, tmp_path: Path) -> None:
    """A map of the campaigns alone, though rows of them are written while events are read."""
    maps = {CAMPAIGNS: {"subject": None, "label": "name or 'none'"}}
    run = read(account, tmp_path, stream_maps=maps)
    assert (run.code, len(run.rows("events"))) == (0, 900)
    assert messages(run) <= {row["id"] for row in run.rows(CAMPAIGNS)}
    assert messages(run) - defined(run)
    assert {"subject" in row or "label" not in row for row in run.rows(CAMPAIGNS)} == {False}


def test_with_processes_the_campaigns_are_the_same(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each message once, though several processes see it."""
    sandbox = make_sandbox(profiles=20, events=6000, limits=False)
    catalog = select(discovered(), {CAMPAIGNS: None, "esp_sends": None})
    started: list[subprocess.Popen[bytes]] = []
    start = pool._start_worker
    monkeypatch.setattr(account_reader, "PAGES_BEFORE_WORKERS", 1)
    monkeypatch.setattr(pool, "_start_worker", lambda lines: started.append(start(lines)) or started[-1])

    def run(processes: int) -> Run:
        settings = config(sandbox, processes=processes, concurrency=2, **SETTINGS)
        TapKlaviyo(config=settings, catalog=catalog, parse_env_config=False).sync_all()
        return Run(0, [json.loads(line) for line in capfd.readouterr().out.splitlines()], "")

    alone, together = run(0), run(2)
    assert len(started) == 2
    assert by_id(together) == by_id(alone)
    assert len(together.rows(CAMPAIGNS)) == len(by_id(alone)) > len(sandbox.store.campaigns)


# What events say ------------------------------------------------------------------------------------------------------


def entry() -> SelectedTable:
    schema = schema_files.load(CAMPAIGNS)
    return SelectedTable(MESSAGES, schema, ("id", "name", "automation_key", "subject", "__synced_at"))


def event(number: int, **properties: Any) -> dict[str, Any]:
    """An event with these properties; ``_message`` is ``$message``."""
    named = {name.replace("_", "$", 1) if name[0] == "_" else name: value for name, value in properties.items()}
    return {"id": f"E{number}", "attributes": {"event_properties": named}}


def rows_made(*events: dict[str, Any], known: tuple[str, ...] = (), extracted: str = NOW) -> list[dict[str, Any]]:
    found = GapFinder(entry(), known).resources(events, [None] * len(events))
    projection = Projection(MESSAGES, entry().schema, entry().columns)
    return projection.rows(found, Page(events), {"extracted": extracted})


@pytest.mark.parametrize("nothing", [None, "", " ", [], {}, True, ["M"], 1.5])
def test_no_message_is_no_gap(nothing: object) -> None:
    """Nor are properties that are none, or a known message."""
    assert rows_made(event(1, _message=nothing, Subject="Hello")) == []
    assert rows_made({"id": "E"}, {"id": "E", "attributes": {"event_properties": None}}) == []
    assert rows_made(event(1, _message="M"), known=("M",)) == []


def test_a_message_has_its_name_from_whichever_property_says_it() -> None:
    """That of a flow's message, or else a campaign's; an id that is a number is its text, and an empty flow none."""
    names = {"Message Name": " ", "Campaign Name": "Welcome"}
    [row] = rows_made(event(1, _message=123, _flow="", Subject="", **names))
    assert row == {"id": "123", "name": "Welcome", "automation_key": None, "subject": None, "__synced_at": NOW}


def test_most_events_of_a_page_give_no_row() -> None:
    """What is said again is said once, in the order of the last that said it."""
    once, other = event(1, _message="M", Subject="Hello"), event(2, _message="M", Subject="Bye")
    found = GapFinder(entry(), ()).resources([once, other, {**once, "id": "E3"}], [None] * 3)
    assert [resource["id"] for resource in found] == ["E2", "E3"]


def test_a_row_comes_again_only_when_it_says_more() -> None:
    """A later name takes the place of the earlier one; what later events leave out stays."""
    gaps = GapRows(entry())
    first = rows_made(event(1, _message="M", _flow="F", Subject="Hello"))
    assert gaps.take_new(first) == first
    assert gaps.take_new(rows_made(event(2, _message="M", _flow="F", Subject="Hello"), extracted=LATER)) == []
    assert gaps.take_new(rows_made(event(3, _message="M"))) == []
    [row] = gaps.take_new(rows_made(event(4, _message="M", **{"Message Name": "Hi"})))
    assert (row["name"], row["subject"], row["automation_key"]) == ("Hi", "Hello", first[0]["automation_key"])


def test_rows_are_read_back_from_lines() -> None:
    """As a process sends them."""
    lines = b'{"type":"RECORD","record":{"id":"A"}}\n{"type":"RECORD","record":{"id":"B\\u2028"}}\n'
    assert list(rows_of(Lines((memoryview(lines[:9]), lines[9:]), 2))) == [{"id": "A"}, {"id": "B\u2028"}]
