"""Files of rows, however a run ends: nothing that a STATE says is missing, and nothing is left lying about."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from batch_support import rows_in
from support import warm
from support.commands import run_command
from tap_support import Run, config, discovered, run_tap, run_tap_until, select

from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.files import destination as destinations
from tap_klaviyo.files.destination import Destination, destination
from tap_klaviyo.files.folder import Folder
from tap_klaviyo.tap import TapKlaviyo

EVENTS = 40_000
# Two tables of one read, and columns that cost little.
WANTED = {"events": ("id", "event_datetime", "event_properties"), "lists": None}


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(procedural=True, profiles=500, events=EVENTS, limits=False)


@pytest.fixture
def settings(account: RunningSandbox, tmp_path: Path) -> dict[str, Any]:
    """Of a run that announces every few pages, and reads half of the events in worker processes."""
    return config(account, processes=2, batch_config=batch_config(tmp_path / "files", batch_size=3000))


def batch_config(root: Path | str, **more: Any) -> dict[str, Any]:
    return {"encoding": {"format": "parquet"}, "storage": {"root": str(root)}, **more}


def catalog() -> dict[str, Any]:
    return select(discovered(), WANTED)


def assert_vouched(*runs: Run) -> None:
    """Every STATE of these runs came after the files of all rows before its bookmark, and at the end nothing lacks."""
    messages = [message for run in runs for message in run.messages]
    # Id -> moment, file by file.
    found = [
        {row["id"]: row["event_datetime"] for row in rows_in(message)} if batches_of_events(message) else {}
        for message in messages
    ]
    every = {key: moment for rows in found for key, moment in rows.items()}
    assert len(every) == EVENTS
    missing = set(every)
    for message, rows in zip(messages, found, strict=True):
        missing -= rows.keys()
        if message["type"] == "STATE":
            until = message["value"]["bookmarks"].get("events", {}).get("replication_key_value", "")
            assert [key for key in missing if every[key] < until] == []


def batches_of_events(message: dict[str, Any]) -> bool:
    return message["type"] == "BATCH" and message["stream"] == "events"


def nth(count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether a message is the BATCH of events that comes at this place, counted from 1."""
    seen: list[dict[str, Any]] = []

    def reached(message: dict[str, Any]) -> bool:
        seen.extend([message] if batches_of_events(message) else [])
        return len(seen) >= count

    return reached


@pytest.mark.parametrize("place", [1, 6, 13])
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_ends_early_is_gone_on_with(
    settings: dict[str, Any], tmp_path: Path, ending: signal.Signals, place: int
) -> None:
    """Told to stop, or killed, in this process or with workers: the next run has the rest, and cleans up."""
    stopped = run_tap_until(tmp_path, settings, catalog(), nth(place), lambda process: process.send_signal(ending))
    assert stopped.code == (128 + ending if ending is signal.SIGTERM else -ending)
    last = [message for message in stopped.messages if message["type"] in ("BATCH", "STATE")][-1]
    if ending is signal.SIGTERM:
        assert last["type"] == "STATE"
        assert not [path for path in (tmp_path / "files").iterdir() if path.name.startswith(".")]
    states = [message["value"] for message in stopped.messages if message["type"] == "STATE"]
    rest = run_tap(tmp_path, settings, catalog=catalog(), state=states[-1] if states else None)
    assert rest.code == 0, rest.errors
    assert_vouched(stopped, rest)
    assert not [path for path in (tmp_path / "files").iterdir() if path.name.startswith(".")]


def test_a_worker_that_dies_takes_the_later_states_with_it(settings: dict[str, Any], tmp_path: Path) -> None:
    """Its rows are in no whole file, so no STATE vouches for them, and the run fails."""

    def kill_a_worker(process: warm.Popen) -> None:
        children = psutil.Process(process.pid).children(recursive=True)
        next(child for child in children if "tap_klaviyo.workers.worker" in child.cmdline()).kill()

    failed = run_tap_until(tmp_path, settings, catalog(), nth(12), kill_a_worker)
    assert failed.code != 0
    rest = run_tap(tmp_path, settings, catalog=catalog(), state=failed.state)
    assert rest.code == 0, rest.errors
    assert_vouched(failed, rest)


def test_a_folder_that_is_gone_ends_the_run(settings: dict[str, Any], tmp_path: Path) -> None:
    """As a full disk does: one sentence, and no STATE that vouches for what could not be written."""
    folder, elsewhere = tmp_path / "files", tmp_path / "elsewhere"
    failed = run_tap_until(tmp_path, settings, catalog(), nth(2), lambda _: folder.rename(elsewhere))
    assert failed.code == 1
    assert "rows cannot be written into" in failed.said("CRITICAL", "ERROR")[-1]
    assert "Traceback" not in failed.errors
    elsewhere.rename(folder)
    announced = [message for message in failed.messages if message["type"] == "BATCH"]
    assert all(rows_in(message) for message in announced)
    rest = run_tap(tmp_path, settings, catalog=catalog(), state=failed.state)
    assert_vouched(failed, rest)


WRONG = {
    "relative": (batch_config("some/where"), "storage.root must be an absolute path"),
    "relative URL": (batch_config("file:some/where"), "storage.root must be an absolute path"),
    "bucket": (batch_config("s3://bucket/klaviyo"), "storage.root must be a folder of this machine"),
    "host": (batch_config("file://host/klaviyo"), "storage.root must be a folder of this machine"),
    "escapes": (batch_config("/data/100%"), "storage.root must have none of %?#"),
    "format": ({**batch_config("/data"), "encoding": {"format": "parqet"}}, "encoding.format is wrong"),
    "no format": ({**batch_config("/data"), "encoding": {}}, "encoding is wrong: required"),
    "compression": (
        {**batch_config("/data"), "encoding": {"format": "jsonl", "compression": "zip"}},
        "encoding.compression is wrong",
    ),
    "prefix": ({**batch_config("/data"), "storage": {"root": "/d", "prefix": "a/b"}}, "storage.prefix is wrong"),
    "no root": ({**batch_config("/data"), "storage": {}}, "storage is wrong: required"),
    "size": (batch_config("/data", batch_size=0), "batch_size is wrong: minimum"),
    "unknown": ({**batch_config("/data"), "storage": {"root": "/d", "roott": 1}}, "storage is wrong"),
    "text": ("parquet", "batch_config is wrong: type must be object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_setting_that_cannot_be_used_is_an_error_before_anything_is_read(
    account: RunningSandbox, tmp_path: Path, case: str
) -> None:
    """It names the setting, and what is expected; nothing is asked for, and nothing is written."""
    wrong, expected = WRONG[case]
    before = len(account.requests)
    run = run_tap(tmp_path, config(account, batch_config=wrong), catalog=catalog())
    assert run.code == 2, run.errors
    assert expected in run.errors
    assert "Traceback" not in run.errors
    assert not run.messages
    assert len(account.requests) == before


@pytest.mark.parametrize("way", ["a file", "below a file"])
def test_a_folder_that_cannot_be_made_is_an_error_before_anything_is_read(
    account: RunningSandbox, tmp_path: Path, way: str
) -> None:
    """A file is in its place, or above it."""
    (tmp_path / "taken").write_text("")
    root = tmp_path / "taken" if way == "a file" else tmp_path / "taken" / "files"
    before = len(account.requests)
    run = run_tap(tmp_path, config(account, batch_config=batch_config(root)), catalog=catalog())
    assert run.code == 2, run.errors
    assert f"batch_config.storage.root: {root} cannot be written to" in run.errors
    assert not run.messages
    assert len(account.requests) == before


def test_without_pyarrow_the_extra_is_named(account: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet needs it, and the error says what to install; JSONL does not."""
    monkeypatch.setattr(destinations.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Exception, match=r"pyarrow: install singer-klaviyo\[parquet\]"):
        TapKlaviyo(config=config(account, batch_config=batch_config("/data")), parse_env_config=False)
    lines = {**batch_config("/data"), "encoding": {"format": "jsonl"}}
    assert TapKlaviyo(config=config(account, batch_config=lines), parse_env_config=False).files is not None


def goal(folder: Path) -> Destination:
    made = destination(batch_config(folder))
    assert made is not None
    return made


def test_what_a_dead_run_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    """By the lock that a run holds while it lives; files with their final names belong to whoever takes them."""
    living, later = goal(tmp_path), goal(tmp_path)
    alive = Folder(living)
    alive.open()
    dead = f"{time.strftime('%Y%m%dT%H%M%S')}0123abcd"
    kept = {f".{living.run_id}-1-1.unfinished", f"events-{dead}-000001.parquet", ".unfinished", ".x.lock"}
    for name in (*kept, f".{dead}.lock", f".{dead}-7-1.unfinished", f".{dead}-8-2.unfinished"):
        (tmp_path / name).touch()
    folder = Folder(later)
    folder.open()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {*kept, f".{living.run_id}.lock", f".{later.run_id}.lock"}
    folder.close()
    alive.close()
    assert {path.name for path in tmp_path.iterdir()} == kept - {f".{living.run_id}-1-1.unfinished"}


def test_nothing_is_made_where_nothing_is_read(account: RunningSandbox, tmp_path: Path) -> None:
    """Neither --discover nor --test makes the folder."""
    settings = config(account, batch_config=batch_config(tmp_path / "files"))
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "catalog.json").write_text(json.dumps(catalog()))
    for arguments in (("--discover",), ("--test", "--catalog", "catalog.json")):
        command = [sys.executable, "-m", "tap_klaviyo", "--config", "config.json", *arguments]
        done = run_command(command, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "files").exists()
