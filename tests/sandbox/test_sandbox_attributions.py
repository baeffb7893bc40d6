"""Which messages what somebody does is attributed to, for how long, and how reports count it."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import pairwise

import pytest
from support.calls import Caller
from support.report_counts import metric_id

from klaviyo_sandbox import serve
from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.persistence import DataRefused
from klaviyo_sandbox.account.procedural.account import build_procedural

HOUR, DAY = 3_600, 86_400
# Metric -> how long Klaviyo attributes orders to it, unless it is told otherwise.
OPEN_FOR = {
    **dict.fromkeys(("Opened Email", "Clicked Email"), 5 * DAY),
    **dict.fromkeys(("Clicked SMS", "Clicked Text Message", "Opened Text", "Opened Push"), DAY),
    **dict.fromkeys(("Received SMS", "Received Text Message"), 12 * HOUR),
}
CONVERSIONS = ("Placed Order", "Ordered Product")
NARROW = "email=2,sms=0,sms_received=0,push=0"
YEAR = {"start": "2025-07-01T00:00:00+00:00", "end": "2026-06-30T23:59:59+00:00"}


def klaviyos_own(store):
    """Metric id -> name, of Klaviyo's own metrics and of conversions."""
    rows = store.metrics.rows.values()
    return {
        row["id"]: row["name"] for row in rows if row["integration"]["key"] == "klaviyo" or row["name"] in CONVERSIONS
    }


def touches_in_time(store, open_for):
    """Conversion id -> ids of the touches of the same person whose window is open then, the latest first."""
    names, by_person = klaviyos_own(store), defaultdict(list)
    for row in sorted(store.events.rows.values(), key=lambda row: row["timestamp"]):
        by_person[row["profile_id"]].append((row["timestamp"], names.get(row["metric_id"]), row["id"]))
    found = {}
    for events in by_person.values():
        for now, name, event_id in events:
            if name in CONVERSIONS:
                earlier = [(then, touch) for then, kind, touch in events if 0 < now - then <= open_for.get(kind, 0)]
                found[event_id] = [touch for _, touch in reversed(earlier)]
    return found


def attributed(store):
    """Event id -> the events that it is attributed to, whichever way it says so."""
    found = {
        event_id: [entry["attributed-event"][1] for entry in entries]
        for event_id, entries in store.attributions.items()
    }
    for row in store.events.rows.values():
        old = (row["event_properties"] or {}).get("$attribution")
        if old:
            found[row["id"]] = [old["$attributed_event_id"]]
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_happens_within_a_window_is_attributed_and_nothing_else(seed):
    """Five days after an e-mail, a day after a text message, and the last touch comes first."""
    store = build(seed, 400, 4000, time.time)
    expected, found = touches_in_time(store, OPEN_FOR), attributed(store)
    assert found.keys() == {event_id for event_id, touches in expected.items() if touches}
    when = {row["id"]: row["timestamp"] for row in store.events.rows.values()}
    for event_id, touches in found.items():
        assert set(touches) <= set(expected[event_id])
        assert when[touches[0]] == when[expected[event_id][0]]
        assert all(when[later] >= when[earlier] for later, earlier in pairwise(touches))
    assert 50 < len(found) < len(expected)


def test_another_window_attributes_more_or_less():
    """What a setting opens for longer is attributed, and nothing of a channel that it closes; no event is another."""
    usual = build(1, 400, 4000, time.time)
    wide = build(1, 400, 4000, time.time, "email=30, sms=0,sms_received=0")
    open_for = {**dict.fromkeys(("Opened Email", "Clicked Email"), 30 * DAY), "Opened Push": DAY}
    expected = {event_id for event_id, touches in touches_in_time(wide, open_for).items() if touches}
    assert attributed(wide).keys() == expected != attributed(usual).keys()
    assert wide.events.rows.keys() == usual.events.rows.keys()


def test_computed_events_keep_to_the_windows():
    """Accounts of any size attribute by the same days, and by others when they are told."""
    seen = {}
    for text, open_for in (("", OPEN_FOR), (NARROW, {"Opened Email": 2.0 * DAY})):
        store = build_procedural(1, 300, 5_000, time.time, text)
        names = klaviyos_own(store)
        open_for = {"Clicked Email": open_for["Opened Email"], **open_for}
        ages = [
            (names[cause["metric_id"]], store.events.rows[event_id]["timestamp"] - cause["timestamp"])
            for event_id, entries in store.attributions.items()
            for cause in (store.events.rows[entry["attributed-event"][1]] for entry in entries)
        ]
        assert all(0 < age <= open_for[name] for name, age in ages)
        seen[text] = ages
    assert {name for name, _ in seen[""]} >= {"Opened Email", "Clicked Email", "Received Text Message"}
    assert 0 < len(seen[NARROW]) < len(seen[""])


@pytest.mark.parametrize("text", ["email", "email=x", "post=1", "email=-1", "sms=inf", "sms=nan", "5", "=1"])
def test_windows_that_are_none_are_refused(text):
    """Before anything is served."""
    with pytest.raises(ValueError, match="attribution must be days by name"), serve(attribution=text):
        pass


def test_an_account_that_is_kept_keeps_its_windows(tmp_path):
    """Served from its directory by others it would be another account."""
    with serve(profiles=3, events=3, data=tmp_path, attribution="email=7"):
        pass
    with (
        pytest.raises(DataRefused, match=r"attributed by email=7.*not a seeded account"),
        serve(profiles=3, events=3, data=tmp_path),
    ):
        pass
    with serve(profiles=3, events=3, data=tmp_path, attribution="email=7"):
        pass


def test_events_of_a_test_name_their_variation():
    """Campaigns that send several messages say in each event which one it was, and others do not."""
    store = build(1, 400, 4000, time.time)
    variations = defaultdict(set)
    for row in store.events.rows.values():
        properties = row["event_properties"] or {}
        campaign = store.campaigns.rows.get(properties.get("$message"))
        if campaign is not None:
            is_test = len(campaign["message_ids"]) > 1
            assert ("$variation" in properties) == ("$_cohort$variation_send_cohort" in properties) == is_test
            if is_test:
                assert properties["$variation"] in campaign["message_ids"]
                sent, _, variation = properties["$_cohort$variation_send_cohort"].partition(":")
                assert (int(sent) <= row["timestamp"], variation) == (True, properties["$variation"])
                variations[campaign["id"]].add(properties["$variation"])
    assert len(variations) >= 3
    for campaign_id, found in variations.items():
        assert found == set(store.campaigns.rows[campaign_id]["message_ids"])
    tests = [
        entry
        for entries in store.attributions.values()
        for entry in entries
        if entry.get("campaign", ("", ""))[1] in variations
    ]
    assert tests
    for entry in tests:
        properties = store.events.rows[entry["attributed-event"][1]]["event_properties"]
        assert entry["campaign-message"] == ("campaign-message", properties["$variation"])
        assert "flow-message-variation" not in entry


@pytest.fixture
def orders(make_sandbox):
    """An account and a function that asks it for conversions: (campaigns', flows', of all orders by aggregate)."""
    sandbox = make_sandbox(profiles=60, events=3000, seed=3, limits=False)
    caller = Caller(sandbox.url)

    def ask():
        counts = []
        for kind in ("campaign", "flow"):
            attributes = {
                "statistics": ["conversions"],
                "timeframe": YEAR,
                "conversion_metric_id": metric_id(sandbox, "Placed Order"),
            }
            body = {"data": {"type": f"{kind}-values-report", "attributes": attributes}}
            answer = caller.post(f"{kind}-values-reports", body).json()
            counts.append(sum(row["statistics"]["conversions"] for row in answer["data"]["attributes"]["results"]))
        attributes = {
            "metric_id": metric_id(sandbox, "Placed Order"),
            "measurements": ["count"],
            "by": ["$attributed_message"],
            "interval": "month",
            "timezone": "America/New_York",
            "filter": ["greater-or-equal(datetime,2025-07-01T00:00:00)", "less-than(datetime,2026-07-01T00:00:00)"],
        }
        answer = caller.post(
            "metric-aggregates", {"data": {"type": "metric-aggregate", "attributes": attributes}}
        ).json()
        rows = answer["data"]["attributes"]["data"]
        counts.append(sum(sum(row["measurements"]["count"]) for row in rows if row["dimensions"] != [""]))
        return counts

    yield sandbox, ask
    caller.close()


def test_a_report_counts_a_conversion_once(orders):
    """For the first message that it is attributed to: campaigns and flows together have what is attributed at all."""
    _, ask = orders
    campaigns, flows, at_all = ask()
    assert campaigns
    assert flows
    assert campaigns + flows == at_all


def test_a_report_counts_a_conversion_for_each_message_when_it_is_told(orders):
    """Then all messages together have more conversions than there are; told otherwise again, they have not."""
    sandbox, ask = orders
    usual = ask()
    sandbox.control.change(conversions="each")
    campaigns, flows, at_all = ask()
    assert at_all == usual[2]
    assert campaigns + flows > at_all
    sandbox.control.change(conversions="first")
    assert ask() == usual


def test_a_report_tells_the_variations_of_a_test_apart(orders):
    """Each message of an A/B test has its own opens, under its id and as a variation."""
    sandbox, _ = orders
    caller = Caller(sandbox.url)
    attributes = {
        "statistics": ["opens"],
        "timeframe": YEAR,
        "conversion_metric_id": metric_id(sandbox, "Placed Order"),
        "group_by": ["campaign_id", "campaign_message_id", "variation", "variation_name"],
    }
    body = {"data": {"type": "campaign-values-report", "attributes": attributes}}
    rows = caller.post("campaign-values-reports", body).json()["data"]["attributes"]["results"]
    caller.close()
    messages = defaultdict(set)
    for row in rows:
        found, campaign = row["groupings"], sandbox.store.campaigns.rows.get(row["groupings"]["campaign_id"])
        if campaign is None or len(campaign["message_ids"]) == 1:
            assert found["variation"] is None
        else:
            message = sandbox.store.campaign_messages.rows[found["variation"]]
            assert found["campaign_message_id"] == found["variation"]
            assert found["variation_name"] == message["definition"].get("label")
            messages[campaign["id"]].add(found["variation"])
    assert max(map(len, messages.values())) > 1
