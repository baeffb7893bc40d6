"""The account itself, tag groups, webhooks, tracking settings, use of the plan, senders and the brand library."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Key, Witness, utc


def _groups(account: Witness) -> Iterable[Key]:
    """Every group has a tag in these accounts, and tells its tags' group."""
    return [(account.one(f"tags/{tag['id']}/tag-group")["id"],) for tag in account.rows("tags")]


def _subscriptions(account: Witness) -> Iterable[Key]:
    return [
        (webhook["id"], topic["id"])
        for webhook in account.rows("webhooks")
        for topic in account.one(f"webhooks/{webhook['id']}", include="webhook-topics")["relationships"][
            "webhook-topics"
        ]["data"]
    ]


# What these are of is in this revision only.
_REVISION = "2026-10-15"
# Collection -> the type of its resources.
_BRAND_ASSETS = {
    "brand-buttons": "brand-button",
    "brand-colors": "brand-color",
    "brand-logos": "brand-logo",
    "brand-social-groups": "brand-social-group",
}


def _usage(account: Witness) -> Iterable[Key]:
    """Each kind of usage by itself."""
    kinds = [row["id"] for row in account.rows("billing-usage", revision=_REVISION)]
    found = [account.one(f"billing-usage/{kind}", revision=_REVISION) for kind in kinds]
    return [(row["id"], utc(row["attributes"]["period_start"])) for row in found]


def _brands(account: Witness) -> Iterable[Key]:
    """An account has one voice, and its e-mails have one set of defaults; both go by its id."""
    ids = [row["id"] for row in account.rows("accounts")]
    named = [
        (kind, row["id"]) for path, kind in _BRAND_ASSETS.items() for row in account.rows(path, revision=_REVISION)
    ]
    return [*named, *((kind, row_id) for kind in ("brand-email-default", "brand-voice") for row_id in ids)]


TRUTHS = {
    "accounts": (("account_id",), lambda account: [(row["id"],) for row in account.rows("accounts")]),
    "tag_groups": (("tag_group_id",), _groups),
    "webhooks": (("webhook_id",), lambda account: [(row["id"],) for row in account.rows("webhooks")]),
    "webhook_subscriptions": (("webhook_id", "webhook_topic_id"), _subscriptions),
    "webhook_topics": (("webhook_topic_id",), lambda account: [(row["id"],) for row in account.rows("webhook-topics")]),
    "billing_usage": (("usage_type", "period_start"), _usage),
    "brands": (("brand_asset_type", "brand_asset_id"), _brands),
    "text_messaging_senders": (
        ("text_messaging_sender_id",),
        lambda account: [(row["id"],) for row in account.rows("text-messaging-senders", revision=_REVISION)],
    ),
    # It is known by the account's id.
    "tracking_settings": (("tracking_setting_id",), lambda account: [(row["id"],) for row in account.rows("accounts")]),
}
