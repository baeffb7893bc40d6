"""Tables of profiles, and of the reasons why some of them get no mail."""

from __future__ import annotations

from typing import Any

from tap_klaviyo.model import Collection, Table, each
from tap_klaviyo.rows.values import ConversionError, as_datetime

PROFILES = Collection("profiles", "get_profiles", "profile", bookmark="updated")

_MARKETING = "/attributes/subscriptions/email/marketing"
SUPPRESSIONS = each("suppression", f"{_MARKETING}/suppression")


def sort_by_time(suppressions: Any) -> list[Any]:
    """Suppressions, the newest last, since the last row of a key stays; those without a time come first."""
    return sorted(suppressions, key=_time_of) if isinstance(suppressions, list) else []


def _time_of(suppression: Any) -> str:
    try:
        return as_datetime(suppression.get("timestamp"))
    except (AttributeError, ConversionError):
        return ""


TABLES = (
    Table(
        "profiles",
        PROFILES,
        key=("profile_id",),
        bookmark="updated",
        deletion_note="A deleted or merged profile stays as it was last read.",
    ),
    Table(
        "profile_email_suppressions",
        PROFILES,
        key=("profile_id", "reason", "timestamp"),
        bookmark="profile_updated",
        roots=(SUPPRESSIONS,),
        deletion_note="A lifted suppression stays: compare with the profile's email_marketing_can_receive.",
    ),
    Table(
        "profile_email_list_suppressions",
        PROFILES,
        key=("profile_id", "list_id", "reason"),
        bookmark="profile_updated",
        roots=(each("suppression", f"{_MARKETING}/list_suppressions", make=sort_by_time),),
        deletion_note="A lifted suppression stays.",
    ),
)
