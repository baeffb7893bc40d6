"""Campaigns of every channel: each is asked for its audiences and messages, and each message for its variations."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Json, Key, Witness, definition

REVISION = "2026-10-15"


def _campaigns(account: Witness) -> list[Json]:
    return [
        row
        for archived in ("true", "false")
        for row in account.rows(
            "campaigns", revision=REVISION, filter=f"equals(archived,{archived})", sort="name", page__size=7
        )
    ]


def _parts(account: Witness, name: str) -> Iterable[tuple[str, Json]]:
    """(campaign id, each of its audiences or messages)."""
    return [
        (campaign["id"], row)
        for campaign in _campaigns(account)
        for row in account.rows(f"campaigns/{campaign['id']}/{name}", revision=REVISION)
    ]


def _tags(account: Witness) -> Iterable[Key]:
    campaigns = [
        account.one(f"campaigns/{row['id']}", revision=REVISION, include="tags") for row in _campaigns(account)
    ]
    return [(row["id"], tag["id"]) for row in campaigns for tag in row["relationships"]["tags"]["data"]]


def _groups(account: Witness) -> Iterable[Key]:
    return [
        (audience["id"], group, side)
        for _, audience in _parts(account, "campaign-audiences")
        for side in ("included", "excluded")
        for group in definition(audience)[side] or ()
    ]


def _variations(account: Witness) -> Iterable[Key]:
    return [
        (variation["id"],)
        for _, message in _parts(account, "campaign-messages")
        for variation in account.rows(f"campaign-messages/{message['id']}/campaign-variations", revision=REVISION)
    ]


TRUTHS = {
    "omni_campaigns": (("campaign_id",), lambda account: [(row["id"],) for row in _campaigns(account)]),
    "omni_campaign_tags": (("campaign_id", "tag_id"), _tags),
    "campaign_audiences": (
        ("campaign_audience_id",),
        lambda account: [(row["id"],) for _, row in _parts(account, "campaign-audiences")],
    ),
    "campaign_audience_groups": (("campaign_audience_id", "group_id", "side"), _groups),
    "omni_campaign_messages": (
        ("campaign_message_id",),
        lambda account: [(row["id"],) for _, row in _parts(account, "campaign-messages")],
    ),
    "campaign_variations": (("campaign_variation_id",), _variations),
}
