"""The schema files of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klaviyo_client.plugin.schema_files import load_schema

# On a column: false where it is not selected unless somebody says so.
BY_DEFAULT = "x-klaviyo-by-default"


def load(table: str) -> dict[str, Any]:
    """The schema file of a table, with its ``x-`` keys."""
    return load_schema("tap", table)


def optional_columns(schema: Mapping[str, Any]) -> frozenset[str]:
    """The columns that are read only when somebody asks for them by name."""
    return frozenset(name for name, column in schema["properties"].items() if not column.get(BY_DEFAULT, True))
