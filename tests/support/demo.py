"""The demo as a module: its Meltano and its PostgreSQL serve tests, too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "demo.py"


def load() -> Any:
    """The module, anew: whoever loads it may set its folders."""
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
