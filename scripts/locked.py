"""Prints the part of requirements.lock that a project and some of its extras need, hashes included.

    python scripts/locked.py build test > part.txt
    python scripts/locked.py --project klaviyo_sandbox > part.txt
    python scripts/locked.py --only-build > part.txt
    python scripts/locked.py audience --without pytest > part.txt

pip takes a file with hashes whole or not at all, and whoever wants the demo is not to wait for what the tests need.
Needs nothing but Python: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "singer-klaviyo"


def name_of(requirement: str) -> str:
    """The name that a requirement begins with, as an index writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()


def asked(project: Path, extras: Iterable[str]) -> set[str]:
    """The names of what a project and these extras of it ask for, other extras of the project included."""
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    requirements = list(declared["dependencies"])
    waiting = list(extras)
    while waiting:
        for requirement in declared["optional-dependencies"][waiting.pop()]:
            if name_of(requirement) == PROJECT:
                waiting += re.split(r"\s*,\s*", requirement.partition("[")[2].partition("]")[0])
            else:
                requirements.append(requirement)
    return {name_of(requirement) for requirement in requirements}


def asked_to_build(project: Path) -> set[str]:
    """The names of what builds a project's wheel."""
    return {
        name_of(entry) for entry in tomllib.loads((project / "pyproject.toml").read_text())["build-system"]["requires"]
    }


def entries(lock: str) -> Iterator[tuple[str, list[str], str]]:
    """(name, names of what needs it, text) of each entry of a lock file; uv writes the names into comments."""
    for text in re.split(r"^(?=[\w])", lock, flags=re.MULTILINE)[1:]:
        needed_by = re.findall(r"^ +# +(?:via )?([\w.-]+)", text, flags=re.MULTILINE)
        yield name_of(text), [name_of(name) for name in needed_by if name != "via"], text


def main() -> None:
    """Print the entries that the command line asks for."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("extras", nargs="*", metavar="EXTRA")
    options.add_argument("--project", default=".", help="the project's folder, from the top of the checkout")
    options.add_argument("--only-build", action="store_true", help="what builds the wheel, and not what it needs")
    options.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NAME",
        help="what only an extra of another package needs: the lock does not say so, and pip says where it is missed",
    )
    given = options.parse_args()
    project = ROOT / given.project
    wanted = asked_to_build(project) if given.only_build else asked(project, given.extras)
    text = (ROOT / "requirements.lock").read_text()
    locked = [entry for entry in entries(text) if entry[0] not in given.without]
    before = -1
    while before < len(wanted):
        before = len(wanted)
        wanted |= {name for name, needed_by, _ in locked if wanted.intersection(needed_by)}
    print("".join(text for name, _, text in locked if name in wanted), end="")


if __name__ == "__main__":
    main()
