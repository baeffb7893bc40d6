"""Pages of RECORD lines are what the SDK would have written, record by record."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import RecordMessage
from support.fast_clock import AT_ONCE, fast_clock
from tap_support import config

from klaviyo_client.http.clock import Clock
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo import tap
from tap_klaviyo.reading import batches
from tap_klaviyo.reading.batches import Batch, BatchMaker
from tap_klaviyo.rows import record_lines as tap_lines
from tap_klaviyo.rows.record_lines import record_lines
from tap_klaviyo.streams import run as streams_run
from tap_klaviyo.streams.table import TableStream
from tap_klaviyo.tables import BY_DEFAULT, TABLES

Lines = dict[str, list[str]]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=110, events=300, limits=False)


@pytest.fixture
def read(
    account: RunningSandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Lines]:
    """Runs the tap; gives its lines by stream, those of STATE by themselves, without the time of extraction."""
    # A STATE at every edge, whatever the clock says.
    monkeypatch.setattr(streams_run, "STATE_SECONDS", 0)
    # Details of flows, and look-ups, would wait for Klaviyo's limits.
    clock = fast_clock(AT_ONCE)
    monkeypatch.setattr(Clock.__init__, "__defaults__", (clock.monotonic, clock.sleep))

    def run(*, bookmarks: dict[str, Any] | None = None, **settings: Any) -> Lines:
        made = tap.TapKlaviyo(
            config=config(account, **settings), state={"bookmarks": bookmarks or {}}, parse_env_config=False
        )
        made.sync_all()
        found: Lines = defaultdict(list)
        for line in capfd.readouterr().out.splitlines():
            text = re.sub(r'("(?:time_extracted|at|last_run)":")[\d.:T+-]+', r"\1", line)
            found[json.loads(line).get("stream", "STATE")].append(text)
        return found

    return run


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The streams whose rows were written a page at once, as often as that was done."""
    streams: list[str] = []
    original = TableStream._write_encoded

    def noted(stream: TableStream, lines: Any) -> None:
        streams.append(stream.name)
        original(stream, lines)

    monkeypatch.setattr(TableStream, "_write_encoded", noted)
    return streams


def test_a_line_is_what_the_sdk_writes() -> None:
    """To the byte, with everything that JSON can hold."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "n": 1.5, "whole": 10**15, "null": None, "yes": True, "deep": {"list": [1, {"x": []}]}},
        {"id": 'ü \U0001f600 \u2028 \x7f " \\ \n \t \x00', "small": 1e-9, "large": 1e300, "empty": ""},
    ]
    moment = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
    writer = MsgSpecWriter()
    messages = [RecordMessage("events", row, time_extracted=moment) for row in rows]
    # The writer has one buffer for all lines.
    expected = [bytes(writer.serialize_message(message)) for message in messages]
    assert record_lines("events", rows, moment) == tap_lines.Lines(tuple(expected), len(rows))
    assert record_lines("events", [], moment) == tap_lines.Lines((), 0)


def test_both_ways_print_the_same_messages(
    read: Callable[..., Lines], calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stream by stream to the byte, apart from the time of extraction; and the same states in the same order."""
    short = read()
    assert {*calls} == {table.name for table in TABLES if table.name in BY_DEFAULT}
    calls.clear()
    monkeypatch.setattr(TableStream, "_can_write_lines", property(lambda _: False))
    long = read()
    assert calls == []
    assert short.keys() == long.keys() > {"STATE", "profiles", "events"}
    for stream, lines in short.items():
        assert lines == long[stream], stream


def test_pages_in_pieces_print_the_same_messages(read: Callable[..., Lines], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without worker processes too, a long read makes its lines as these do, piece by piece."""
    collections: list[str] = []
    original = BatchMaker._make_lines

    def noted(maker: BatchMaker, *arguments: Any) -> Batch:
        collections.append(maker.spec.collection.name)
        return original(maker, *arguments)

    monkeypatch.setattr(BatchMaker, "_make_lines", noted)
    whole = read(processes=0)
    assert collections == []
    monkeypatch.setattr(batches, "ROWS_BEFORE_TYPES", 0)
    assert read(processes=0) == whole
    assert {"events", "profiles", "campaigns", "flows"} <= {*collections}


def test_both_ways_print_the_same_from_a_bookmark(
    read: Callable[..., Lines], calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a table that is ahead of its siblings, and another that finds nothing."""
    now = datetime.now(UTC).isoformat()
    bookmarks = {
        "events": {"replication_key": "event_datetime", "replication_key_value": "2026-05-01T00:00:00+00:00"},
        "profiles": {"replication_key": "updated", "replication_key_value": now},
    }
    short = read(bookmarks=bookmarks)
    monkeypatch.setattr(TableStream, "_can_write_lines", property(lambda _: False))
    assert short == read(bookmarks=bookmarks)


@pytest.mark.parametrize(
    "settings",
    [
        {"stream_maps": {"profiles": {"first_name": None}}},
        {"stream_maps": {"profile_email_suppressions": "__NULL__"}},
        {"flattening_enabled": True, "flattening_max_depth": 1},
    ],
)
def test_what_asks_for_work_on_each_record_takes_the_long_way(
    read: Callable[..., Lines], calls: list[str], settings: dict[str, Any]
) -> None:
    """Maps and flattening of a table, or of one of its siblings; other collections are not slowed down by a map."""
    lines = read(**settings)
    assert "profiles" not in calls
    assert ("events" in calls) == ("stream_maps" in settings)
    rows = [json.loads(line) for line in lines["profiles"]]
    records = [row["record"] for row in rows if row["type"] == "RECORD"]
    assert len(records) == 110
    if "first_name" in str(settings):
        assert all("first_name" not in record for record in records)


def test_counts_are_of_all_that_was_written(read: Callable[..., Lines], caplog: pytest.LogCaptureFixture) -> None:
    """The metric that the SDK logs for each table counts its rows, whoever led the read."""
    with caplog.at_level("INFO"):
        lines = read()
    counted: dict[str, int] = defaultdict(int)
    for stream, count in _counts(caplog):
        counted[stream] += count
    for table in TABLES:
        written = sum('"type":"RECORD"' in line for line in lines[table.name])
        assert counted[table.name] == written, table.name


def _counts(caplog: pytest.LogCaptureFixture) -> Iterator[tuple[str, int]]:
    for record in caplog.records:
        _, _, found = record.getMessage().partition("METRIC: ")
        point = json.loads(found) if found else {}
        if point.get("metric") == "record_count":
            yield point["tags"]["stream"], point["value"]
