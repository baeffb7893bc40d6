"""Tables of lists and segments, of their tags and of their members."""

from __future__ import annotations

from typing import Any

from tap_klaviyo.model import Collection, Root, Table, each

LISTS = Collection("lists", "get_lists", "list", bookmark="updated", reread=True)
SEGMENTS = Collection("segments", "get_segments", "segment", bookmark="updated", reread=True)
LIST_PROFILES = Collection(
    "list_profiles", "get_profiles_for_list", "profile", bookmark="joined_group_at", parent="lists"
)
SEGMENT_PROFILES = Collection(
    "segment_profiles", "get_profiles_for_segment", "profile", bookmark="joined_group_at", parent="segments"
)

_TAGS = each("tag", "/relationships/tags/data")
MEMBER_DELETION_NOTE = (
    "Who left stays as last read: Klaviyo lists only present members. A full refresh shows who is left."
)
_TAG_DELETION_NOTE = "A tag taken off stays."


def subscription(list_id: str | None, suppressions: Any, consent: Any) -> dict[str, Any]:
    """Whether a member of a list is subscribed to it, and when that ended as far as Klaviyo says.

    Args:
        list_id: the list's id.
        suppressions: the profile's list suppressions.
        consent: its ``subscriptions.email.marketing.consent``.
    """
    ends = [
        entry.get("timestamp")
        for entry in suppressions or ()
        if isinstance(entry, dict) and entry.get("list_id") == list_id
    ]
    return {
        "subscribed": not ends and consent != "UNSUBSCRIBED",
        "unsubscribed_at": max((end for end in ends if isinstance(end, str)), default=None),
    }


# For tables of the members of lists.
SUBSCRIPTION = Root(
    "subscription",
    (
        "parent#/id",
        "/attributes/subscriptions/email/marketing/list_suppressions",
        "/attributes/subscriptions/email/marketing/consent",
    ),
    subscription,
)

TABLES = (
    Table(
        "lists", LISTS, key=("list_id",), bookmark="updated", deletion_note="A deleted list stays as it was last read."
    ),
    Table(
        "list_tags",
        LISTS,
        key=("list_id", "tag_id"),
        bookmark="list_updated",
        roots=(_TAGS,),
        deletion_note=_TAG_DELETION_NOTE,
    ),
    Table(
        "list_profiles",
        LIST_PROFILES,
        key=("list_id", "profile_id"),
        bookmark="joined_group_at",
        deletion_note=MEMBER_DELETION_NOTE,
    ),
    Table(
        "stg_member_lists",
        LIST_PROFILES,
        key=("list_id", "member_id"),
        bookmark="created_at",
        deletion_note=MEMBER_DELETION_NOTE,
    ),
    Table(
        "member_lists",
        LIST_PROFILES,
        key=("list_id", "member_id"),
        bookmark="subscribed_at",
        roots=(SUBSCRIPTION,),
        deletion_note=MEMBER_DELETION_NOTE,
        reread=True,
    ),
    Table(
        "segments",
        SEGMENTS,
        key=("segment_id",),
        bookmark="updated",
        deletion_note="A deleted segment stays as it was last read.",
    ),
    Table(
        "segment_tags",
        SEGMENTS,
        key=("segment_id", "tag_id"),
        bookmark="segment_updated",
        roots=(_TAGS,),
        deletion_note=_TAG_DELETION_NOTE,
    ),
    Table(
        "segment_profiles",
        SEGMENT_PROFILES,
        key=("segment_id", "profile_id"),
        bookmark="joined_group_at",
        deletion_note=MEMBER_DELETION_NOTE,
    ),
)
