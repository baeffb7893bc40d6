"""How far a read is, and what came of it."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import warm
from support.patience import until
from support.terminals import Terminal
from tap_support import Run, config, discovered, run_tap, run_tap_until, select

from klaviyo_client.api.operations import operation
from klaviyo_client.errors import NotAllowed
from klaviyo_client.http.usage import Usage
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import Slice
from tap_klaviyo.reading.batches import Batch
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.streams.progress import CollectionProgress, Progress

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def told(texts: list[str], kind: str) -> list[dict[str, Any]]:
    """What lines of this kind say."""
    return [json.loads(text.partition(f"{kind}: ")[2]) for text in texts if f"{kind}: " in text]


class Read:
    """A read of ten days whose clock and requests are set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.usage: dict[str, Usage] = {}
        self.progress = Progress(lambda: dict(self.usage), lambda: MONDAY + 10 * DAY, clock=lambda: self.now)

    def pass_time(self, seconds: float, **requests: int) -> None:
        self.now += seconds
        for name, count in requests.items():
            self.usage[name] = Usage(self.usage[name].requests + count if name in self.usage else count, 600)

    @property
    def line(self) -> dict[str, Any]:
        found = self.progress.status()
        assert found is not None
        (said,) = told([found.line], "PROGRESS")
        return said


def page(count: int, bookmark: datetime | None = None, part: Slice | None = None) -> Batch:
    """A page of events, with a row of a second table for every tenth."""
    lines = {"events": Lines((), count), "groups": Lines((), count // 10)}
    return Batch(
        None if bookmark is None else bookmark_text(bookmark), encoded=lines, slice=part or Slice(start=MONDAY)
    )


def test_a_line_tells_slice_speed_budget_and_time_left() -> None:
    """Rows a second are of the time since the line before; what is left follows from the time that is done."""
    read = Read()
    with read.progress.track("events", ["events", "groups"]) as current:
        read.pass_time(10, get_events=50)
        assert read.line == {
            "collection": "events",
            "rows": 0,
            "rows_per_second": 0.0,
            "operation": "get_events",
            "budget_share": 0.083,
        }
        current.add(page(1000, MONDAY + DAY, Slice(start=MONDAY, stop=MONDAY + DAY)))
        current.add(page(1000, MONDAY + 2 * DAY, Slice(start=MONDAY + DAY, stop=MONDAY + 3 * DAY, inner=True)))
        read.pass_time(10, get_events=90, get_event=5)
        assert read.line == {
            "collection": "events",
            "slice": {"start": "2026-03-03T00:00:00+00:00", "stop": "2026-03-05T00:00:00+00:00"},
            "rows": 2200,
            "rows_per_second": 220.0,
            "operation": "get_events",
            "budget_share": 0.233,
            "part": 0.111,
            "seconds_left": 160,
        }
        read.pass_time(10)
        assert read.line["rows_per_second"] == 0.0
    assert read.progress.status() is None


def test_a_line_names_the_look_ups_that_are_waited_for() -> None:
    """A minute's look-ups are sent in a burst; in the silence after it no row comes, and the line says why."""
    read = Read()
    look_ups, pages = operation("get_event").steady, operation("get_events").steady
    with read.progress.track("events", ["events", "groups"]) as current:
        current.add(page(1000, MONDAY + DAY))
        read.usage = {"get_event": Usage(look_ups, look_ups), "get_events": Usage(look_ups, pages)}
        lines = []
        for _ in range(11):
            read.pass_time(5)
            lines.append(read.line)
    assert {line["rows_per_second"] for line in lines[1:]} == {0.0}
    assert {(line["operation"], line["budget_share"]) for line in lines} == {("get_event", 1.0)}


def test_what_has_no_order_of_time_has_no_estimate() -> None:
    """Members of lists, say: a line names their list."""
    read = Read()
    part = Slice({"id": "L"}, parent={"id": "L"}, filter_set={"archived": False})
    with read.progress.track("list_profiles", ["events", "groups"]) as current:
        current.add(page(10, None, part))
        read.pass_time(10)
        line = read.line
    assert line["slice"] == {"parent": "L", "archived": False}
    assert not {"part", "seconds_left", "operation"} & line.keys()


def test_the_text_for_a_terminal() -> None:
    """The same in a few words; the bar's length is the fraction that is done."""
    read = Read()
    with read.progress.track("events", ["events", "groups"]) as current:
        current.add(page(1000, MONDAY))
        current.add(page(2000, MONDAY + 5 * DAY))
        read.pass_time(300, get_events=2400)
        found = read.progress.status()
    assert found is not None
    assert found.fraction == 0.5
    assert found.text == ("events: 3,300 rows, 11 a second, 100% of the limit of get_events used, about 5 minutes left")


@given(
    st.lists(st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))), max_size=6),
    st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
    st.datetimes(timezones=st.just(UTC)),
)
def test_a_fraction_is_never_more_than_one(
    bookmarks: list[datetime | None], start: datetime | None, until: datetime
) -> None:
    """Whatever the bookmarks are: rows of the future, reads that begin where they end, pages without one."""
    current = CollectionProgress("events", {"events": 0, "groups": 0}, 0.0, {})
    for bookmark in bookmarks:
        current.add(page(1, bookmark, Slice(start=start)))
    fraction = current.fraction(until)
    assert fraction is None or 0 <= fraction <= 1
    if bookmarks and bookmarks[-1] is None:
        assert fraction is None


def broken_off(read: Read, error: Exception, count: int) -> None:
    """A read of a collection that fails after two seconds, three requests and so many rows."""
    with read.progress.track("events", ["events", "groups"]) as current:
        read.pass_time(2, get_events=3)
        current.add(page(count))
        raise error


def test_a_read_that_breaks_off_is_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """What was written until then, what was skipped and why, and that it failed; a missing scope breaks nothing off."""
    read = Read()
    refused = NotAllowed("the key may not do get_events", status=403, operation="get_events")
    with caplog.at_level(logging.INFO):
        with pytest.raises(NotAllowed):
            broken_off(read, refused, 0)
        read.progress.add_skipped(["events"], refused)
        assert len(caplog.messages) == 1
        with pytest.raises(OSError, match="gone"):
            broken_off(read, OSError("gone"), 20)
        read.progress.close()
    requests = {"get_events": 3}
    assert told(caplog.messages, "SUMMARY") == [
        {"collection": "events", "seconds": 2.0, "requests": requests, "rows": {"events": 0, "groups": 0}},
        {"collection": "events", "seconds": 2.0, "requests": requests, "rows": {"events": 20, "groups": 2}},
        {"skipped": ["events"], "why": "the key may not do get_events"},
        {"ending": "failed", "seconds": 4.0, "requests": 6, "rows": 22},
    ]


def test_what_is_prefetched_of_a_collection_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Its requests may be sent before its turn; none of them is left out of the summaries."""
    read = Read()
    with caplog.at_level(logging.INFO):
        for collection in ("lists", "events"):
            read.pass_time(1, get_events=3)
            with read.progress.track(collection, ["events", "groups"]):
                read.pass_time(1, get_events=2)
        read.progress.close()
    first, second, total = told(caplog.messages, "SUMMARY")
    assert (first["requests"], second["requests"]) == ({"get_events": 5}, {"get_events": 5})
    assert total["requests"] == 10


# In an account --------------------------------------------------------------------------------------------------------

OFTEN = """\
import sys
from tap_klaviyo.streams.progress import Progress
Progress.SECONDS = Progress.REDRAW = 0.05
sys.argv[0] = 'tap-klaviyo'
from tap_klaviyo.__main__ import main
main()
"""


def often(folder: Path, settings: dict[str, Any], stderr: Any, seen: Callable[[], object]) -> list[bytes]:
    """Run the tap over events, with a look at the clock every twentieth of a second; what it wrote to stdout.

    Most of what it writes is not taken from it until something was seen, so that the read is not over before.
    """
    texts = {"config": settings, "catalog": select(discovered(), {"events": None})}
    options = []
    for name, value in texts.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
        options += [f"--{name}", str(folder / f"{name}.json")]
    with warm.Popen([sys.executable, "-c", OFTEN, *options], stdout=warm.PIPE, stderr=stderr) as tap:
        assert tap.stdout is not None
        # More than two pages, so that two are counted: one alone spans no time.
        lines = list(islice(tap.stdout, 2500))
        until(lambda: seen() or tap.poll() is not None)
        lines += tap.stdout
    assert tap.returncode == 0
    return lines


def test_a_long_read_is_watchable(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Lines of JSON in the log, with the slice and how much is done; on stdout nothing but Singer messages."""
    sandbox = make_sandbox(profiles=50, events=6000, limits=False)
    log = tmp_path / "errors.log"

    def known() -> list[dict[str, Any]]:
        return [line for line in told(log.read_text().splitlines(), "PROGRESS") if "part" in line]

    with log.open("w") as errors:
        settings = config(sandbox, concurrency=2, start_date="2020-01-01")
        written = often(tmp_path, settings, errors, lambda: len(known()) >= 3 and known()[-1]["part"] > 0)
    assert {json.loads(line)["type"] for line in written} == {"SCHEMA", "RECORD", "STATE"}
    lines = told(log.read_text().splitlines(), "PROGRESS")
    assert {line["collection"] for line in lines} == {"events"}
    parts = [line["part"] for line in lines if "part" in line]
    assert parts == sorted(parts)
    assert any(0 < part < 1 for part in parts)
    rows = [line["rows"] for line in lines]
    assert rows == sorted(rows)
    assert any("start" in line["slice"] for line in lines if "slice" in line)
    assert any(line["budget_share"] > 0 for line in lines if "budget_share" in line)


def test_the_summary_is_what_was_written_and_asked(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Rows per table, requests per operation, skipped tables with the reason; the SDK's own counts are there, too."""
    sandbox = make_sandbox(scopes="profiles:read lists:read accounts:read segments:read flows:read", limits=False)
    # One at a time: of several that are under way when the first is refused, nobody waits for the others.
    run = run_tap(tmp_path, config(sandbox, concurrency=1))
    assert run.code == 1
    *lines, total = told(run.said("INFO"), "SUMMARY")
    skipped = [line for line in lines if "skipped" in line]
    assert {name for line in skipped for name in line["skipped"]} >= {"tags", "metrics", "events", "campaigns"}
    assert all("scope" in line["why"] for line in skipped)
    passes = [line for line in lines if "collection" in line]
    rows: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    for line in passes:
        rows.update({name: count for name, count in line["rows"].items() if count})
        requests.update(line["requests"])
    assert rows == Counter(message["stream"] for message in run.messages if message["type"] == "RECORD")
    assert requests == Counter(entry.operation for entry in sandbox.requests)
    assert total == {
        "ending": "done",
        "seconds": total["seconds"],
        "requests": requests.total(),
        "rows": rows.total(),
    }
    counted = told(run.errors.splitlines(), "METRIC")
    assert {line["tags"]["stream"] for line in counted if line["metric"] == "record_count"} >= set(rows)


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_are_counted_on_both_ways(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, mapped: bool
) -> None:
    """With a stream map rows go through the SDK one by one, without any they go as lines."""
    maps = {"stream_maps": {"lists": {"name": "name.upper()"}}} if mapped else {}
    sandbox = make_sandbox(limits=False)
    catalog = select(discovered(), {"lists": None, "list_tags": None})
    run = run_tap(tmp_path, config(sandbox, **maps), catalog=catalog)
    line, _ = told(run.said("INFO"), "SUMMARY")
    assert line["rows"] == {name: len(run.rows(name)) for name in ("lists", "list_tags")}
    assert line["rows"]["lists"] > 0


def test_a_signal_is_told_in_the_summary(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """With what was written until then."""
    sandbox = make_sandbox(profiles=50, events=3000, limits=False, latency=0.1)
    run = run_tap_until(
        tmp_path,
        config(sandbox),
        select(discovered(), {"events": None}),
        lambda message: message["type"] == "STATE",
        lambda process: process.send_signal(signal.SIGTERM),
    )
    *_, total = told(run.errors.splitlines(), "SUMMARY")
    assert total["ending"] == "stopped"
    assert total["rows"] >= len(run.rows("events")) > 0


def test_a_terminal_gets_a_bar(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Which is gone at the end; no lines of progress; on stdout nothing but Singer messages."""
    sandbox = make_sandbox(profiles=50, events=4000, limits=False)
    bar = re.compile(r"\r\x1b\[2K\[#*\.*\] \d+% events: [\d,]+ rows, [\d,]+ a second")
    with Terminal() as terminal:
        written = often(tmp_path, config(sandbox, concurrency=2), terminal.other_end, lambda: bar.search(terminal.text))
    text = terminal.text
    assert {json.loads(line)["type"] for line in written} == {"SCHEMA", "RECORD", "STATE"}
    assert bar.search(text)
    assert "PROGRESS" not in text
    assert text.splitlines()[-1].rpartition("\x1b[2K")[2].startswith("20")  # a line of the log


def test_a_test_of_the_connection_says_nothing_of_it(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """One row of each table is no work to watch."""
    run: Run = run_tap(tmp_path, config(make_sandbox(limits=False)), "--test")
    assert run.code == 0
    assert told(run.errors.splitlines(), "SUMMARY") == told(run.errors.splitlines(), "PROGRESS") == []
