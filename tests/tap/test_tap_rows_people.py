"""Which rows the hand-made pages of devices, conversations and predictions give."""

from __future__ import annotations

from page_support import columns, rows

ONE, TWO, THREE = (f"01PROFILE{name:0<17}" for name in ("ONE", "TWO", "THREE"))


def test_push_tokens() -> None:
    """Two devices of one person, and one of nobody; of some Klaviyo knows nothing but the token."""
    assert columns("push_tokens", "token", "profile_id", "platform", "enablement_status")[:2] == [
        ("aa11", ONE, "ios", "AUTHORIZED"),
        ("bb22", ONE, "android", "NOT_DETERMINED"),
    ]
    first, second, third = rows("push_tokens")
    assert (first["metadata_app_name"], first["metadata_os_name"]) == ("Bücher & Café", "ipados")
    assert (first["metadata_device_id"], first["metadata_app_build"]) == (None, "17")
    assert (second["metadata_app_name"], third["metadata_app_name"], third["profile_id"]) == (None, None, None)
    assert first["created"] == "2026-01-01T00:00:00+00:00"


def test_conversations() -> None:
    """A row for each, with the time of its profile; who has none has no row."""
    assert columns("conversations", "conversation_id", "profile_id", "channel", "profile_updated") == [
        ("01TALKSMS00000000000000000", ONE, "sms", "2026-01-01T00:00:00+00:00"),
        ("01TALKWHATSAPP000000000000", ONE, "whatsapp", "2026-01-01T00:00:00+00:00"),
        ("01TALKINSTA000000000000000", THREE, "instagram", "2026-01-03T00:00:00.500000+00:00"),
    ]


def test_profile_predictive_analytics() -> None:
    """Nothing predicted is a row of nulls, whether Klaviyo leaves it out or says so: nobody keeps an old prediction."""
    found = rows("profile_predictive_analytics")
    assert [row["profile_id"] for row in found] == [ONE, TWO, THREE]
    first, *others = found
    assert (first["historic_clv"], first["predicted_clv"], first["churn_probability"]) == (120.5, 0, 0.9375)
    assert first["expected_date_of_next_order"] == "2026-07-01T00:00:00+00:00"
    assert first["ranked_channel_affinity"] == ["sms", "email"]
    for row in others:
        assert {name for name, value in row.items() if value is not None} == {"profile_id", "profile_updated"}
