"""The setting ``reports``: what an entry becomes, and what it may not ask for."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from klaviyo_client.api.operations import operation
from klaviyo_client.errors import SettingsError
from tap_klaviyo.reports.declaration import OPERATIONS, column, parse_reports
from tap_klaviyo.reports.settings import SETTING


def entry(kind: str, **more: Any) -> dict[str, Any]:
    return {"report": kind, **({"metric": "Placed Order"} if kind == "metric_aggregates" else {}), **more}


def span(start: str, end: str) -> dict[str, str]:
    return {"start": start, "end": end}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_an_entry_that_only_names_a_report_is_enough(kind: str) -> None:
    """All statistics, Klaviyo's own grouping, by days; the schema is one, and holds the key and the bookmark."""
    assert Draft202012Validator(dict(SETTING)).is_valid([entry(kind)])
    (made,) = parse_reports([entry(kind)])
    columns = made.schema["properties"]
    Draft202012Validator.check_schema(made.schema)
    assert made.name == kind
    assert {*made.key, *made.days, *made.statistics} <= columns.keys()
    assert set(made.statistics) == set(
        made.query.values["measurements" if kind == "metric_aggregates" else "statistics"]
    )
    assert made.unit == "day"
    assert made.metrics == (() if kind.startswith(("form", "segment")) else ("Placed Order",))
    assert not made.by_metric


def test_every_column_has_a_name_of_its_own() -> None:
    """No two dimensions come out alike, nor like a measurement or a day."""
    query = operation("query_metric_aggregates").query
    assert query is not None
    (made,) = parse_reports([entry("metric_aggregates", by=list(query.values["by"]), interval="hour")])
    assert len(made.schema["properties"]) == len(query.values["by"]) + len(made.statistics) + 3
    assert [column(name) for name in ("$attributed_flow", "Campaign Name", "URL", "form_id")] == [
        "attributed_flow",
        "campaign_name",
        "url",
        "form_id",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            entry("flow_series", statistics=["opens", "yawns"]),
            "has statistics yawns; Klaviyo has average_order_value, ",
        ),
        (entry("campaign_values", group_by=["flow_id"]), "has group_by flow_id; Klaviyo has campaign_id, "),
        (entry("campaign_values", group_by=["campaign_id"]), "must hold campaign_message_id, too"),
        (entry("form_values", group_by=["form_version_id"]), "must hold form_id, too"),
        (entry("metric_aggregates", by=["subject"]), "has by subject; Klaviyo has "),
        (
            entry("metric_aggregates", statistics=["opens"]),
            "has statistics, but metric_aggregates takes by, measurements",
        ),
        (entry("segment_series", group_by=["segment_id"]), "has group_by, but segment_series takes statistics"),
        (
            entry("form_values", conversion_metric="x"),
            "has conversion_metric, but form_values takes group_by, statistics",
        ),
        (entry("flow_series", interval="day"), "interval day; it can be daily, hourly, monthly, weekly"),
        (entry("flow_values", interval="hourly"), "interval hourly; it can be daily, weekly, monthly"),
        ({"report": "metric_aggregates"}, "needs metric"),
        (entry("flow_series", start_date="2026-02-30"), "must be a day such as 2026-01-31, not '2026-02-30'"),
        (entry("flow_series", name="a-b"), "'a-b' is no name"),
        (entry("flow_series", name="events"), "events is the name of a table"),
        (entry("flow_values", interval="total"), "needs timeframe, one of last_12_months, last_30_days, "),
        (
            entry("flow_values", interval="total", timeframe="last_31_days"),
            "has timeframe last_31_days; it can be last_",
        ),
        (entry("flow_values", interval="total", timeframe="today"), "today is not over yet"),
        (entry("flow_series", interval="total", timeframe="last_week"), "only reports of values, as flow_values, have"),
        (entry("metric_aggregates", interval="total", timeframe="last_week"), "only reports of values have total"),
        (entry("segment_series", timeframe="last_week"), "only reports of values, as segment_values, have"),
        (
            entry("flow_values", interval="daily", timeframe="last_week"),
            "has interval daily; with timeframe it is total",
        ),
        (entry("flow_values", timeframe="last_week", reread_days=3), "has reread_days, but with interval total"),
        (
            entry("flow_values", timeframe="last_week", start_date="2026-01-01"),
            "has start_date, but with interval total",
        ),
        (entry("flow_values", timeframe={"start": "2026-01-02"}), "timeframe of flow_values must have start and end"),
        (entry("flow_values", timeframe=span("2026-01-02", "2026-01-01")), "must not end before it starts"),
        (entry("flow_values", timeframe=span("2026-01-01", "2027-01-01")), "longer than 1 year"),
        (
            entry("flow_values", timeframe=span("2026-01-01T00:00:00Z", "2026-01-05")),
            "must be a day such as 2026-01-31",
        ),
    ],
)
def test_what_a_report_does_not_have_is_an_error_that_names_what_it_has(given: dict[str, Any], said: str) -> None:
    """What is allowed comes from the specification."""
    with pytest.raises(SettingsError, match="reports: ") as raised:
        parse_reports([given], taken={"events"})
    assert said in str(raised.value)


def test_two_entries_of_a_report_need_two_names() -> None:
    """A stream has one name; with names of their own they are two streams."""
    with pytest.raises(SettingsError, match="two are called flow_series"):
        parse_reports([entry("flow_series"), entry("flow_series", interval="weekly")])
    assert len(parse_reports([entry("flow_series"), entry("flow_series", name="weeks", interval="weekly")])) == 2


def test_hours_are_named_by_points_in_time() -> None:
    """Two hours of a day may look alike on the wall."""
    (made,) = parse_reports([entry("flow_series", interval="hourly")])
    assert made.key == ("date_time", "flow_id", "flow_message_id", "send_channel")
    assert made.days == ("date",)


@pytest.mark.parametrize("kind", [kind for kind in OPERATIONS if kind.endswith("_values")])
def test_a_whole_time_frame_is_a_stream_without_bookmark(kind: str) -> None:
    """It is read whole in every run; a row's key holds the days that it is about. The interval need not be said."""
    given = [
        entry(kind, timeframe="last_30_days"),
        entry(kind, name="year", timeframe=span("2026-01-01", "2026-12-31")),
    ]
    assert Draft202012Validator(dict(SETTING)).is_valid(given)
    for made in parse_reports(given):
        assert made.interval == "total"
        assert made.replication_key is None
        assert made.key[:2] == ("timeframe_start", "timeframe_end")
    (daily,) = parse_reports([entry(kind)])
    assert daily.replication_key == "timeframe_end"
    assert daily.schema == parse_reports(given)[0].schema


def test_time_frames_are_those_of_the_specification() -> None:
    """The error lists all that Klaviyo has but today, which is not over."""
    query = operation("query_campaign_values").query
    assert query is not None
    assert len(query.timeframes) > 10
    with pytest.raises(SettingsError) as raised:
        parse_reports([entry("campaign_values", timeframe="next_week")])
    assert str(raised.value).partition("it can be ")[2].partition(", or")[0].split(", ") == [
        name for name in query.timeframes if name != "today"
    ]


@pytest.mark.parametrize(
    ("given", "every"),
    [(["Placed Order"], False), (["Placed Order", "XYZ123"], False), ("all", True), ("All ", True), (["all"], True)],
)
@pytest.mark.parametrize("kind", ["campaign_values", "flow_series", "metric_aggregates"])
def test_several_metrics_are_told_apart_by_the_key(kind: str, given: Any, every: bool) -> None:
    """A list of one metric is no other table than a list of two; a single metric keeps the key that it had."""
    aggregates = kind == "metric_aggregates"
    word = "metric" if aggregates else "conversion_metric"
    (made,) = parse_reports([{"report": kind, word: given}])
    (single,) = parse_reports([entry(kind)])
    prefix = "" if aggregates else "conversion_"
    assert Draft202012Validator(dict(SETTING)).is_valid([{"report": kind, word: given}])
    assert made.every_metric == every
    assert made.key == (*single.key, f"{prefix}metric_id")
    assert made.schema["properties"].keys() - single.schema["properties"].keys() == {f"{prefix}metric_name"}


@pytest.mark.parametrize("given", [[], [""], ["a", "a"], "", 5, {"a": 1}])
def test_metrics_are_a_name_or_names(given: Any) -> None:
    """The schema of the setting refuses anything else."""
    assert not Draft202012Validator(dict(SETTING)).is_valid([entry("flow_values", conversion_metric=given)])
