"""Reports as users read them, held to the account's own events."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.calls import Caller
from support.report_counts import (
    ZONE,
    campaign_keys,
    count,
    events,
    flow_keys,
    metric_id,
    move_up_to_yesterday,
    write_event,
)
from tap_support import Run, config, run_tap

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.reports.declaration import parse_reports

OPENS = ("Opened Email", "Opened Push", "Opened Text")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    sandbox = make_shared_sandbox(profiles=60, events=3000, seed=3, limits=False)
    move_up_to_yesterday(sandbox)
    return sandbox


def catalog(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """A catalog in which the reports are selected, and nothing else is."""
    return {
        "streams": [
            {
                "tap_stream_id": report.name,
                "stream": report.name,
                "schema": report.schema,
                "key_properties": list(report.key),
                "replication_key": report.replication_key,
                "replication_method": "INCREMENTAL" if report.replication_key else "FULL_TABLE",
                "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
            }
            for report in parse_reports(reports)
        ]
    }


def run(folder: Path, sandbox: RunningSandbox, reports: list[dict[str, Any]], *arguments: str, **options: Any) -> Run:
    # Two calls a minute would take long.
    settings = config(sandbox, reports=reports, **options.pop("settings", {}))
    return run_tap(folder, settings, *arguments, catalog=catalog(reports), **options)


def today() -> Any:
    return datetime.now(ZONE).date()


def ago(days: int) -> str:
    return (today() - days * DAY).isoformat()


def columns(run: Run, stream: str, *names: str) -> dict[tuple[Any, ...], float]:
    """The rows as {all of these columns but the last: the last}, noughts left out; no row comes twice."""
    found = [tuple(row[name] for name in names) for row in run.rows(stream)]
    assert len({entry[:-1] for entry in found}) == len(found)
    return {entry[:-1]: entry[-1] for entry in found if entry[-1]}


def test_values_are_read_day_by_day(account: RunningSandbox, tmp_path: Path) -> None:
    """A row for each campaign and finished day, whose numbers are those of the account's events on that day."""
    made = run(tmp_path, account, [{"report": "campaign_values", "start_date": ago(90)}])
    assert made.code == 0, made.errors
    within = [event for event in events(account) if event.day >= today() - 90 * DAY]
    often, people = count(within, OPENS, campaign_keys, lambda day: day.isoformat())
    for name, expected in (("opens", often), ("opens_unique", people)):
        found = columns(made, "campaign_values", "campaign_id", "campaign_message_id", "timeframe_start", name)
        assert found == {(*key, day): number for (key, day), number in expected.items()}
    assert often
    assert all(row["timeframe_start"] == row["timeframe_end"] for row in made.rows("campaign_values"))


def test_a_series_longer_than_a_call_is_read_by_several(account: RunningSandbox, tmp_path: Path) -> None:
    """Sixty days at a time, to the last year: every day of it is there once."""
    before = len(account.requests)
    made = run(tmp_path, account, [{"report": "flow_series", "statistics": ["opens"]}])
    assert made.code == 0, made.errors
    calls = [asked for asked in list(account.requests)[before:] if asked.operation == "query_flow_series"]
    assert len(calls) == 7
    within = [event for event in events(account) if event.day > today() - 366 * DAY]
    often, _ = count(within, OPENS, flow_keys, lambda day: day.isoformat())
    found = columns(made, "flow_series", "flow_id", "flow_message_id", "date", "opens")
    assert found == {(*key, day): number for (key, day), number in often.items()}
    assert "flow_series: 7 calls for" in made.errors
    assert "this day has 225 of 225 left" in made.errors


def test_aggregates_are_what_events_say(account: RunningSandbox, tmp_path: Path) -> None:
    """By dimension and day, in the account's time zone, for a metric that is called by its name."""
    report = {
        "report": "metric_aggregates",
        "metric": "placed order",
        "by": ["$value_currency"],
        "start_date": ago(100),
    }
    made = run(tmp_path, account, [report])
    assert made.code == 0, made.errors
    within = [event for event in events(account) if event.day >= today() - 100 * DAY]
    often, people = count(
        within, ("Placed Order",), lambda e: iter([(e.properties["$value_currency"],)]), lambda day: day.isoformat()
    )
    for name, expected in (("count", often), ("unique", people)):
        found = columns(made, "metric_aggregates", "value_currency", "date", name)
        assert found == {(*key, day): number for (key, day), number in expected.items()}
    assert {row["metric_id"] for row in made.rows("metric_aggregates")} == {metric_id(account, "Placed Order")}


def test_the_last_days_are_read_again(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """What comes late to a day of the last ones is in the next run's row of it; older days cost no more calls."""
    sandbox = make_sandbox(profiles=10, events=300, limits=False)
    move_up_to_yesterday(sandbox)
    reports = [{"report": "form_values", "reread_days": 3, "start_date": ago(20)}]
    noon = datetime.combine(today(), datetime.min.time(), ZONE) + timedelta(hours=12)
    write_event(sandbox, "Viewed Form", noon - 2 * DAY, form_id="F1")
    first = run(tmp_path, sandbox, reports)
    for days in (2, 10):
        write_event(sandbox, "Viewed Form", noon - days * DAY, form_id="F1")
    before = len(sandbox.requests)

    second = run(tmp_path, sandbox, reports, state=first.state)

    assert [asked.operation for asked in list(sandbox.requests)[before:]].count("query_form_values") == 3
    viewed = [columns(made, "form_values", "form_id", "timeframe_end", "viewed_form") for made in (first, second)]
    assert viewed == [{("F1", ago(2)): 1}, {("F1", ago(2)): 2}]
    bookmark = second.state["bookmarks"]["form_values"]
    assert (bookmark["replication_key_value"], bookmark["settled"]) == (ago(1), ago(4))
    assert sum(bookmark["calls"].values()) == 23


def test_a_day_that_has_no_room_stops_in_order(account: RunningSandbox, tmp_path: Path) -> None:
    """Exit code 0 and a line that says where the next run goes on; two streams of a report share its day."""
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    reports = [
        {"report": "segment_values", "name": name, "start_date": ago(12), "reread_days": 0} for name in ("one", "two")
    ]
    first = run(tmp_path, account, reports, state={"bookmarks": {"two": {"calls": {hour: 210}}}})
    assert first.code == 0, first.errors
    assert [len({row["timeframe_end"] for row in first.rows(name)}) for name in ("one", "two")] == [12, 3]
    assert f"two: today's budget has room for 3 of 12 calls; the next run continues from {ago(9)}" in first.errors
    assert first.state["bookmarks"]["two"]["replication_key_value"] == ago(10)

    tomorrow = {name: {**entry, "calls": {}} for name, entry in first.state["bookmarks"].items()}
    second = run(tmp_path, account, reports, state={"bookmarks": tomorrow})
    assert second.rows("one") == []
    assert sorted({row["timeframe_end"] for row in second.rows("two")}) == [ago(days) for days in range(9, 0, -1)]
    assert second.said("WARNING") == []


@pytest.mark.klaviyo_breaches("repetition", reason="any report will do to spend the day")
def test_a_day_that_others_have_spent_stops_in_order(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Klaviyo says so with a 429 that lasts for hours: nobody waits, and nothing counts as read."""
    now = [time.time() // 86_400 * 86_400]
    sandbox = make_sandbox(profiles=2, events=0, clock=lambda: now[0])
    caller = Caller(sandbox.url)
    body = {
        "data": {
            "type": "form-values-report",
            "attributes": {"statistics": ["submits"], "timeframe": {"key": "today"}},
        }
    }
    for _ in range(225):
        assert caller.post("form-values-reports", body).status_code == 200
        now[0] += 31
    caller.close()

    made = run(tmp_path, sandbox, [{"report": "form_values"}])

    assert made.code == 0, made.errors
    assert "today's requests are used up; the next are possible in 22.1 hours" in made.errors
    assert "replication_key_value" not in json.dumps(made.state)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"report": "flow_series", "conversion_metric": "Plaecd Order"}, "Active on Site, Bounced Email"),
        ({"report": "flow_series", "statistics": ["yawns"]}, "has statistics yawns; Klaviyo has average_order_value"),
        ({"report": "flow_serie"}, "reports.0.report is wrong"),
        ({"report": "flow_values", "filter": 'equals(subject,"x")'}, "'subject' is not a filterable field"),
        ({"report": "flow_series", "stats": ["opens"]}, "reports.0 is wrong: additionalProperties must be False"),
    ],
)
def test_what_cannot_be_is_exit_2(account: RunningSandbox, tmp_path: Path, report: dict[str, Any], said: str) -> None:
    """The line names the setting and what there is."""
    # The catalog is that of a setting that was right.
    selected = catalog([{"report": "flow_values" if report["report"] == "flow_values" else "flow_series"}])
    made = run_tap(tmp_path, config(account, reports=[report]), catalog=selected)
    assert made.code == 2, made.errors
    assert "reports" in made.errors.splitlines()[-1]
    assert said in made.errors.splitlines()[-1]


def test_two_metrics_of_a_name_need_an_id(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """An account with two shops has two; the line names their ids, and one of them works."""
    sandbox = make_sandbox(profiles=5, events=0, limits=False)
    write_event(sandbox, "Placed Order", datetime.now(UTC) - DAY)
    made = run(tmp_path, sandbox, [{"report": "flow_series"}])
    assert made.code == 2
    # The account lists its metrics by their ids, of which one is random.
    ids = sorted(row["id"] for row in sandbox.store.metrics.rows.values() if row["name"] == "Placed Order")
    assert " or ".join(ids) in made.errors.splitlines()[-1]
    assert run(tmp_path, sandbox, [{"report": "flow_series", "conversion_metric": ids[0]}]).code == 0


def test_a_bookmark_that_is_ahead_comes_back(account: RunningSandbox, tmp_path: Path) -> None:
    """One warning; the days that are read again in every run are read, and the next run says nothing."""
    bookmark = {"replication_key": "date", "replication_key_value": "2099-01-01", "settled": "2099-01-01"}
    reports = [{"report": "segment_series", "reread_days": 3}]
    first = run(tmp_path, account, reports, state={"bookmarks": {"segment_series": bookmark}})
    assert first.code == 0, first.errors
    (line,) = first.said("WARNING")
    assert "the bookmark of segment_series 2099-01-01 is in the future" in line
    assert first.rows("segment_series")
    assert first.state["bookmarks"]["segment_series"]["replication_key_value"] == ago(1)
    second = run(tmp_path, account, reports, state=first.state)
    assert second.said("WARNING") == []


def test_a_report_that_cannot_be_leaves_the_others_alone(account: RunningSandbox, tmp_path: Path) -> None:
    """A metric that there is not is the setting of one report: the next one is read, and then the run ends with 2."""
    made = run(
        tmp_path, account, [{"report": "flow_series", "conversion_metric": "Placed Ordr"}, {"report": "segment_series"}]
    )
    assert made.code == 2
    assert made.rows("segment_series")
    assert len(made.said("ERROR")) == 1
    assert "the account has no metric called Placed Ordr" in made.errors.splitlines()[-1]


def test_a_missing_scope_leaves_out_its_report(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """The others are read, and the run is not green."""
    sandbox = make_sandbox(profiles=5, events=20, limits=False, scopes="accounts:read metrics:read segments:read")
    made = run(tmp_path, sandbox, [{"report": "flow_series"}, {"report": "segment_series"}])
    assert made.code == 1
    assert "flow_series skipped, because the key lacks a scope; these are needed: flows:read" in made.errors
    assert made.rows("segment_series")


def test_a_start_of_long_ago_is_a_warning(account: RunningSandbox, tmp_path: Path) -> None:
    """Klaviyo tells of one year."""
    made = run(tmp_path, account, [{"report": "segment_series", "interval": "weekly", "start_date": "2020-01-01"}])
    assert made.code == 0
    (line,) = made.said("WARNING")
    assert "Klaviyo has reports of one year only" in line
    dates = sorted({row["date"] for row in made.rows("segment_series")})
    assert 51 <= len(dates) <= 52
    assert {datetime.fromisoformat(text).weekday() for text in dates} == {0}


def test_the_connection_is_tested_with_two_calls(account: RunningSandbox, tmp_path: Path) -> None:
    """`--test` finds out whether the key may ask for the report, and asks for its latest day."""
    before = len(account.requests)
    made = run(tmp_path, account, [{"report": "campaign_values"}], "--test")
    assert made.code == 0, made.errors
    asked = [entry.operation for entry in list(account.requests)[before:]]
    assert asked.count("query_campaign_values") == 2
    assert "campaign_values: usable" in made.errors


def test_how_far_a_report_is_read_is_summed_up(account: RunningSandbox, tmp_path: Path) -> None:
    """Its rows are among those that the run counts."""
    made = run(tmp_path, account, [{"report": "segment_series", "start_date": ago(10)}])
    assert any(f"{len(made.rows('segment_series')):,}" in line for line in made.errors.splitlines() if "rows" in line)


def test_reports_can_be_a_variable() -> None:
    """As JSON; discovery then has the stream, selected, with its key, its bookmark and its own columns."""
    reports = [{"report": "segment_values", "name": "segments_by_month", "interval": "monthly"}]
    variables = {"TAP_KLAVIYO_API_KEY": "pk_test", "TAP_KLAVIYO_REPORTS": json.dumps(reports)}
    command = [sys.executable, "-m", "tap_klaviyo", "--config", "ENV", "--discover"]
    done = warm.run(command, capture_output=True, check=True, text=True, env={**os.environ, **variables})
    stream = json.loads(done.stdout)["streams"][-1]
    assert stream["tap_stream_id"] == "segments_by_month"
    assert stream["key_properties"] == ["timeframe_start", "timeframe_end", "segment_id"]
    assert (stream["replication_key"], stream["replication_method"]) == ("timeframe_end", "INCREMENTAL")
    assert [entry["metadata"]["selected"] for entry in stream["metadata"] if not entry["breadcrumb"]] == [True]
    assert "total_members" in stream["schema"]["properties"]


def test_people_of_a_year_cannot_be_had_by_adding_months(account: RunningSandbox, tmp_path: Path) -> None:
    """One call gives one row for each grouping, with who opened in all of the time frame, each counted once."""
    entry = {"report": "campaign_values", "statistics": ["opens", "opens_unique"]}
    reports = [
        {**entry, "name": "months", "interval": "monthly"},
        {**entry, "name": "year", "interval": "total", "timeframe": "last_12_months"},
    ]
    before = len(account.requests)
    made = run(tmp_path, account, reports)
    assert made.code == 0, made.errors
    asked = [entry.operation for entry in list(account.requests)[before:]]
    assert asked.count("query_campaign_values") == 13

    stop = today().replace(day=1)
    start = stop.replace(year=stop.year - 1)
    within = [event for event in events(account) if start <= event.day < stop]
    often, people = count(within, OPENS, campaign_keys)
    for name, expected in (("opens", often), ("opens_unique", people)):
        found = columns(made, "year", "campaign_id", "campaign_message_id", name)
        assert found == {key: number for (key, _), number in expected.items()}
    months = columns(made, "months", "campaign_id", "campaign_message_id", "timeframe_start", "opens_unique")
    assert sum(months.values()) > sum(people.values())
    days = {(row["timeframe_start"], row["timeframe_end"]) for row in made.rows("year")}
    assert days == {(start.isoformat(), (stop - DAY).isoformat())}


def test_a_whole_time_frame_is_read_in_every_run(account: RunningSandbox, tmp_path: Path) -> None:
    """There is no bookmark; the STATE counts the call. A target is never told to take out rows of an earlier one."""
    reports = [{"report": "segment_values", "timeframe": "last_30_days"}]
    settings = {"emit_activate_version_messages": True}
    first = run(tmp_path, account, reports, settings=settings)
    second = run(tmp_path, account, reports, state=first.state, settings=settings)
    assert first.rows("segment_values") == second.rows("segment_values") != []
    assert {(row["timeframe_start"], row["timeframe_end"]) for row in second.rows("segment_values")} == {
        (ago(30), ago(1))
    }
    bookmark = second.state["bookmarks"]["segment_values"]
    assert "replication_key_value" not in bookmark
    assert sum(bookmark["calls"].values()) == 2
    assert "ACTIVATE_VERSION" not in {message["type"] for message in second.messages}


def test_a_whole_time_frame_waits_for_a_day_with_room(account: RunningSandbox, tmp_path: Path) -> None:
    """Exit code 0, and a line that says so; nothing is read by halves."""
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    reports = [{"report": "form_values", "timeframe": "last_week"}]
    made = run(tmp_path, account, reports, state={"bookmarks": {"form_values": {"calls": {hour: 225}}}})
    assert made.code == 0, made.errors
    assert made.rows("form_values") == []
    assert "form_values: today's budget has room for 0 of 1 calls; the next run continues from" in made.errors


def test_a_time_frame_of_which_nothing_is_over_is_not_asked_for(account: RunningSandbox, tmp_path: Path) -> None:
    """A range that begins tomorrow costs no call and no error."""
    tomorrow = (today() + DAY).isoformat()
    reports = [{"report": "form_values", "timeframe": {"start": tomorrow, "end": tomorrow}}]
    before = len(account.requests)
    made = run(tmp_path, account, reports)
    assert made.code == 0, made.errors
    assert "query_form_values" not in [entry.operation for entry in list(account.requests)[before:]]
    assert "form_values: no day of its time frame is finished" in made.errors


def conversions(account: RunningSandbox, names: set[str], since: Any) -> dict[tuple[str, str, str], float]:
    """Conversions by campaign, message and metric from a day on; an event counts for what it is first attributed to."""
    store, found = account.store, Counter[tuple[str, str, str]]()
    by_id = {event.id: event for event in events(account)}
    for event in by_id.values():
        if event.metric not in names or event.day < since:
            continue
        old = event.properties.get("$attribution") or {}
        first = next(iter(store.attributions.get(event.id, ())), None)
        if "$message" in old:
            only = store.campaigns.get(old["$message"])
            keys = [] if "$flow" in old or only is None else [(only["id"], only["message_ids"][0])]
        else:
            keys = [] if first is None else list(campaign_keys(by_id[first["attributed-event"][1]]))
        found.update((*key, str(store.events.rows[event.id]["metric_id"])) for key in keys)
    return dict(found)


def test_every_conversion_metric_in_one_entry(account: RunningSandbox, tmp_path: Path) -> None:
    """A row for each grouping and metric, of all metrics but Klaviyo's own, each with its conversions and its name."""
    reports = [{"report": "campaign_values", "timeframe": "last_365_days", "conversion_metric": "all"}]
    before = len(account.requests)
    made = run(tmp_path, account, reports)
    assert made.code == 0, made.errors
    rows = account.store.metrics.rows.values()
    names = {row["id"]: row["name"] for row in rows if row["integration"]["name"] != "Klaviyo"}
    assert {(row["conversion_metric_id"], row["conversion_metric_name"]) for row in made.rows("campaign_values")} == {
        *names.items()
    }
    calls = [entry.operation for entry in list(account.requests)[before:]].count("query_campaign_values")
    assert calls == len(names) > 2
    assert f"campaign_values: {calls} calls (1 time frame, {calls} metrics) for {ago(365)} to {ago(1)};" in made.errors
    found = columns(
        made, "campaign_values", "campaign_id", "campaign_message_id", "conversion_metric_id", "conversions"
    )
    assert found == conversions(account, set(names.values()), today() - 365 * DAY)
    assert len({metric for _, _, metric in found}) > 1


def test_several_conversion_metrics_are_a_list(account: RunningSandbox, tmp_path: Path) -> None:
    """By name or id, each once. Days go forward when all metrics of theirs are read."""
    order = metric_id(account, "Placed Order")
    metrics = ["placed order", order, "Ordered Product"]
    reports = [
        {"report": "flow_series", "conversion_metric": metrics, "statistics": ["conversions"], "start_date": ago(70)},
        {"report": "metric_aggregates", "metric": metrics, "measurements": ["count"], "start_date": ago(10)},
    ]
    before = len(account.requests)
    made = run(tmp_path, account, reports)
    assert made.code == 0, made.errors
    asked = [entry.operation for entry in list(account.requests)[before:]]
    assert (asked.count("query_flow_series"), asked.count("query_metric_aggregates")) == (4, 2)
    assert "flow_series: 4 calls (2 time frames, 2 metrics) for" in made.errors
    expected = {order, metric_id(account, "Ordered Product")}
    assert {row["conversion_metric_id"] for row in made.rows("flow_series")} == expected
    assert {row["metric_id"] for row in made.rows("metric_aggregates")} == expected
    columns(made, "flow_series", "flow_id", "flow_message_id", "date", "conversion_metric_id", "conversions")
    counted = columns(made, "metric_aggregates", "date", "metric_name", "count")
    for name in ("Placed Order", "Ordered Product"):
        within = [event for event in events(account) if event.metric == name and event.day >= today() - 10 * DAY]
        assert {day: number for (day, told), number in counted.items() if told == name} == Counter(
            event.day.isoformat() for event in within
        )


def test_a_day_without_room_for_all_metrics_stops_between_time_frames(account: RunningSandbox, tmp_path: Path) -> None:
    """No day is told of one metric and not of the other; the next run goes on."""
    hour = f"{datetime.now(UTC):%Y-%m-%dT%H}"
    reports = [
        {
            "report": "campaign_values",
            "conversion_metric": ["Placed Order", "Ordered Product"],
            "start_date": ago(5),
            "statistics": ["conversions"],
        }
    ]
    first = run(tmp_path, account, reports, state={"bookmarks": {"campaign_values": {"calls": {hour: 220}}}})
    assert first.code == 0, first.errors
    assert "today's budget has room for 4 of 10 calls; the next run continues from " + ago(3) in first.errors
    assert first.state["bookmarks"]["campaign_values"]["replication_key_value"] == ago(4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["Placed Order", "Plaecd Order", "No"], "the account has no metrics called Plaecd Order, No, which"),
        ([f"M{number}" for number in range(3)], "the account has no metrics called M0, M1, M2, which"),
    ],
)
def test_a_list_with_unknown_metrics_is_exit_2(
    account: RunningSandbox, tmp_path: Path, given: list[str], said: str
) -> None:
    """All of them are named, and what there is."""
    made = run(tmp_path, account, [{"report": "flow_series", "conversion_metric": given}])
    assert made.code == 2
    assert said in made.errors.splitlines()[-1]
    assert "it has Active on Site, Bounced Email" in made.errors.splitlines()[-1]


def test_more_metrics_than_calls_of_a_day_are_exit_2(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """They would never be read: the line says how many calls one time frame takes, and how many a day has."""
    sandbox = make_sandbox(profiles=2, events=20, limits=False)
    row = next(row for row in sandbox.store.metrics.rows.values() if row["name"] == "Placed Order")
    with sandbox.store.lock:
        for number in range(225):
            sandbox.store.metrics.put({**row, "id": f"M{number:05}", "name": f"Metric {number}"})
    made = run(tmp_path, sandbox, [{"report": "flow_series", "conversion_metric": "all"}])
    assert made.code == 2
    assert "calls for each time frame, and a day allows 225" in made.errors.splitlines()[-1]
