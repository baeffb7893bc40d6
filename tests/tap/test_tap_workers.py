"""Lines of pages made in worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
from support.patience import until
from tap_support import config, discovered, select

from klaviyo_client.api.pages import RawPage, compress
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable, Slice, SlicePage
from tap_klaviyo.reading import account_reader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.lookup_protocol import WantedIds
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import COLLECTIONS, TABLES
from tap_klaviyo.tap import TapKlaviyo
from tap_klaviyo.workers import pool
from tap_klaviyo.workers.pool import WorkerPool, kill_workers
from tap_klaviyo.workers.protocol import RowSpec, WorkerDied
from tap_klaviyo.workers.shared_memory import SLOT_BYTES, SharedLines
from tap_klaviyo.workers.turnstile import Turnstile

EVENTS = ("events", "event_group_ids", "event_attribution_group_ids")
URL = "http://127.0.0.1:1"


def row_spec(*names: str) -> RowSpec:
    tables = [
        SelectedTable(table, schema_files.load(table.name), tuple(schema_files.load(table.name)["properties"]))
        for table in TABLES
        if table.name in names
    ]
    return RowSpec(COLLECTIONS["events"], tables, None, URL)


def page(number: int, count: int = 3, *, is_packed: bool = True) -> SlicePage:
    """Events of one minute, each about a message; the first of each page is owed to the last of the page before."""
    events = [
        {
            "type": "event",
            "id": f"{number}.{at}",
            "attributes": {
                "datetime": datetime(2026, 1, 1, 0, number, at, tzinfo=UTC).isoformat(),
                "event_properties": {"$message": "M", "$group_ids": [f"G{number}"]},
            },
            "relationships": {"attributions": {"data": [{"type": "attribution", "id": f"A{number}"}]}}
            if not at
            else {},
        }
        for at in range(count)
    ]
    owed = {"attributed-event": {"data": {"type": "event", "id": f"{number - 1}.{count - 1}"}}}
    included = [{"type": "attribution", "id": f"A{number}", "relationships": owed}]
    raw_page = RawPage(json.dumps({"data": events, "included": included}).encode(), None, count, is_packed=False)
    return SlicePage(Slice(), raw_page.packed() if is_packed else raw_page)


class RecordedLookups:
    """Has the values that were added, and records which came together."""

    def __init__(self) -> None:
        self.added: list[list[str]] = []
        self.values: dict[str, Any] = {}

    def add(self, lookup: str, values: Mapping[str, Any]) -> None:
        assert lookup == "sent"
        self.added.append(list(values))
        self.values |= values

    def get(self, lookup: str, wanted: WantedIds) -> Mapping[str, Any]:
        assert lookup == "sent"
        return {wanted_id: self.values.get(wanted_id) for ids in wanted.values() for wanted_id in ids}


def records(lines: Lines) -> list[dict[str, Any]]:
    return [json.loads(line)["record"] for line in lines.data.splitlines()]


def processes() -> list[psutil.Process]:
    """The worker processes of this one."""
    return [child for child in psutil.Process().children() if "tap_klaviyo.workers.worker" in child.cmdline()]


def good_before(pages: Iterable[SlicePage], kind: type[Exception], message: str) -> int:
    """How many pages come before the error."""
    good: list[SlicePage] = []

    def consume() -> None:
        for page, _ in WorkerPool(row_spec("events"), RecordedLookups(), 2).map_pages(iter(pages)):
            good.append(page)

    with pytest.raises(kind, match=message):
        consume()
    return len(good)


@pytest.mark.parametrize(("count", "has_shared_memory"), [(1, True), (3, True), (3, False)])
def test_pages_come_in_order_and_know_those_before_them(
    monkeypatch: pytest.MonkeyPatch, count: int, has_shared_memory: bool
) -> None:
    """Whichever process is done first, however lines come: a page's values are added before the next page looks up."""
    if not has_shared_memory:
        monkeypatch.setattr(SharedLines, "create", lambda _slots: None)
    lookups, rows, groups, times = RecordedLookups(), [], [], []
    for slice_page, result in WorkerPool(row_spec(*EVENTS), lookups, count).map_pages(
        iter([page(number, is_packed=number % 2 == 0) for number in range(40)])
    ):
        assert slice_page.slice == Slice()
        # Lines hold until the next page is asked for, so they are read here.
        rows.append([row["id"] for row in records(result.lines["events"])])
        groups.append([row["group_id"] for row in records(result.lines["event_attribution_group_ids"])])
        times.append(result.times[0])
    assert rows == [[f"{n}.{at}" for at in range(3)] for n in range(40)]
    assert groups == [[], *([f"G{n - 1}"] for n in range(1, 40))]
    assert lookups.added == rows
    assert times == [f"2026-01-01T00:{n:02}:00+00:00" for n in range(40)]


def test_lines_that_are_too_large_for_a_slot_are_sent() -> None:
    """They come all the same, and those of the next page are in shared memory again."""
    long = json.loads(page(1).page.body)
    for event in long["data"]:
        event["attributes"]["event_properties"]["Subject"] = "x" * (SLOT_BYTES // 2)
    pages = [page(0), SlicePage(Slice(), RawPage(json.dumps(long).encode(), None, 3, is_packed=False)), page(2)]
    counts = [
        (len(records(result.lines["events"])), bool(result.spans))
        for _, result in WorkerPool(row_spec("events"), RecordedLookups(), 1).map_pages(iter(pages))
    ]
    assert counts == [(3, True), (3, False), (3, True)]


def test_lines_in_parts_are_in_shared_memory_as_one() -> None:
    """Of each table, next to each other; also where there are none."""
    shared = SharedLines.create(2)
    if shared is None:
        pytest.skip("this system has no such memory")
    lines = {"a": Lines((b"1\n", memoryview(b"2\n3\n")), 3), "none": Lines((), 0), "b": Lines((b"4\n",), 1)}
    spans = shared.write(1, lines)
    assert spans is not None
    assert shared.read(spans) == lines
    assert shared.write(0, {"a": Lines((bytes(SLOT_BYTES), b"\n"), 1)}) is None
    shared.close()


def test_a_turnstile_lets_threads_pass_in_order() -> None:
    """Whichever comes first waits until those before it have passed."""
    turnstile, passed = Turnstile(), []

    def go(number: int) -> None:
        if turnstile.wait_for(number):
            passed.append(number)
            turnstile.advance()

    threads = [threading.Thread(target=go, args=(number,)) for number in (2, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == [0, 1, 2]
    assert turnstile.passed == 3


def test_a_turnstile_that_is_closed_lets_nobody_wait() -> None:
    """Neither those who wait already nor those who come later; also when the number is reached."""
    turnstile, answers = Turnstile(), []
    thread = threading.Thread(target=lambda: answers.append(turnstile.wait_for(1)))
    thread.start()
    turnstile.close()
    thread.join()
    assert answers == [False]
    assert not turnstile.wait_for(0)


def test_an_error_comes_after_the_good_pages_before_it() -> None:
    """Be it of the reader or of a process."""

    def pages() -> Iterator[SlicePage]:
        yield page(0)
        yield page(1)
        raise RuntimeError("no more")

    assert good_before(pages(), RuntimeError, "no more") == 2

    broken = SlicePage(Slice(), RawPage(compress(b'{"data":[{"id":"1"'), None, 1))
    assert good_before([page(0), broken, page(2)], WorkerDied, r"pages of events .*Error in \w+\.py:\d+") == 1


def test_all_processes_have_ended_before_what_they_write_is_cleared_away() -> None:
    """A signal's handler ends them and waits for it, wherever the main thread is: none begins a file after that."""
    results = WorkerPool(row_spec("events"), RecordedLookups(), 2).map_pages(
        page(number % 60) for number in range(100_000)
    )
    next(results)
    children = processes()
    assert len(children) == 2
    kill_workers()
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    results.close()
    kill_workers()


def test_a_process_that_is_killed_ends_the_read() -> None:
    """Nobody waits for it, and no process stays."""
    results = WorkerPool(row_spec("events"), RecordedLookups(), 2).map_pages(
        page(number % 60) for number in range(100_000)
    )
    next(results)
    children = processes()
    assert len(children) == 2
    os.kill(children[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        list(results)
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_closing_early_ends_the_processes() -> None:
    """Whoever has enough leaves nobody behind."""
    before = set(threading.enumerate())
    results = WorkerPool(row_spec("events"), RecordedLookups(), 2).map_pages(
        page(number % 60) for number in range(100_000)
    )
    next(results)
    children = processes()
    results.close()
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    until(lambda: set(threading.enumerate()) <= before)


def test_problems_come_with_results() -> None:
    """The worker that met one sends it once, with the result of its page."""
    wrong = json.loads(page(0).page.body)
    wrong["data"][0]["attributes"]["timestamp"] = "soon"
    first = SlicePage(Slice(), RawPage(compress(json.dumps(wrong).encode()), None, 3))
    results = list(WorkerPool(row_spec("events"), RecordedLookups(), 1).map_pages(iter([first, page(1)])))
    assert [result.problems.tables for _, result in results] == [{"events": ({"timestamp": 1}, 0)}, {}]


def test_with_and_without_processes_the_messages_are_the_same(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rows, their order and the states that hold after them, lookups and all; none is started for a few pages."""
    sandbox = make_sandbox(profiles=50, events=4000, limits=False)
    catalog = select(discovered(), dict.fromkeys(EVENTS))
    monkeypatch.setattr(account_reader, "PAGES_BEFORE_WORKERS", 1)
    started: list[subprocess.Popen[bytes]] = []
    start = pool._start_worker
    monkeypatch.setattr(pool, "_start_worker", lambda lines: started.append(start(lines)) or started[-1])

    def run(processes: int) -> dict[str, list[Any]]:
        settings = config(sandbox, processes=processes, concurrency=2)
        TapKlaviyo(config=settings, catalog=catalog, parse_env_config=False).sync_all()
        messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        found: dict[str, list[Any]] = {name: [] for name in EVENTS}
        for message in messages:
            if message["type"] == "RECORD":
                found[message["stream"]].append(message["record"])
        # When a run began is in its STATE.
        for entry in messages[-1]["value"]["bookmarks"].values():
            entry.pop("looked_back", None)
        found["last"] = [messages[-1]]
        return found

    alone = run(0)
    monkeypatch.setattr(account_reader, "PAGES_BEFORE_WORKERS", 1000)
    assert run(2) == alone
    assert started == []
    monkeypatch.setattr(account_reader, "PAGES_BEFORE_WORKERS", 1)
    assert run(2) == alone
    assert len(started) == 2
    assert len(alone["events"]) == 4000
    assert alone["event_attribution_group_ids"]
