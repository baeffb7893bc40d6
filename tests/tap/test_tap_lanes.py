"""Pages shaped in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest
from tap_support import config, discovered, select

from klaviyo_client.pages import RawPage, pack
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo import feed, lanes, schemas
from tap_klaviyo.frontier import Taken
from tap_klaviyo.lanes import Broken, Lanes, Order
from tap_klaviyo.model import Slice
from tap_klaviyo.shaping import Selected, Wanted
from tap_klaviyo.tables import COLLECTIONS, TABLES
from tap_klaviyo.tap import TapKlaviyo

EVENTS = ("events", "event_group_ids", "event_attribution_group_ids")
URL = "http://127.0.0.1:1"


def order(*names: str) -> Order:
    tables = [
        Selected(table, schemas.load(table.name), tuple(schemas.load(table.name)["properties"]))
        for table in TABLES
        if table.name in names
    ]
    return Order(COLLECTIONS["events"], tables, None, URL)


def page(number: int, count: int = 3) -> Taken:
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
    return Taken(Slice(), RawPage(pack(json.dumps({"data": events, "included": included}).encode()), None, count))


class Noted:
    """Knows what it was told, and when it was asked for what."""

    def __init__(self) -> None:
        self.heard: list[list[str]] = []
        self.values: dict[str, Any] = {}

    def see(self, detail: str, values: Mapping[str, Any]) -> None:
        assert detail == "sent"
        self.heard.append(list(values))
        self.values |= values

    def known(self, detail: str, wanted: Wanted) -> Mapping[str, Any]:
        assert detail == "sent"
        return {wish: self.values.get(wish) for wishes in wanted.values() for wish in wishes}


def records(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line)["record"] for line in lines.splitlines()]


def good_before(pages: Iterable[Taken], kind: type[Exception], message: str) -> int:
    """How many pages come before the error."""
    given: list[Taken] = []

    def consume() -> None:
        for taken, _ in Lanes(order("events"), Noted(), 2).shape(iter(pages)):
            given.append(taken)

    with pytest.raises(kind, match=message):
        consume()
    return len(given)


@pytest.mark.parametrize("count", [1, 3])
def test_pages_come_in_order_and_know_those_before_them(count: int) -> None:
    """Whichever process is done first: what a page says is heard before the next page asks."""
    knowledge = Noted()
    made = list(Lanes(order(*EVENTS), knowledge, count).shape(iter([page(number) for number in range(8)])))
    assert [taken.slice for taken, _ in made] == [Slice()] * 8
    rows = [records(one.lines["events"].data) for _, one in made]
    assert [[row["id"] for row in found] for found in rows] == [[f"{n}.{at}" for at in range(3)] for n in range(8)]
    groups = [records(one.lines["event_attribution_group_ids"].data) for _, one in made]
    assert [[row["group_id"] for row in found] for found in groups] == [[], *([f"G{n - 1}"] for n in range(1, 8))]
    assert knowledge.heard == [[f"{n}.{at}" for at in range(3)] for n in range(8)]
    assert [one.times[0] for _, one in made] == [f"2026-01-01T00:0{n}:00+00:00" for n in range(8)]


def test_an_error_comes_after_the_good_pages_before_it() -> None:
    """Be it of the reader or of a process."""

    def pages() -> Iterator[Taken]:
        yield page(0)
        yield page(1)
        raise RuntimeError("no more")

    assert good_before(pages(), RuntimeError, "no more") == 2

    broken = Taken(Slice(), RawPage(pack(b'{"data":[{"relationships":5}]}'), None, 1))
    assert good_before([page(0), broken, page(2)], Broken, r"pages of events .*Error in \w+\.py:\d+") == 1


def test_a_process_that_is_killed_ends_the_read() -> None:
    """Nobody waits for it, and no process stays."""
    shaping = Lanes(order("events"), Noted(), 2).shape(page(number % 60) for number in range(100_000))
    next(shaping)
    children = psutil.Process().children()
    assert len(children) == 2
    os.kill(children[0].pid, signal.SIGKILL)
    with pytest.raises(Broken):
        list(shaping)
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_closing_early_ends_the_processes() -> None:
    """Whoever has enough leaves nobody behind."""
    before = set(threading.enumerate())
    shaping = Lanes(order("events"), Noted(), 2).shape(page(number % 60) for number in range(100_000))
    next(shaping)
    children = psutil.Process().children()
    shaping.close()
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) - before == set()


def test_faults_are_counted_here() -> None:
    """What does not fit is told by whoever met it, once."""
    wrong = json.loads(page(0).page.body)
    wrong["data"][0]["attributes"]["timestamp"] = "soon"
    taken = Taken(Slice(), RawPage(pack(json.dumps(wrong).encode()), None, 3))
    made = list(Lanes(order("events"), Noted(), 1).shape(iter([taken, page(1)])))
    assert [one.faults for _, one in made] == [{"events": ({"timestamp": 1}, 0)}, {}]


def test_with_and_without_processes_the_messages_are_the_same(
    make_sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rows, their order and the states that hold after them, details and all; none is started for a few pages."""
    sandbox = make_sandbox(profiles=50, events=4000, limits=False)
    catalog = select(discovered(), dict.fromkeys(EVENTS))
    monkeypatch.setattr(feed, "PAGES_BEFORE_LANES", 1)
    started: list[subprocess.Popen[bytes]] = []
    start = lanes._start
    monkeypatch.setattr(lanes, "_start", lambda: started.append(start()) or started[-1])

    def run(processes: int) -> dict[str, list[Any]]:
        settings = config(sandbox, processes=processes, concurrency=2)
        TapKlaviyo(config=settings, catalog=catalog, parse_env_config=False).sync_all()
        messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        found: dict[str, list[Any]] = {name: [] for name in EVENTS}
        for message in messages:
            if message["type"] == "RECORD":
                found[message["stream"]].append(message["record"])
        found["last"] = [messages[-1]]
        return found

    alone = run(0)
    monkeypatch.setattr(feed, "PAGES_BEFORE_LANES", 1000)
    assert run(2) == alone
    assert started == []
    monkeypatch.setattr(feed, "PAGES_BEFORE_LANES", 1)
    assert run(2) == alone
    assert len(started) == 2
    assert len(alone["events"]) == 4000
    assert alone["event_attribution_group_ids"]
