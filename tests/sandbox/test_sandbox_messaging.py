"""Events, attributions and consents refer to what is in the account."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.seeded.times import END, START


@pytest.fixture(scope="module")
def store():
    return build(1, 400, 4000, time.time)


def said(store):
    """(event, properties) of all events that name a message."""
    rows = store.events.rows.values()
    said = [(row, row["event_properties"]) for row in rows if "$message" in (row["event_properties"] or {})]
    return [(row, properties) for row, properties in said if properties["$message"].strip()]


def is_of_flow(properties):
    """Whether an event names a flow: a blank names none."""
    return bool(properties.get("$flow", "").strip())


def test_campaign_events_name_campaigns_that_were_sent(store):
    """An event of a campaign has its id, its name, and a send after it went out; one campaign is nowhere but there."""
    found = [(event, properties) for event, properties in said(store) if not is_of_flow(properties)]
    assert len(found) > 500
    gone = {properties["$message"] for _, properties in found} - store.campaigns.rows.keys()
    assert len(gone) == 1
    for event, properties in found:
        if properties["$message"] in gone:
            continue
        campaign = store.campaigns.rows[properties["$message"]]
        assert (campaign["status"], campaign["name"]) == ("Sent", properties["Campaign Name"])
        assert campaign["send_time"] <= event["datetime"]
        sent, _, message_id = properties["$_cohort$message_send_cohort"].partition(":")
        assert int(sent) <= event["timestamp"]
        assert message_id == properties["$message"]


def test_groups_of_campaign_events_are_their_audiences(store):
    """Who was sent to is who the campaign includes; some name a group twice, some none."""
    seen = Counter()
    for _, properties in said(store):
        campaign = store.campaigns.rows.get(properties["$message"])
        if campaign is None:
            continue
        audience = campaign["audiences"]["included"]
        groups = properties.get("$group_ids")
        seen[groups is None, groups is not None and len(groups) > len(set(groups))] += 1
        assert groups is None or set(groups) == set(audience)
    assert seen.keys() == {(True, False), (False, False), (False, True)}


def test_flow_events_name_flow_messages_and_flows_that_are_gone(store):
    """An event of a flow has ids of the flow, its message and variation; two flows are nowhere but in events."""
    gone = Counter()
    groups = Counter()
    for _, properties in said(store):
        if not is_of_flow(properties):
            continue
        groups[bool(properties["$group_ids"])] += 1
        assert set(properties["$group_ids"]) <= store.lists.rows.keys()
        flow = store.flows.rows.get(properties["$flow"])
        if flow is None:
            gone[properties["$flow"]] += 1
            assert properties["$message"] not in store.flow_messages
            continue
        message = store.flow_messages.rows[properties["$message"]]
        assert message["flow_id"] == flow["id"]
        assert message["name"] == properties["Message Name"]
        assert store.flow_messages.rows[properties["$variation"]]["action_id"] == message["action_id"]
        assert flow["status"] != "draft"
    assert len(gone) == 2
    assert 0 < gone.total() < groups.total() / 3
    assert groups.keys() == {True, False}


def test_a_deleted_flow_is_nowhere_to_be_read(read, reading):
    """A flow that only events know is a 404 and in no listing."""
    flows = {properties["$flow"] for _, properties in said(reading.store) if is_of_flow(properties)}
    all_gone = flows - reading.store.flows.rows.keys()
    assert all_gone
    for gone in all_gone:
        assert read.get(f"flows/{gone}").status_code == 404
        assert read.get(f"flows/{gone}/flow-actions").status_code == 404
        assert gone not in {row["id"] for row in read.rows("flows")}
        assert read.rows("flows", filter=f"any(id,['{gone}'])") == []


def test_texts_and_pushes_are_about_their_channel(store):
    """Events of a channel are about messages of that channel."""
    channels = {"Received SMS": "sms", "Clicked SMS": "sms", "Opened Push": "mobile_push", "Opened Email": "email"}
    names = {row["id"]: row["name"] for row in store.metrics.rows.values()}
    spoken = {"SMS": "sms", "Push": "mobile_push", "Email": "email"}
    seen = set()
    for event, properties in said(store):
        channel = channels.get(names[event["metric_id"]])
        if channel is None:
            continue
        campaign = store.campaigns.rows.get(properties["$message"])
        message = store.flow_messages.rows.get(properties["$message"])
        if campaign is not None:
            assert campaign["messages"]["channel"] == channel
        elif message is not None:
            assert spoken[message["channel"]] == channel
        seen.add(channel)
    assert seen == {"sms", "mobile_push", "email"}


def test_attributions_lead_to_earlier_events_of_the_same_profile(store):
    """What an event is owed to happened before, to the same person, and was about the message that is named."""
    kinds, counts = Counter(), Counter()
    for event_id, found in store.attributions.items():
        event = store.events.rows[event_id]
        counts[len(found)] += 1
        for entry in found:
            cause = store.events.rows[entry["attributed-event"][1]]
            assert cause["profile_id"] == event["profile_id"]
            assert cause["timestamp"] < event["timestamp"]
            properties = cause["event_properties"]
            if "flow" in entry:
                assert entry["flow"] == ("flow", properties["$flow"])
                assert entry["flow-message"] == ("flow-message", properties["$message"])
                assert entry["flow-message-variation"] == ("flow-message", properties["$variation"])
            else:
                assert entry["campaign"] == ("campaign", properties["$message"])
                message = store.campaign_messages.rows.get(entry["campaign-message"][1])
                if message is None:
                    assert properties["$message"] not in store.campaigns
                else:
                    assert message["campaign_id"] == properties["$message"]
            kinds[tuple(sorted(entry.keys() - {"id", "event", "attributed-event"}))] += 1
    assert kinds.keys() == {("campaign", "campaign-message"), ("flow", "flow-message", "flow-message-variation")}
    assert counts[2]
    assert counts[1] > counts[2]


def test_attributions_over_the_wire(read, reading):
    """Each attribution names exactly what it has, and all of an event's are included."""
    page = read.get("events", include="attributions", page__size=1000).json()
    included = {entry["id"]: entry["relationships"] for entry in page["included"]}
    for row in page["data"]:
        named = [identity["id"] for identity in row["relationships"].get("attributions", {"data": []})["data"]]
        expected = reading.store.attributions.get(row["id"], ())
        assert named == [entry["id"] for entry in expected]
        for entry in expected:
            shown = {name: (it["data"]["type"], it["data"]["id"]) for name, it in included[entry["id"]].items()}
            assert shown == {name: value for name, value in entry.items() if name != "id"}


def test_old_conversions_tell_by_themselves(store):
    """The oldest conversions that are owed to a message say so in their properties, and have no attribution."""
    legacy = [
        (row, row["event_properties"]["$attribution"])
        for row in store.events.rows.values()
        if "$attribution" in (row["event_properties"] or {})
    ]
    assert 2 <= len(legacy) < 60
    oldest = min(store.events.rows[event_id]["datetime"] for event_id in store.attributions)
    for event, attribution in legacy:
        cause = store.events.rows[attribution["$attributed_event_id"]]
        assert event["id"] not in store.attributions
        assert cause["profile_id"] == event["profile_id"]
        assert attribution["$message"] == cause["event_properties"]["$message"]
        assert attribution["$send_ts"] <= cause["timestamp"] < event["timestamp"]
        assert event["datetime"] <= oldest


def test_a_handful_of_events_have_no_properties(read):
    """They may be empty, and are never null."""
    values = [row["attributes"]["event_properties"] for row in read.rows("events", page__size=1000)]
    assert None not in values
    assert 0 < values.count({}) < 20


def test_small_accounts_have_it_all_too():
    """Sixty profiles and two hundred events hold both forms of attribution and an event without properties."""
    store = build(1, 60, 200, time.time)
    assert len(store.events) == 200
    assert store.attributions
    assert any("$attribution" in (row["event_properties"] or {}) for row in store.events.rows.values())
    assert any(row["event_properties"] == {} for row in store.events.rows.values())


def test_messaging_lies_before_the_end(store):
    """Nothing of campaigns, flows and templates was made before the account began or after it ended."""
    first, last = START.isoformat(), END.isoformat()
    for table, names in (
        (store.campaigns, ("created_at", "updated_at", "scheduled_at", "send_time")),
        (store.campaign_messages, ("created_at", "updated_at")),
        *((table, ("created", "updated")) for table in (store.flows, store.flow_actions, store.flow_messages)),
        (store.templates, ("created", "updated")),
    ):
        for row in table.rows.values():
            times = [row[name] for name in names if row[name] is not None]
            assert all(first <= when < last for when in times)
            assert times[0] <= times[1]
            assert all(entry["datetime"] < last for entry in row.get("send_times", ()))


def test_some_profiles_are_suppressed_twice(store):
    """Some are off two lists or off one twice, or suppressed for two reasons; some take pushes or WhatsApp messages."""
    subscriptions = [row["subscriptions"] for row in store.profiles.rows.values()]
    marketing = [entry["email"]["marketing"] for entry in subscriptions]
    doubles = [entry["list_suppressions"] for entry in marketing if len(entry["list_suppressions"]) == 2]
    assert doubles
    assert {one["list_id"] != other["list_id"] for one, other in doubles} == {True, False}
    reasons = [[it["reason"] for it in entry["suppression"]] for entry in marketing]
    assert {len(entry) for entry in reasons} == {0, 1, 2}
    assert all(len(set(entry)) == len(entry) for entry in reasons)
    for channel in ("mobile_push", "whatsapp"):
        found = {entry[channel]["marketing"]["consent"] for entry in subscriptions if entry[channel]}
        assert found - {"NEVER_SUBSCRIBED"} == {"SUBSCRIBED", "UNSUBSCRIBED"}
