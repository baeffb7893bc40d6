"""The V1 tables (Daasity's ESP model), made from today's API; those of events are in ``esp_events.py``.

A key is the MD5 of source, integration and id. Foreign keys are hashed as the V1 specification has them, from
bare ids, and so they match no key; the ``_join_key`` beside each does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from tap_klaviyo.model import Root, Table, each
from tap_klaviyo.tables.campaigns import AUDIENCE_DELETION_NOTE, CAMPAIGNS
from tap_klaviyo.tables.esp_events import destination
from tap_klaviyo.tables.events import METRICS
from tap_klaviyo.tables.flows import ACTIONS, FLOW_DELETION_NOTE, FLOWS, MESSAGES, STAMP
from tap_klaviyo.tables.groups import (
    JOINED_NOTE,
    LIST_PROFILES,
    LISTS,
    SEGMENTS,
    member_list_tables,
)
from tap_klaviyo.tables.profiles import PROFILES, SUPPRESSED_PROFILES, SUPPRESSIONS
from tap_klaviyo.tables.table_functions import distinct_texts


def campaign_type(method: Any) -> str | None:
    """What V1 called a campaign's type, from the method of its send strategy; None when that does not say it."""
    if not isinstance(method, str):
        return None
    return "AB" if method == "ab_test_campaign" else "Regular"


def campaign_row(audiences: Any, method: Any, *values: Any) -> dict[str, Any]:
    """A campaign as V1 had it; values are those of ``_CAMPAIGN_PATHS``."""
    list_ids = distinct_texts(audiences if isinstance(audiences, list) else ())
    row = dict(zip(_CAMPAIGN_PATHS, values, strict=True))
    return {**row, "list_id": next(iter(list_ids), None), "campaign_type": campaign_type(method)}


def flow_message_row(*values: Any) -> dict[str, Any]:
    """A message of a flow as the campaign that V1 made of it; values are those of ``_FLOW_MESSAGE_PATHS``."""
    return dict(zip(_FLOW_MESSAGE_PATHS, values, strict=True))


def name_value_pairs(properties: Any) -> list[dict[str, Any]]:
    """``{"name", "value"}`` for each property."""
    return (
        [{"name": name, "value": value} for name, value in properties.items()] if isinstance(properties, dict) else []
    )


def consent_channels(consent: Any, *states: Any) -> list[str] | None:
    """V1's list of channels that somebody consented to, each once and in small letters; None where there are none.

    Args:
        consent: the profile's property $consent: a list of channels, or a text; a text may name several of them.
        states: what Klaviyo says of each channel of ``_CONSENT_STATES``; the subscribed come after those of $consent.
    """
    texts = [consent] if isinstance(consent, str) else distinct_texts(consent)
    # A text may be the JSON of a list, or have commas.
    words = [word.lower() for text in texts for word in re.findall(r"[^][\s,;|\"']+", text)]
    named = [word for word in words if word not in _NO_CHANNEL]
    subscribed = [channel for channel, state in zip(_CONSENT_STATES, states, strict=True) if state == "SUBSCRIBED"]
    return list(dict.fromkeys((*named, *subscribed))) or None


# What tables and scripts write where nothing is.
_NO_CHANNEL = frozenset(("null", "none", "nan", "n/a", "undefined", "\\n"))
_DELETION_NOTE = "What is deleted stays as it was last read."
_CAMPAIGN_DELETION_NOTE = (
    "What is deleted stays as it was last read. What was deleted before it was ever read has a row with what events "
    "say of it, where events are read, too: name, subject and flow."
)
# Channel -> the path to the state of consent to marketing by it.
_CONSENT_STATES = {
    channel: f"/attributes/subscriptions/{channel}/marketing/consent"
    for channel in ("email", "sms", "whatsapp", "mobile_push")
}
_CONTENT = "message#/attributes/definition/content"
# Name of a value -> its path.
_CAMPAIGN_PATHS = {
    "id": "/id",
    "name": "/attributes/name",
    "status": "/attributes/status",
    "sent_at": "/attributes/send_time",
    "created_at": "/attributes/created_at",
    "updated_at": "/attributes/updated_at",
    "from_email": f"{_CONTENT}/from_email",
    "from_name": f"{_CONTENT}/from_label",
    "subject": f"{_CONTENT}/subject",
}
_FLOW_MESSAGE_PATHS = {
    "id": "message#/id",
    "name": "message#/name",
    "automation_id": "/id",
    "from_email": "message#/from_email",
    "from_name": "message#/from_label",
    "subject": "message#/subject_line",
    "status": "action#/attributes/definition/data/status",
    "created_at": "action#/attributes/created",
    "updated_at": "/attributes/updated",
}

TABLES = (
    Table(
        "esp_metrics",
        METRICS,
        key=("id",),
        roots=(Root("destination", ("/attributes/name", "/attributes/integration"), destination),),
        deletion_note="A metric that Klaviyo no longer lists stays as it was last read.",
    ),
    Table(
        "esp_campaigns",
        CAMPAIGNS,
        key=("id",),
        bookmark="updated_at",
        roots=(
            # V1 has one row for all variations.
            Root("message", ("included:campaign-messages#",), lambda messages: next(iter(messages), None)),
            Root(
                "row",
                ("/attributes/audiences/included", "/attributes/send_strategy/method", *_CAMPAIGN_PATHS.values()),
                campaign_row,
            ),
            Root("updated_at", ("row#/updated_at",)),
        ),
        deletion_note=_CAMPAIGN_DELETION_NOTE,
    ),
    Table(
        "esp_campaigns",
        FLOWS,
        key=("id",),
        bookmark="updated_at",
        roots=(
            ACTIONS,
            MESSAGES,
            Root("row", tuple(_FLOW_MESSAGE_PATHS.values()), flow_message_row),
            replace(STAMP, optional=True),
            Root(
                "updated_at", ("stamp#/updated", "row#/updated_at"), lambda of_message, of_flow: of_message or of_flow
            ),
        ),
        deletion_note=_CAMPAIGN_DELETION_NOTE,
    ),
    Table("esp_automations", FLOWS, key=("id",), bookmark="updated_at", deletion_note=FLOW_DELETION_NOTE),
    *(
        Table(
            "esp_lists",
            collection,
            key=("id",),
            bookmark="updated_at",
            deletion_note=_DELETION_NOTE,
        )
        for collection in (LISTS, SEGMENTS)
    ),
    Table(
        "esp_campaign_lists",
        CAMPAIGNS,
        key=("id",),
        bookmark="campaign_updated_at",
        roots=(
            each("audience", "/attributes/audiences/included", make=distinct_texts),
            Root("pair", ("audience#", "/id"), lambda audience, campaign: f"{audience}:{campaign}"),
        ),
        deletion_note=AUDIENCE_DELETION_NOTE,
    ),
    *(
        Table(
            "esp_members",
            collection,
            key=("id",),
            bookmark="profile_updated",
            roots=(Root("consent", ("/attributes/properties/$consent", *_CONSENT_STATES.values()), consent_channels),),
            deletion_note="A deleted or merged profile stays as it was last read.",
        )
        for collection in (SUPPRESSED_PROFILES, PROFILES)
    ),
    Table(
        "esp_member_attributes",
        PROFILES,
        key=("id", "name"),
        bookmark="profile_updated",
        roots=(each("attribute", "/attributes/properties", make=name_value_pairs),),
        deletion_note="A property that was taken off stays.",
    ),
    *(
        Table(
            "esp_member_exclusions",
            collection,
            key=("member_id", "reason", "created_at"),
            bookmark="profile_updated",
            roots=(SUPPRESSIONS,),
            deletion_note="A lifted suppression stays.",
        )
        for collection in (SUPPRESSED_PROFILES, PROFILES)
    ),
    Table(
        "esp_stg_member_lists",
        LIST_PROFILES,
        key=("list_id", "member_id"),
        bookmark="created_at",
        deletion_note=JOINED_NOTE,
    ),
    *member_list_tables("esp_member_lists"),
)
