"""Environments below ours, for programs that are not to be installed beside our own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path


def programs(name: str, requirements: Path) -> Path:
    """The folder of an environment's programs; it is made once for each content of the requirements."""
    folder = Path(sys.prefix) / f"{name}-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    if not (folder / "installed").exists():
        venv.create(folder, clear=True, with_pip=True)
        install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--requirement", requirements], check=True)
        (folder / "installed").touch()
    return folder / "bin"
