"""Finds the tables' schema files: inside the package in a wheel, beside it in a checkout or an editable install."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any


def folder() -> Traversable:
    """Where the schema files of the tables are."""
    beside = Path(__file__).parents[2] / "schemas" / "tap"
    # An editable install has a copy inside the package, too, but from the day it was installed: beside wins.
    return beside if beside.is_dir() else resources.files("tap_klaviyo") / "schemas"


@cache
def load(table: str) -> dict[str, Any]:
    """The schema file of a table, with its ``x-`` keys."""
    schema: dict[str, Any] = json.loads((folder() / f"{table}.json").read_text("utf-8"))
    return schema
