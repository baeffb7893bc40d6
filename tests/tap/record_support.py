"""What pages are to become, row by row: lines of a page that was made whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tap_klaviyo.rows.record_lines import LineEncoder, Lines, record_lines


def line_encoders(versions: Mapping[str, int | None], *, omit_nulls: bool = False) -> dict[str, LineEncoder]:
    """Table -> what makes its lines.

    Args:
        versions: of each table.
        omit_nulls: whether columns that are null are left out.
    """
    return {name: LineEncoder(name, version, omit_nulls) for name, version in versions.items()}


def lines_by_table(
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    extracted: datetime,
    versions: Mapping[str, int | None],
) -> dict[str, Lines]:
    """The lines of each table's rows."""
    return {name: record_lines(name, rows, extracted, versions[name]) for name, rows in tables.items()}
