"""Prints what CHANGELOG.md says of a release, if its tag is the version that is built.

    python scripts/release_notes.py v0.1.0

Needs nothing but Python: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = ("pyproject.toml", "klaviyo_sandbox/pyproject.toml")


def versions() -> list[str]:
    """The version of each project of this repository."""
    return [tomllib.loads((ROOT / name).read_text())["project"]["version"] for name in PROJECTS]


def notes(tag: str, versions: Sequence[str], changes: str) -> str:
    """What stands under the newest head of the changelog.

    Args:
        tag: `v` and the version.
        versions: the version of each project, as ``versions()`` gives them.
        changes: the changelog, whose heads are `## VERSION - DAY`.

    Raises:
        SystemExit: it is not to be released so; the message says what to change.
    """
    version, sandbox = versions
    if tag != f"v{version}":
        sys.exit(f"the tag {tag} is not v{version}, the version of {PROJECTS[0]}")
    if sandbox != version:
        sys.exit(f"{PROJECTS[1]} says {sandbox}, not {version}")
    _, head, text = re.split(r"^## (.+)$", changes, flags=re.MULTILINE)[:3]
    newest, _, day = head.partition(" - ")
    if newest != version:
        sys.exit(f"the newest head of CHANGELOG.md is {newest}, not {version}")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        sys.exit(f"CHANGELOG.md says {day or 'nothing'} where the day of {version} belongs")
    return f"{text.strip()}\n"


def main() -> None:
    """Print the notes of the tag on the command line."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("tag")
    print(notes(options.parse_args().tag, versions(), (ROOT / "CHANGELOG.md").read_text()), end="")


if __name__ == "__main__":
    main()
