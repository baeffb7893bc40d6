#!/usr/bin/env python3
"""Bring every generated file up to date: ``make generate``, or ``make generate CHECK=1`` to be told what is not.

python scripts/generate.py            # write what differs
python scripts/generate.py --check    # write nothing, fail when something differs

Runs each ``scripts/update_*.py``: first the facts about Klaviyo's operations, which the others read, then the pages,
``meltano.yml`` and the definitions for Meltano Hub. It finds a new script by its name. It needs no network: the API's
document is in the repository, and the facts of another revision stay as they were committed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
FACTS = "update_operations"
# It moves the project to another document of the API, which somebody has to want: `make revision`.
ASKED_FOR = {"update_revision"}


def names() -> list[str]:
    """The scripts in the order in which they have to run."""
    return [FACTS, *sorted({path.stem for path in SCRIPTS.glob("update_*.py")} - ASKED_FOR - {FACTS})]


def run(name: str, *arguments: str) -> bool:
    """Run a script, which says itself what it wrote or found; whether it went well."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments]
    return subprocess.run(command, check=False).returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them all, also after one that fails; the exit code is 1 when one did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file differs")
    check = parser.parse_args(arguments).check
    failed = [name for name in names() if not run(name, *(["--check"] if check else []))]
    if check and failed:
        print("To bring them up to date: make generate", file=sys.stderr)
    elif failed:
        print(f"Failed: {', '.join(failed)}. The messages above say why.", file=sys.stderr)
    else:
        print("Everything that is generated is up to date.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
