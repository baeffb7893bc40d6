"""People."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table

PROFILES = Collection("profiles", "get_profiles", "profile", bookmark="updated")

TABLES = (Table("profiles", PROFILES, key=("profile_id",), bookmark="updated"),)
