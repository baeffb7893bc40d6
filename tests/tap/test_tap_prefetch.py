"""Small collections are read while a large one is, and written in their turn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.patience import PATIENCE, until
from tap_support import config, discovered, run_tap, select

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import Collection, SelectedTable
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.reading.page_reader import PageReader
from tap_klaviyo.reading.prefetch import Prefetcher, is_prefetchable
from tap_klaviyo.rows import schema_files
from tap_klaviyo.settings import REREAD
from tap_klaviyo.tables import COLLECTIONS, STREAMS

MakeSandbox = Callable[..., RunningSandbox]
# Of properties of metrics Klaviyo allows fifteen requests a minute, so the tests run without waits.
TABLES = ("profiles", "lists", "list_tags", "tags", "campaigns", "flows", "metrics", "metric_properties")


def test_small_collections_do_not_wait_for_a_large_one(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """All that are read whole are asked for before the profiles are done; rows of a stream still stand together."""
    sandbox = make_sandbox(profiles=1500, events=0, seed=3, limits=False, latency=0.1)
    run = run_tap(tmp_path, config(sandbox), catalog=select(discovered(), dict.fromkeys(TABLES)))
    assert run.code == 0, run.errors
    asked = [entry.path for entry in sandbox.requests]
    profiles_end = len(asked) - asked[::-1].index("/api/profiles")
    for path in ("/api/lists", "/api/tags", "/api/campaigns", "/api/flows", "/api/metrics"):
        assert asked.index(path) < profiles_end
    streams = [message["stream"] for message in run.messages if message["type"] == "RECORD"]
    led = [name for name, _ in groupby(name for name in streams if name != "list_tags")]
    assert led == [name for name in TABLES if name != "list_tags"]


def test_nothing_is_asked_twice(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """What was read ahead is read once, parents first: the same requests, and rows, as one after another."""
    found = []
    for concurrency in (64, 2):
        sandbox = make_sandbox(profiles=30, events=0, seed=3, limits=False)
        folder = tmp_path / str(concurrency)
        folder.mkdir()
        catalog, settings = select(discovered(), dict.fromkeys(TABLES)), config(sandbox, concurrency=concurrency)
        run = run_tap(folder, settings, catalog=catalog)
        assert run.code == 0, run.errors
        found.append(
            (
                sorted(
                    (entry.path, sorted(entry.query.items()))
                    for entry in sandbox.requests
                    if "cursor" not in str(entry.query)
                ),
                {stream: run.rows(stream) for stream in TABLES},
            )
        )
    assert found[0] == found[1]


def test_a_missing_scope_is_reported_in_its_turn(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """A collection that may not be read is skipped as ever, and the others are whole."""
    sandbox = make_sandbox(
        profiles=30, events=0, scopes="profiles:read lists:read metrics:read flows:read", limits=False
    )
    run = run_tap(
        tmp_path, config(sandbox), catalog=select(discovered(), {"profiles": None, "campaigns": None, "metrics": None})
    )
    assert run.code == 1
    assert "campaigns: skipped, the key lacks a scope for get_campaigns" in run.errors
    assert len(run.rows("metrics")) == len(sandbox.store.metrics.rows)


def test_what_is_small() -> None:
    """Slow and whole: not what has a bookmark that is kept, nor what Klaviyo gives faster than few threads ask."""
    prefetched = {name for name, collection in COLLECTIONS.items() if is_prefetchable(collection, REREAD)}
    assert {"lists", "campaigns", "flows", "tags", "metrics", "metric_properties"} <= prefetched
    assert not prefetched & {"events", "profiles", "list_profiles", "segment_profiles"}
    assert "campaigns" not in {
        name for name, collection in COLLECTIONS.items() if is_prefetchable(collection, ["flows"])
    }


class Opened:
    """Opens readers, and records which were started."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.closed: list[str] = []

    def open(self, collection: Collection) -> PageReader:
        return cast(
            "PageReader",
            SimpleNamespace(
                name=collection.name,
                start=lambda: self.started.append(collection.name),
                close=lambda: self.closed.append(collection.name),
            ),
        )


def test_each_is_started_once_and_taken_once() -> None:
    """What was taken, or was never started when its turn came, is not started afterwards."""
    tags, lists, flows = (STREAMS[name][0].collection for name in ("tags", "lists", "flows"))
    opened = Opened()
    prefetcher = Prefetcher(opened.open)
    assert prefetcher.take(flows) is None
    for _ in range(2):
        prefetcher.start([tags, lists, flows])
    assert opened.started == ["tags", "lists"]
    reader: Any = prefetcher.take(tags)
    assert reader.name == "tags"
    prefetcher.start([tags])
    assert (opened.started, prefetcher.take(tags)) == (["tags", "lists"], None)


def test_what_was_never_taken_is_closed() -> None:
    """A run may end before its turn: nothing more of it is asked for, or told."""
    tags, lists = (STREAMS[name][0].collection for name in ("tags", "lists"))
    opened = Opened()
    prefetcher = Prefetcher(opened.open)
    prefetcher.start([tags, lists])
    prefetcher.take(tags)
    prefetcher.close()
    assert opened.closed == ["lists"]
    prefetcher.close()
    assert (opened.closed, prefetcher.take(lists)) == (["lists"], None)


def test_a_run_closes_what_it_did_not_take(caplog: pytest.LogCaptureFixture) -> None:
    """No thread says anything after that."""
    asked, go_on, before = threading.Event(), threading.Event(), set(threading.enumerate())

    class Slow:
        """An account that answers of tags later."""

        def send(self, request: Request) -> Response:
            if request.url.endswith("/api/tags"):
                asked.set()
                assert go_on.wait(PATIENCE)
                logging.getLogger("klaviyo_client").warning("late")
            return Response(200, {}, b'{"data": []}')

    tables = [entry for name in ("profiles", "tags") for entry in STREAMS[name]]
    selected = [SelectedTable(table, schema_files.load(table.name), table.key) for table in tables]
    client = KlaviyoClient(api_key="pk_test", transport=Slow())
    run = AccountReader(client, datetime.now(UTC), selected, COLLECTIONS)
    list(run.read(tables[0].collection, {"profiles": None}))
    assert asked.wait(PATIENCE)
    run.close()
    go_on.set()
    until(lambda: set(threading.enumerate()) <= before)
    assert caplog.messages == []
