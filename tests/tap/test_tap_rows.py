"""Which rows the hand-made pages give, table by table."""

from __future__ import annotations

from page_support import columns, rows

TAG_A, TAG_B, TAG_C = (f"00000000-0000-4000-8000-00000000000{last}" for last in "abc")
STATIC, THROTTLED, SMART, TESTED, SMS, PUSH = (
    f"01CAMPAIGN{name:0>16}" for name in ("STATIC", "THROTL", "SMART", "ABTEST", "SMS", "PUSH")
)


def test_campaigns() -> None:
    """Each method's options have columns of their own; the channel is the pass's; times keep their microseconds."""
    by_id = {row["campaign_id"]: row for row in rows("campaigns")}
    assert list(by_id) == [STATIC, THROTTLED, SMART, TESTED, SMS, PUSH]
    static, throttled = by_id[STATIC], by_id[THROTTLED]
    assert static["channel"] == "email"
    assert static["updated_at"] == "2026-01-20T09:30:00.123456+00:00"
    assert static["send_strategy_options_static_datetime"] == "2026-01-20T09:00:00+00:00"
    assert static["send_strategy_options_static_is_local"] is True
    assert static["send_strategy_options_throttled_datetime"] is None
    assert (static["tracking_options_is_add_utm"], static["send_options_ignore_unsubscribes"]) == (True, False)
    assert static["tracking_options_custom_tracking_params"][0]["name"] == "utm_medium"
    assert throttled["send_strategy_options_throttled_datetime"] == "2026-02-01T12:00:00+00:00"
    assert throttled["send_strategy_options_throttled_throttle_percentage"] == 20
    assert throttled["send_strategy_options_static_datetime"] is None
    assert by_id[SMART]["send_strategy_options_sto_date"] == "2026-04-01"
    assert [row["archived"] for row in by_id.values()] == [False, False, False, True, False, False]


def test_campaign_audiences() -> None:
    """A row for each list or segment, whether the page has a list of them, an empty one or nothing."""
    included = [(STATIC, "ABC123"), (STATIC, "SEG001"), (THROTTLED, "ABC123"), (TESTED, "ABC123"), (SMS, "ABC123")]
    assert columns("campaign_audiences_included", "campaign_id", "audience_id") == [*included, (PUSH, "SEG001")]
    assert columns("campaign_audiences_excluded", "campaign_id", "audience_id") == [
        (STATIC, "DEF456"),
        (TESTED, "DEF456"),
        (TESTED, "SEG002"),
    ]


def test_campaign_messages() -> None:
    """Of all three channels, each with what its channel has; the template comes from the campaign's own call."""
    static, *_, text, push = rows("campaign_messages")
    assert (static["campaign_message_type"], static["campaign_data_type"]) == ("campaign-message", "campaign")
    assert (static["campaign_data_id"], static["template_data_id"]) == (STATIC, "TMPL01")
    assert (static["label"], static["content_cc_email"]) == ("Static, local", "cc@example.com")
    assert (text["channel"], text["content_body"]) == ("sms", "Hi! Reply STOP to opt out")
    assert (text["render_options_shorten_links"], text["render_options_add_info_link"]) == (True, False)
    assert (push["content_title"], push["content_subject"]) == ("Title, not subject", None)
    owners = [row["campaign_data_id"] for row in rows("campaign_messages")]
    assert owners == [STATIC, THROTTLED, SMART, TESTED, TESTED, SMS, PUSH]


def test_campaign_message_send_times() -> None:
    """In their places; a draft has none."""
    wanted = ("campaign_id", "position", "send_time_datetime", "send_time_is_local")
    assert columns("campaign_message_send_times", *wanted) == [
        (STATIC, 0, "2026-01-20T09:00:00+00:00", True),
        (STATIC, 1, "2026-01-20T21:00:00+00:00", True),
        (THROTTLED, 0, "2026-02-01T12:00:00+00:00", False),
        (SMS, 0, "2026-01-05T10:00:00+00:00", False),
        (PUSH, 0, "2026-03-01T00:00:00+00:00", False),
    ]


def test_utm_parameters() -> None:
    """One row each, in their places; without any of its own, a campaign or a message has those of the account."""
    wanted = ("campaign_id", "position", "name", "type", "value", "is_added")
    assert columns("campaign_utm_params", *wanted) == [
        (STATIC, 0, "utm_medium", "static", "email", True),
        (STATIC, 1, "utm_id", "dynamic", "campaign_id", True),
    ]
    wanted = ("flow_action_message_id", "position", "flow_action_id", "flow_id", "name", "value", "is_added")
    assert columns("flow_action_message_utm_params", *wanted) == [
        ("FMSG01", 0, "10000001", "FLOW01", "utm_source", "klaviyo", True)
    ]


def test_tags() -> None:
    """Of campaigns, flows, lists and segments; and the tags themselves, one without a name."""
    pairs = [(STATIC, TAG_A), (STATIC, TAG_B), (THROTTLED, TAG_B), (SMS, TAG_A)]
    assert columns("campaign_tags", "campaign_id", "tag_id") == pairs
    assert columns("flow_tags", "flow_id", "tag_id") == [("FLOW01", TAG_A), ("FLOW01", TAG_B), ("FLOW03", TAG_B)]
    assert columns("list_tags", "list_id", "tag_id") == [("ABC123", TAG_A), ("ABC123", TAG_B)]
    assert columns("segment_tags", "segment_id", "tag_id") == [("ABC123", TAG_B)]
    assert {row["tag_type"] for row in rows("campaign_tags")} == {"tag"}
    assert columns("tags", "tag_id", "name") == [(TAG_A, "Newsletter"), (TAG_B, "Größe / VIP ✨"), (TAG_C, "")]


def test_flows() -> None:
    """Times of any zone in UTC; an archived flow says so."""
    assert columns("flows", "flow_id", "status", "archived", "updated") == [
        ("FLOW01", "live", False, "2026-02-03T02:05:06+00:00"),
        ("FLOW02", "draft", False, "2025-09-01T00:00:00+00:00"),
        ("FLOW03", "manual", True, "2025-09-01T00:00:00+00:00"),
    ]


def test_flow_actions() -> None:
    """Every kind of step; what a message's options say is the step's, an experiment's from its main action."""
    assert columns("flow_actions", "flow_action_id", "flow_id", "action_type", "status") == [
        ("10000001", "FLOW01", "send-email", "live"),
        ("10000002", "FLOW01", "time-delay", None),
        ("10000003", "FLOW01", "send-sms", "draft"),
        ("10000004", "FLOW02", "ab-test", "manual"),
        ("10000005", "FLOW02", None, None),
        ("10000006", "FLOW02", "send-email", "draft"),
        ("10000007", "FLOW03", "content-experiment", "disabled"),
    ]
    email, delay, _, experiment, *_ = rows("flow_actions")
    assert email["tracking_options_utm_params"] == [{"param": "utm_source", "value": "klaviyo"}]
    assert (email["tracking_options_add_utm"], email["send_options_is_transactional"]) == (True, False)
    assert (delay["tracking_options_add_utm"], experiment["send_options_use_smart_sending"]) == (None, True)
    assert {row["tracking_options_is_tracking_opens"] for row in rows("flow_actions")} == {None}


def test_flow_action_messages() -> None:
    """Those of experiments too, each once; channel and times come from the action's own call, where it was made."""
    assert columns("flow_action_messages", "flow_action_message_id", "flow_action_id", "flow_id", "channel") == [
        ("FMSG01", "10000001", "FLOW01", "email"),
        ("FMSG02", "10000003", "FLOW01", None),
        ("FMSG03", "10000004", "FLOW02", None),
        ("FMSG04", "10000004", "FLOW02", None),
        ("FMSG05", "10000007", "FLOW03", None),
    ]
    welcome = rows("flow_action_messages")[0]
    assert (welcome["created"], welcome["updated"]) == ("2025-03-01T00:00:02+00:00", "2026-02-03T02:05:06+00:00")
    assert (welcome["content_from_label"], welcome["template_id"]) == ("Shop", "TMPL02")


def test_suppressions() -> None:
    """A row for each reason, of the whole account and of a list; a profile without subscriptions has none."""
    wanted = ("profile_id", "reason", "timestamp")
    assert columns("profile_email_suppressions", *wanted) == [
        ("01PROFILE0000000000000CYD", "UNSUBSCRIBE", "2025-05-01T10:00:00+00:00"),
        ("01PROFILE0000000000000CYD", "HARD_BOUNCE", "2026-01-31T12:00:00.250000+00:00"),
    ]
    assert columns("profile_email_list_suppressions", "list_id", *wanted) == [
        ("ABC123", "01PROFILE0000000000000CYD", "UNSUBSCRIBE", "2025-04-01T00:00:00+00:00"),
        ("DEF456", "01PROFILE0000000000000CYD", "USER_SUPPRESSED", "2025-04-01T22:00:00+00:00"),
    ]


def test_memberships() -> None:
    """Suppressed on this list, on another, unsubscribed from all, or nothing known: the first and the third end."""
    people = [f"01PROFILE0000000000000{name}" for name in ("ADA", "EVE", "FAY", "CYD", "DEE")]
    assert columns("member_lists", "list_id", "member_id", "subscribed", "unsubscribed_at") == [
        ("ABC123", people[0], True, None),
        ("ABC123", people[1], False, "2026-01-11T00:00:00+00:00"),
        ("ABC123", people[2], True, None),
        ("ABC123", people[3], False, "2026-01-20T10:00:00+00:00"),
        ("ABC123", people[4], False, None),
    ]
    assert rows("member_lists")[0]["key"] == "333bf7be5f4752d0ef0c923bbcc2da9e"
    staged = rows("stg_member_lists")
    assert [row["member_id"] for row in staged] == people
    assert staged[0] == {
        "list_id": "ABC123",
        "member_id": people[0],
        "created_at": "2026-01-01T00:00:00+00:00",
        "_account_id": "ACC123",
        "_sync_id": "05e2bd932d16dfa7a56d9c19a68bb9ff",
    }


def test_attributions_of_events() -> None:
    """A campaign's, a flow's, the first of two, and the old property; what the attributed event knows comes along."""
    found = {row["id"][0]: row for row in rows("events")}

    def shown(name: str) -> tuple[object, ...]:
        return tuple(
            found[name][f"attribution_{column}"]
            for column in ("attributed_event_id", "flow", "message", "variation", "send_ts", "attributed_channel")
        )

    assert shown("5") == ("7aBcDeFgHiJ", None, STATIC, None, 1767139200, "email")
    assert shown("9") == ("8aBcDeFgHiJ", "FLOW01", "FMSG01", "FVAR01", 1767139300, "email")
    assert shown("A") == ("7aBcDeFgHiJ", None, STATIC, None, 1767139200, "email")
    assert shown("B") == ("OldEventId1", "OLDFLO", "OLDMSG", "OLDVAR", 1700000000, "email")
    assert shown("6") == (None,) * 6


def test_every_attribution_of_an_event_is_a_row() -> None:
    """Two of one event in their order, each with the ids that it names; an old object is one, under the event's id."""
    names = ("event_id", "attribution_id", "position", "attributed_event_id", "campaign_id", "campaign_message_id")
    nothing = (None, None, None)
    assert columns("event_attributions", *names, "flow_id", "flow_message_id", "variation_id") == [
        ("5aBcDeFgHiJ", "ATTR01", 0, "7aBcDeFgHiJ", STATIC, "01MESSAGE00000000000STATIC", *nothing),
        ("9aBcDeFgHiJ", "ATTR02", 0, "8aBcDeFgHiJ", None, None, "FLOW01", "FMSG01", "FVAR01"),
        ("AaBcDeFgHiJ", "ATTR03", 0, "7aBcDeFgHiJ", STATIC, "01MESSAGE00000000000STATIC", *nothing),
        ("AaBcDeFgHiJ", "ATTR04", 1, "ZaBcDeFgHiJ", None, None, "FLOW02", "FMSG03", None),
        ("BaBcDeFgHiJ", "BaBcDeFgHiJ", 0, "OldEventId1", None, None, "OLDFLO", "OLDMSG", "OLDVAR"),
    ]


def test_groups_of_events() -> None:
    """Each group once, in its place; of attributions, the groups of all attributed events."""
    assert columns("event_group_ids", "event_id", "group_id", "position") == [
        ("7aBcDeFgHiJ", "GRP001", 0),
        ("7aBcDeFgHiJ", "GRP002", 1),
        ("8aBcDeFgHiJ", "GRP003", 0),
    ]
    assert [(event[0], group) for event, group in columns("event_attribution_group_ids", "event_id", "group_id")] == [
        ("5", "GRP001"),
        ("5", "GRP002"),
        ("9", "GRP003"),
        ("A", "GRP001"),
        ("A", "GRP002"),
        ("A", "GRP005"),
        ("B", "GRP001"),
        ("B", "GRP004"),
    ]


def test_event_properties_of_any_kind() -> None:
    """Keys with dots, slashes, tildes or no letter at all, and values of any kind, come as they are."""
    found = {row["id"][0]: row for row in rows("events")}
    assert found["B"]["event_properties"]["a.b/c~d"] == {"e.f": [{"g/h~": 1.5}]}
    assert found["B"]["event_properties"][""] == "empty key"
    assert (found["9"]["value"], found["9"]["event_id"], found["7"]["segment_count"]) == (1000.0, "7", 7)
