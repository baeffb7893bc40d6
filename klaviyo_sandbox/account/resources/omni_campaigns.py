"""Campaigns, messages, variations and audiences in the shape of revision 2026-10-15.

Types whose name July has for another shape are kept under names of their own, ``omni-campaign`` and
``omni-campaign-message``; answers name them as Klaviyo does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime

from klaviyo_sandbox.account.relations import find_row, referenced_by, references, table_of
from klaviyo_sandbox.account.resources.read_operation import FindRows, ReadOperation, all_rows, related_rows
from klaviyo_sandbox.account.seeded.omni_campaigns import Sources, omni_rows
from klaviyo_sandbox.account.seeded.tags import Tagger
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.exchange import Params

REVISION = "2026-10-15"
CAMPAIGN, MESSAGE, VARIATION, AUDIENCE = (
    "omni-campaign",
    "omni-campaign-message",
    "campaign-variation",
    "campaign-audience",
)


def _with_owners(kind: str) -> FindRows:
    """All rows of a type but those of deleted campaigns."""

    def find_rows(store: Store, _: Params) -> Table:
        return Table(row for row in table_of(store, kind).rows.values() if find_row(store, kind, row["id"]) is not None)

    return find_rows


READS: Mapping[str, ReadOperation] = {
    # Whether Klaviyo lists archived campaigns without being asked is unknown; until July it did not.
    f"get_campaigns@{REVISION}": ReadOperation(CAMPAIGN, all_rows(CAMPAIGN), default_filters={"archived": False}),
    f"get_campaign@{REVISION}": ReadOperation(CAMPAIGN),
    "get_campaign_messages": ReadOperation(MESSAGE, _with_owners(MESSAGE)),
    f"get_campaign_message@{REVISION}": ReadOperation(MESSAGE),
    f"get_messages_for_campaign@{REVISION}": ReadOperation(MESSAGE, related_rows(CAMPAIGN, "campaign-messages")),
    "get_campaign_variation": ReadOperation(VARIATION),
    "get_variations_for_campaign_message": ReadOperation(VARIATION, related_rows(MESSAGE, "campaign-variations")),
    "get_campaign_audience": ReadOperation(AUDIENCE),
    "get_campaign_audiences_for_campaign": ReadOperation(AUDIENCE, related_rows(CAMPAIGN, "campaign-audiences")),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    (CAMPAIGN, "campaign-messages"): referenced_by(MESSAGE, "campaign_id"),
    (CAMPAIGN, "campaign-audiences"): referenced_by(AUDIENCE, "campaign_id"),
    (CAMPAIGN, "tags"): references("tag", "tag_ids"),
    (MESSAGE, "campaign"): references(CAMPAIGN, "campaign_id"),
    (MESSAGE, "campaign-audience"): references(AUDIENCE, "audience_id"),
    (MESSAGE, "campaign-variations"): referenced_by(VARIATION, "message_id"),
    (VARIATION, "campaign-message"): references(MESSAGE, "message_id"),
    (AUDIENCE, "campaign"): references(CAMPAIGN, "campaign_id"),
    (AUDIENCE, "campaign-messages"): referenced_by(MESSAGE, "audience_id"),
}


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """The parts of all campaigns, and the campaigns that July cannot show."""
    tagger = Tagger(rng_for("tagged omni campaigns"), store.tag_groups.rows.values(), list(store.tags.rows.values()))
    metric_id = next(row["id"] for row in store.metrics.rows.values() if row["name"] == "Placed Order")
    group_ids = [*store.lists.rows, *store.segments.rows]
    sources = Sources(group_ids, list(store.templates.rows), metric_id, start, end)
    made = omni_rows(
        rng_for("omni campaigns"), tagger, store.campaigns.rows.values(), store.campaign_messages.rows, sources
    )
    return {
        "campaign-of-october": Table(made.campaigns),
        MESSAGE: Table(made.messages),
        VARIATION: Table(made.variations),
        AUDIENCE: Table(made.audiences),
    }
