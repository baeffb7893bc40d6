"""Campaigns and their messages as revision 2026-10-15 shows them: the same rows as in the revision before it."""

from __future__ import annotations

from collections.abc import Mapping

from klaviyo_sandbox.account.resources.read_operation import ReadOperation, View, all_rows, related_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store

REVISION = "2026-10-15"
# The first word of a status -> the status that all of them are in this revision.
_STATUSES: Mapping[str, str] = {
    "Draft": "draft",
    "Scheduled": "scheduled",
    "Preparing": "scheduled",
    "Queued": "scheduled",
    "Cancelled": "cancelled",
    "Sent": "sent",
    "Variations": "sent",
}


def campaign(_: Store, row: Row) -> Row:
    """A campaign: what it says of itself is below ``definition``, and the rest belongs to its messages."""
    builder = "wizard"
    definition = {
        "name": row["name"],
        "builder": builder,
        "archived": row["archived"],
        "color": None,
        "description": None,
        "send_settings": None,
    }
    return {**row, "builder": builder, "definition": definition}


def message(store: Store, row: Row) -> Row:
    """A message of a campaign, with its status and how it is sent."""
    of_campaign = store.campaigns.rows[row["campaign_id"]]
    name, status = row["definition"].get("label"), _STATUSES.get(of_campaign["status"].split()[0].strip(":"), "sending")
    tracking = of_campaign["tracking_options"]
    definition = {
        "name": name,
        "status": status,
        "tracking_options": tracking
        and {
            "is_add_utm": tracking["add_tracking_params"],
            "is_tracking_clicks": tracking.get("is_tracking_clicks"),
            "is_tracking_opens": tracking.get("is_tracking_opens"),
        },
        "send_options": {"send_time": of_campaign["send_time"]},
    }
    times = {"created": row["created_at"], "updated": row["updated_at"]}
    return {**row, **times, "name": name, "status": status, "definition": definition}


# (revision, type) -> how a resource is shown in it, also where it is included.
VIEWS: Mapping[tuple[str, str], View] = {
    (REVISION, "campaign"): campaign,
    (REVISION, "campaign-message"): message,
}
READS: Mapping[str, ReadOperation] = {
    f"get_campaigns@{REVISION}": ReadOperation("campaign", all_rows("campaign"), view=campaign),
    f"get_campaign@{REVISION}": ReadOperation("campaign", view=campaign),
    "get_campaign_messages": ReadOperation("campaign-message", all_rows("campaign-message"), view=message),
    f"get_campaign_message@{REVISION}": ReadOperation("campaign-message", view=message),
    f"get_messages_for_campaign@{REVISION}": ReadOperation(
        "campaign-message", related_rows("campaign", "campaign-messages"), view=message
    ),
}
