"""The Markdown table that a benchmark prints, line by line as it is measured."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import psutil
from measure import Measured


def machine() -> str:
    """What was measured on."""
    return f"{psutil.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def print_head(facts: Sequence[str], *, limits: bool, columns: Sequence[str]) -> None:
    """The machine, the account (``facts`` of it, and whether limits hold), and the names of the columns."""
    held = f"limits {'as in the specification' if limits else 'off'}"
    print("; ".join([machine(), *facts, held]) + ".\n")
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)


def print_line(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def concurrency_cell(concurrency: int | None) -> str:
    """None is the default of what is measured."""
    return "default" if concurrency is None else str(concurrency)


def cost_cells(measured: Measured) -> list[str]:
    """Memory in megabytes, processor seconds of what was measured and of the sandbox."""
    return [f"{measured.memory:.0f}", f"{measured.cpu:.1f}", f"{measured.server_cpu:.1f}"]
