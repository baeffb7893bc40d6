"""Lists, segments and their members."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table

LISTS = Collection("lists", "get_lists", "list", bookmark="updated", reread=True)
SEGMENTS = Collection("segments", "get_segments", "segment", bookmark="updated", reread=True)
LIST_PROFILES = Collection(
    "list_profiles", "get_profiles_for_list", "profile", bookmark="joined_group_at", parent="lists"
)
SEGMENT_PROFILES = Collection(
    "segment_profiles", "get_profiles_for_segment", "profile", bookmark="joined_group_at", parent="segments"
)

TABLES = (
    Table("lists", LISTS, key=("list_id",), bookmark="updated"),
    Table("list_profiles", LIST_PROFILES, key=("list_id", "profile_id"), bookmark="joined_group_at"),
    Table("segments", SEGMENTS, key=("segment_id",), bookmark="updated"),
    Table("segment_profiles", SEGMENT_PROFILES, key=("segment_id", "profile_id"), bookmark="joined_group_at"),
)
