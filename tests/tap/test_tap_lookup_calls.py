"""Look-ups that decide the speed of a run: it says so, names the columns that need them, and counts what waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.fast_clock import AT_ONCE, fast_clock
from tap_support import config, discovered, run_tap, select
from test_tap_account_reader import Scripted, account, event, page_of, rows, sent

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from klaviyo_client.http.usage import Usage
from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.streams.progress import Progress

A_MINUTE = operation("get_event").steady
ATTRIBUTION = ("events.attribution_send_ts", "events.attribution_attributed_channel")


def orders(count: int) -> Page:
    """So many orders, each attributed to an event of its own that is on no page."""
    return page_of(*(event(f"order{number}", f"far{number}") for number in range(count)))


def far(asked: Mapping[str, str]) -> Page:
    return Page([event(asked["id"], **sent("G"))])


def events_account(page: Page, far: Callable[[Mapping[str, str]], Page] = far) -> Scripted:
    """An account of one page of events, on whose clock waiting takes no time."""
    return Scripted({"get_events": lambda _: page, "get_event": far}, clock=fast_clock(AT_ONCE))


def test_a_run_that_look_ups_slow_down_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """More than a minute's limit of them: which columns need them, how many wait, and how long that takes."""
    client = events_account(orders(4 * A_MINUTE))
    rows(account(client, "events"), "events")
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert all(column in line for column in ATTRIBUTION)
    allowed = int(A_MINUTE * client.rate_limit_share)
    assert f"{4 * A_MINUTE} attributed events" in line
    assert f"at most {allowed} a minute" in line
    assert "4 minutes" in line
    assert "event_metrics" in line


def test_a_table_that_needs_look_ups_for_its_key_is_named_whole(caplog: pytest.LogCaptureFixture) -> None:
    """Its key cannot be deselected without it."""
    rows(account(events_account(orders(2 * A_MINUTE)), "event_attribution_group_ids"), "event_attribution_group_ids")
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "event_attribution_group_ids.*" in line


def test_few_look_ups_are_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A minute's limit is there at once: nobody waits for it."""
    rows(account(events_account(orders(20)), "events"), "events")
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_what_waits_is_counted_until_it_is_answered() -> None:
    """Down to none, also where Klaviyo knows nothing of an event."""
    waiting: list[int] = []

    def answer(asked: Mapping[str, str]) -> Page:
        waiting.append(run.lookup_calls.waiting)
        return far(asked)

    run = account(events_account(orders(5), far=answer), "events", concurrency=1)
    rows(run, "events")
    assert waiting[0] == 5
    assert run.lookup_calls.waiting == 0


def test_progress_says_how_many_look_ups_rows_wait_for() -> None:
    """No row comes meanwhile, and the line says why."""
    progress = Progress(lambda: {"get_event": Usage(10, 150)}, lambda: datetime.now(UTC), waiting=lambda: 600)
    with progress.track("events", ["events"]):
        found = progress.status()
    assert found is not None
    assert json.loads(found.line.partition(": ")[2])["look_ups_waiting"] == 600
    assert "600 look-ups" in found.text


def test_a_run_of_one_metric_says_why_it_stands(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """Orders without the messages before them, on the default columns: the log names the columns to deselect."""
    sandbox = make_sandbox(profiles=60, events=1500, seed=1, limits=False)
    settings = config(sandbox, event_metrics=["Placed Order"], rate_limit_share=0.1)
    run = run_tap(tmp_path, settings, catalog=select(discovered(), {"events": None}))
    assert run.code == 0
    (line,) = [line for line in run.said("WARNING") if "a request each" in line]
    assert all(column in line for column in ATTRIBUTION)
