"""The tap's catalog, and a selection in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from support import warm


def discovered() -> dict[str, Any]:
    """What --discover says, asked once in a test session; the caller may edit it."""
    catalog: dict[str, Any] = json.loads(_discovery())
    return catalog


@cache
def _discovery() -> str:
    command = [sys.executable, "-m", "tap_klaviyo", "--discover"]
    return warm.run(command, capture_output=True, check=True, text=True).stdout


def select(catalog: dict[str, Any], wanted: Mapping[str, Collection[str] | None]) -> dict[str, Any]:
    """The catalog with these streams selected, and of each these columns (None: those that need not be asked for)."""
    for stream in catalog["streams"]:
        name = stream["tap_stream_id"]
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = name in wanted
            else:
                columns = wanted.get(name)
                by_default = entry["metadata"].get("selected-by-default", True)
                entry["metadata"]["selected"] = by_default if columns is None else entry["breadcrumb"][1] in columns
    return catalog
