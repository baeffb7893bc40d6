"""Virtual environments below the one of the tests, for programs that must not be installed beside our own."""

from __future__ import annotations

import fcntl
import hashlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from meltano.core.venv_service import fingerprint
from uv import find_uv_bin

from support.scripts import script

# What uv answers with when a request fails, and not what it was asked for.
_UV_FAILED = 2


class RegistryOutOfReach(Exception):
    """An environment cannot be made: no package registry answers."""


def programs(name: str, requirements: str) -> Path:
    """The folder of an environment's programs; it is made once for each content of the requirements.

    Of several processes that want it at the same time, one makes it and the others wait. What was left half made, by a
    process that was killed, is made anew.

    Raises:
        RegistryOutOfReach: it is yet to be made, and there is no network.
    """
    folder = Path(sys.prefix) / f"{name}-{hashlib.sha256(requirements.encode()).hexdigest()[:12]}"
    with _locked(folder.with_suffix(".lock")):
        if not (folder / "installed").exists():
            _make(folder, requirements)
            (folder / "installed").touch()
    return folder / "bin"


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(folder: Path, requirements: str) -> None:
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
    (folder / "requirements.txt").write_text(requirements)
    install = [uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python"]
    install += ["--requirement", folder / "requirements.txt"]
    made = subprocess.run(install, check=False, stderr=subprocess.PIPE, text=True)
    if made.returncode == _UV_FAILED and "Failed to fetch" in made.stderr:
        raise RegistryOutOfReach(made.stderr)
    if made.returncode:
        raise RuntimeError(made.stderr)


def provide_plugins(folder: Path, project: str, *names: str) -> None:
    """Let Meltano find plugins of a project installed in the folder of its files (``MELTANO_SYS_DIR_ROOT``).

    Ours are those of the environment that runs the tests, and take no network. Others are installed once for all
    projects. No two projects share the folder itself, in which Meltano keeps the files of a run.

    Args:
        folder: what the project has as ``.meltano``.
        project: the text of its ``meltano.yml``.
        names: of plugins that have a ``pip_url`` there.
    """
    known = {entry["name"]: (kind, entry) for kind, plugins in _plugins(project).items() for entry in plugins}
    for name in names:
        kind, plugin = known[name]
        home = folder / kind / name / "venv"
        home.mkdir(parents=True)
        arguments = shlex.split(plugin["pip_url"])
        if arguments[0] == "-e" or arguments == [script("addresses").PIP_URL]:
            (home / "bin").mkdir()
            for program in ("python", plugin["executable"]):
                (home / "bin" / program).symlink_to(Path(sys.executable).with_name(program))
        else:
            (home / "bin").symlink_to(programs(name, plugin["pip_url"]))
        # Meltano installs again what it finds without, or with another one.
        (home / ".meltano_plugin_fingerprint").write_text(fingerprint(arguments))


def _plugins(project: str) -> dict[str, list[dict[str, Any]]]:
    plugins: dict[str, list[dict[str, Any]]] = yaml.safe_load(project)["plugins"]
    return plugins
