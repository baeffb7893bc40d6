"""Writes the files that scripts generate, or compares them with what is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(purpose: str | None, make: Callable[[], Mapping[Path, str]]) -> int:
    """The command line of a script that needs nothing but the project.

    Args:
        purpose: the script's docstring, of which the first line is its help.
        make: gives the text that each file should have.

    Returns:
        The exit code, as ``write_or_check`` gives it.
    """
    parser = argparse.ArgumentParser(description=(purpose or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file differs")
    return write_or_check(make(), check=parser.parse_args().check)


def write_or_check(texts: Mapping[Path, str], *, check: bool) -> int:
    """Write the files that differ from these texts; with ``check`` only name them.

    Returns:
        The exit code: 1 when a file differs and was not to be written.
    """
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        if check:
            print(f"{name} is out of date: run `make generate`, or scripts/{Path(sys.argv[0]).name}", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], "utf-8")
            print(f"wrote {name}")
    return int(check and bool(stale))
