"""Imports the project's scripts as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def script(name: str) -> Any:
    """A script by its name, as Python finds it when it is run: what lies beside it can be imported."""
    with patch.object(sys, "path", [str(SCRIPTS), *sys.path]):
        return importlib.import_module(name)
