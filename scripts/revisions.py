"""Which revision of the API each operation is asked for in.

An operation is asked for in the revision of the document that ``tests/specification`` keeps, unless it stands here. An
id that both revisions have gets a name for each: ``get_campaigns`` and ``get_campaigns@2026-10-15``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

# Revision -> ids of the operations that are asked for in it.
OTHERS: Mapping[str, tuple[str, ...]] = {
    "2026-10-15": (
        # Campaigns of every channel, and of several at once: another shape under the same paths.
        "get_campaigns",
        "get_campaign",
        "get_messages_for_campaign",
        "get_campaign_message",
        "get_campaign_messages",
        "get_campaign_audience",
        "get_campaign_audiences_for_campaign",
        "get_campaign_variation",
        "get_variations_for_campaign_message",
        # More than July's: consent to the tracking of clicks, and when a coupon is assigned anew.
        "bulk_subscribe_profiles",
        "bulk_unsubscribe_profiles",
        "get_coupons",
        "get_coupon",
        # What is new.
        "list_billing_usage",
        "get_billing_usage",
        "get_brand_buttons",
        "get_brand_button",
        "get_brand_colors",
        "get_brand_color",
        "get_brand_email_defaults",
        "get_brand_email_default",
        "get_brand_logos",
        "get_brand_logo",
        "get_brand_social_groups",
        "get_brand_social_group",
        "get_brand_voice",
        "get_text_messaging_senders",
        "get_text_messaging_sender",
        "get_translations",
        "get_translation",
    ),
}
_SCHEMA = "#/schemas/"


def names(revision: str, default_ids: Container[str]) -> dict[str, str]:
    """Our name of each operation that is asked for in a revision -> its id.

    Args:
        revision: one of ``OTHERS``.
        default_ids: those of the document that is kept.
    """
    return {f"{op}@{revision}" if op in default_ids else op: op for op in OTHERS[revision]}


def with_own_schemas(facts: Any, revision: str) -> Any:
    """Facts whose references lead to the schemas of their revision, which have its name: ``Campaign@2026-10-15``."""
    if isinstance(facts, dict):
        return {key: with_own_schemas(value, revision) for key, value in facts.items()}
    if isinstance(facts, list):
        return [with_own_schemas(value, revision) for value in facts]
    if isinstance(facts, str) and re.fullmatch(rf"{_SCHEMA}\w+", facts):
        return f"{facts}@{revision}"
    return facts
