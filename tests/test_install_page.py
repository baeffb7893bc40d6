"""docs/start/install.md: what it lets one type is about this repository, this version, and what there is."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "start" / "install.md").read_text()
# What is typed in the tables: the words of each command.
COMMANDS = [shlex.split(line) for line in re.findall(r"^\| [^|]* \| `([^`]+)` \|$", PAGE, flags=re.MULTILINE)]
FETCHED = [word for words in COMMANDS for word in words if "://" in word]


def project(folder: str = "") -> dict[str, Any]:
    """The table `project` of the repository's `pyproject.toml`, or of the one in this folder."""
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


def test_every_door_is_there() -> None:
    """uvx, uv tool, pipx, pip and docker, each with a command."""
    assert {words[0] for words in COMMANDS} == {"uvx", "uv", "pipx", "pip", "docker"}
    assert len(FETCHED) == 10


@pytest.mark.parametrize("address", FETCHED)
def test_what_is_fetched_is_the_repository_at_its_version(address: str) -> None:
    """The address is the one of `[project.urls]`, the tag is `v` and the version, extras and folders are there."""
    found = re.fullmatch(
        r"(?:singer-klaviyo\[(\w+)\] @ )?(?:git\+)?(https://.+?)(?:\.git#|@)(v[^#]+)(?:#subdirectory=(\w+))?", address
    )
    assert found is not None
    extra, home, tag, folder = found.groups()
    assert home == project()["urls"]["Repository"]
    assert tag == f"v{project()['version']}"
    assert extra is None or extra in project()["optional-dependencies"]
    assert folder is None or project(folder)["name"] == "klaviyo-sandbox"


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "uvx"], ids=lambda words: words[-2])
def test_what_is_run_is_a_command_of_what_is_fetched(words: list[str]) -> None:
    """`uvx --from DISTRIBUTION COMMAND`: the distribution has that command."""
    _, option, fetched, command, *_ = words
    assert option == "--from"
    assert command in project(fetched.partition("#subdirectory=")[2])["scripts"]


def test_images_are_stages_of_the_dockerfile() -> None:
    """What `docker run` names was built above, of a stage that there is; `/work` is where it works."""
    built = {words[words.index("-t") + 1] for words in COMMANDS if words[:2] == ["docker", "build"]}
    images = {word for words in COMMANDS if words[:2] == ["docker", "run"] for word in words if word in built}
    assert images == built == {"klaviyo", "klaviyo-sandbox"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    targets = {words[words.index("--target") + 1] for words in COMMANDS if "--target" in words}
    assert [name for name in targets if f" AS {name}\n" not in dockerfile] == []
    assert "WORKDIR /work\n" in dockerfile


def test_the_workflow_types_what_the_page_says() -> None:
    """`.ci/try-install` runs the page's commands with the checkout's own commit in place of the tag."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "dist.yml").read_text())
    assert ".ci/try-install" in [step.get("run") for step in workflow["jobs"]["installed"]["steps"]]
