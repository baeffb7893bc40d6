"""Reports and aggregates, held to the account's own events by counting these one by one."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from support.calls import Caller
from support.report_counts import ZONE, campaign_keys, count, events, flow_keys, metric_id

KINDS = ("campaign-values", "flow-values", "flow-series", "form-values", "form-series")
OPENS = ("Opened Email", "Opened Push", "Opened Text")
RECEIVED = ("Received Email", "Received SMS", "Received Text Message")
SPAN = {"start": "2025-07-01T00:00:00+00:00", "end": "2026-06-30T23:59:59+00:00"}


@pytest.fixture(scope="module")
def account(make_shared_sandbox):
    """An account with enough events for every kind of message, and a caller."""
    sandbox = make_shared_sandbox(profiles=60, events=3000, seed=3, limits=False)
    caller = Caller(sandbox.url)
    yield sandbox, caller
    caller.close()


def span(sandbox):
    """A year that ends with the latest event, as a time frame and as days."""
    last = max(event.day for event in events(sandbox))
    first = last - timedelta(days=364)
    return {"start": f"{first}T00:00:00+00:00", "end": f"{last}T23:59:59+00:00"}, first, last


def report_body(sandbox, kind, **attributes):
    """The body of a report."""
    report_attributes = {"statistics": ["opens"], "timeframe": SPAN, **attributes}
    if kind.startswith(("campaign", "flow")):
        report_attributes.setdefault("conversion_metric_id", metric_id(sandbox, "Placed Order"))
    if kind.endswith("series"):
        report_attributes.setdefault("interval", "weekly")
    return {"data": {"type": f"{kind}-report", "attributes": report_attributes}}


def results(account, kind, **attributes):
    sandbox, caller = account
    answer = caller.post(f"{kind}-reports", report_body(sandbox, kind, **attributes))
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["attributes"]


def test_values_of_campaigns_are_what_its_events_say(account):
    """Opens, people who opened, and messages received, of each campaign's messages that anything happened to."""
    sandbox, _ = account
    frame, first, last = span(sandbox)
    statistics = ["opens", "opens_unique", "delivered", "open_rate"]
    content = results(account, "campaign-values", statistics=statistics, timeframe=frame)
    actual = {
        (row["groupings"]["campaign_id"], row["groupings"]["campaign_message_id"]): row["statistics"]
        for row in content["results"]
    }
    within = [event for event in events(sandbox) if first <= event.day <= last]
    opens, people = count(within, OPENS, campaign_keys)
    delivered, _ = count(within, RECEIVED, campaign_keys)

    assert len(actual) > 5
    assert {name: row["opens"] for name, row in actual.items() if row["opens"]} == {k[0]: n for k, n in opens.items()}
    for name, row in actual.items():
        place = (name, None)
        assert (row["opens_unique"], row["delivered"]) == (people[place], delivered[place])
        assert row["open_rate"] == (people[place] / delivered[place] if delivered[place] else 0)


@pytest.mark.parametrize(
    ("interval", "days", "starts"),
    [
        ("daily", 59, lambda day: day),
        ("weekly", 364, lambda day: day - timedelta(days=day.weekday())),
        ("monthly", 360, lambda day: day.replace(day=1)),
    ],
)
def test_a_series_of_flows_is_counted_by_the_accounts_days(account, interval, days, starts):
    """Each interval has what happened on its days in the account's own time zone, deleted flows included."""
    sandbox, _ = account
    _, _, last = span(sandbox)
    first = last - timedelta(days=days)
    frame = {"start": f"{first}T00:00:00+00:00", "end": f"{last}T23:59:59+00:00"}
    content = results(account, "flow-series", statistics=["opens"], timeframe=frame, interval=interval)
    dates = [datetime.fromisoformat(text).date() for text in content["date_times"]]
    actual = {
        ((row["groupings"]["flow_id"], row["groupings"]["flow_message_id"]), day): number
        for row in content["results"]
        for day, number in zip(dates, row["statistics"]["opens"], strict=True)
        if number
    }
    within = [event for event in events(sandbox) if first <= event.day <= last]
    assert actual == count(within, OPENS, flow_keys, starts)[0]
    assert actual


def test_hours_are_the_accounts_and_the_last_one_is_whole(account):
    """An end at midnight takes the hour after midnight with it, as Klaviyo does."""
    sandbox, _ = account
    one = next(
        e for e in reversed(events(sandbox)) if e.metric == "Opened Email" and e.properties.get("$flow", "").strip()
    )
    wall = one.when.astimezone(ZONE).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    frame = {"start": f"{wall.isoformat()}+00:00", "end": f"{wall.isoformat()}+09:00"}
    content = results(account, "flow-series", timeframe=frame, interval="hourly")
    assert content["date_times"] == [f"{wall.isoformat()}+00:00"]
    (number,) = [
        r["statistics"]["opens"][0]
        for r in content["results"]
        if r["groupings"]["flow_message_id"] == one.properties["$message"]
    ]
    assert number >= 1


def test_conversions_are_those_that_are_attributed(account):
    """Orders, and what they are worth, of the messages that they are attributed to."""
    sandbox, caller = account
    frame, first, last = span(sandbox)
    content = results(account, "flow-values", statistics=["conversions", "conversion_value"], timeframe=frame)
    orders = metric_id(sandbox, "Placed Order")
    expected, worth = {}, {}
    query = {"include": "attributions", "filter": f'equals(metric_id,"{orders}")', "page__size": 1000}
    for page in caller.pages("events", **query):
        relationships = {row["id"]: row["relationships"] for row in page["included"]}
        for row in page["data"]:
            day = datetime.fromisoformat(row["attributes"]["datetime"]).astimezone(ZONE).date()
            properties = row["attributes"]["event_properties"]
            old = properties.get("$attribution", {})
            attributed = {(old["$flow"], old["$message"])} if "$flow" in old else set()
            for entry in row["relationships"].get("attributions", {}).get("data", ())[:1]:
                flow, message = (
                    relationships[entry["id"]].get(name, {}).get("data") for name in ("flow", "flow-message")
                )
                attributed |= {(flow["id"], message["id"])} if flow else set()
            for key in attributed if first <= day <= last else ():
                expected[key] = expected.get(key, 0) + 1
                worth[key] = worth.get(key, 0) + properties["$value"]
    actual = {
        (row["groupings"]["flow_id"], row["groupings"]["flow_message_id"]): row["statistics"]
        for row in content["results"]
    }
    assert {key: row["conversions"] for key, row in actual.items() if row["conversions"]} == expected
    assert {key: round(row["conversion_value"], 2) for key, row in actual.items() if row["conversions"]} == {
        key: round(value, 2) for key, value in worth.items()
    }
    assert expected


def test_groupings_and_filters_narrow_what_is_counted(account):
    """A tag has what its campaigns have; a channel that is asked for leaves out the others."""
    sandbox, _ = account
    frame, _, _ = span(sandbox)
    by = ["campaign_id", "campaign_message_id"]
    plain = results(account, "campaign-values", timeframe=frame, group_by=[*by, "send_channel"])["results"]
    email = results(account, "campaign-values", timeframe=frame, filter='equals(send_channel,"email")')["results"]
    assert [row for row in plain if row["groupings"]["send_channel"] == "email"] == email
    for text in ("equals(campaign_channel,'email')", 'contains-any(campaign_channel,["email"])'):
        assert results(account, "campaign-values", timeframe=frame, filter=text)["results"] == email
    assert {row["groupings"]["send_channel"] for row in plain} > {"email"}

    tagged = results(account, "campaign-values", timeframe=frame, group_by=[*by, "tag_name"])["results"]
    name = next(row["groupings"]["tag_name"] for row in tagged if row["groupings"]["tag_name"])
    with_it = [row["groupings"]["campaign_id"] for row in tagged if row["groupings"]["tag_name"] == name]
    rows = results(
        account, "campaign-values", timeframe=frame, group_by=by, filter=f'contains-any(tag_name,["{name}"])'
    )
    assert [row["groupings"]["campaign_id"] for row in rows["results"]] == with_it


def test_forms_are_counted_by_what_is_written(make_sandbox):
    """Events that name a form count for it, people once; the rate is of what was viewed."""
    sandbox = make_sandbox(events=0, limits=False)
    caller = Caller(sandbox.url)
    day = "2026-01-05"
    for number, (metric, person) in enumerate([("Viewed Form", "a"), ("Viewed Form", "a"), ("Submitted Form", "a")]):
        attributes = {
            "properties": {"form_id": "F1"},
            "time": f"{day}T12:00:0{number}Z",
            "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
            "profile": {"data": {"type": "profile", "attributes": {"email": f"{person}@example.com"}}},
        }
        assert caller.post("events", {"data": {"type": "event", "attributes": attributes}}).status_code == 202
    frame = {"start": f"{day}T00:00:00+00:00", "end": f"{day}T23:59:59+00:00"}
    statistics = ["viewed_form", "viewed_form_uniques", "submits", "submit_rate"]
    content = results((sandbox, caller), "form-values", statistics=statistics, timeframe=frame)
    caller.close()
    assert content["results"] == [
        {"groupings": {"form_id": "F1"}, "statistics": dict(zip(statistics, (2, 1, 1, 0.5), strict=True))}
    ]


def test_segments_grow_as_their_members_join(account):
    """Those who joined on a day, and all who had joined by its end."""
    sandbox, caller = account
    segment = max(sandbox.store.segment_members, key=lambda name: len(sandbox.store.segment_members[name]))
    joined = [
        datetime.fromisoformat(row["attributes"]["joined_group_at"]).astimezone(ZONE).date()
        for row in caller.rows(f"segments/{segment}/profiles", page__size=100)
    ]
    last = max(joined)
    frame = {"start": f"{last - timedelta(days=59)}T00:00:00+00:00", "end": f"{last}T23:59:59+00:00"}
    content = results(
        account, "segment-series", statistics=["members_added", "total_members"], timeframe=frame, interval="daily"
    )
    (row,) = [row for row in content["results"] if row["groupings"]["segment_id"] == segment]
    days = [datetime.fromisoformat(text).date() for text in content["date_times"]]
    assert row["statistics"]["members_added"] == [joined.count(day) for day in days]
    assert row["statistics"]["total_members"] == [sum(one <= day for one in joined) for day in days]


def aggregate(sandbox, metric, first, stop, **attributes):
    report_attributes = {
        "metric_id": metric_id(sandbox, metric),
        "measurements": ["count", "unique", "sum_value"],
        "filter": [f"greater-or-equal(datetime,{first}T00:00:00)", f"less-than(datetime,{stop}T00:00:00)"],
        "timezone": "America/New_York",
        **attributes,
    }
    return {"data": {"type": "metric-aggregate", "attributes": report_attributes}}


def test_an_aggregate_is_what_events_of_its_metric_say(account):
    """How many, by how many people, worth what, by dimension and day; the dates are points in time."""
    sandbox, caller = account
    _, first, last = span(sandbox)
    body = aggregate(sandbox, "Placed Order", first, last + timedelta(days=1), by=["$value_currency"])
    content = caller.post("metric-aggregates", body).json()["data"]["attributes"]
    days = [datetime.fromisoformat(text).astimezone(ZONE).date() for text in content["dates"]]
    within = [event for event in events(sandbox) if first <= event.day <= last]
    often, people = count(
        within, ("Placed Order",), lambda e: iter([(e.properties["$value_currency"],)]), lambda day: day
    )

    for place, measured in (("count", often), ("unique", people)):
        actual = {
            (tuple(row["dimensions"]), day): number
            for row in content["data"]
            for day, number in zip(days, row["measurements"][place], strict=True)
            if number
        }
        assert actual == measured
    worth = sum(event.properties["$value"] for event in within if event.metric == "Placed Order")
    assert sum(sum(row["measurements"]["sum_value"]) for row in content["data"]) == pytest.approx(worth)


def test_an_aggregate_of_nothing_is_a_row_of_noughts(account):
    """Without dimensions there is always one row."""
    sandbox, caller = account
    body = aggregate(sandbox, "Placed Order", date(1999, 1, 1), date(1999, 1, 3))
    content = caller.post("metric-aggregates", body).json()["data"]["attributes"]["data"]
    assert content == [{"dimensions": [], "measurements": {n: [0, 0] for n in ("count", "unique", "sum_value")}}]


def test_pages_hold_together_what_one_page_would(make_sandbox):
    """A report's next link goes with the same body, an aggregate's cursor into it."""
    sandbox = make_sandbox(profiles=60, events=1500, seed=3, limits=False)
    caller = Caller(sandbox.url)
    frame, first, last = span(sandbox)
    report = report_body(sandbox, "flow-values", timeframe=frame)
    whole = caller.post("flow-values-reports", report).json()["data"]["attributes"]["results"]
    grouped = aggregate(sandbox, "Opened Email", first, last, by=["Client Name", "Email Domain"])
    every = caller.post("metric-aggregates", grouped).json()["data"]["attributes"]["data"]
    sandbox.store.report_rows = 2

    pages, link = [], f"{sandbox.url}/api/flow-values-reports"
    while link:
        document = caller.session.post(link, json=report, headers={"Content-Type": "application/json"}).json()
        pages.append(document["data"]["attributes"]["results"])
        link = document["links"].get("next")
    assert [row for page in pages for row in page] == whole
    assert len(pages) == -(-len(whole) // 2) > 1

    rows, link = [], "first"
    while link:
        document = caller.post("metric-aggregates", grouped).json()
        rows += document["data"]["attributes"]["data"]
        link = document["links"].get("next")
        grouped["data"]["attributes"]["page_cursor"] = (link or "").rpartition("page_cursor=")[2]
    assert rows == every
    caller.close()


def long(days):
    start = date(2026, 1, 1)
    return {"start": f"{start}T00:00:00+00:00", "end": f"{start + timedelta(days=days - 1)}T23:59:59+00:00"}


@pytest.mark.parametrize(
    ("kind", "wrong", "attribute"),
    [
        ("campaign-values", {"statistics": ["submits"]}, "statistics/0"),
        ("campaign-values", {"statistics": []}, "statistics"),
        ("campaign-values", {"group_by": ["flow_id"]}, "group_by/0"),
        ("campaign-values", {"group_by": ["campaign_id"]}, "group_by"),
        ("form-values", {"statistics": ["submits"], "group_by": ["form_version_id"]}, "group_by"),
        ("campaign-values", {"conversion_metric_id": "NOSUCH"}, "conversion_metric_id"),
        ("campaign-values", {"timeframe": long(366)}, "timeframe"),
        (
            "campaign-values",
            {"timeframe": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
            "timeframe",
        ),
        ("campaign-values", {"timeframe": {"start": "soon", "end": "later"}}, "timeframe"),
        ("campaign-values", {"timeframe": {"key": "last_decade"}}, "timeframe"),
        ("flow-series", {"timeframe": long(8), "interval": "hourly"}, "timeframe"),
        ("flow-series", {"timeframe": long(61), "interval": "daily"}, "timeframe"),
        ("flow-series", {"timeframe": long(365), "interval": "monthly"}, "timeframe"),
        ("flow-series", {"interval": "yearly"}, "interval"),
        ("campaign-values", {"filter": 'equals(subject,"x")'}, "filter"),
        ("campaign-values", {"filter": 'equals(send_channel,"fax")'}, "filter"),
        ("campaign-values", {"filter": 'equals(campaign_channel,"fax")'}, "filter"),
        ("flow-values", {"filter": 'equals(campaign_channel,"email"),equals(send_channel,"email")'}, "filter"),
        ("campaign-values", {"filter": 'and(equals(campaign_id,"a"),equals(campaign_id,"b"))'}, "filter"),
        ("campaign-values", {"filter": f"contains-any(campaign_id,{['x'] * 101})".replace("'", '"')}, "filter"),
    ],
)
def test_what_klaviyo_would_refuse_is_refused_where_it_is(account, kind, wrong, attribute):
    """A 400 that points at the attribute."""
    sandbox, caller = account
    answer = caller.post(f"{kind}-reports", report_body(sandbox, kind, **wrong))
    assert answer.status_code == 400, answer.text
    assert {error["source"]["pointer"] for error in answer.json()["errors"]} == {f"/data/attributes/{attribute}"}


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("flow-series", {"timeframe": long(7), "interval": "hourly"}),
        ("flow-series", {"timeframe": long(60), "interval": "daily"}),
        ("flow-series", {"timeframe": long(364), "interval": "monthly"}),
        ("campaign-values", {"timeframe": long(365)}),
        *(
            ("campaign-values", {"timeframe": {"key": key}})
            for key in ("today", "last_week", "last_3_months", "this_year")
        ),
    ],
)
def test_the_longest_time_frames_are_taken(account, kind, right):
    """The bounds themselves are allowed."""
    results(account, kind, **right)


@pytest.mark.parametrize(
    ("wrong", "attribute"),
    [
        ({"metric_id": "NOSUCH"}, "metric_id"),
        ({"measurements": []}, "measurements"),
        ({"filter": []}, "filter"),
        (
            {"filter": ["greater-or-equal(datetime,2026-01-02T00:00:00)", "less-than(datetime,2026-01-02T00:00:00)"]},
            "filter",
        ),
        ({"timezone": "Europe/Kyiv"}, "timezone"),
        ({"timezone": "america/new_york"}, "timezone"),
        ({"page_size": 10}, "page_size"),
        ({"page_cursor": "x"}, "page_cursor"),
    ],
)
def test_an_aggregate_that_cannot_be_is_refused_where_it_is(account, wrong, attribute):
    """A 400 that points at the attribute."""
    sandbox, caller = account
    answer = caller.post("metric-aggregates", aggregate(sandbox, "ping", date(2026, 1, 1), date(2026, 1, 3), **wrong))
    assert answer.status_code == 400, answer.text
    assert {error["source"]["pointer"] for error in answer.json()["errors"]} == {f"/data/attributes/{attribute}"}


@pytest.mark.klaviyo_breaches("repetition", reason="any report will do to spend the day")
def test_a_day_has_so_many_reports(make_sandbox):
    """The 226th of a day is a 429 that says when the next day begins; another operation has a day of its own."""
    now = [86_400.0 * 20_000]
    sandbox = make_sandbox(profiles=2, events=0, clock=lambda: now[0])
    caller = Caller(sandbox.url)
    statuses = []
    for _ in range(226):
        answer = caller.post("flow-values-reports", report_body(sandbox, "flow-values"))
        statuses.append(answer.status_code)
        now[0] += 31
    assert statuses == [200] * 225 + [429]
    assert int(answer.headers["Retry-After"]) == 86_400 - 225 * 31
    assert caller.post("campaign-values-reports", report_body(sandbox, "campaign-values")).status_code == 200
    caller.close()
