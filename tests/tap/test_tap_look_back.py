"""Hourly runs are cheap: the past is read again once a day, and only the last hours otherwise."""

from __future__ import annotations

import copy
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from support.fast_clock import AT_ONCE, fast_clock
from tap_support import discovered, select

from klaviyo_client.http.clock import Clock
from klaviyo_sandbox import RunningSandbox, serve
from klaviyo_sandbox.spec.times import format_datetime
from tap_klaviyo.streams import look_back
from tap_klaviyo.streams import run as streams_run
from tap_klaviyo.tap import TapKlaviyo

HOUR, DAY, WEEK = 3600, 86_400, timedelta(days=7)
NOW = datetime(2026, 6, 10, 2, tzinfo=UTC)


@dataclass
class Schedule:
    """Runs of the tap, one after the other in the account's time, each from the STATE of the one before."""

    sandbox: RunningSandbox
    patch: pytest.MonkeyPatch
    wanted: dict[str, Any] = field(default_factory=lambda: {"events": {"id"}})
    settings: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] | None = None

    def run(self, after: float = 0.0, *, killed: bool = False) -> list[dict[str, Any]]:
        """Let seconds pass and run; the messages. It may be killed when its last row is out."""
        self.sandbox.control.advance(seconds=after)
        sandbox = self.sandbox

        class AccountTime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return sandbox.control.now.astimezone(tz)

        settings = {"api_key": "pk_hourly", "api_url": sandbox.url, "rate_limit_share": 1.0, "processes": 0}
        written = io.BytesIO()
        with self.patch.context() as patch, io.TextIOWrapper(written, write_through=True) as stdout:
            patch.setattr(streams_run, "datetime", AccountTime)
            patch.setattr(streams_run, "STATE_SECONDS", 0.0)
            patch.setattr(sys, "stdout", stdout)
            TapKlaviyo(
                config={**settings, **self.settings},
                catalog=select(discovered(), self.wanted),
                state=copy.deepcopy(self.state),
                parse_env_config=False,
            ).sync_all()
            messages = [json.loads(line) for line in written.getvalue().splitlines()]
        while killed and messages[-1]["type"] != "RECORD":
            del messages[-1]
        states = [message["value"] for message in messages if message["type"] == "STATE"]
        self.state = states[-1] if states else self.state
        return messages

    @property
    def noted(self) -> Any:
        """What the STATE says of the events' past."""
        return (self.state or {})["bookmarks"]["events"].get(look_back.LOOKED_BACK)

    def add_event(self, days: float = 0.0) -> str:
        """An event that Klaviyo writes down now, of so many days ago."""
        return self.sandbox.control.add_events(seconds=-days * DAY)[0]


@pytest.fixture
def hourly(monkeypatch: pytest.MonkeyPatch) -> Iterator[Schedule]:
    clock = fast_clock(AT_ONCE)
    monkeypatch.setattr(Clock.__init__, "__defaults__", (clock.monotonic, clock.sleep))
    # Not by the fixture of all tests, which holds every answer to the specification: that takes most of the time.
    with serve(profiles=20, events=200, limits=False) as sandbox:
        # The bookmark is the time of the latest event, and the account's others are old.
        sandbox.control.add_events(seconds=-1)
        yield Schedule(sandbox, monkeypatch)


def ids(messages: list[dict[str, Any]], stream: str = "events", name: str = "id") -> set[str]:
    return {
        message["record"][name] for message in messages if message["type"] == "RECORD" and message["stream"] == stream
    }


def test_hourly_runs_of_a_day_send_the_past_once(hourly: Schedule) -> None:
    """What is some hours old comes once a day, and what comes five days late with it."""
    hourly.run()
    sent: Counter[str] = Counter()
    old = {hourly.add_event(days=1) for _ in range(5)}
    fresh, late, late_at = [], "", []
    for hour in range(1, 49):
        if hour == 20:
            late = hourly.add_event(days=5)
        came = ids(hourly.run(HOUR))
        sent.update(came)
        fresh.append(hourly.add_event())
        late_at += [hour] if late in came else []
    assert {sent[row_id] for row_id in old} == {2}
    # While it is new: an event an hour lets the bookmark stay behind by an hour or two. And by one look-back, or two.
    assert max(sent[row_id] for row_id in fresh[:-6]) <= 7
    assert late_at == [24, 48]


def test_always_means_in_every_run(hourly: Schedule) -> None:
    """Who wants what came late at once pays for the week in every run."""
    hourly.settings = {"lookback_schedule": "always"}
    hourly.run()
    for _ in range(3):
        late = hourly.add_event(days=5)
        assert late in ids(hourly.run(HOUR))
    assert late in ids(hourly.run(HOUR))


@pytest.mark.parametrize(("schedule", "comes_after"), [("daily", 24), ("always", 1)])
def test_members_of_groups_likewise(hourly: Schedule, schedule: str, comes_after: int) -> None:
    """A segment that was worked out twenty hours late: its members come with the next look-back."""
    hourly.wanted = {"segment_profiles": None, "segments": None}
    hourly.settings = {"lookback_schedule": schedule}
    _join_segment(hourly, hours=1)
    hourly.run()
    person = _join_segment(hourly, hours=20)
    came = [person in ids(hourly.run(HOUR), "segment_profiles", "profile_id") for _ in range(comes_after)]
    assert came == [*[False] * (comes_after - 1), True]


def _join_segment(hourly: Schedule, hours: float) -> str:
    """Somebody is a member now, since some hours ago."""
    store = hourly.sandbox.store
    with store.lock:
        members = store.segment_members[next(iter(store.segments.rows))]
        person = next(row_id for row_id in store.profiles.rows if row_id not in members)
        joined = hourly.sandbox.control.now - timedelta(hours=hours)
        members.put({"id": person, "joined_group_at": format_datetime(joined.replace(microsecond=0))})
    return person


def test_a_killed_look_back_is_done_again(hourly: Schedule) -> None:
    """What says that the past was read is written when it was read to its end, and not before."""
    hourly.run()
    late = hourly.add_event(days=5)
    before = hourly.state
    killed = hourly.run(DAY, killed=True)
    assert before is not None
    assert late in ids(killed)
    assert hourly.noted == before["bookmarks"]["events"][look_back.LOOKED_BACK]
    assert late in ids(hourly.run(60))
    assert late not in ids(hourly.run(60))


def test_a_state_of_before_or_of_another_tool_looks_back(hourly: Schedule) -> None:
    """Whatever it lacks, or says that cannot be; the run after it does not look back again."""
    hourly.run()
    old = hourly.add_event(days=3)
    assert hourly.state is not None
    time = hourly.sandbox.control.now.isoformat()
    for said in (None, {}, 7, "soon", {"at": "soon", "days": 7}, {"at": time, "days": "7"}, {"days": 7}, [time]):
        hourly.run(60)
        hourly.state["bookmarks"]["events"][look_back.LOOKED_BACK] = said
        if said is None:
            look_back.forget(hourly.state["bookmarks"]["events"])
        assert old in ids(hourly.run(60))
        assert old not in ids(hourly.run(60))


def test_a_table_that_joins_is_looked_back_with_the_others(hourly: Schedule) -> None:
    """It starts at its own beginning, and from the next day on the past is requested once for all of them."""
    hourly.run()
    old = hourly.add_event(days=3)
    hourly.wanted = {"events": {"id"}, "esp_events": {"id"}}
    joined = hourly.run(10 * HOUR)
    assert len(ids(joined, "esp_events")) > 1
    assert old not in ids(joined)
    looked = [stream for hour in range(1, 24) for stream in _with_past(hourly.run(HOUR), old, hour)]
    assert looked == [("events", 14), ("esp_events", 14)]


def _with_past(messages: list[dict[str, Any]], old: str, hour: int) -> Iterator[tuple[str, int]]:
    if old in ids(messages):
        yield "events", hour
        if len(ids(messages, "esp_events")) > 0:
            yield "esp_events", hour


def test_more_lookback_looks_back_at_once(hourly: Schedule) -> None:
    """Who asks for thirty days wants them in the next run."""
    hourly.run()
    old = hourly.add_event(days=25)
    assert old not in ids(hourly.run(60))
    hourly.settings = {"lookback": {"events": 30}}
    assert old in ids(hourly.run(60))
    assert old not in ids(hourly.run(60))


# When it is due, without an account ----------------------------------------------------------------------------------


def due(last: timedelta, since_run: timedelta, lookback: timedelta = WEEK, days: float = 7.0) -> bool:
    """Whether a run at NOW looks back, of a stream that did so, and that was read, so long ago."""
    times = {look_back.AT: (NOW - last).isoformat(), look_back.LAST_RUN: (NOW - since_run).isoformat()}
    return look_back.is_due({look_back.LOOKED_BACK: {**times, look_back.SECONDS: int(days * DAY)}}, lookback, NOW)


@pytest.mark.parametrize(
    ("every", "runs"),
    [(timedelta(minutes=5), 288), (timedelta(hours=1), 24), (timedelta(hours=6), 4), (timedelta(days=1), 1)],
)
@pytest.mark.parametrize("early", [timedelta(), timedelta(seconds=90), timedelta(seconds=-90)])
def test_whatever_the_interval_one_run_a_day_looks_back(every: timedelta, runs: int, early: timedelta) -> None:
    """Also where it begins a little early or late: a nightly run never leaves a night out."""
    asked = [due(every * run - early, every - early) for run in range(1, runs + 1)]
    assert asked == [*[False] * (runs - 1), True]


def test_a_look_back_begins_where_the_last_one_did() -> None:
    """A week before the last look-back, not before this hour's bookmark: what was a week late then is found now."""
    state: dict[str, Any] = {}
    look_back.add_run(state, WEEK, NOW - timedelta(days=1))
    assert look_back.start(state, NOW, WEEK, looks_back=True) == NOW - timedelta(days=8)
    assert look_back.start(state, NOW, WEEK, looks_back=False) == NOW - look_back.RECENT
    assert look_back.start(state, NOW, timedelta(), looks_back=False) == NOW


def test_a_clock_that_went_back_looks_back() -> None:
    """A look-back that is ahead of now says nothing."""
    assert due(timedelta(days=-3), timedelta())
    assert due(timedelta(hours=1), timedelta(hours=1), days=1)


def test_a_state_holds_no_number_with_a_point() -> None:
    """Loaders of the SDK read one as a decimal, and end when they write it."""
    state: dict[str, Any] = {}
    look_back.add_run(state, timedelta(days=0.5), NOW)
    assert state[look_back.LOOKED_BACK][look_back.SECONDS] == 43_200
    assert "." not in json.dumps(state)
