"""Tables of profiles, and of the reasons why some of them get no mail."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table, each

PROFILES = Collection("profiles", "get_profiles", "profile", bookmark="updated")

_MARKETING = "/attributes/subscriptions/email/marketing"
SUPPRESSIONS = each("suppression", f"{_MARKETING}/suppression")

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
        roots=(each("suppression", f"{_MARKETING}/list_suppressions"),),
        deletion_note="A lifted suppression stays.",
    ),
)
