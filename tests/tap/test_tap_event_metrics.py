"""The setting event_metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tap_support import config, discovered, run_tap, select

from klaviyo_client.api.metric_names import normalize_name
from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.reading.event_metrics import MAX_IDS, PRESETS, conditions, presets_without_metric, resolve


def metric(name: str, integration: Any = "Klaviyo") -> dict[str, Any]:
    origin = {"name": integration} if isinstance(integration, str) else integration
    return {"id": f"<{name}>", "attributes": {"name": name, "integration": origin}}


ACCOUNT = [
    metric("Received Email"),
    metric("Received SMS"),
    metric("Received Text Message"),
    metric("Failed to deliver Text Message"),
    metric("Subscribed to Email Marketing", None),
    metric("Received Email", "Shopify") | {"id": "another"},
    metric("Placed Order", "Shopify"),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (["placed  ORDER"], ["<Placed Order>"]),
        (["<Placed Order>"], ["<Placed Order>"]),
        (["received sms"], ["<Received SMS>", "<Received Text Message>"]),
        (["Received Text Message"], ["<Received SMS>", "<Received Text Message>"]),
        (["Received Email"], ["<Received Email>", "another"]),
        (
            ["Placed Order", "Placed Order", "received sms"],
            ["<Received SMS>", "<Received Text Message>", "<Placed Order>"],
        ),
    ],
)
def test_names_and_ids_are_found(wanted: list[str], ids: list[str]) -> None:
    """In any case; the old SMS names and the new ones stand for each other; each once, in the account's order."""
    assert resolve(wanted, ACCOUNT) == (ids, [])


def test_the_preset_takes_the_engagement_with_messages() -> None:
    """Old and new names, of Klaviyo's own integration only; together with other names."""
    found = [
        "<Received Email>",
        "<Received SMS>",
        "<Received Text Message>",
        "<Failed to deliver Text Message>",
        "<Subscribed to Email Marketing>",
    ]
    assert resolve([" Engagement"], ACCOUNT) == (found, [])
    assert resolve(["engagement", "Placed Order"], ACCOUNT)[0] == [*found, "<Placed Order>"]


@pytest.mark.parametrize(
    ("names", "other"),
    [
        (("Unsubscribed from SMS Marketing", "Unsubscribed from Text Messaging Marketing",
          "Unsubscribed from Text Message Marketing"), "Unsubscribed from Email Marketing"),
        (("Subscribed to SMS Marketing", "subscribed to  TEXT messaging marketing"), "Subscribed to Text Marketing"),
        (("Subscribed to SMS Transactional", "Subscribed to Text Messaging Transactional"), "Subscribed to SMS"),
        (("Consented to Receive SMS", "Consented to receive text messages"), "Consented to Receive Email"),
        (("Received SMS", "Received Text-Message", "Received\tText Message"), "Received Text Messenger"),
        (("Opened SMS", "Opened Text", "Opened Text Message", "opened texts"), "Opened Text File"),
    ],
)  # fmt: skip
def test_names_of_text_messages_are_equal(names: tuple[str, ...], other: str) -> None:
    """Those that Klaviyo has called SMS, Text Message, Text Messaging and Text, in any spelling; no other name."""
    assert len({normalize_name(name) for name in names}) == 1
    assert normalize_name(other) != normalize_name(names[0])


@pytest.mark.parametrize("words", ["SMS", "Text Message", "Text Messaging"])
@pytest.mark.parametrize("of", ["Marketing", "Transactional"])
def test_the_preset_has_consents_to_text_messages_under_each_name(words: str, of: str) -> None:
    """Subscriptions begun and ended, whatever Klaviyo calls text messages in this account."""
    account = [metric(f"Subscribed to {words} {of}"), metric(f"Unsubscribed from {words} {of}"), metric("Opened Text")]
    assert resolve(["engagement"], account) == ([each["id"] for each in account], [])


def test_names_of_a_preset_that_the_account_lacks_are_told() -> None:
    """Another integration's metric of that name is none; nothing is told of entries that are no preset."""
    lacking = presets_without_metric(["Engagement", "Nothing"], ACCOUNT)
    assert list(lacking) == ["Engagement"]
    assert set(lacking["Engagement"]) == set(PRESETS["engagement"]) - {
        "Received Email", "Received SMS", "Failed to Deliver SMS", "Subscribed to Email Marketing"
    }  # fmt: skip
    assert not presets_without_metric(["engagement"], [metric(name) for name in PRESETS["engagement"]])


def test_every_metric_of_the_specifications_list_is_in_the_preset() -> None:
    """The eleven names that the V2 specification prints."""
    printed = (
        *("received email", "received sms", "bounced email", "failed to deliver sms", "clicked email", "clicked sms"),
        *("opened email", "marked email as spam", "unsubscribed", "unsubscribed from sms marketing"),
        "subscribed to list",
    )
    assert set(printed) <= {name.casefold() for name in PRESETS["engagement"]}


def test_what_no_metric_answers_to_is_told() -> None:
    """A slip, or a metric whose first event is still to come."""
    assert resolve(["Placed Odrer", "Placed Order"], ACCOUNT) == (["<Placed Order>"], ["Placed Odrer"])
    assert resolve(["nothing"], ACCOUNT) == ([], ["nothing"])


def test_many_metrics_take_several_requests() -> None:
    """So that no address gets too long; every id is in one of them."""
    ids = [f"M{number}" for number in range(2 * MAX_IDS + 1)]
    made = conditions(ids)
    assert len(made) == 3
    assert [text.count('"') // 2 for (text,) in made] == [MAX_IDS, MAX_IDS, 1]
    assert made[-1] == ('equals(metric_id,["M200"])',)


def test_a_test_of_the_connection_knows_every_metric(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Not only the first one that Klaviyo lists: a name is right, or exit code 2, as in a run."""
    account = make_sandbox(profiles=5, events=50, limits=False)
    catalog = select(discovered(), {"events": None})
    *_, last = account.store.metrics.rows.values()
    for name, code in ((last["name"], 0), ("Nothing at all", 2)):
        tested = run_tap(tmp_path, config(account, event_metrics=[name]), "--test", catalog=catalog)
        assert tested.code == code, tested.errors
