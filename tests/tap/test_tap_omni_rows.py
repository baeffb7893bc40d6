"""Which rows the hand-made pages of campaigns of every channel give."""

from __future__ import annotations

from page_support import columns, rows

TWO, ONE, NIL = (f"01OMNICAMPAIGN000000000{end}" for end in ("TWO", "ONE", "NIL"))
VIPS, REST, CHAT = (f"{digit}25e385b52fb405715f3616c337cc65c" for digit in "9ab")


def test_campaigns() -> None:
    """What a campaign says of itself is below its definition; one that says nothing is a row all the same."""
    first, second, third = rows("omni_campaigns")
    assert (first["campaign_id"], first["builder"], first["color"]) == (TWO, "canvas", "ff5733")
    assert first["send_settings_exit_condition_conversion_metric_id"] == "METR01"
    assert (second["name"], second["archived"]) == ("WhatsApp: Grüße 🌷", True)
    assert {column for column, value in third.items() if value is not None} == {"campaign_id", "updated_at"}


def test_tags() -> None:
    """One row for each tag that is put on a campaign."""
    assert (
        columns("omni_campaign_tags", "campaign_id", "campaign_updated_at")
        == [(TWO, "2026-10-21T09:30:00.123456+00:00")] * 2
    )


def test_audiences_have_names_and_priorities() -> None:
    """A campaign can have several, and each has its own lists and segments, each of which counts once."""
    wanted = ("campaign_audience_id", "campaign_id", "name", "priority")
    assert columns("campaign_audiences", *wanted) == [
        (VIPS, TWO, "VIPs", 1),
        (REST, TWO, "Everybody else", 2),
        (CHAT, ONE, None, None),
    ]
    assert columns("campaign_audience_groups", "campaign_audience_id", "group_id", "side") == [
        (VIPS, "ABC123", "included"),
        (VIPS, "SEG001", "included"),
        (VIPS, "DEF456", "excluded"),
        (REST, "DEF456", "included"),
        (CHAT, "SEG001", "included"),
        (CHAT, "SEG001", "excluded"),
    ]


def test_messages() -> None:
    """A message has a status of its own, and says whether it is a test; its audience where Klaviyo names it."""
    wanted = ("campaign_id", "campaign_audience_id", "status", "is_ab_test", "ab_test_winner_wait_hours")
    assert columns("omni_campaign_messages", *wanted) == [
        (TWO, VIPS, "sent", True, 4),
        (TWO, REST, "scheduled", False, None),
        (ONE, None, "draft", False, None),
    ]
    first, _, third = rows("omni_campaign_messages")
    assert first["send_options_send_time"] == "2026-10-25T06:00:00+00:00"
    assert third["send_options_send_times"] == {"01VARIATION00000000000000D": "2026-10-26T08:00:00+00:00"}


def test_variations_have_the_channel() -> None:
    """One row for each; columns that a channel does not know are null, and `details` has whatever it does."""
    wanted = ("channel", "campaign_id", "template_id", "subject", "body", "title", "shorten_links")
    assert columns("campaign_variations", *wanted) == [
        ("email", TWO, "TMPL01", "Für dich 🎁", None, None, None),
        ("email", TWO, None, "", None, None, None),
        ("whatsapp", TWO, "123456789012345", None, None, None, True),
        ("sms", ONE, None, None, "Los geht es", None, True),
        ("push", ONE, None, None, "Schau vorbei!", "Neu", None),
    ]
    *_, text, push = rows("campaign_variations")
    assert (text["details"]["cost"], push["details"]["kv_pairs"]) == (0.0075, {"screen": "cart"})
    assert push["message_updated"] == "2026-10-23T10:00:00+00:00"
