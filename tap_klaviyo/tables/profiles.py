"""Tables of profiles, and of the reasons why some of them get no mail."""

from __future__ import annotations

from typing import Any

from tap_klaviyo.model import Collection, Table, each
from tap_klaviyo.rows.values import ConversionError, as_datetime

PROFILES = Collection("profiles", "get_profiles", "profile", bookmark="updated")
# Klaviyo says nowhere that a suppression moves a profile's time of change.
SUPPRESSED_PROFILES = Collection(
    "suppressed_profiles",
    "get_profiles",
    "profile",
    bookmark="subscriptions.email.marketing.suppression.timestamp",
    supplements=PROFILES.name,
)
# Klaviyo filters list suppressions only together with their list.
LIST_SUPPRESSED_PROFILES = Collection(
    "list_suppressed_profiles",
    "get_profiles",
    "profile",
    bookmark="subscriptions.email.marketing.list_suppressions.timestamp",
    parent="lists",
    parent_filter="subscriptions.email.marketing.list_suppressions.list_id",
    supplements=PROFILES.name,
)

_MARKETING = "/attributes/subscriptions/email/marketing"
SUPPRESSIONS = each("suppression", f"{_MARKETING}/suppression")


def sort_by_time(suppressions: Any) -> list[Any]:
    """Suppressions, the newest last, since the last row of a key stays; those without a time come first."""
    return sorted(suppressions, key=_time_of) if isinstance(suppressions, list) else []


def suppressions_of_list(list_id: Any, suppressions: Any) -> list[Any]:
    """Those of one list, in the order of ``sort_by_time``."""
    of_all = sort_by_time(suppressions)
    return [entry for entry in of_all if isinstance(entry, dict) and entry.get("list_id") == list_id]


def _time_of(suppression: Any) -> str:
    try:
        return as_datetime(suppression.get("timestamp"))
    except (AttributeError, ConversionError):
        return ""


_LIST_SUPPRESSIONS = each("suppression", f"{_MARKETING}/list_suppressions", make=sort_by_time)
# For tables that are read list by list.
LIST_SUPPRESSIONS_OF_PARENT = each(
    "suppression", "parent#/id", f"{_MARKETING}/list_suppressions", make=suppressions_of_list
)

TABLES = (
    # Where several collections feed a table, the profile as it was read last comes last.
    *(
        Table(
            "profiles",
            collection,
            key=("profile_id",),
            bookmark="updated",
            deletion_note="A deleted or merged profile stays as it was last read.",
        )
        for collection in (SUPPRESSED_PROFILES, PROFILES)
    ),
    *(
        Table(
            "profile_email_suppressions",
            collection,
            key=("profile_id", "reason", "timestamp"),
            bookmark="profile_updated",
            roots=(SUPPRESSIONS,),
            deletion_note="A lifted suppression stays: compare with the profile's email_marketing_can_receive.",
        )
        for collection in (SUPPRESSED_PROFILES, PROFILES)
    ),
    *(
        Table(
            "profile_email_list_suppressions",
            collection,
            key=("profile_id", "list_id", "reason"),
            bookmark="profile_updated",
            roots=(suppressions,),
            deletion_note="A lifted suppression stays.",
        )
        for collection, suppressions in (
            (LIST_SUPPRESSED_PROFILES, LIST_SUPPRESSIONS_OF_PARENT),
            (PROFILES, _LIST_SUPPRESSIONS),
        )
    ),
)
