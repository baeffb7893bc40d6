"""What runs on the repository's host is what a clone runs, on every Python that is promised."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert isinstance(found, dict)
    return found


def test_every_promised_python_runs_what_a_clone_runs(workflow: dict[str, Any]) -> None:
    """The matrix has the versions of the classifiers, from `requires-python` on, and each runs `.ci/run`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = re.findall(r"Python :: (\d\.\d+)", "\n".join(project["classifiers"]))
    job = workflow["jobs"]["ci"]
    assert job["strategy"]["matrix"]["python"] == promised
    assert project["requires-python"] == f">={promised[0]}"
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_action_and_image_is_pinned(workflow: dict[str, Any]) -> None:
    """No step follows a branch of somebody else's, and no job a moving image."""
    jobs = workflow["jobs"].values()
    used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert len(used) >= 4
    assert [entry for entry in used if not re.fullmatch(r"actions/[\w-]+@v\d+", entry)] == []
    assert {job["runs-on"] for job in jobs} == {"ubuntu-24.04"}
    assert workflow["permissions"] == {"contents": "read"}


def test_what_processes_compile_is_kept() -> None:
    """An environment that forbids compiled files makes no run of the tests slower: `make` does not hand that on."""
    forbidding = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["make", "--silent", "--eval", "shown:\n\t@env", "shown"]
    shown = subprocess.run(command, cwd=ROOT, env=forbidding, capture_output=True, text=True, check=True).stdout
    assert "PATH=" in shown
    assert "PYTHONDONTWRITEBYTECODE" not in shown
