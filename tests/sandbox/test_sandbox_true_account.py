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
    ("Failed to deliver SMS", "Failed to deliver Text Message"),
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
