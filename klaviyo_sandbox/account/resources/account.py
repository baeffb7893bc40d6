"""Settings of the account: the account itself, webhooks with their topics, and tracking parameters of links."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.relations import references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

READS: Mapping[str, ReadOperation] = {
    "get_account": ReadOperation("account"),
    "get_tag_group_for_tag": ReadOperation("tag-group", related_rows("tag", "tag-group"), to_one=True),
    "get_tag_ids_for_tag_group": ReadOperation("tag", related_rows("tag-group", "tags")),
    "get_webhooks": ReadOperation("webhook", all_rows("webhook")),
    "get_webhook": ReadOperation("webhook"),
    "get_webhook_topics": ReadOperation("webhook-topic", all_rows("webhook-topic")),
    "get_webhook_topic": ReadOperation("webhook-topic"),
    "get_tracking_settings": ReadOperation("tracking-setting", all_rows("tracking-setting")),
    "get_tracking_setting": ReadOperation("tracking-setting"),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    ("webhook", "webhook-topics"): references("webhook-topic", "topic_ids")
}

_TOPICS = (
    *("event:klaviyo.sent_sms", "event:klaviyo.received_sms", "event:klaviyo.opened_email"),
    *("event:klaviyo.clicked_email", "event:klaviyo.bounced_email", "event:klaviyo.unsubscribed_from_email_marketing"),
)


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Some webhooks, one of them without a topic, every topic, and the account's one tracking setting."""
    account_id = next(iter(store.accounts.rows))
    return {
        "webhook": Table(_webhooks(rng_for("webhooks"), start, end)),
        "webhook-topic": Table({"id": topic} for topic in _TOPICS),
        "tracking-setting": Table([_tracking(account_id)]),
    }


def _webhooks(rng: random.Random, start: datetime, end: datetime) -> list[Row]:
    webhooks: list[Row] = []
    for name, count in (("Warehouse", 3), ("Größere Änderungen", 1), ("Not subscribed yet", 0)):
        created = random_time(rng, start, end)
        webhooks.append(
            {
                "id": ulid(int(created.timestamp() * 1000), rng),
                "name": name,
                "description": None if count == 1 else f"{name}, by the data team",
                # As Klaviyo shows it: without the path, which may be a secret.
                "endpoint_url": "https://www.example.com/...",
                "enabled": count > 0,
                "created_at": format_datetime(created),
                "updated_at": format_datetime(random_time(rng, created, end)),
                "topic_ids": rng.sample(_TOPICS, count),
            }
        )
    return webhooks


def _tracking(account_id: str) -> Row:
    names, ids = (
        {kind: {"type": "dynamic", "value": f"{kind}_{what}"} for kind in ("flow", "campaign")}
        for what in ("name", "id")
    )
    fixed = {"type": "static", "value": "klaviyo"}
    return {
        "id": account_id,
        "auto_add_parameters": True,
        "utm_source": {"flow": fixed, "campaign": fixed},
        "utm_medium": {"flow": {"type": "static", "value": "é-mail"}, "campaign": fixed},
        "utm_campaign": names,
        "utm_id": ids,
        "utm_term": {"flow": {"type": "static", "value": "größe"}, "campaign": fixed},
        "custom_parameters": [{"name": "shop", "flow": {"type": "static", "value": "de"}, "campaign": None}],
    }
