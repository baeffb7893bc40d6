"""Runs the commands of the documents as a reader types them: in a copy of the checkout, by bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.demo import ROOT
from support.markdown import Console
from support.patience import SCRIPT_PATIENCE

Checked = Callable[[subprocess.CompletedProcess[str]], None]


@dataclass(frozen=True)
class Elsewhere:
    """A block that other tests run; ``by`` names them as pytest does, without parameters."""

    by: tuple[str, ...]

    def missing(self) -> list[str]:
        named = [name.partition("::") for name in self.by]
        return [f"{path}::{test}" for path, _, test in named if f"def {test}(" not in (ROOT / path).read_text()]


@dataclass(frozen=True)
class Run:
    """A block that is run here: what stands for what only its reader knows, and what is to be seen afterwards."""

    check: Checked
    instead: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."


def copy_checkout(folder: Path) -> Path:
    """The checkout's files, as they are now, in a folder ``singer-klaviyo`` below this one."""
    home = folder / "singer-klaviyo"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, home / name)
    return home


class Stranger:
    """Somebody in a copy of the checkout, at a shell."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.home = copy_checkout(folder)
        self.environment = {**os.environ, **environment}
        (self.home / ".venv").symlink_to(sys.prefix)

    def types(self, block: Console, run: Run) -> subprocess.CompletedProcess[str]:
        """Run the block's commands until one fails; every placeholder of ``run`` must stand in it."""
        script = block.script
        for placeholder, value in run.instead.items():
            assert placeholder in script, f"{placeholder!r} is not in\n{script}"
            script = script.replace(placeholder, value)
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.home / run.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SCRIPT_PATIENCE,
        )
