"""Which rows the hand-made pages of the account and its set-up give."""

from __future__ import annotations

from page_support import columns, rows

SMS, OPENED = "event:klaviyo.sent_sms", "event:klaviyo.opened_email"
FIRST, BARE, NEVER = (f"01WEBHOOK{name:0<17}" for name in ("FIRST", "BARE", "NEVER"))


def test_accounts() -> None:
    """One row with the address taken apart; what the account left open is null."""
    (account,) = rows("accounts")
    assert account["account_id"] == "ACC123"
    assert (account["organization_name"], account["website_url"], account["industry"]) == ("Café & Söhne", None, None)
    assert (account["street_address_city"], account["street_address_address2"]) == ("Boston", None)
    assert (account["timezone"], account["preferred_currency"], account["locale"]) == (
        "America/New_York",
        "USD",
        "en-US",
    )
    assert (account["test_account"], account["public_api_key"]) == (True, "ACC123")


def test_tag_groups() -> None:
    """The default group, and one of which a thing can carry one tag only."""
    assert columns("tag_groups", "name", "exclusive", "default") == [("Default", False, True), ("Market", True, False)]


def test_webhooks() -> None:
    """Also one of which Klaviyo says little."""
    assert columns("webhooks", "webhook_id", "description", "enabled")[:2] == [
        (FIRST, "Größtes", True),
        (BARE, None, True),
    ]
    assert [row["created_at"] is None for row in rows("webhooks")] == [False, True, False]


def test_webhook_subscriptions() -> None:
    """A row for each topic; a webhook that is subscribed to none has no row."""
    assert columns("webhook_subscriptions", "webhook_id", "webhook_topic_id") == [
        (FIRST, SMS),
        (FIRST, OPENED),
        (BARE, SMS),
    ]
    assert (NEVER,) in columns("webhooks", "webhook_id")


def test_webhook_topics() -> None:
    """Their ids are all that Klaviyo has of them."""
    assert ("event:klaviyo.opened_email",) in columns("webhook_topics", "webhook_topic_id")


def test_tracking_settings() -> None:
    """Fixed texts, what stands for something, and what is added to flows only or to nothing."""
    (row,) = rows("tracking_settings")
    assert (row["tracking_setting_id"], row["auto_add_parameters"]) == ("ACC123", True)
    assert (row["utm_source_flow_type"], row["utm_source_flow_value"]) == ("static", "klaviyo")
    assert (row["utm_campaign_campaign_type"], row["utm_campaign_campaign_value"]) == ("dynamic", "campaign_name")
    assert (row["utm_medium_flow_value"], row["utm_medium_campaign_type"]) == ("é-mail", None)
    assert (row["utm_id_flow_value"], row["utm_id_campaign_value"]) == (None, "campaign_id")
    assert row["utm_term_flow_type"] is None
    assert row["custom_parameters"] == [{"name": "shop", "flow": {"type": "static", "value": "de"}, "campaign": None}]
