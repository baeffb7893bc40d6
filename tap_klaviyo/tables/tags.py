"""Table of tags, which campaigns, flows, lists and segments carry."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table

TAGS = Collection("tags", "get_tags", "tag", linked=frozenset(("tag-group",)))

TABLES = (Table("tags", TAGS, key=("tag_id",), deletion_note="A deleted tag stays as it was last read."),)
