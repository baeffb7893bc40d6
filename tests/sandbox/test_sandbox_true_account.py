"""The seeded account holds what accounts of years hold: renamed metrics, deleted flows, changed minds, blanks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.procedural.account import build_procedural
from klaviyo_sandbox.account.store import Store

RENAMED = (
    ("Received SMS", "Received Text Message"),
    ("Clicked SMS", "Clicked Text Message"),
    ("Sent SMS", "Sent Text Message"),
    ("Failed to deliver SMS", "Failed to Deliver Text Message"),
    ("Subscribed to SMS Marketing", "Subscribed to Text Message Marketing", "Subscribed to Text Messaging Marketing"),
    (
        "Unsubscribed from SMS Marketing",
        "Unsubscribed from Text Message Marketing",
        "Unsubscribed from Text Messaging Marketing",
    ),
    ("Subscribed to SMS Transactional", "Subscribed to Text Messaging Transactional"),
    ("Unsubscribed from SMS Transactional", "Unsubscribed from Text Messaging Transactional"),
)


@pytest.fixture(scope="module", params=(build, build_procedural), ids=("seeded", "procedural"))
def store(request: pytest.FixtureRequest) -> Store:
    """As many rows as the sandbox has unless it is told otherwise."""
    made: Store = request.param(1, 200, 1000, time.time)
    return made


def events_of(store: Store, name: str, integration: str) -> list[dict[str, Any]]:
    """The properties of a metric's events, empty where they have none."""
    metric_ids = {
        row["id"]
        for row in store.metrics.rows.values()
        if row["name"] == name and row["integration"]["name"] == integration
    }
    return [row["event_properties"] or {} for row in store.events.rows.values() if row["metric_id"] in metric_ids]


@pytest.mark.parametrize("name", [*(name for names in RENAMED for name in names), "Opened Text", "Unsubscribed"])
def test_a_metric_has_events_under_each_of_its_names(store: Store, name: str) -> None:
    """Klaviyo's own metrics, those of today and those of before the renaming."""
    assert events_of(store, name, "Klaviyo")


@pytest.mark.parametrize("name", ["Received Email", "Opened Email", "Unsubscribed"])
def test_another_integration_names_its_metrics_as_klaviyo_does(store: Store, name: str) -> None:
    """Both have events, and those of the other are about no message of Klaviyo."""
    assert events_of(store, name, "Klaviyo")
    foreign = events_of(store, name, "API")
    assert foreign
    assert not any("$message" in properties for properties in foreign)


def messages(store: Store) -> Iterator[tuple[str | None, str]]:
    """(flow, message) of the events that name a message."""
    for row in store.events.rows.values():
        properties = row["event_properties"] or {}
        if "$message" in properties:
            yield properties.get("$flow"), properties["$message"]


def test_events_name_flows_messages_and_campaigns_that_were_deleted(store: Store) -> None:
    """Two flows and a campaign of which nothing else is left, with what their messages were called."""
    flows = {flow for flow, _ in messages(store) if flow and flow.strip()} - store.flows.rows.keys()
    campaigns = {message for flow, message in messages(store) if flow is None and message.strip()}
    assert len(flows) == 2
    assert len(campaigns - store.campaigns.rows.keys()) == 1
    told = [row["event_properties"] or {} for row in store.events.rows.values()]
    emails = [found for found in told if found.get("$flow") in flows and "Subject" in found]
    assert emails
    assert all(found["Message Name"] != found["Subject"] for found in emails)


@pytest.mark.parametrize("blank", ["", " "])
def test_some_events_have_blanks_for_flow_and_message(store: Store, blank: str) -> None:
    """In either place, where others have an id or nothing."""
    found = list(messages(store))
    assert blank in {flow for flow, _ in found}
    assert blank in {message for _, message in found}


# People ---------------------------------------------------------------------------------------------------------------


def marketing(row: Any) -> dict[str, Any]:
    """All about marketing to a profile by e-mail."""
    found: dict[str, Any] = row["subscriptions"]["email"]["marketing"]
    return found


@pytest.mark.parametrize("kind", [list, str])
def test_some_properties_say_consent(store: Store, kind: type) -> None:
    """As forms and imports have written it: channels in a list, or in a text."""
    said = [row["properties"].get("$consent") for row in store.profiles.rows.values()]
    assert [consent for consent in said if consent and isinstance(consent, kind)]


def test_some_left_a_list_twice(store: Store) -> None:
    """Two entries of one list and reason, whose times differ; the newest may come first."""
    pairs = [marketing(row)["list_suppressions"] for row in store.profiles.rows.values()]
    twice = [
        pair for pair in pairs if len(pair) == 2 and len({(entry["list_id"], entry["reason"]) for entry in pair}) == 1
    ]
    assert twice
    assert all(first["timestamp"] > second["timestamp"] for first, second in twice)


@pytest.fixture(scope="module")
def seeded() -> Store:
    return build(1, 200, 1000, time.time)


def names_of_events(store: Store, profile_id: str) -> list[str]:
    """Names of the metrics of a profile's events, the oldest first."""
    rows = sorted(store.events.rows.values(), key=lambda row: row["timestamp"])
    return [store.metrics.rows[row["metric_id"]]["name"] for row in rows if row["profile_id"] == profile_id]


def test_some_left_a_list_after_unsubscribing_from_it(seeded: Store) -> None:
    """They are suppressed for a list on which they are no more, and their events say when they left."""
    left = [
        row["id"]
        for row in seeded.profiles.rows.values()
        for entry in marketing(row)["list_suppressions"]
        if row["id"] not in seeded.list_members[entry["list_id"]]
    ]
    assert any("Unsubscribed from List" in names_of_events(seeded, profile_id) for profile_id in left)


def test_some_subscribed_again(seeded: Store) -> None:
    """Nothing of the profile tells that they had left but its events."""
    unsubscribe, subscribe = "Unsubscribed from Email Marketing", "Subscribed to Email Marketing"
    found = 0
    for row in seeded.profiles.rows.values():
        names = [name for name in names_of_events(seeded, row["id"]) if name in (unsubscribe, subscribe)]
        is_subscribed = marketing(row)["consent"] == "SUBSCRIBED" and not marketing(row)["suppression"]
        found += is_subscribed and names[:2] == [unsubscribe, subscribe]
    assert found


@pytest.mark.parametrize(
    ("channel", "kind", "consent"),
    [
        ("sms", "marketing", "SUBSCRIBED"),
        ("sms", "marketing", "UNSUBSCRIBED"),
        ("sms", "transactional", "SUBSCRIBED"),
        ("whatsapp", "marketing", "SUBSCRIBED"),
        ("whatsapp", "transactional", "SUBSCRIBED"),
        ("whatsapp", "conversational", "SUBSCRIBED"),
        ("mobile_push", "marketing", "SUBSCRIBED"),
    ],
)
def test_every_channel_has_its_consents(seeded: Store, channel: str, kind: str, consent: str) -> None:
    """Of somebody with a phone number, where the channel needs one, also of somebody who never consented to e-mail."""
    found = [
        row
        for row in seeded.profiles.rows.values()
        if ((row["subscriptions"][channel] or {}).get(kind) or {}).get("consent") == consent
    ]
    assert found
    assert channel == "mobile_push" or all(row["phone_number"] for row in found)
    if (channel, kind, consent) == ("sms", "marketing", "SUBSCRIBED"):
        assert any(marketing(row)["consent"] == "NEVER_SUBSCRIBED" and row["email"] for row in found)


def test_some_members_have_no_address(seeded: Store) -> None:
    """They are on a list by their phone number, and consented to no e-mail."""
    members = next(iter(seeded.list_members.values())).rows
    found = [row for row in seeded.profiles.rows.values() if row["id"] in members and not row["email"]]
    assert found
    assert all(row["phone_number"] for row in found)
    assert {marketing(row)["consent"] for row in found} == {"NEVER_SUBSCRIBED"}
