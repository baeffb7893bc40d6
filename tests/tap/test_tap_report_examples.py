"""Every example of docs/reference/reports.md is run, and its numbers are counted a second way."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.calls import Caller
from support.report_counts import (
    ZONE,
    Event,
    campaign_keys,
    count,
    events,
    flow_keys,
    move_up_to_yesterday,
    write_event,
)
from support.schema_fit import misfits
from tap_support import Run, config, run_tap
from test_tap_reports import catalog, columns, today

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.reports.declaration import OPERATIONS
from tap_klaviyo.reports.settings import SETTING

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "reports.md").read_text()
EXAMPLES: dict[str, dict[str, Any]] = {
    name: json.loads(text) for name, text in re.findall(r"## `(\w+)`\n.*?```json\n(.*?)```", PAGE, flags=re.DOTALL)
}
WHOLE: dict[str, Any] = json.loads(PAGE.partition("## Whole time frames")[2].split("```")[1].removeprefix("json"))
EVERY: dict[str, Any] = json.loads(PAGE.partition("## Several conv")[2].split("```")[1].removeprefix("json"))
DAY = timedelta(days=1)
RECEIVED = ("Received Email", "Received SMS", "Received Text Message")
OPENED, CLICKED = (
    ("Opened Email", "Opened Push", "Opened Text"),
    ("Clicked Email", "Clicked SMS", "Clicked Text Message"),
)
# Statistic -> the metrics that are counted, and whether people are.
COUNTED = {
    "delivered": (RECEIVED, False),
    "opens": (OPENED, False),
    "opens_unique": (OPENED, True),
    "clicks": (CLICKED, False),
    "viewed_form": (("Viewed Form",), False),
    "viewed_form_uniques": (("Viewed Form",), True),
    "submits": (("Submitted Form",), False),
    "count": (("Placed Order",), False),
    "unique": (("Placed Order",), True),
}
KEYS: dict[str, Callable[[Event], Iterator[tuple[str, ...]]]] = {
    "campaign_values": campaign_keys,
    "flow_values": flow_keys,
    "flow_series": flow_keys,
    "form_values": lambda event: iter([(event.properties["form_id"],)]),
    "form_series": lambda event: iter([(event.properties["form_id"], event.properties["form_version_id"])]),
    "metric_aggregates": lambda event: iter([(event.properties["$value_currency"],)]),
}
COLUMNS = {
    "campaign_values": ("campaign_id", "campaign_message_id"),
    "flow_values": ("flow_id", "flow_message_id"),
    "flow_series": ("flow_id", "flow_message_id"),
    "form_values": ("form_id",),
    "form_series": ("form_id", "form_version_id"),
    "metric_aggregates": ("value_currency",),
}


def begin(day: date, interval: str) -> str:
    """The first day of the row that a day is told in."""
    if interval == "monthly":
        day = day.replace(day=1)
    return (day - day.weekday() * DAY if interval in ("weekly", "week") else day).isoformat()


def span(interval: str) -> tuple[date, date]:
    """The first and the last day that are told: the finished ones of a year."""
    if interval == "monthly":
        month = today().replace(day=1)
        return month.replace(year=month.year - 1), month - DAY
    monday = today() - today().weekday() * DAY
    if interval in ("weekly", "week"):
        return monday - 52 * 7 * DAY, monday - DAY
    return today() - 365 * DAY, today() - DAY


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    sandbox = make_shared_sandbox(profiles=60, events=2500, seed=5, limits=False)
    move_up_to_yesterday(sandbox)
    noon = datetime.combine(today(), datetime.min.time(), ZONE) + timedelta(hours=12)
    for number in range(12):
        metric = "Submitted Form" if number % 3 == 0 else "Viewed Form"
        write_event(
            sandbox, metric, noon - (20 * number + 1) * DAY, form_id=f"F{number % 2}", form_version_id=str(number % 4)
        )
    return sandbox


@pytest.fixture(scope="module")
def ran(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run with all examples. The orders that the forms' visitors did not place are Shopify's alone."""
    examples = [*EXAMPLES.values(), WHOLE, EVERY]
    folder = tmp_path_factory.mktemp("examples")
    made = run_tap(folder, config(account, reports=examples), catalog=catalog(examples))
    assert made.code == 0, made.errors
    assert made.said("WARNING") == []
    return made


def test_every_row_of_a_report_fits_its_schema(ran: Run) -> None:
    """A loader need not validate what it is given; every example has rows."""
    assert len(ran.streams) == len(EXAMPLES) + 2
    assert misfits(ran.messages) == []


def test_each_report_has_an_example_and_each_member_a_line() -> None:
    """The page tells of all there is."""
    assert EXAMPLES.keys() == OPERATIONS.keys()
    members = PAGE.partition("## Which days")[0]
    assert re.findall(r"^\| `(\w+)` \|", members, flags=re.MULTILINE) == [*SETTING["items"]["properties"]]


@pytest.mark.parametrize("kind", KEYS)
def test_an_example_says_what_events_say(ran: Run, account: RunningSandbox, kind: str) -> None:
    """Each of its statistics, for each grouping and row of time of a year."""
    example = EXAMPLES[kind]
    interval = example.get("interval", "daily")
    first, last = span(interval)
    within = [event for event in events(account) if first <= event.day <= last]
    day = "timeframe_start" if kind.endswith("values") else "date"
    for name in example.get("statistics") or example["measurements"]:
        metrics, people = COUNTED[name]
        expected = count(within, metrics, KEYS[kind], lambda one: begin(one, interval))[people]
        found = (
            columns(ran, example.get("name", kind), *COLUMNS[kind], day, name) if kind != "campaign_values" else None
        )
        if found is None:
            # A campaign that is told by message and channel has one of each here.
            found = columns(ran, example.get("name", kind), *COLUMNS[kind], day, name)
        assert found == {(*key, row): number for (key, row), number in expected.items()}
        assert expected


def test_the_example_of_a_whole_time_frame_says_what_events_say(ran: Run, account: RunningSandbox) -> None:
    """One row for each message of a flow, about all of the last twelve months, in which each person counts once."""
    first, last = span("monthly")
    within = [event for event in events(account) if first <= event.day <= last]
    for name in WHOLE["statistics"]:
        metrics, people = COUNTED[name]
        expected = count(within, metrics, flow_keys)[people]
        found = columns(ran, WHOLE["name"], *COLUMNS["flow_values"], name)
        assert found == {key: number for (key, _), number in expected.items()} != {}


def test_the_example_of_several_metrics_tells_each_message_of_each(ran: Run) -> None:
    """What is not about conversions is the same for every metric; conversions are not."""
    found: dict[str, dict[str, Any]] = {}
    for row in ran.rows(EVERY["name"]):
        found.setdefault(row["conversion_metric_name"], {})[row["campaign_message_id"]] = row
    assert len(found) > 2
    assert len({tuple(sorted((key, row["recipients"]) for key, row in rows.items())) for rows in found.values()}) == 1
    assert any(row["conversions"] for row in found["Placed Order"].values())


@pytest.mark.parametrize("kind", ["segment_values", "segment_series"])
def test_an_example_of_segments_says_what_members_say(ran: Run, account: RunningSandbox, kind: str) -> None:
    """Who joined in each month or week, and who had by its end."""
    example = EXAMPLES[kind]
    first, last = span(example["interval"])
    caller, joined, total = Caller(account.url), Counter[Any](), Counter[Any]()
    starts = sorted({begin(first + n * DAY, example["interval"]) for n in range((last - first).days + 1)})
    for segment in [row["id"] for row in caller.rows("segments")]:
        for row in caller.rows(f"segments/{segment}/profiles", page__size=100):
            day = datetime.fromisoformat(row["attributes"]["joined_group_at"]).astimezone(ZONE).date()
            if first <= day <= last:
                joined[segment, begin(day, example["interval"])] += 1
            total.update((segment, start) for start in starts if begin(day, example["interval"]) <= start)
    caller.close()
    time = "timeframe_start" if kind == "segment_values" else "date"
    for name, expected in (("members_added", joined), ("total_members", total)):
        assert columns(ran, example.get("name", kind), "segment_id", time, name) == expected
        assert expected
