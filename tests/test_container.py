"""The container image: made of what is locked, of nothing that lies about, and run by nobody special."""

from __future__ import annotations

import fnmatch
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def instructions() -> list[list[str]]:
    """The Dockerfile's lines, continued ones joined: each as its words, the first of them the instruction."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def stages() -> dict[str, list[list[str]]]:
    """The instructions of each stage by its name."""
    found: dict[str, list[list[str]]] = {}
    for words in instructions():
        if words[0] == "FROM":
            current = found.setdefault(words[3], [])
        elif words[0] != "ARG":
            current.append(words)
    return found


def copied() -> set[str]:
    """What the stages copy from the checkout."""
    from_here = [words for words in instructions() if words[0] == "COPY" and not words[1].startswith("--from")]
    return {source.rstrip("/") for words in from_here for source in words[1:-1]}


def sent() -> set[str]:
    """The files under version control that `.dockerignore` lets into the build."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone, so nobody says which files belong to it")
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    return {name for name in listed.stdout.split() if any(f"{name}/".startswith(f"{rule}/") for rule in let_in)}


def test_what_is_copied_is_there_and_sent() -> None:
    """Each source of a COPY is in the checkout, and `.dockerignore` lets exactly these in."""
    assert [name for name in copied() if not (ROOT / name).exists()] == []
    wanted = {name for name in sent() if any(f"{name}/".startswith(f"{source}/") for source in copied())}
    assert sent() == wanted
    assert {source for source in copied() if not any(f"{name}/".startswith(f"{source}/") for name in wanted)} == set()


def test_what_is_built_finds_all_that_the_projects_hold() -> None:
    """Every package of the wheels, with the schemas and what the metadata names, is copied."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = build["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        *wheel["packages"],
        *wheel["force-include"],
        *build["project"]["license-files"],
        "README.md",
        build["tool"]["hatch"]["metadata"]["hooks"]["custom"]["path"],
    }
    assert {name for name in needed if not any(f"{name}/".startswith(f"{source}/") for source in copied())} == set()
    assert "klaviyo_sandbox" in copied()


def test_only_what_is_locked_is_installed() -> None:
    """Every installation is by hashes, or without an index; and the parts of the lock that are asked for are there."""
    commands = " && ".join(" ".join(words[1:]) for words in instructions() if words[0] == "RUN").split(" && ")
    installs = [command for command in commands if re.search(r"pip .*install", command)]
    assert len(installs) >= 4
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    parts = [re.search(r"scripts/locked\.py (.*?) >", command) for command in commands if "locked.py" in command]
    assert len(parts) == 3
    for part in parts:
        assert part is not None
        command = [sys.executable, "scripts/locked.py", *part[1].split()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "--hash=sha256:" in done.stdout
        assert "\npytest==" not in done.stdout


def test_both_images_are_slim_pinned_and_run_by_nobody_special() -> None:
    """Stages begin with one slim Python that is promised; what is run is not run by root."""
    images = {words[1] for words in instructions() if words[0] == "FROM"}
    assert [name for name in images if ":" in name] == []
    (base,) = [words[1] for words in instructions() if words[0] == "ARG" and words[1].startswith("BASE=")]
    found = re.fullmatch(r"BASE=python:(3\.\d+)-slim-\w+", base)
    assert found is not None
    assert f"Programming Language :: Python :: {found[1]}" in (ROOT / "pyproject.toml").read_text()
    for name in ("sandbox", "plugins"):
        users = [words[1] for words in stages()[name] if words[0] == "USER"]
        assert [fnmatch.fnmatch(user, "[1-9]*:[1-9]*") for user in users] == [True]
    assert list(stages())[-1] == "plugins"


def test_a_command_is_what_follows_the_image() -> None:
    """`docker run IMAGE tap-klaviyo --help` runs the tap; the sandbox's image takes the sandbox's options."""
    assert [words for words in stages()["plugins"] if words[0] == "ENTRYPOINT"] == []
    (entry,) = [words for words in stages()["sandbox"] if words[0] == "ENTRYPOINT"]
    assert "klaviyo-sandbox" in entry[1]
