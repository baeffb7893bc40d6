"""The tap as its users run it, over the local account."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from support import warm
from support.patience import PATIENCE
from support.second_path import KEYS, advice_for, collection, truth
from tap_support import KEY, Run, config, discovered, run_tap, run_tap_until, select, two_at_a_time

from klaviyo_client.plugin import settings
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tables import BY_DEFAULT, STREAMS, TABLES


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=130, events=1500, seed=7, limits=False)


@pytest.fixture(scope="module")
def whole(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run that reads everything."""
    return run_tap(tmp_path_factory.mktemp("whole"), config(account))


def keys(run: Run, stream: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in KEYS[stream]) for row in run.rows(stream)]


def test_every_table_that_is_read_by_default_has_a_witness() -> None:
    """Its rows are counted without our code, and so are those of no table that there is not."""
    assert KEYS.keys() >= BY_DEFAULT, advice_for(BY_DEFAULT - KEYS.keys())
    assert KEYS.keys() <= BY_DEFAULT, f"no table that is read by default: {sorted(KEYS.keys() - BY_DEFAULT)}"


@pytest.mark.parametrize("stream", KEYS)
def test_a_table_holds_exactly_the_account(whole: Run, account: RunningSandbox, stream: str) -> None:
    """Every row once, and no other."""
    assert whole.code == 0, whole.errors
    found = keys(whole, stream)
    # Who is suppressed on a list and still there comes first as one who left, for Klaviyo does not say who did.
    assert sorted(set(found) if stream == "member_lists" else found) == sorted(truth(account, stream))


def test_values_are_the_accounts(whole: Run, account: RunningSandbox) -> None:
    """Rows agree with what plain requests say, includes and additional fields too."""
    people = {
        entry["id"]: entry for entry in collection(account, "profiles", additional_fields__profile="subscriptions")
    }
    for row in whole.rows("profiles"):
        attributes = people[row["profile_id"]]["attributes"]
        marketing = ((attributes["subscriptions"] or {}).get("email") or {}).get("marketing") or {}
        assert row["email"] == attributes["email"]
        assert row["properties"] == attributes["properties"]
        assert row["email_marketing_consent"] == marketing.get("consent")
    names = {entry["id"]: entry["attributes"]["name"] for entry in collection(account, "metrics")}
    for row in whole.rows("events"):
        assert row["metric_name"] == names[row["metric_data_id"]]
        assert row["profile_email"] == people[row["profile_data_id"]]["attributes"]["email"]


def test_messages_are_in_order_and_few(whole: Run) -> None:
    """One SCHEMA per table, before its first row; STATE in between; nothing else on stdout."""
    assert {kind: count for kind, count in whole.kinds.items() if kind[0] == "SCHEMA"} == {
        ("SCHEMA", stream): 1 for stream in KEYS
    }
    seen = set()
    for message in whole.messages:
        if message["type"] == "SCHEMA":
            seen.add(message["stream"])
            assert "x-" not in json.dumps(message["schema"])
        elif message["type"] == "RECORD":
            assert message["stream"] in seen
        else:
            assert message["type"] == "STATE"
    assert "progress_markers" not in json.dumps(whole.state)
    assert "starting_replication_value" not in json.dumps(whole.state)


def test_every_state_is_safe_to_resume_from(whole: Run) -> None:
    """No row that comes after a STATE is older than its table's bookmark in it, members of later lists included."""
    rows = {stream: whole.rows(stream) for stream in KEYS}
    written = dict.fromkeys(KEYS, 0)
    checked = set()
    for message in whole.messages:
        if message["type"] == "RECORD":
            written[message["stream"]] += 1
        elif message["type"] == "STATE":
            for stream, entry in message["value"].get("bookmarks", {}).items():
                if edge := entry.get("replication_key_value"):
                    checked.add(stream)
                    column = entry["replication_key"]
                    assert [row for row in rows[stream][written[stream] :] if row[column] < edge] == []
    assert checked == {stream for stream in KEYS if STREAMS[stream][0].bookmark and rows[stream]}


def test_a_second_run_is_incremental(whole: Run, account: RunningSandbox, tmp_path: Path) -> None:
    """From the last STATE only rows of the bookmark's own moment come again, events of a week; the bookmarks stay."""
    second = run_tap(tmp_path, config(account, lookback_schedule="always"), state=whole.state)
    assert second.code == 0
    for stream in KEYS:
        assert set(keys(second, stream)) <= set(keys(whole, stream))
    for stream, column in (
        ("profiles", "updated"),
        ("events", "event_datetime"),
        ("list_profiles", "joined_group_at"),
        ("segment_profiles", "joined_group_at"),
    ):
        bookmark = datetime.fromisoformat(whole.state["bookmarks"][stream]["replication_key_value"])
        rows = second.rows(stream)
        assert 0 < len(rows) < len(whole.rows(stream)) / 4
        lookback = timedelta(days={"events": 7, "profiles": 0}.get(stream, 1), seconds=1)
        assert min(datetime.fromisoformat(row[column]) for row in rows) >= bookmark - lookback
    assert bookmark_values(second) == bookmark_values(whole)


def bookmark_values(run: Run) -> dict[str, str]:
    return {stream: entry["replication_key_value"] for stream, entry in run.state["bookmarks"].items() if entry}


def test_what_changes_between_runs_is_read(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """A profile that is written after the first run comes with the second, and moves no bookmark past now."""
    sandbox = make_sandbox(profiles=30, events=0, limits=False)
    first = run_tap(tmp_path, config(sandbox))
    body = {"data": {"type": "profile", "attributes": {"email": "new.person@example.com", "properties": {"x": 1}}}}
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
    made = requests.post(f"{sandbox.url}/api/profile-import", json=body, headers=headers, timeout=PATIENCE)
    assert made.status_code == 201

    second = run_tap(tmp_path, config(sandbox), state=first.state)

    assert "new.person@example.com" in [row["email"] for row in second.rows("profiles")]
    bookmark = datetime.fromisoformat(second.state["bookmarks"]["profiles"]["replication_key_value"])
    assert bookmark <= datetime.now(bookmark.tzinfo)


@pytest.fixture(scope="module")
def alone(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each table with nothing else selected."""
    runs = [
        partial(run_tap, tmp_path_factory.mktemp(stream), config(account), catalog=select(discovered(), {stream: None}))
        for stream in KEYS
    ]
    return dict(zip(KEYS, two_at_a_time(runs), strict=True))


@pytest.mark.parametrize("stream", KEYS)
def test_each_table_can_be_selected_alone(alone: dict[str, Run], whole: Run, stream: str) -> None:
    """Its rows come as in a whole run, and nothing of another table; members without their parent's rows."""
    run = alone[stream]
    assert run.code == 0
    assert run.streams == {stream}
    assert [message["stream"] for message in run.messages if message["type"] == "SCHEMA"] == [stream]
    assert run.rows(stream) == whole.rows(stream)


def test_deselected_columns_are_neither_sent_nor_asked_for(account: RunningSandbox, tmp_path: Path) -> None:
    """Key and bookmark always come; sparse fields leave out the rest, and subscriptions are not requested."""
    catalog = select(discovered(), {"profiles": {"email", "location_city"}, "events": {"subject"}})
    before = len(account.requests)
    run = run_tap(tmp_path, config(account), catalog=catalog)
    asked = list(account.requests)[before:]

    assert {frozenset(row) for row in run.rows("profiles")} == {
        frozenset({"profile_id", "updated", "email", "location_city"})
    }
    assert {frozenset(row) for row in run.rows("events")} == {frozenset({"id", "event_datetime", "subject"})}
    (schema,) = [m for m in run.messages if m["type"] == "SCHEMA" and m["stream"] == "profiles"]
    assert set(schema["schema"]["properties"]) == {"profile_id", "updated", "email", "location_city"}
    profiles = next(entry.query for entry in asked if entry.path == "/api/profiles")
    assert profiles["fields[profile]"] == "email,location.city,updated"
    assert "additional-fields[profile]" not in profiles
    events = next(entry.query for entry in asked if entry.path == "/api/events")
    assert "include" not in events
    assert events["fields[event]"] == "datetime,event_properties"


def test_parents_are_read_once(account: RunningSandbox, tmp_path: Path) -> None:
    """Lists and their members together ask for the lists' two pages once; names of lists come along."""
    before = len(account.requests)
    run = run_tap(
        tmp_path, config(account), catalog=select(discovered(), {"lists": {"created"}, "list_profiles": None})
    )
    paths = [entry.path for entry in list(account.requests)[before:]]
    assert paths.count("/api/lists") == 2
    names = {entry["id"]: entry["attributes"]["name"] for entry in collection(account, "lists")}
    assert {row["list_id"]: row["list_name"] for row in run.rows("list_profiles")}.items() <= names.items()
    assert {frozenset(row) for row in run.rows("lists")} == {frozenset({"list_id", "updated", "created"})}


def test_a_start_date_leaves_out_what_is_older(account: RunningSandbox, whole: Run, tmp_path: Path) -> None:
    """Profiles, events and memberships from then on; lists, segments and metrics whole."""
    start = "2026-03-01T00:00:00+00:00"
    run = run_tap(tmp_path, config(account, start_date="2026-03-01"))
    for stream, column in (("events", "event_datetime"), ("list_profiles", "joined_group_at")):
        expected = [row for row in whole.rows(stream) if row[column] >= start]
        assert 0 < len(expected) < len(whole.rows(stream))
        assert run.rows(stream) == expected
    # `>` one second before the date: a row of that second may come, too
    assert {row["profile_id"] for row in whole.rows("profiles") if row["updated"] >= start} <= {
        row["profile_id"] for row in run.rows("profiles")
    }
    assert run.rows("lists") == whole.rows("lists")


def test_stream_maps_apply(account: RunningSandbox, tmp_path: Path) -> None:
    """The SDK's inline transformations work on every table."""
    maps = {"profiles": {"email": "md5(email) if email else None", "phone_number": None, "__alias__": "people"}}
    catalog = select(discovered(), {"profiles": None})
    run = run_tap(tmp_path, config(account, stream_maps=maps), catalog=catalog)
    assert run.code == 0, run.errors
    assert run.streams == {"people"}
    assert {len(row["email"]) for row in run.rows("people") if row["email"]} == {32}
    assert all("phone_number" not in row for row in run.rows("people"))


def test_connection_can_be_tested(account: RunningSandbox, tmp_path: Path) -> None:
    """`--test` reads the first of every collection, writes no message, and says nothing alarming."""
    before = len(account.requests)
    run = run_tap(tmp_path, config(account), "--test")
    assert run.code == 0
    assert run.messages == []
    asked = list(account.requests)[before:]
    assert {entry.operation for entry in asked} >= {
        table.collection.operation for table in TABLES if table.name in BY_DEFAULT
    }
    assert len(asked) < 50
    assert run.said("ERROR", "CRITICAL") == []


def test_settings_come_from_the_environment(account: RunningSandbox, tmp_path: Path) -> None:
    """Numbers, too, although they arrive as text."""
    environment = {
        "TAP_KLAVIYO_API_KEY": KEY,
        "TAP_KLAVIYO_API_URL": account.url,
        "TAP_KLAVIYO_RATE_LIMIT_SHARE": "0.75",
    }
    run = run_tap(tmp_path, "ENV", catalog=select(discovered(), {"metrics": None}), environment=environment)
    assert run.code == 0, run.errors
    assert len(run.rows("metrics")) == len(collection(account, "metrics"))


def test_about_lists_every_setting() -> None:
    """In words and as JSON."""
    told = None
    for form in ((), ("--format", "json")):
        command = [sys.executable, "-m", "tap_klaviyo", "--about", *form]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name in (
            "api_key",
            "start_date",
            "api_url",
            "revision",
            "rate_limit_share",
            "request_timeout",
            "user_agent",
        ):
            assert name in text
        assert "batch_config" in text
        told = json.loads(text) if form else None
    assert told is not None
    assert told["name"] == "tap-klaviyo"
    assert told["settings"]["oneOf"] == settings.CREDENTIALS


def test_a_list_that_is_deleted_while_the_tap_runs_is_skipped(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Gone between listing and reading its members: one warning that names it, and every other member comes."""
    sandbox = make_sandbox(profiles=40, events=0, limits=False, latency=0.1)
    last = max(row_id for row_id in sandbox.store.lists.rows)
    members = sandbox.store.list_members
    others = {(group, person) for group, table in members.items() if group != last for person in table.rows}
    assert others

    def is_member_of_the_last(message: dict[str, Any]) -> bool:
        return message["type"] == "RECORD" and message["record"]["list_id"] == last

    def delete_the_last(_: warm.Popen) -> None:
        with sandbox.store.lock:
            sandbox.store.lists.drop(last)
            sandbox.store.list_members.pop(last, None)

    catalog = select(discovered(), {"lists": None, "list_profiles": None})
    # Its members are read after those of the first lists, each of which takes the sandbox a moment.
    run = run_tap_until(tmp_path, config(sandbox), catalog, is_member_of_the_last, delete_the_last)

    assert run.code == 0, run.errors
    assert [line for line in run.said("WARNING") if "was deleted during the run; skipped" in line and last in line]
    assert len(run.said("WARNING")) == 1
    assert set(keys(run, "list_profiles")) == others


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_a_state_to_go_on_from(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, ending: signal.Signals
) -> None:
    """SIGTERM and Ctrl-C: exit code 128 + n; what was written and what the next run reads are the whole table."""
    sandbox = make_sandbox(profiles=400, events=0, limits=False, latency=0.25)
    catalog: dict[str, Any] = select(discovered(), {"profiles": None})
    stopped = run_tap_until(
        tmp_path,
        config(sandbox),
        catalog,
        lambda message: message["type"] == "STATE",
        lambda process: process.send_signal(ending),
    )

    assert stopped.code == 128 + ending
    assert f"stopped by {ending.name}" in stopped.said("WARNING")[-1]
    assert "Traceback" not in stopped.errors
    assert 0 < len(stopped.rows("profiles")) < 400
    rest_of_it = run_tap(tmp_path, config(sandbox), catalog=catalog, state=stopped.state)
    assert {*keys(stopped, "profiles"), *keys(rest_of_it, "profiles")} == {
        (key,) for key in sandbox.store.profiles.rows
    }


def test_a_signal_breaks_no_line(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Told to stop while a slow target keeps it waiting in the middle of a page, the tap ends after that page."""
    sandbox = make_sandbox(profiles=300, events=3000, limits=False)
    (tmp_path / "config.json").write_text(json.dumps(config(sandbox)))
    (tmp_path / "catalog.json").write_text(json.dumps(select(discovered(), {"events": None})))
    process = warm.Popen(
        [sys.executable, "-m", "tap_klaviyo", "--config", "config.json", "--catalog", "catalog.json"],
        cwd=tmp_path,
        stdout=warm.PIPE,
        stderr=warm.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    schema = process.stdout.readline()
    # A page is a million bytes and more, the pipe takes sixty thousand.
    begun = process.stdout.read(10)
    # It waits for room in the pipe, and is woken by the signal before there is any.
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in errors
    messages = [json.loads(line) for line in (schema + begun + rest).splitlines()]
    assert [message["type"] for message in messages[:2]] == ["SCHEMA", "RECORD"]
    assert messages[-1]["type"] == "STATE"
    assert 0 < sum(message["type"] == "RECORD" for message in messages) < 3000
