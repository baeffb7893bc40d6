"""The pair in Meltano, with a real PostgreSQL, and the demo as a stranger runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import yaml
from support.demo import DEMO, ROOT, load
from support.demo import meltano as with_plugins
from support.documented import copy_checkout
from support.environments import provide_plugins
from support.patience import PATIENCE, SCRIPT_PATIENCE, until
from support.second_path import KEYS, truth

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.settings import SETTINGS as TAP
from target_klaviyo.settings import SETTINGS as TARGET

SETTINGS = {"tap-klaviyo": TAP, "target-klaviyo": TARGET}


@pytest.fixture(scope="module")
def demo() -> Any:
    """The demo as a module: its Meltano and its PostgreSQL serve here, too."""
    return load()


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    # Without limits: the second path asks flow by flow, of which Klaviyo allows sixty a minute.
    return make_shared_sandbox(profiles=150, events=600, seed=3, limits=False)


@pytest.fixture(scope="module")
def meltano(demo: Any, account: RunningSandbox, database: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The checkout's project with our plugins, which take no network."""
    folder = tmp_path_factory.mktemp("meltano")
    return with_plugins(demo, folder, account.url, database, "tap-klaviyo", "target-klaviyo")


@pytest.fixture(scope="module")
def with_loaders(demo: Any, meltano: Any) -> Any:
    """The same with the loaders of others."""
    provide_plugins(demo.WORK / "files", (ROOT / "meltano.yml").read_text(), "target-postgres", "target-jsonl")
    return meltano


@pytest.fixture(scope="module")
def extracted(with_loaders: Any) -> Any:
    """The same, after the account has landed in PostgreSQL."""
    with_loaders.run("run", "extract", log="first.log")
    return with_loaders


def expected_keys(account: RunningSandbox) -> dict[str, list[tuple[str, ...]]]:
    return {table: truth(account, table) for table in KEYS}


def landed(database: str) -> dict[str, set[tuple[str, ...]]]:
    with psycopg.connect(database) as connection:
        rows = {
            table: connection.execute(f"select {', '.join(key)} from klaviyo.{table}").fetchall()
            for table, key in KEYS.items()
        }
    assert {table: len(found) for table, found in rows.items()} == {table: len(set(f)) for table, f in rows.items()}
    return {table: {tuple(map(as_text, key)) for key in found} for table, found in rows.items()}


def as_text(value: Any) -> Any:
    """A time as the second path has it; target-postgres writes UTC without saying so."""
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else value


@pytest.mark.exhaustive
def test_postgres_holds_exactly_the_account(extracted: Any, account: RunningSandbox, database: str) -> None:
    """`meltano run extract` lands every row once, and a second, incremental run changes no set of keys."""
    expected = {table: set(keys) for table, keys in expected_keys(account).items()}
    assert landed(database) == expected
    asked = len(account.requests)

    extracted.run("run", "extract", log="second.log")
    assert landed(database) == expected
    filters = [entry.query.get("filter", "") for entry in list(account.requests)[asked:]]
    assert any("greater-than(updated," in text for text in filters)
    assert any("greater-or-equal(datetime," in text for text in filters)


@pytest.mark.exhaustive
def test_postgres_columns_have_honest_types(extracted: Any, database: str) -> None:
    """Times, numbers, truth values and objects arrive as what they are."""
    query = "select column_name, data_type from information_schema.columns where table_schema = 'klaviyo'"
    with psycopg.connect(database) as connection:
        types = dict(connection.execute(query).fetchall())

    assert "timestamp" in types["event_datetime"]
    assert types["event_properties"] == "jsonb"
    assert types["location_latitude"] in ("numeric", "double precision")
    assert types["email_marketing_can_receive"] == "boolean"
    assert types["timestamp"] in ("bigint", "integer")


def test_a_rehearsal_that_is_misspelled_sends_nothing(demo: Any, meltano: Any, account: RunningSandbox) -> None:
    """Meltano leaves the word to the plugin, which knows it for neither true nor false."""
    meltano.environment["TARGET_KLAVIYO_DRY_RUN"] = "ture"
    before = len(account.requests)
    try:
        with pytest.raises(demo.Stopped, match=r"DRY_RUN must be true or false|dry_run is wrong"):
            meltano.run("invoke", "target-klaviyo", log="misspelled.log")
    finally:
        del meltano.environment["TARGET_KLAVIYO_DRY_RUN"]
    assert len(account.requests) == before


def test_the_reason_of_a_failure_is_an_error_to_meltano(demo: Any, meltano: Any) -> None:
    """Whoever asks Meltano for warnings only sees it, because it comes with its level."""
    changed = {"TARGET_KLAVIYO_MAX_REJECTS": "many", "MELTANO_CLI_LOG_LEVEL": "warning"}
    before = dict(meltano.environment)
    meltano.environment.update(changed)
    try:
        with pytest.raises(demo.Stopped, match="max_rejects"):
            meltano.run("run", "tap-klaviyo", "target-klaviyo", log="quiet.log")
    finally:
        meltano.environment.clear()
        meltano.environment.update(before)


def test_meltano_can_test_the_settings_of_the_target(demo: Any, meltano: Any, account: RunningSandbox) -> None:
    """`meltano config test target-klaviyo` takes no line of ours for a failure, and the account gets nothing."""
    before = len(account.requests)
    # Having said so, Meltano 4.4.1 wants to end the process that has ended, and fails over that, with any loader.
    with contextlib.suppress(demo.Stopped):
        meltano.run("config", "test", "target-klaviyo", log="tested.log")
    assert "Test data was written" in (demo.WORK / "tested.log").read_text()
    asked = list(account.requests)[before:]
    assert asked
    assert {entry.status for entry in asked if entry.method != "GET"} <= {400}


@pytest.mark.exhaustive
def test_postgres_loses_what_klaviyo_has_no_more(
    make_sandbox: Callable[..., RunningSandbox], with_loaders: Any, database: str
) -> None:
    """With ACTIVATE_VERSION and `hard_delete`, a deleted list and who left one go; a deleted flow stays."""
    account = make_sandbox(profiles=40, events=0, seed=9, limits=False)
    changed = {
        "TAP_KLAVIYO_API_URL": account.url,
        "TAP_KLAVIYO_EMIT_ACTIVATE_VERSION_MESSAGES": "true",
        "TAP_KLAVIYO_REREAD": '["lists", "list_profiles", "flows"]',
        "TAP_KLAVIYO__SELECT": '["lists.*", "list_profiles.*", "flows.*"]',
        "TARGET_POSTGRES_HARD_DELETE": "true",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "deletions",
    }
    before = dict(with_loaders.environment)
    with_loaders.environment.update(changed)

    def held(table: str, columns: str) -> set[tuple[str, ...]]:
        with psycopg.connect(database) as connection:
            return set(connection.execute(f"select {columns} from deletions.{table}").fetchall())

    try:
        with_loaders.run("run", "--full-refresh", "--state-id-suffix", "deletions", "extract", log="deletions.log")
        lists, members, flows = (
            held("lists", "list_id"),
            held("list_profiles", "list_id, profile_id"),
            held("flows", "flow_id"),
        )
        gone, flow = min(lists), min(flows)
        left = next(member for member in sorted(members) if member[0] != gone[0])
        account.control.delete("lists", gone[0])
        account.control.delete("flows", flow[0])
        account.store.list_members[left[0]].drop(left[1])
        with_loaders.run("run", "--state-id-suffix", "deletions", "extract", log="deletions_again.log")
    finally:
        with_loaders.environment.clear()
        with_loaders.environment.update(before)
    assert held("lists", "list_id") == lists - {gone}
    assert held("list_profiles", "list_id, profile_id") == {m for m in members if m[0] != gone[0]} - {left}
    assert held("flows", "flow_id") == flows


@pytest.mark.exhaustive
def test_jsonl_holds_exactly_the_account(with_loaders: Any, account: RunningSandbox, tmp_path: Path) -> None:
    """The tap pairs with target-jsonl, whose jsonschema is ten years old."""
    with_loaders.environment["TARGET_JSONL_DESTINATION_PATH"] = str(tmp_path)
    with_loaders.run("run", "--full-refresh", "tap-klaviyo", "target-jsonl", log="jsonl.log")

    rows = {t: [json.loads(line) for line in (tmp_path / f"{t}.jsonl").read_text().splitlines()] for t in KEYS}
    found = {t: [tuple(row[name] for name in key) for row in rows[t]] for t, key in KEYS.items()}
    # Who is suppressed on a list and still there comes twice, the fuller row last, as docs/reference/tables says.
    assert {t for t, keys in found.items() if len(keys) > len(set(keys))} <= {"member_lists"}
    found["member_lists"] = list(dict.fromkeys(found["member_lists"]))
    assert {t: sorted(keys) for t, keys in found.items()} == {
        t: sorted(keys) for t, keys in expected_keys(account).items()
    }


def test_definitions_for_the_hub_say_what_the_plugins_say() -> None:
    """What a plugin tells of itself with --about, its definition has: settings, secrets, capabilities."""
    for name in ("tap-klaviyo", "target-klaviyo"):
        module = name.replace("-", "_")
        command = [sys.executable, "-m", module, "--about", "--format=json"]
        about = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        hub = yaml.safe_load((ROOT / "docs" / "meltano-hub" / f"{name}.yml").read_text())
        (plugin,) = (
            entry
            for entries in yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"].values()
            for entry in entries
            if entry["name"] == name
        )
        for found in (hub, plugin):
            # Meltano knows the SDK's nested settings by their own names, as far as people use them.
            names = {entry["name"] for entry in found["settings"]}
            own = {key for key, setting in SETTINGS[name]["properties"].items() if not setting.get("deprecated")}
            assert own <= names <= set(about["settings"]["properties"])
            assert all(entry["label"] and entry["description"] for entry in found["settings"])
            assert {entry["name"] for entry in found["settings"] if entry.get("sensitive")} == {
                entry for entry, declared in SETTINGS[name]["properties"].items() if declared.get("secret")
            }
            # Meltano's schema of a project does not know this one, which the Hub's does.
            unknown = set() if found is hub else {"validate-records"}
            assert set(found["capabilities"]) == set(about["capabilities"]) - unknown
            assert (found["namespace"], found["executable"]) == (module, name)


# The demo


def test_the_audience_is_who_ordered_three_times_or_more(demo: Any, make_database: Callable[[], str]) -> None:
    """Its SQL adds up orders only, and the two rows that cannot be pushed are in it."""
    with psycopg.connect(make_database(), autocommit=True) as connection:
        connection.execute("create schema klaviyo")
        connection.execute(
            "create table klaviyo.profiles (profile_id text, email text, phone_number text, first_name text)"
        )
        connection.execute("create table klaviyo.events (profile_data_id text, metric_name text, value float)")
        people = [(str(n), f"p{n}@example.com", None, "Ada") for n in range(5)]
        events = [(str(n), "Placed Order", 1.5) for n in range(5) for _ in range(n)] + [("2", "Opened Email", None)] * 9
        with connection.cursor() as cursor:
            cursor.executemany("insert into klaviyo.profiles values (%s, %s, %s, %s)", people)
            cursor.executemany("insert into klaviyo.events values (%s, %s, %s)", events)

        assert demo.build(connection) == 4
        found = connection.execute("select email, orders, revenue from audience.vip_customers").fetchall()

    assert {("p3@example.com", 3, 4.5), ("p4@example.com", 4, 6)} < set(found)
    assert {email for email, *_ in found} == {"p3@example.com", "p4@example.com", "ada.example.com", None}


def test_the_demo_reads_a_list_of_many_pages(
    demo: Any, make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows a list that is not there, and follows the pages of a long one."""
    account = make_sandbox(profiles=500, events=0)
    assert demo.members(account.url) is None
    list_id, rows = max(account.store.list_members.items(), key=lambda entry: len(entry[1].rows))
    monkeypatch.setattr(demo, "LIST", account.store.lists.rows[list_id]["name"])
    assert len(rows.rows) > 100
    assert {member["id"] for member in demo.members(account.url)} == set(rows.rows)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, as the demo writes into the checkout that it is in."""
    return copy_checkout(tmp_path_factory.mktemp("demo"))


def start_demo(checkout: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(checkout / DEMO.relative_to(ROOT)), "--profiles", "300", "--events", "2000"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=checkout)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_the_tap(process: psutil.Process) -> bool:
    try:
        return "tap-klaviyo" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.exhaustive
def test_interrupted_demo_leaves_nothing_running(checkout: Path) -> None:
    """Ctrl-C in the middle of a run ends Meltano, its plugins and the database; nothing stays behind."""
    process = start_demo(checkout)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("3."):
            break
    until(lambda: any(is_the_tap(each) for each in descendants(process)), every=0.1)
    started = descendants(process)
    assert started

    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=SCRIPT_PATIENCE)

    assert process.returncode == 130
    assert "Traceback" not in errors
    assert still_running(started) == []


@pytest.mark.exhaustive
def test_demo_shows_the_whole_product(checkout: Path) -> None:
    """The demo runs to its end, after an interrupted one, too: rows landed, audience built, pushed and read back."""
    process = start_demo(checkout)
    output, errors = process.communicate(timeout=SCRIPT_PATIENCE)

    assert process.returncode == 0, output + errors
    assert "300" in output
    assert "2,000" in output
    assert "2 rejected" in output
    assert "invalid_email" in output
    assert "no_identifier" in output
    assert "Nothing is left running" in output
    assert errors == ""
