"""The rejects files of earlier runs: which there are, and setting one aside that was sent again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# How a run names its file where another one is there.
_LATER = r"\.\d{8}T\d{6}Z-[0-9a-f]{6}"


def find_earlier(path: Path) -> Sequence[Path]:
    """The files that runs have left at ``path``, and beside it under their time; the oldest first."""
    name = re.compile(re.escape(path.stem) + _LATER + re.escape(path.suffix))
    try:
        beside = sorted(entry for entry in path.parent.iterdir() if name.fullmatch(entry.name))
    except OSError:
        return ()
    return [entry for entry in (path, *beside) if entry.is_file()]


def set_aside(path: Path) -> Path:
    """Give a file a name by which no run, and no pattern for rejects files, finds it; returns its path then.

    Raises:
        OSError: it cannot be renamed.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return path.rename(path.with_name(f"{path.name}.{now}-{secrets.token_hex(3)}.sent"))
