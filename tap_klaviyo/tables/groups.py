"""Tables of lists and segments, of their tags and of their members."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from tap_klaviyo.model import Collection, Lookup, Root, Table, each
from tap_klaviyo.rows.values import ConversionError, as_datetime
from tap_klaviyo.tables.profiles import LIST_SUPPRESSED_PROFILES, LIST_SUPPRESSIONS_OF_PARENT
from tap_klaviyo.tables.table_functions import resources_by_id

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
_LEFT_NOTE = (
    "Who unsubscribed from the list, or was suppressed on it, and left has a row with `unsubscribed_at` and no time of "
    "joining, which stays in the table of who joined. "
)
# Of tables whose bookmark is when somebody became a member.
JOINED_NOTE = (
    f"{MEMBER_DELETION_NOTE} It also brings members by a merge of profiles whose time is older than what was read."
)
_TAG_DELETION_NOTE = "A tag taken off stays."


def subscription(
    list_id: str | None,
    email: Any,
    can_receive: Any,
    consent: Any,
    consent_timestamp: Any,
    suppressions: Any,
    list_suppressions: Any,
) -> dict[str, Any]:
    """Whether a member of a list is subscribed to it, and when that ended, as far as Klaviyo says.

    Args:
        list_id: the list's id.
        email: the profile's address.
        can_receive: whether it may be sent e-mail.
        consent: its consent to e-mail.
        consent_timestamp: when that was recorded or updated.
        suppressions: those of all lists.
        list_suppressions: those of single lists.
    """
    here = [entry for entry in _entries(list_suppressions) if entry.get("list_id") == list_id]
    has_address = isinstance(email, str) and email.strip() != ""
    if has_address and can_receive is True and consent == "SUBSCRIBED" and not here:
        return {"subscribed": True, "unsubscribed_at": None}
    everywhere = [entry for entry in _entries(suppressions) if entry.get("reason") == "UNSUBSCRIBE"]
    ended = _latest(entry.get("timestamp") for entry in (*here, *everywhere))
    if ended is None and consent == "UNSUBSCRIBED":
        # When consent was recorded or updated, and it was last updated to this.
        ended = _latest([consent_timestamp])
    return {"subscribed": False, "unsubscribed_at": ended}


def _entries(suppressions: Any) -> list[dict[str, Any]]:
    return [entry for entry in suppressions if isinstance(entry, dict)] if isinstance(suppressions, list) else []


def _latest(times: Iterable[Any]) -> str | None:
    """The latest of these times in UTC, None when none of them is one."""
    found = []
    for time in times:
        with contextlib.suppress(ConversionError):
            found.append(as_datetime(time))
    return max(found, default=None)


_MARKETING = "/attributes/subscriptions/email/marketing"
# For tables of the members of lists.
SUBSCRIPTION = Root(
    "subscription",
    (
        "parent#/id",
        "/attributes/email",
        f"{_MARKETING}/can_receive_email_marketing",
        f"{_MARKETING}/consent",
        f"{_MARKETING}/consent_timestamp",
        f"{_MARKETING}/suppression",
        f"{_MARKETING}/list_suppressions",
    ),
    subscription,
)


def counted(operation: str, kind: str) -> Lookup:
    """How many members a list or segment has: Klaviyo counts those of one at a time, fifteen times a minute."""
    return Lookup(
        "counted",
        operation,
        owner_kind=kind,
        owner_path="/id",
        match_path="/id",
        extract=resources_by_id,
        query={f"additional-fields[{kind}]": "profile_count", f"fields[{kind}]": "profile_count"},
    )


def member_list_tables(name: str) -> tuple[Table, Table]:
    """A table of members of lists and their subscriptions: who left, as suppressions say, then who is there."""
    left, there = (
        Table(
            name,
            collection,
            key=("list_id", "member_id"),
            bookmark="subscribed_at",
            roots=(*roots, SUBSCRIPTION),
            deletion_note=_LEFT_NOTE + MEMBER_DELETION_NOTE,
            reread=collection == LIST_PROFILES,
        )
        for collection, roots in ((LIST_SUPPRESSED_PROFILES, (LIST_SUPPRESSIONS_OF_PARENT,)), (LIST_PROFILES, ()))
    )
    return left, there


TABLES = (
    Table(
        "lists",
        LISTS,
        key=("list_id",),
        bookmark="updated",
        roots=(counted("get_list", "list"),),
        deletion_note="A deleted list stays as it was last read.",
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
        deletion_note=JOINED_NOTE,
    ),
    Table(
        "stg_member_lists",
        LIST_PROFILES,
        key=("list_id", "member_id"),
        bookmark="created_at",
        deletion_note=JOINED_NOTE,
    ),
    *member_list_tables("member_lists"),
    Table(
        "segments",
        SEGMENTS,
        key=("segment_id",),
        bookmark="updated",
        roots=(counted("get_segment", "segment"),),
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
        deletion_note=JOINED_NOTE,
    ),
)
