"""The account itself, tag groups, webhooks and tracking settings."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Key, Witness


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


TRUTHS = {
    "accounts": (("account_id",), lambda account: [(row["id"],) for row in account.rows("accounts")]),
    "tag_groups": (("tag_group_id",), _groups),
    "webhooks": (("webhook_id",), lambda account: [(row["id"],) for row in account.rows("webhooks")]),
    "webhook_subscriptions": (("webhook_id", "webhook_topic_id"), _subscriptions),
    "webhook_topics": (("webhook_topic_id",), lambda account: [(row["id"],) for row in account.rows("webhook-topics")]),
    # It is known by the account's id.
    "tracking_settings": (("tracking_setting_id",), lambda account: [(row["id"],) for row in account.rows("accounts")]),
}
