"""Which rows the hand-made pages give to the V1 tables."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_support import CONTEXT, columns, rows

from klaviyo_client.api.pages import Page
from tap_klaviyo.reading.event_metrics import resolve
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.paths import follow, sources
from tap_klaviyo.tables import STREAMS
from tap_klaviyo.tables.esp import campaign_row, campaign_type, consent_channels, flow_message_row, name_value_pairs
from tap_klaviyo.tables.esp_events import destination

ADA, BOB, CYD = (f"01PROFILE{name:0>16}" for name in ("ADA", "BOB", "CYD"))
STATIC, THROTTLED, SMART, TESTED, SMS, PUSH = (
    f"01CAMPAIGN{name:0>16}" for name in ("STATIC", "THROTL", "SMART", "ABTEST", "SMS", "PUSH")
)
EVENTS = ("sends", "bounces", "opens", "clicks", "spams", "unsubscribes", "events")


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def key(identifier: str) -> str:
    """A V1 key in the hand-made pages' account."""
    return md5(f"Klaviyo:INT1:{identifier}")


def test_every_row_says_where_it_is_from() -> None:
    """Source, integration and time of extraction, in every table; staged and excluded rows have the account instead."""
    staged = {"esp_member_exclusions", "esp_stg_member_lists"}
    for name, tables in STREAMS.items():
        for table in tables if name.startswith("esp_") else ():
            for row in rows(table):
                assert row["__synced_at"] == CONTEXT["extracted"]
                if name in staged:
                    assert row["_account_id"] == "ACC123"
                else:
                    assert (row["esp_source"], row["esp_integration_id"]) == ("Klaviyo", "INT1")
                    assert row["key"] == key(row["id"])


def test_metrics() -> None:
    """The integration's category, and where a metric's events are; one without integration has neither."""
    wanted = ("id", "name", "source", "destination", "created_at")
    assert columns("esp_metrics", *wanted) == [
        ("MET001", "Placed Order", '{"id":1,"name":"eCommerce"}', "events", "2025-01-01T00:00:00+00:00"),
        ("MET002", "Own", None, "events", None),
    ]


def test_campaigns() -> None:
    """One row each, of the first message; list_key is unhashed, and join keys are keys of other tables."""
    table, _ = STREAMS["esp_campaigns"]
    by_id = {row["id"]: row for row in rows(table)}
    assert list(by_id) == [STATIC, THROTTLED, SMART, TESTED, SMS, PUSH]
    static = by_id[STATIC]
    assert (static["from_email"], static["from_name"]) == ("shop@example.com", "Shop")
    assert static["subject"].startswith("Hello {{ first_name")
    assert (static["status"], static["sent_at"]) == ("Sent", "2026-01-20T09:00:00+00:00")
    assert (static["created_at"], static["type"]) == ("2026-01-05T10:00:00.000001+00:00", "Campaign")
    assert (static["list_key"], static["list_join_key"]) == ("ABC123", key("ABC123"))
    nothing = ("parent_campaign_key", "automation_key", "automation_join_key", "automation_position")
    assert {static[name] for name in nothing} == {None}
    assert [row["campaign_type"] for row in by_id.values()] == [*["Regular"] * 3, "AB", "Regular", "Regular"]
    assert (by_id[SMART]["list_key"], by_id[SMART]["list_join_key"], by_id[SMART]["sent_at"]) == (None, None, None)
    assert by_id[SMS]["subject"] is None


def test_campaigns_of_flows() -> None:
    """Every message of a flow, the one key hashed from the bare id of the flow and the other as the flow's own."""
    _, table = STREAMS["esp_campaigns"]
    made = rows(table)
    assert [row["id"] for row in made] == [row["flow_action_message_id"] for row in rows("flow_action_messages")]
    flows = [row["flow_id"] for row in rows("flow_action_messages")]
    assert [(row["automation_key"], row["automation_join_key"]) for row in made] == [
        (md5(flow), key(flow)) for flow in flows
    ]
    assert {row["automation_join_key"] for row in made} <= {row["key"] for row in rows("esp_automations")}
    first = made[0]
    assert (first["from_email"], first["from_name"]) == ("shop@example.com", "Shop")
    assert first["created_at"] == "2025-03-01T00:00:01+00:00"
    assert {row[name] for row in made for name in ("sent_at", "campaign_type", "list_key", "list_join_key")} == {None}


def test_lists() -> None:
    """Lists and segments alike; each says which it is, and that V1 knew no more."""
    lists, segments = STREAMS["esp_lists"]
    assert [(row["id"], row["list_type"]) for row in rows(lists)] == [("ABC123", "list"), ("DEF456", "list")]
    assert [(row["id"], row["list_type"]) for row in rows(segments)] == [("ABC123", "segment"), ("DEF456", "segment")]
    assert {row[name] for row in rows(lists) for name in ("status", "rating", "archived_at")} == {None}


def test_campaign_lists() -> None:
    """The lists a campaign goes to, not those it leaves out."""
    wanted = ("id", "list_join_key", "campaign_join_key")
    first, second, *others = columns("esp_campaign_lists", *wanted)
    assert first == (f"ABC123:{STATIC}", key("ABC123"), key(STATIC))
    assert second == (f"SEG001:{STATIC}", key("SEG001"), key(STATIC))
    assert len(others) == 4


def test_members() -> None:
    """Address, source and consent; what V1 called the time of update is the time of extraction."""
    ada, bob, cyd, _ = rows("esp_members")
    assert (ada["id"], ada["source"], ada["address1"], ada["zip"]) == (ADA, "7", "1 Main St", "GU23")
    assert (ada["consent"], ada["consent_timestamp"]) == ('["email"]', "2025-01-02T03:04:05+00:00")
    assert (ada["latitude"], ada["longitude"], ada["predict_user_id"]) == (51.3, -0.45, None)
    assert (ada["updated_at"], ada["profile_updated"]) == (CONTEXT["extracted"], "2026-02-03T04:05:06.500000+00:00")
    assert (bob["email"], bob["consent"], bob["city"]) == (None, None, None)
    assert (cyd["consent"], cyd["consent_timestamp"]) == (None, "2025-05-01T10:00:00+00:00")


YES, NO = "SUBSCRIBED", "UNSUBSCRIBED"


@pytest.mark.parametrize(
    ("consent", "states", "channels"),
    [
        (["email", "web"], (None, None, None, None), ["email", "web"]),
        (["Email", " SMS ", "", "email"], (None, None, None, None), ["email", "sms"]),
        ("email", (None, YES, None, None), ["email", "sms"]),
        ("sms, email", (YES, YES, None, None), ["sms", "email"]),
        ('["web","sms"]', (YES, NO, YES, YES), ["web", "sms", "email", "whatsapp", "mobile_push"]),
        ("['email']", (None, None, None, None), ["email"]),
        (None, (NO, YES, "NEVER_SUBSCRIBED", YES), ["sms", "mobile_push"]),
        (["email"], (NO, None, None, None), ["email"]),
        ([7, None, {}, ["sms"]], (None, None, None, None), None),
        (["email, SMS", "['web']"], (None, None, None, None), ["email", "sms", "web"]),
        ("none", (None, YES, None, None), ["sms"]),
        (["null", "N/A", "email"], (None, None, None, None), ["email"]),
        ({"email": True}, (NO, NO, NO, NO), None),
        (" ", (None, None, None, None), None),
        (None, (None, None, None, {}), None),
    ],
)
def test_consent_is_v1s_list_of_channels(
    consent: object, states: tuple[object, ...], channels: list[str] | None
) -> None:
    """Those of the property $consent first, however it was written, then those that Klaviyo has as subscribed."""
    assert consent_channels(consent, *states) == channels


def test_member_attributes() -> None:
    """A row for each property, its value as text; they share the member's key."""
    wanted = ("name", "value")
    assert columns("esp_member_attributes", *wanted) == [
        ("Favourite Colour", "blue"),
        ("$source", "7"),
        ("nested", '{"a":[1,2]}'),
    ]
    assert columns("esp_member_attributes", "key", "member_key", "member_join_key")[0] == (key(ADA), md5(ADA), key(ADA))


def test_member_exclusions() -> None:
    """One for each reason; the address is what is hashed."""
    wanted = ("member_id", "email", "reason", "created_at", "_sync_id")
    email = "cyd@example.com"
    assert columns("esp_member_exclusions", *wanted) == [
        (CYD, email, "UNSUBSCRIBE", "2025-05-01T10:00:00+00:00", md5(email)),
        (CYD, email, "HARD_BOUNCE", "2026-01-31T12:00:00.250000+00:00", md5(email)),
    ]


def test_member_lists() -> None:
    """When a subscription began and ended; the printed key is the list's, and another one tells members apart."""
    wanted = ("id", "member_id", "member_list_join_key", "subscribed_at", "subscribed", "unsubscribed_at")
    ada, eve, _, cyd, dee = columns("esp_member_lists", *wanted)
    assert ada == ("ABC123", ADA, key(f"ABC123:{ADA}"), "2026-01-01T00:00:00+00:00", True, None)
    assert eve[3:] == ("2026-01-01T22:00:00+00:00", False, "2026-01-11T00:00:00+00:00")
    assert cyd[3:] == ("2026-01-04T00:00:00+00:00", False, "2026-01-20T10:00:00+00:00")
    assert dee[3:] == ("2026-01-05T00:00:00+00:00", False, None)
    kinds = [schema_files.load(table)["properties"]["subscribed"] for table in ("member_lists", "esp_member_lists")]
    assert [kind["type"] for kind in kinds] == [["boolean", "null"]] * 2
    assert {row["key"] for row in rows("esp_member_lists")} == {key("ABC123")}
    staged = columns("esp_stg_member_lists", "list_id", "member_id", "created_at", "_sync_id")
    assert staged[0] == ("ABC123", ADA, "2026-01-01T00:00:00+00:00", md5(f"ABC123:{ADA}"))


def test_every_key_is_hashed_with_the_integration() -> None:
    """None with the account's id, which is another one where the setting says so: keys of two tables would not meet."""
    hashed = {
        (name, column): parts
        for name in STREAMS
        for column, schema in schema_files.load(name)["properties"].items()
        if (parts := schema.get("x-klaviyo-md5"))
    }
    assert ("member_lists", "key") in hashed
    assert [place for place, parts in hashed.items() if any(str(part).startswith("account#") for part in parts)] == []


def test_events_are_routed_by_their_metrics_names() -> None:
    """Old names and new; what has another name or none is among the others, and nothing is in two tables."""
    found = {name: [int(row["id"][-4:]) for row in rows(f"esp_{name}")] for name in EVENTS}
    assert found == {
        "sends": [0],
        "bounces": [1],
        "opens": [2],
        "clicks": [3, 4, 5, 13],
        "spams": [6],
        "unsubscribes": [7, 8, 9],
        "events": [10, 11, 12, 14],
    }


def test_an_event_names_campaign_automation_and_member() -> None:
    """By hashes of bare ids, and by keys; null where it names none."""
    (send,), (bounce,), (*_, last) = rows("esp_sends"), rows("esp_bounces"), rows("esp_events")
    assert (send["campaign_key"], send["campaign_join_key"]) == (md5(STATIC), key(STATIC))
    assert (send["automation_key"], send["automation_join_key"], send["list_key"]) == (None, None, None)
    assert (send["member_key"], send["member_join_key"]) == (md5(ADA), key(ADA))
    assert (send["email"], send["event_at"]) == ("ada@example.com", "2026-01-01T00:00:00+00:00")
    assert (bounce["campaign_key"], bounce["automation_key"]) == (md5("FMSG01"), md5("FLOW01"))
    names = ("campaign_key", "campaign_join_key", "member_key", "member_join_key", "automation_key", "email")
    assert {last[name] for name in names} == {None}


@pytest.mark.parametrize("nothing", ["", "  ", None])
def test_an_empty_message_or_flow_is_none(nothing: str | None) -> None:
    """In every table of events each foreign key of it is null, and the key of the row is not."""
    own = {"id": "E", "attributes": {"event_properties": {"$message": nothing, "$flow": nothing}}}
    own["relationships"] = {"profile": {"data": {"type": "profile", "id": nothing}}}
    for name in EVENTS:
        schema = schema_files.load(f"esp_{name}")
        hashed = [column for column in schema["properties"] if column.endswith("key") and column != "list_key"]
        roots = {"own": own, "integration": {"id": "INT1"}}
        found = {column: follow(source, roots, Page([own])) for column, source in sources(schema, hashed).items()}
        assert found == {**dict.fromkeys(hashed), "key": key("E")}
        assert len(hashed) == 7


@pytest.mark.parametrize(
    ("metric", "table"),
    [
        ("Clicked Text Message", "clicks"),
        ("Received Text Message", "events"),
        ("Unsubscribed from SMS Marketing", "events"),
        ("Subscribed to List", "events"),
        ("Received Emails", "events"),
        (7, "events"),
        (None, "events"),
    ],
)
def test_what_v1_does_not_name_is_an_event(metric: object, table: str) -> None:
    """Text messages received are no sends there, though clicks on them are clicks."""
    assert destination(metric) == table


@pytest.mark.parametrize(
    ("integration", "table"),
    [({"name": "Klaviyo"}, "opens"), ({"name": " klaviyo"}, "opens"), (None, "opens"), ({}, "opens"),
     ({"name": None}, "opens"), ({"name": "Shopify"}, "events"), ({"name": "API"}, "events")],
)  # fmt: skip
def test_only_klaviyos_own_metrics_are_routed_by_name(integration: object, table: str) -> None:
    """One of which no integration is said is taken for Klaviyo's, as by the preset of ``event_metrics``."""
    assert destination("Opened Email", integration) == table
    metric = {"id": "M", "attributes": {"name": "Opened Email", "integration": integration}}
    assert bool(resolve(["engagement"], [metric])[0]) is (table == "opens")


@given(
    st.one_of(
        st.none(), st.integers(), st.text(), st.lists(st.none() | st.text()), st.dictionaries(st.text(), st.none())
    )
)
def test_whatever_klaviyo_sends_makes_a_row(value: object) -> None:
    """Where a list, an object or a text is expected, anything may stand."""
    assert destination(value, value) in EVENTS
    assert consent_channels(value, *[value] * 4) != []
    assert campaign_row(value, value, *[value] * 9)["id"] == value
    assert flow_message_row(*[value] * 9)["automation_id"] == value
    assert all(set(row) == {"name", "value"} for row in name_value_pairs(value))
    assert campaign_type(value) == ("Regular" if isinstance(value, str) else None)
