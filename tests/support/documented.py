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

Check = Callable[[subprocess.CompletedProcess[str]], None]


@dataclass(frozen=True)
class RunElsewhere:
    """A block that other tests run; ``tests`` names them as pytest does, without parameters."""

    tests: tuple[str, ...]

    def missing(self) -> list[str]:
        """Those that there are not."""
        named = [name.partition("::") for name in self.tests]
        return [f"{path}::{test}" for path, _, test in named if f"def {test}(" not in (ROOT / path).read_text()]


@dataclass(frozen=True)
class RunHere:
    """A block that is run here.

    Attributes:
        check: looks at what the block left, and at how it ended.
        replacements: placeholder in the block -> what its reader would type there.
        folder: where it is run, below the checkout.
    """

    check: Check
    replacements: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."


def copy_checkout(folder: Path) -> Path:
    """The checkout's files, as they are now and new ones too, in a folder ``singer-klaviyo`` below this one."""
    home = folder / "singer-klaviyo"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(lambda name: name and (ROOT / name).exists(), listed.stdout.split("\0")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, home / name)
    return home


class Reader:
    """Somebody who has a copy of the checkout and a shell, and types what the documents say."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.home = copy_checkout(folder)
        self.environment = {**os.environ, **environment}
        (self.home / ".venv").symlink_to(sys.prefix)

    def type(self, block: Console, run: RunHere) -> subprocess.CompletedProcess[str]:
        """Run the block's commands until one fails; every placeholder of ``run`` must stand in it."""
        script = block.script
        for placeholder, value in run.replacements.items():
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
