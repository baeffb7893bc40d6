"""Prints the part of requirements.lock that some extras of this project need, hashes included.

    python scripts/locked.py build test > part.txt

pip takes a file with hashes whole or not at all, and whoever wants the demo is not to wait for what the tests need.
Needs nothing but Python: it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "singer-klaviyo"


def name_of(requirement: str) -> str:
    """The name that a requirement begins with, as an index writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()


def asked(extras: Iterable[str]) -> set[str]:
    """The names of what the project and these extras of it ask for, other extras of the project included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = list(project["dependencies"])
    waiting = list(extras)
    while waiting:
        for requirement in project["optional-dependencies"][waiting.pop()]:
            if name_of(requirement) == PROJECT:
                waiting += re.split(r"\s*,\s*", requirement.partition("[")[2].partition("]")[0])
            else:
                requirements.append(requirement)
    return {name_of(requirement) for requirement in requirements}


def entries(lock: str) -> Iterator[tuple[str, list[str], str]]:
    """(name, names of what needs it, text) of each entry of a lock file; uv writes the names into comments."""
    for text in re.split(r"^(?=[\w])", lock, flags=re.MULTILINE)[1:]:
        needed_by = re.findall(r"^ +# +(?:via )?([\w.-]+)", text, flags=re.MULTILINE)
        yield name_of(text), [name_of(name) for name in needed_by if name != "via"], text


def main() -> None:
    """Print the entries that the extras named on the command line need."""
    wanted = asked(sys.argv[1:])
    locked = list(entries((ROOT / "requirements.lock").read_text()))
    before = -1
    while before < len(wanted):
        before = len(wanted)
        wanted |= {name for name, needed_by, _ in locked if wanted.intersection(needed_by)}
    print("".join(text for name, _, text in locked if name in wanted), end="")


if __name__ == "__main__":
    main()
