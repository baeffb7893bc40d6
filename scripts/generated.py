"""Files that scripts make of what the project declares: written, or compared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def run(purpose: str | None, make: Callable[[], Mapping[Path, str]]) -> int:
    """The command line of a script that needs nothing but the project.

    Args:
        purpose: the script's docstring, of which the first line is its help.
        make: gives what each file should hold.

    Returns:
        The exit code, as ``settle`` has it.
    """
    options = argparse.ArgumentParser(description=(purpose or "").partition("\n")[0])
    options.add_argument("--check", action="store_true", help="write nothing, fail when a file differs")
    return settle(make(), check=options.parse_args().check)


def settle(made: Mapping[Path, str], *, check: bool) -> int:
    """Write the files that differ from what they should hold; to ``check`` is to name them and write nothing.

    Returns:
        The exit code: 1 when a file differs and was not to be written.
    """
    stale = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.name} differs from what {Path(sys.argv[0]).name} makes", file=sys.stderr)
        else:
            path.write_text(made[path], "utf-8")
            print(f"wrote {path.name}")
    return int(check and bool(stale))
