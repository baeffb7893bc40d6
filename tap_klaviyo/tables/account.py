"""Tables of the account itself and of its settings: tag groups, webhooks, tracking, use of the plan, senders."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table, each

ACCOUNTS = Collection("accounts", "get_accounts", "account")
TAG_GROUPS = Collection("tag_groups", "get_tag_groups", "tag-group")
WEBHOOKS = Collection("webhooks", "get_webhooks", "webhook")
WEBHOOK_TOPICS = Collection("webhook_topics", "get_webhook_topics", "webhook-topic")
TRACKING_SETTINGS = Collection("tracking_settings", "get_tracking_settings", "tracking-setting")
# Klaviyo shows the current periods only.
BILLING_USAGE = Collection("billing_usage", "list_billing_usage", "billing-usage", keep_deleted=True)
TEXT_MESSAGING_SENDERS = Collection("text_messaging_senders", "get_text_messaging_senders", "text-messaging-sender")

TABLES = (
    Table("accounts", ACCOUNTS, key=("account_id",), deletion_note="A key has one account."),
    Table(
        "tag_groups",
        TAG_GROUPS,
        key=("tag_group_id",),
        deletion_note="A deleted group stays as it was last read.",
    ),
    Table(
        "webhooks",
        WEBHOOKS,
        key=("webhook_id",),
        deletion_note="A deleted webhook stays as it was last read.",
    ),
    Table(
        "webhook_subscriptions",
        WEBHOOKS,
        key=("webhook_id", "webhook_topic_id"),
        roots=(each("topic", "/relationships/webhook-topics/data"),),
        deletion_note="A topic that a webhook is no longer subscribed to stays.",
    ),
    Table(
        "webhook_topics",
        WEBHOOK_TOPICS,
        key=("webhook_topic_id",),
        deletion_note="A topic that Klaviyo gave up stays.",
    ),
    Table(
        "tracking_settings",
        TRACKING_SETTINGS,
        key=("tracking_setting_id",),
        deletion_note="An account always has one.",
    ),
    Table(
        "billing_usage",
        BILLING_USAGE,
        key=("usage_type", "period_start"),
        deletion_note="A period that is over stays as it was last read.",
    ),
    Table(
        "text_messaging_senders",
        TEXT_MESSAGING_SENDERS,
        key=("text_messaging_sender_id",),
        deletion_note="A sender that was given up stays as it was last read.",
    ),
)
