"""Runs the project's commands to their end, each in a process of its own, and writes what they read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import warm
from support.patience import PATIENCE


def singer_lines(messages: Iterable[Mapping[str, Any] | str]) -> str:
    """Messages as a program reads them, one a line; a text is a line as it stands."""
    return "".join(f"{message if isinstance(message, str) else json.dumps(message)}\n" for message in messages)


def run_command(
    command: Sequence[str],
    messages: Iterable[Mapping[str, Any] | str] | None = None,
    *,
    folder: Path | str | None = None,
    environment: Mapping[str, str] | None = None,
) -> warm.CompletedProcess[str]:
    """Run a command, and give back how it ended, whatever its exit code, with all that it wrote as text.

    Args:
        command: as ``warm.Popen`` takes it.
        messages: what it reads; None leaves it the stdin of the tests.
        folder: where it runs; None: where the tests do.
        environment: variables that it has beside those of the tests.
    """
    return warm.run(
        command,
        input=None if messages is None else singer_lines(messages),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        timeout=PATIENCE,
        check=False,
    )
