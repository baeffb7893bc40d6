"""Finds a plugin's schema files: beside the packages in a checkout, inside the plugin's package in a wheel."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

Plugin = Literal["tap", "target"]


def schema_folder(plugin: Plugin) -> Traversable:
    """The folder of the plugin's schema files."""
    checkout = Path(__file__).parents[2] / "schemas" / plugin
    # An editable install has a copy inside the package, too, but from the day it was installed: the checkout wins.
    return checkout if checkout.is_dir() else resources.files(f"{plugin}_klaviyo") / "schemas"


@cache
def load_schema(plugin: Plugin, name: str) -> dict[str, Any]:
    """The schema of a table of the tap or of an action of the target, with its ``x-`` keys. Not to be changed."""
    schema: dict[str, Any] = json.loads((schema_folder(plugin) / f"{name}.json").read_text("utf-8"))
    return schema
