"""Lists, segments, their tags and their members."""

from __future__ import annotations

import hashlib
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
_LEFT = "Who left stays as last read: Klaviyo lists only present members. A full refresh shows who is left."
_UNTAGGED = "A tag taken off stays."


def subscription(list_id: str | None, suppressions: Any, consent: Any) -> dict[str, Any]:
    """What a member of a list is to it: ``subscribed``, and when that ended as far as Klaviyo says.

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


def md5_of(*parts: str | None) -> str | None:
    """Lower-case hex MD5 of the parts with colons between, as a warehouse makes it; None when a part is missing."""
    if None in parts:
        return None
    return hashlib.md5(":".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def member_key(account_id: str | None, list_id: str | None, profile_id: str | None) -> str | None:
    """The key that the V1 tables give a membership: source, integration (here the account), list and member."""
    return md5_of("Klaviyo", account_id, list_id, profile_id)


TABLES = (
    Table("lists", LISTS, key=("list_id",), bookmark="updated", gone="A deleted list stays as it was last read."),
    Table("list_tags", LISTS, key=("list_id", "tag_id"), bookmark="list_updated", roots=(_TAGS,), gone=_UNTAGGED),
    Table("list_profiles", LIST_PROFILES, key=("list_id", "profile_id"), bookmark="joined_group_at", gone=_LEFT),
    Table(
        "stg_member_lists",
        LIST_PROFILES,
        key=("list_id", "member_id"),
        bookmark="created_at",
        roots=(Root("sync_id", ("parent#/id", "/id"), md5_of),),
        gone=_LEFT,
    ),
    Table(
        "member_lists",
        LIST_PROFILES,
        key=("list_id", "member_id"),
        bookmark="subscribed_at",
        roots=(
            Root("key", ("account#/id", "parent#/id", "/id"), member_key),
            Root(
                "subscription",
                (
                    "parent#/id",
                    "/attributes/subscriptions/email/marketing/list_suppressions",
                    "/attributes/subscriptions/email/marketing/consent",
                ),
                subscription,
            ),
        ),
        gone=_LEFT,
    ),
    Table(
        "segments",
        SEGMENTS,
        key=("segment_id",),
        bookmark="updated",
        gone="A deleted segment stays as it was last read.",
    ),
    Table(
        "segment_tags",
        SEGMENTS,
        key=("segment_id", "tag_id"),
        bookmark="segment_updated",
        roots=(_TAGS,),
        gone=_UNTAGGED,
    ),
    Table(
        "segment_profiles", SEGMENT_PROFILES, key=("segment_id", "profile_id"), bookmark="joined_group_at", gone=_LEFT
    ),
)
