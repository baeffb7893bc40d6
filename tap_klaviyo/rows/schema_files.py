"""The schema files of the tables."""

from __future__ import annotations

from typing import Any

from klaviyo_client.plugin.schema_files import load_schema


def load(table: str) -> dict[str, Any]:
    """The schema file of a table, with its ``x-`` keys."""
    return load_schema("tap", table)
