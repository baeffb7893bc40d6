"""The demo as a module: its Meltano and its PostgreSQL serve tests, too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from support.environments import provide_plugins

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo" / "demo.py"


def load() -> Any:
    """The module, anew: whoever loads it may set its folders."""
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def meltano(demo: Any, folder: Path, api_url: str, database: str, *plugins: str) -> Any:
    """The demo's Meltano, with the checkout's project, these plugins of it, and a folder for all that it writes."""
    demo.WORK = folder
    runner = demo.Meltano(api_url, database)
    runner.environment["MELTANO_SYS_DIR_ROOT"] = str(folder / "files")
    provide_plugins(folder / "files", (ROOT / "meltano.yml").read_text(), *plugins)
    return runner
