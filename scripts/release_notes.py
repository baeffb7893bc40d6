"""Prints what CHANGELOG.md says of a release, if its tag is the version that is built.

    python scripts/release_notes.py v0.1.0

Needs nothing but Python: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def version_here() -> str:
    """The version that both distributions are built with."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def notes(tag: str, version: str, changes: str) -> str:
    """What stands under the newest head of the changelog.

    Args:
        tag: `v` and the version.
        version: what is built, as ``version_here()`` gives it.
        changes: the changelog, whose heads are `## VERSION - DAY`.

    Raises:
        SystemExit: it is not to be released so; the message says what to change.
    """
    if tag != f"v{version}":
        sys.exit(f"the tag {tag} is not v{version}, the version of pyproject.toml")
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
    print(notes(options.parse_args().tag, version_here(), (ROOT / "CHANGELOG.md").read_text()), end="")


if __name__ == "__main__":
    main()
