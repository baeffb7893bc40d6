"""What runs on the repository's host is what a clone runs, on every Python that is promised; a tag publishes it."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.scripts import script

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
release_notes = script("release_notes")
# Whoever else's than the host's own actions are used: each is followed within one major version only.
OTHERS = {"pypa/gh-action-pypi-publish@release/v1"}


@pytest.fixture(scope="module")
def workflows() -> dict[str, dict[str, Any]]:
    """Each workflow by the name of its file."""
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}


def jobs(workflows: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for workflow in workflows.values():
        yield from workflow["jobs"].values()


def steps(workflows: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for job in jobs(workflows):
        yield from job.get("steps", ())


def promised() -> list[str]:
    """The Pythons of the classifiers, the oldest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.findall(r"Python :: (\d\.\d+)", "\n".join(project["classifiers"]))
    assert project["requires-python"] == f">={found[0]}"
    return found


def test_every_promised_python_runs_what_a_clone_runs(workflows: dict[str, dict[str, Any]]) -> None:
    """The matrix has the versions of the classifiers, from `requires-python` on, and each runs `.ci/run`."""
    job = workflows["ci.yml"]["jobs"]["ci"]
    assert job["strategy"]["matrix"]["python"] == promised()
    assert job["steps"][-1] == {"run": ".ci/run"}


def test_every_action_and_image_is_pinned(workflows: dict[str, dict[str, Any]]) -> None:
    """No step follows a moving branch of somebody else's, and no job a moving image."""
    used = {step["uses"] for step in steps(workflows) if "uses" in step}
    assert len(used) >= 4
    assert {entry for entry in used if not re.fullmatch(r"actions/[\w-]+@v\d+", entry)} <= OTHERS
    assert {job["runs-on"] for job in jobs(workflows) if "uses" not in job} == {"ubuntu-24.04"}
    assert [job for job in jobs(workflows) if "uses" not in job and "timeout-minutes" not in job] == []


def test_a_job_may_do_what_it_needs_and_no_more(workflows: dict[str, dict[str, Any]]) -> None:
    """A workflow reads the code; what publishes has one more permission each, and only after a tag."""
    assert [name for name, workflow in workflows.items() if workflow["permissions"] != {"contents": "read"}] == []
    more = {name: job["permissions"] for name, job in workflows["release.yml"]["jobs"].items() if "permissions" in job}
    assert more == {
        "publish": {"id-token": "write"},
        "announce": {"contents": "write"},
        "image": {"contents": "read", "packages": "write"},
    }
    assert [job for job in workflows["ci.yml"]["jobs"].values() if "permissions" in job] == []
    fetching = [step for step in steps(workflows) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step for step in fetching if step.get("with") != {"persist-credentials": False}] == []


def test_what_the_workflows_call_is_there(workflows: dict[str, dict[str, Any]]) -> None:
    """Every `make` is a target, every script and every workflow that is named is a file, and can be run."""
    typed = "\n".join(step["run"] for step in steps(workflows) if "run" in step)
    for target in set(re.findall(r"\bmake ([\w-]+)", typed)):
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    scripts = set(re.findall(r"(?<![\w/])(?:\.ci|scripts)/[\w./-]+", typed))
    assert {".ci/run", ".ci/try-dist", "scripts/release_notes.py"} <= scripts
    assert [name for name in scripts if not (ROOT / name).is_file()] == []
    assert [name for name in scripts if name.startswith(".ci/") and not os.access(ROOT / name, os.X_OK)] == []
    called = {job["uses"] for job in jobs(workflows) if "uses" in job}
    assert [name for name in called if not (ROOT / name).is_file()] == []
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))
    named = {name for found in re.findall(r"--target (\w+)|for target in (\w+) (\w+)", typed) for name in found}
    assert named - {""} == {"plugins", "sandbox"}
    assert named - {""} <= stages


def test_no_workflow_names_an_index_or_a_registry() -> None:
    """Where packages and images go is the action's default, or a variable of the repository."""
    for path in FOLDER.glob("*.yml"):
        assert not re.search(r"https:|\w\.(io|org|com|dev)\b", path.read_text()), path.name


def test_wheels_are_tried_on_the_oldest_and_the_newest_python(workflows: dict[str, dict[str, Any]]) -> None:
    """What a change builds, and what a tag publishes, was installed into an empty environment and run."""
    matrix = workflows["dist.yml"]["jobs"]["installed"]["strategy"]["matrix"]
    assert matrix["python"] == [promised()[0], promised()[-1]]
    for name in ("ci.yml", "release.yml"):
        assert workflows[name]["jobs"]["dist"]["uses"] == "./.github/workflows/dist.yml"


def test_nothing_is_published_before_the_tag_is_known_to_be_the_version(workflows: dict[str, dict[str, Any]]) -> None:
    """Every job of a release waits for the comparison of the tag, and what publishes for the trial of the wheels."""
    release = workflows["release.yml"]["jobs"]
    # YAML 1.1 reads the key `on` as true.
    assert workflows["release.yml"][True] == {"push": {"tags": ["v*"]}}

    def waits_for(name: str) -> set[str]:
        needs = release[name].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct.union(*map(waits_for, direct))

    assert any("scripts/release_notes.py" in step.get("run", "") for step in release["tag"]["steps"])
    assert {name: waits_for(name) - {"publish"} for name in release} == {
        "tag": set(),
        "dist": {"tag"},
        "publish": {"tag", "dist"},
        "announce": {"tag", "dist"},
        "image": {"tag", "dist"},
    }
    assert release["publish"]["environment"] == "release"


CHANGES = """# Changelog

## 1.2.0 - 2026-12-01

### Added

- Something.

## 1.1.0 - 2026-11-01

- Something else.
"""


def test_the_notes_of_a_release_are_its_part_of_the_changelog() -> None:
    """What stands under the version's head, up to the next one's."""
    assert release_notes.notes("v1.2.0", "1.2.0", CHANGES) == "### Added\n\n- Something.\n"


@pytest.mark.parametrize(
    ("tag", "version", "changes", "problem"),
    [
        ("v1.2.1", "1.2.0", CHANGES, "the tag v1.2.1 is not v1.2.0, the version of pyproject.toml"),
        ("1.2.0", "1.2.0", CHANGES, "the tag 1.2.0 is not v1.2.0"),
        ("v1.3.0", "1.3.0", CHANGES, "the newest head of CHANGELOG.md is 1.2.0, not 1.3.0"),
        ("v1.2.0", "1.2.0", CHANGES.replace("2026-12-01", "unreleased"), "CHANGELOG.md says unreleased"),
    ],
)
def test_a_tag_that_is_not_the_version_is_refused(tag: str, version: str, changes: str, problem: str) -> None:
    """A release of something else than the tag says would be there for good: it stops, and says what to change."""
    with pytest.raises(SystemExit, match=re.escape(problem)):
        release_notes.notes(tag, version, changes)


def test_the_version_of_this_checkout_can_be_released() -> None:
    """Only the day is missing in the changelog, or nothing."""
    version, changes = release_notes.version_here(), (ROOT / "CHANGELOG.md").read_text()
    dated = re.sub(r"^(## \S+ - )unreleased$", r"\g<1>2026-12-01", changes, count=1, flags=re.MULTILINE)
    assert release_notes.notes(f"v{version}", version, dated).startswith("### ")


def test_what_processes_compile_is_kept() -> None:
    """An environment that forbids compiled files makes no run of the tests slower: `make` does not hand that on."""
    forbidding = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["make", "--silent", "--eval", "shown:\n\t@env", "shown"]
    shown = subprocess.run(command, cwd=ROOT, env=forbidding, capture_output=True, text=True, check=True).stdout
    assert "PATH=" in shown
    assert "PYTHONDONTWRITEBYTECODE" not in shown
