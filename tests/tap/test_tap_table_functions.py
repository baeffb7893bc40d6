"""The small pure functions of the tables: attributions, flow messages, memberships."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.api.pages import Page
from tap_klaviyo.rows.values import as_datetime, md5_of
from tap_klaviyo.tables import attribution
from tap_klaviyo.tables.flows import first_message, messages_in
from tap_klaviyo.tables.groups import subscription
from tap_klaviyo.tables.table_functions import distinct_texts, strategy_of, with_positions


def linked(**names: str) -> dict[str, Any]:
    """An attribution resource with these relationships."""
    data = {name.replace("_", "-"): {"data": {"type": name, "id": value}} for name, value in names.items()}
    return {"type": "attribution", "id": "A", "relationships": data}


CAMPAIGN = linked(event="E", attributed_event="C", campaign="CAM", campaign_message="MSG")
FLOW = linked(event="E", attributed_event="D", flow="FLO", flow_message="FM", flow_message_variation="V")
LEGACY = {
    "$attributed_event_id": "OLD",
    "$message": "CAM",
    "$send_ts": 1700000000,
    "$attributed_channel": "email",
    "$group_ids": ["G", "G", "H"],
}


def test_an_attribution_names_its_message() -> None:
    """A campaign's is the campaign, as the old property had it; a flow's is the flow's message."""
    campaign, flow = attribution.all_attributions([CAMPAIGN, FLOW], None)
    assert (campaign["message"], campaign["flow"], campaign["variation"]) == ("CAM", None, None)
    assert (flow["message"], flow["flow"], flow["variation"]) == ("FM", "FLO", "V")
    assert (flow["attributed_event_id"], flow["look_up"]) == ("D", "D")
    assert attribution.first_attribution([CAMPAIGN, FLOW], None) == campaign


def test_the_old_object_counts_only_where_there_is_no_resource() -> None:
    """It knows all by itself, so that nothing is looked up."""
    assert attribution.all_attributions([CAMPAIGN], LEGACY) == attribution.all_attributions([CAMPAIGN], None)
    (old,) = attribution.all_attributions([], LEGACY)
    assert (old["attributed_event_id"], old["look_up"]) == ("OLD", None)
    assert attribution.message_origin(old, None)["group_ids"] == ["G", "H"]
    assert (
        attribution.first_attribution(None, {"$attributed_event_id": "", "$send_ts": 0})["attributed_event_id"] is None
    )
    assert attribution.first_attribution(None, "text") is None
    assert attribution.first_attribution(None, None) is None


@pytest.mark.parametrize(
    ("properties", "sent"),
    [
        ({"$message": "M", "$_cohort$message_send_cohort": "1700000000:M"}, 1700000000),
        ({"$message": "M", "$internal": {"send_timestamp": 1700000001}}, 1700000001),
        ({"$message": "M", "$_cohort$message_send_cohort": "soon:M", "$internal": "?"}, None),
    ],
)
def test_an_attributed_event_knows_when_its_message_was_sent(properties: dict[str, Any], sent: int | None) -> None:
    """From its cohort, or from what the sender noted."""
    page = Page([{"id": "C", "attributes": {"event_properties": properties}}])
    assert attribution.message_origin(None, attribution.message_events(page)["C"])["send_ts"] == sent


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("Clicked Email", "email"),
        ("Clicked SMS", "sms"),
        ("Received Text Message", "sms"),
        ("Opened Text", "sms"),
        ("Unsubscribed from Text Messaging Marketing", "sms"),
        ("Sent text  messages", "sms"),
        ("Opened Push", "push"),
        ("Read WhatsApp", "whatsapp"),
        ("Clicked Thing", None),
    ],
)
def test_the_metric_of_an_attributed_event_tells_the_channel(name: str, channel: str | None) -> None:
    """And events that are about no message are not kept."""
    event = {
        "id": "C",
        "attributes": {"event_properties": {"$group_ids": ["G"]}},
        "relationships": {"metric": {"data": {"type": "metric", "id": "M"}}},
    }
    other = {"id": "X", "attributes": {"event_properties": None}}
    page = Page([event, other], {("metric", "M"): {"id": "M", "attributes": {"name": name}}})
    (known,) = attribution.message_events(page).values()
    assert attribution.message_origin(None, known) == {"send_ts": None, "channel": channel, "group_ids": ["G"]}


MESSAGE = {"id": "M1"}


@pytest.mark.parametrize(
    ("definition", "ids"),
    [
        ({"type": "send-email", "data": {"message": MESSAGE}}, ["M1"]),
        ({"type": "time-delay", "data": {"value": 1}}, []),
        ({"type": "code"}, []),
        (None, []),
        (
            {
                "type": "ab-test",
                "data": {
                    "main_action": {"data": {"message": MESSAGE}},
                    "current_experiment": {"variations": [{"data": {"message": {"id": "M2"}}}, {"data": None}, None]},
                },
            },
            ["M1", "M2"],
        ),
        ({"type": "ab-test", "data": {"main_action": None, "current_experiment": None}}, []),
    ],
)
def test_messages_are_found_wherever_a_definition_holds_them(definition: Any, ids: list[str]) -> None:
    """In the step itself, or in its test's main action and variations."""
    assert [message["id"] for message in messages_in(definition)] == ids
    assert (first_message(definition) or {}).get("id") == next(iter(ids), None)


EARLY, LATE, RECORDED = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"
SUBSCRIBED = {
    "email": "a@example.com",
    "can_receive": True,
    "consent": "SUBSCRIBED",
    "consent_timestamp": RECORDED,
    "suppressions": [],
    "list_suppressions": [],
}


def subscribed(**known: Any) -> tuple[Any, Any]:
    """Whether a member of list L is subscribed, and until when it was, by what is known of a subscribed one."""
    found = subscription("L", **{**SUBSCRIBED, **known})
    return found["subscribed"], found["unsubscribed_at"]


def suppressed(reason: str, at: Any, list_id: str | None = None) -> dict[str, Any]:
    return {"reason": reason, "timestamp": at, **({"list_id": list_id} if list_id else {})}


def test_a_member_is_subscribed_who_consented_and_may_get_it() -> None:
    """Nobody else: not who never consented, has no address, bounced, is suppressed, or of whom nothing is known."""
    assert subscribed() == (True, None)
    for known in (
        {"consent": "NEVER_SUBSCRIBED"},
        {"consent": None},
        {"can_receive": False},
        {"can_receive": None},
        {"email": None},
        {"email": " "},
        {"can_receive": False, "suppressions": [suppressed("HARD_BOUNCE", LATE), suppressed("USER_SUPPRESSED", LATE)]},
        dict.fromkeys(SUBSCRIBED),
    ):
        assert subscribed(**known) == (False, None), known


def test_a_subscription_ends_with_the_latest_unsubscription() -> None:
    """From this list or from all, whatever the zone of its time; another list's is not its business."""
    here = [suppressed("UNSUBSCRIBE", LATE, "L"), suppressed("USER_SUPPRESSED", EARLY, "L")]
    elsewhere = [suppressed("UNSUBSCRIBE", RECORDED, "X")]
    assert subscribed(list_suppressions=elsewhere) == (True, None)
    assert subscribed(list_suppressions=[*here, *elsewhere]) == (False, LATE)
    away = {"consent": "UNSUBSCRIBED", "can_receive": False}
    globally = [suppressed("UNSUBSCRIBE", EARLY), suppressed("HARD_BOUNCE", RECORDED)]
    assert subscribed(**away, suppressions=globally) == (False, EARLY)
    assert subscribed(**away, suppressions=globally, list_suppressions=here) == (False, LATE)
    zones = [suppressed("UNSUBSCRIBE", "2026-02-01T00:30:00+01:00"), suppressed("UNSUBSCRIBE", LATE)]
    assert subscribed(**away, suppressions=zones) == (False, LATE)


def test_consent_that_was_withdrawn_has_the_time_at_which_it_was_recorded() -> None:
    """Where no suppression has a better one; a subscription that goes on has no end."""
    away = {"consent": "UNSUBSCRIBED"}
    assert subscribed(**away) == (False, RECORDED)
    assert subscribed(**away, suppressions=[suppressed("HARD_BOUNCE", LATE)]) == (False, RECORDED)
    assert subscribed(**away, suppressions=[suppressed("UNSUBSCRIBE", LATE)]) == (False, LATE)
    assert subscribed(**away, consent_timestamp=None) == (False, None)
    assert subscribed(**away, list_suppressions=[suppressed("UNSUBSCRIBE", None, "L")]) == (False, RECORDED)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from((EARLY, LATE, "UNSUBSCRIBE", "L")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("reason", "timestamp", "list_id")), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.fixed_dictionaries(dict.fromkeys(SUBSCRIBED, ANY_JSON)))
def test_whatever_klaviyo_says_of_a_subscription_ends_no_run(known: dict[str, Any]) -> None:
    """There is an answer, which never has an end and goes on, and whose end is a time."""
    is_subscribed, end = subscribed(**known)
    assert isinstance(is_subscribed, bool)
    assert end in (None, EARLY, LATE) or (end is not None and not is_subscribed and as_datetime(end) == end)
    assert not (is_subscribed and end)


def test_keys_are_made_as_a_warehouse_makes_them() -> None:
    """Lower-case hex, and null where a part is."""
    assert md5_of("L", "P") == "6dff0563a9a8a12af3a8ee6685069389"
    assert md5_of("Klaviyo", "A", "L", "P") == "8ec5b16256f28f5582cd81c2d67a0ccb"
    assert md5_of("Klaviyo", None, "L", "P") is None
    assert md5_of("Klaviyo", float("nan")) is None
    assert md5_of(7, [None]) == md5_of("7", "[null]")
    assert md5_of(0) == md5_of("0") is not None


@pytest.mark.parametrize("nothing", [None, "", " ", "\t\n", "\xa0", "\u200b", "\ufeff ", "\x00", [], {}])
def test_nothing_has_no_md5(nothing: object) -> None:
    """As an id, or as a part of a key: all rows without an id would be joined."""
    assert md5_of(nothing) is None
    assert md5_of("Klaviyo", "A", nothing) is None


def test_lists_are_numbered_or_made_distinct() -> None:
    """Whatever stands in a list's place."""
    assert with_positions(["a", "a"]) == [{"position": 0, "value": "a"}, {"position": 1, "value": "a"}]
    assert with_positions(None) == with_positions({}) == []
    assert distinct_texts(["b", 1, None, "a", "b"]) == ["b", "a"]
    for anything in (None, 5, float("nan"), True, "G1", {"a": 1}):
        assert distinct_texts(anything) == with_positions(anything) == []


def test_send_strategies_are_told_apart_by_their_method() -> None:
    """Static and throttled sends share the name of their time."""
    strategy = {"method": "static", "datetime": "2026-01-01"}
    assert strategy_of("static")(strategy, "static") == strategy
    assert strategy_of("throttled")(strategy, "static") is None
