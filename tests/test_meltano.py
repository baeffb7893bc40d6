"""The pair in Meltano, with a real PostgreSQL, and the demo as a stranger runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import yaml
from support.demo import DEMO, load
from support.patience import PATIENCE, until
from support.second_path import KEYS, truth

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.options import SETTINGS as TAP
from target_klaviyo.options import SETTINGS as TARGET

ROOT = Path(__file__).parents[1]
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
def database(demo: Any) -> Iterator[str]:
    with demo.postgres() as uri:
        yield uri


@pytest.fixture(scope="module")
def meltano(
    demo: Any, account: RunningSandbox, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    before, demo.WORK = demo.WORK, tmp_path_factory.mktemp("meltano")
    runner = demo.Meltano(account.url, database)
    runner.run("install", log="install.log")
    yield runner
    demo.WORK = before


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


def test_postgres_holds_exactly_the_account(meltano: Any, account: RunningSandbox, database: str) -> None:
    """`meltano run extract` lands every row once, and a second, incremental run changes no set of keys."""
    expected = {table: set(keys) for table, keys in expected_keys(account).items()}
    meltano.run("run", "extract", log="first.log")
    assert landed(database) == expected
    asked = len(account.requests)

    meltano.run("run", "extract", log="second.log")
    assert landed(database) == expected
    filters = [entry.query.get("filter", "") for entry in list(account.requests)[asked:]]
    assert any("greater-than(updated," in text for text in filters)
    assert any("greater-or-equal(datetime," in text for text in filters)


def test_postgres_columns_have_honest_types(meltano: Any, database: str) -> None:
    """Times, numbers, truth values and objects arrive as what they are."""
    meltano.run("run", "extract", log="types.log")
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


def test_postgres_loses_what_klaviyo_has_no_more(
    demo: Any, make_sandbox: Callable[..., RunningSandbox], meltano: Any, database: str
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
    before = dict(meltano.environment)
    meltano.environment.update(changed)

    def held(table: str, columns: str) -> set[tuple[str, ...]]:
        with psycopg.connect(database) as connection:
            return set(connection.execute(f"select {columns} from deletions.{table}").fetchall())

    try:
        meltano.run("run", "--full-refresh", "--state-id-suffix", "deletions", "extract", log="deletions.log")
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
        meltano.run("run", "--state-id-suffix", "deletions", "extract", log="deletions_again.log")
    finally:
        meltano.environment.clear()
        meltano.environment.update(before)
    assert held("lists", "list_id") == lists - {gone}
    assert held("list_profiles", "list_id, profile_id") == {m for m in members if m[0] != gone[0]} - {left}
    assert held("flows", "flow_id") == flows


def test_jsonl_holds_exactly_the_account(meltano: Any, account: RunningSandbox, tmp_path: Path) -> None:
    """The tap pairs with target-jsonl, whose jsonschema is ten years old."""
    meltano.environment["TARGET_JSONL_DESTINATION_PATH"] = str(tmp_path)
    meltano.run("run", "--full-refresh", "tap-klaviyo", "target-jsonl", log="jsonl.log")

    rows = {t: [json.loads(line) for line in (tmp_path / f"{t}.jsonl").read_text().splitlines()] for t in KEYS}
    found = {t: [tuple(row[name] for name in key) for row in rows[t]] for t, key in KEYS.items()}
    assert {t: sorted(keys) for t, keys in found.items()} == {
        t: sorted(keys) for t, keys in expected_keys(account).items()
    }


def test_settings_of_meltano_are_the_plugins_own() -> None:
    """`python scripts/update_meltano.py` brings meltano.yml and the definitions for Meltano Hub up to date."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "update_meltano.py", "--check"], check=False)
    assert done.returncode == 0


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
            assert set(SETTINGS[name]["properties"]) <= names <= set(about["settings"]["properties"])
            assert all(entry["label"] and entry["description"] for entry in found["settings"])
            assert {entry["name"] for entry in found["settings"] if entry.get("sensitive")} == {
                entry for entry, declared in SETTINGS[name]["properties"].items() if declared.get("secret")
            }
            assert set(found["capabilities"]) <= set(about["capabilities"])
            assert (found["namespace"], found["executable"]) == (module, name)


# The demo


def start_demo() -> subprocess.Popen[str]:
    command = [sys.executable, str(DEMO), "--profiles", "300", "--events", "2000"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_interrupted_demo_leaves_nothing_running() -> None:
    """Ctrl-C in the middle of a run ends Meltano, its plugins and the database; nothing stays behind."""
    process = start_demo()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("3."):
            break
    until(lambda: any("tap-klaviyo" in " ".join(p.cmdline()) for p in descendants(process)), every=0.1)
    started = descendants(process)
    assert started

    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "Traceback" not in errors
    assert still_running(started) == []


def test_demo_shows_the_whole_product() -> None:
    """After an interrupted one, the demo runs to its end: rows landed, audience built, pushed and read back."""
    process = start_demo()
    output, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, output + errors
    assert "300" in output
    assert "2,000" in output
    assert "2 rejected" in output
    assert "invalid_email" in output
    assert "no_identifier" in output
    assert "Nothing is left running" in output
    assert errors == ""
