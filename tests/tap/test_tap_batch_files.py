"""Files of rows in place of RECORD messages: the same rows, announced before the STATE that vouches for them."""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from batch_support import path_of, rows_by_stream, rows_in, sorted_rows
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_client.client import KlaviyoClient
from klaviyo_sandbox import RunningSandbox
from tap_klaviyo import tap
from tap_klaviyo.reading import account_reader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.streams import run as streams_run
from tap_klaviyo.tables import GAP_TABLES, STREAMS, TABLES

Messages = list[dict[str, Any]]
Read = Callable[..., Messages]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=40, events=2400, limits=False, odd_values=True)


@pytest.fixture(scope="module")
def lines(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run that reads every table, and writes lines."""
    run = run_tap(tmp_path_factory.mktemp("lines"), config(account), catalog=every_table_selected())
    assert run.code == 0, run.errors
    return run


def every_table_selected() -> dict[str, Any]:
    return select(discovered(), dict.fromkeys(table.name for table in TABLES))


@pytest.fixture
def read(
    account: RunningSandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Read:
    """Runs the tap in this process, with workers for all pages of events; gives its messages."""
    monkeypatch.setattr(account_reader, "PAGES_BEFORE_WORKERS", 0)
    monkeypatch.setattr(KlaviyoClient, "acquire", lambda *_: None)

    def run(format_: str | None = "parquet", *, tables: set[str], batch_size: int = 1000, **settings: Any) -> Messages:
        files = {"batch_config": batch_config(tmp_path, format_, batch_size=batch_size)} if format_ else {}
        made = tap.TapKlaviyo(
            config=config(account, processes=2, **files, **settings),
            catalog=select(discovered(), dict.fromkeys(tables)),
            parse_env_config=False,
        )
        capfd.readouterr()
        made.sync_all()
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return run


def batch_config(folder: Path, format_: str = "parquet", **more: Any) -> dict[str, Any]:
    return {"encoding": {"format": format_}, "storage": {"root": str(folder / "files"), "prefix": "k-"}, **more}


def of(kind: str, messages: Messages) -> Messages:
    return [message for message in messages if message["type"] == kind]


def edges(state: dict[str, Any]) -> dict[str, Any]:
    """The bookmarks, without when each run looked back."""
    return {name: {**bookmark, "looked_back": None} for name, bookmark in state["bookmarks"].items()}


@pytest.mark.parametrize("format_", ["parquet", "jsonl"])
def test_files_hold_the_rows_of_lines(account: RunningSandbox, lines: Run, tmp_path: Path, format_: str) -> None:
    """Of every table of an account with odd values; and no line of a row is written."""
    files = run_tap(
        tmp_path, config(account, batch_config=batch_config(tmp_path, format_)), catalog=every_table_selected()
    )
    assert files.code == 0, files.errors
    assert_same_rows(files.messages, lines.messages)
    assert len(rows_by_stream(files.messages)) > 40
    assert not of("RECORD", files.messages)
    assert of("SCHEMA", files.messages) == of("SCHEMA", lines.messages)
    assert edges(files.state) == edges(lines.state)
    assert counts(files) == counts(lines)


def test_workers_write_the_rows_of_lines(read: Read) -> None:
    """Each process into files of its own: all tables of the pages of events, look-ups and what fills gaps included."""
    tables = {table.name for table in (*TABLES, *GAP_TABLES) if table.collection.name == "events"}
    files = read(tables=tables)
    assert_same_rows(files, read(None, tables=tables))
    assert not of("RECORD", files)
    by_stream = Counter(message["stream"] for message in of("BATCH", files))
    assert by_stream["events"] >= 2  # of three pages, and two processes


def test_what_the_sdk_makes_of_rows_goes_into_files_too(account: RunningSandbox, tmp_path: Path) -> None:
    """Stream maps, flattening, and the rows of reports."""
    settings = config(
        account,
        reports=[{"report": "metric_aggregates", "metric": "Opened Email", "start_date": "2026-05-01"}],
        stream_maps={"profiles": {"email": "email and md5(email)", "now": "str(1 + 1)", "__alias__": "people"}},
        flattening_enabled=True,
        flattening_max_depth=1,
    )
    catalog = select(discovered(), dict.fromkeys(("profiles", "campaigns", "metric_aggregates")))
    lines = run_tap(tmp_path, settings, catalog=catalog)
    files = run_tap(tmp_path, {**settings, "batch_config": batch_config(tmp_path)}, catalog=catalog)
    assert files.code == lines.code == 0, files.errors
    assert_same_rows(files.messages, lines.messages)
    assert {"people", "campaigns"} <= rows_by_stream(files.messages).keys()
    assert not of("RECORD", files.messages)
    assert of("SCHEMA", files.messages) == of("SCHEMA", lines.messages)
    assert counts(files) == counts(lines)


def test_every_state_comes_after_the_files_of_its_rows(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a STATE says was read is in a file that was announced before it, however small files are."""
    monkeypatch.setattr(streams_run, "STATE_SECONDS", 0)
    messages = read(tables={"events", "profiles"}, batch_size=1)
    every = {row["id"]: row["event_datetime"] for row in rows_by_stream(messages)["events"]}
    announced: set[str] = set()
    states = 0
    for message in messages:
        if message["type"] == "BATCH" and message["stream"] == "events":
            announced |= {row["id"] for row in rows_in(message)}
        if message["type"] == "STATE":
            until = message["value"]["bookmarks"].get("events", {}).get("replication_key_value", "")
            assert {key for key, moment in every.items() if moment < until} <= announced
            states += bool(until)
    assert states >= 3
    assert messages[-1]["type"] == "STATE"


def test_a_file_says_what_it_is(read: Read, tmp_path: Path) -> None:
    """Only its owner may read it, its name tells the run, and it holds what a reader without the messages needs."""
    messages = read(tables={"lists"}, emit_activate_version_messages=True)
    [batch], [schema], [activated] = (of(kind, messages) for kind in ("BATCH", "SCHEMA", "ACTIVATE_VERSION"))
    assert messages.index(batch) < messages.index(activated)
    assert batch["encoding"] == {"format": "parquet"}
    [url] = batch["manifest"]
    path = path_of(url)
    assert re.fullmatch(r"k-lists-\d{8}T\d{6}[0-9a-f]{8}-000001\.parquet", path.name)
    assert list((tmp_path / "files").iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    told = {name.decode(): value.decode() for name, value in pq.read_schema(path).metadata.items()}
    assert told["singer.stream"] == "lists"
    assert json.loads(told["singer.key_properties"]) == schema["key_properties"]
    assert json.loads(told["singer.schema"]) == schema["schema"]
    assert told["singer.version"] == str(activated["version"])
    assert datetime.fromisoformat(told["singer.time_extracted"]).tzinfo is not None
    assert {pq.ParquetFile(path).metadata.row_group(0).column(0).compression} == {"ZSTD"}


def counts(run: Run) -> Counter[str]:
    """Stream -> how many rows the SDK's metrics say it had."""
    found: Counter[str] = Counter()
    for line in run.errors.splitlines():
        if '"metric":"record_count"' in line:
            point = json.loads(line.split("METRIC: ")[1])
            found[point["tags"]["stream"]] += point["value"]
    assert found
    return found


def assert_same_rows(files: Messages, lines: Messages) -> None:
    """Of every stream, in any order: two processes write a collection's pages into a file each."""
    expected, found = rows_by_stream(lines), rows_by_stream(files)
    assert {name: len(rows) for name, rows in found.items()} == {name: len(rows) for name, rows in expected.items()}
    for name, rows in expected.items():
        assert sorted_rows(without_reading_time(name, found[name])) == sorted_rows(without_reading_time(name, rows))


def without_reading_time(stream: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the columns that say when they were read."""
    columns = schema_files.load(stream)["properties"] if stream in STREAMS else {}
    when = {name for name, column in columns.items() if column.get("x-klaviyo-path") == "extracted#"}
    return [{name: value for name, value in row.items() if name not in when} for row in rows]
