"""Tables of campaigns, their messages, audiences and tags. One pass for each channel and archived state feeds all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup, Root, Table, each
from tap_klaviyo.tables.table_functions import (
    UTM_DELETION_NOTE,
    distinct_texts,
    resources_by_id,
    strategy_of,
    with_positions,
)

# Klaviyo lists no campaigns without a channel, and archived ones only when asked for them.
_CHANNELS = operation("get_campaigns").filter_values["messages.channel"]
CAMPAIGNS = Collection(
    "campaigns",
    "get_campaigns",
    "campaign",
    bookmark="updated_at",
    filter_sets=tuple(
        {"messages.channel": channel, "archived": archived} for channel, archived in product(_CHANNELS, (False, True))
    ),
    reread=True,
)


def _templates(page: Page) -> Mapping[str, Any]:
    return {message["id"]: message for message in page.data}


AUDIENCE_DELETION_NOTE = "An audience taken off a campaign stays."
_MESSAGES = each("message", "included:campaign-messages#")
_METHOD = "/attributes/send_strategy/method"

TABLES = (
    Table(
        "campaigns",
        CAMPAIGNS,
        key=("campaign_id",),
        bookmark="updated_at",
        roots=(
            Root("static", ("/attributes/send_strategy", _METHOD), strategy_of("static")),
            Root("throttled", ("/attributes/send_strategy", _METHOD), strategy_of("throttled")),
            Root("sto", ("/attributes/send_strategy", _METHOD), strategy_of("smart_send_time")),
            Lookup(
                "estimate",
                "get_campaign_recipient_estimation",
                owner_kind="campaign",
                owner_path="/id",
                match_path="/id",
                extract=resources_by_id,
                may_lack=True,
            ),
        ),
        deletion_note="A deleted campaign stays as it was last read; an archived one is read and says so.",
    ),
    *(
        Table(
            f"campaign_audiences_{kind}",
            CAMPAIGNS,
            key=("campaign_id", "audience_id"),
            bookmark="campaign_updated_at",
            roots=(each("audience", f"/attributes/audiences/{kind}", make=distinct_texts),),
            deletion_note=AUDIENCE_DELETION_NOTE,
        )
        for kind in ("included", "excluded")
    ),
    Table(
        "campaign_messages",
        CAMPAIGNS,
        key=("campaign_message_id",),
        bookmark="campaign_updated_at",
        roots=(
            _MESSAGES,
            Lookup(
                "with_template",
                "get_messages_for_campaign",
                owner_kind="campaign",
                owner_path="/id",
                match_path="message#/id",
                extract=_templates,
                query={
                    "include": "template",
                    "fields[campaign-message]": "id",
                    "fields[template]": "name",
                },
            ),
        ),
        deletion_note="A message taken out of a campaign stays as it was last read.",
    ),
    Table(
        "campaign_message_send_times",
        CAMPAIGNS,
        key=("campaign_message_id", "position"),
        bookmark="campaign_updated_at",
        roots=(_MESSAGES, each("send_time", "message#/attributes/send_times", make=with_positions)),
        deletion_note=(
            "A changed send time takes the place of the one before it; of a list that got shorter, the rest stays."
        ),
    ),
    Table(
        "campaign_utm_params",
        CAMPAIGNS,
        key=("campaign_id", "position"),
        bookmark="campaign_updated_at",
        roots=(each("parameter", "/attributes/tracking_options/custom_tracking_params", make=with_positions),),
        deletion_note=UTM_DELETION_NOTE,
    ),
    Table(
        "campaign_tags",
        CAMPAIGNS,
        key=("campaign_id", "tag_id"),
        bookmark="campaign_updated_at",
        roots=(each("tag", "/relationships/tags/data"),),
        deletion_note="A tag taken off stays.",
    ),
)
