"""Tables of campaigns of every channel, WhatsApp and several at once, too, which Klaviyo has since 2026-10-15."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tap_klaviyo.model import Collection, Root, Table, each
from tap_klaviyo.tables.table_functions import distinct_texts

# No document says whether archived campaigns come without being asked for.
OMNI_CAMPAIGNS = Collection(
    "omni_campaigns",
    "get_campaigns@2026-10-15",
    "campaign",
    bookmark="updated_at",
    filter_sets=({"archived": False}, {"archived": True}),
    reread=True,
)
OMNI_CAMPAIGN_MESSAGES = Collection(
    "omni_campaign_messages",
    "get_campaign_messages",
    "campaign-message",
    bookmark="updated",
    linked=frozenset({"campaign"}),
    # Klaviyo's page of the endpoint lists the include, and its SDK 25 does not know it there.
    row_by_row={"campaign-variations": "get_variations_for_campaign_message"},
)


def _groups(included: Any, excluded: Any) -> Iterable[dict[str, str]]:
    return [
        {"id": group_id, "side": side}
        for side, group_ids in (("included", included), ("excluded", excluded))
        for group_id in distinct_texts(group_ids)
    ]


def _is_test(_: Any, ab_test: Any) -> bool:
    return ab_test is not None


_AUDIENCES = each("audience", "included:campaign-audiences#")
_DEFINITION = "/attributes/definition"
_GROUPS = f"audience#{_DEFINITION}"

TABLES = (
    Table(
        "omni_campaigns",
        OMNI_CAMPAIGNS,
        key=("campaign_id",),
        bookmark="updated_at",
        deletion_note="A deleted campaign stays as it was last read; an archived one is read and says so.",
    ),
    Table(
        "omni_campaign_tags",
        OMNI_CAMPAIGNS,
        key=("campaign_id", "tag_id"),
        bookmark="campaign_updated_at",
        roots=(each("tag", "/relationships/tags/data"),),
        deletion_note="A tag taken off stays.",
    ),
    Table(
        "campaign_audiences",
        OMNI_CAMPAIGNS,
        key=("campaign_audience_id",),
        bookmark="campaign_updated_at",
        roots=(_AUDIENCES,),
        deletion_note="An audience taken off a campaign stays as it was last read.",
    ),
    Table(
        "campaign_audience_groups",
        OMNI_CAMPAIGNS,
        key=("campaign_audience_id", "group_id", "side"),
        bookmark="campaign_updated_at",
        roots=(_AUDIENCES, each("group", f"{_GROUPS}/included", f"{_GROUPS}/excluded", make=_groups)),
        deletion_note="A list or segment taken off an audience stays.",
    ),
    Table(
        "omni_campaign_messages",
        OMNI_CAMPAIGN_MESSAGES,
        key=("campaign_message_id",),
        bookmark="updated",
        roots=(Root("is_test", (f"{_DEFINITION}/status", f"{_DEFINITION}/ab_test"), _is_test),),
        deletion_note="A message taken out of a campaign stays as it was last read.",
    ),
    # No document says whether a change of a variation moves when its message was last changed.
    Table(
        "campaign_variations",
        OMNI_CAMPAIGN_MESSAGES,
        key=("campaign_variation_id",),
        bookmark="message_updated",
        roots=(each("variation", "included:campaign-variations#"),),
        deletion_note="A variation taken out of a message stays as it was last read.",
        reread=True,
    ),
)
