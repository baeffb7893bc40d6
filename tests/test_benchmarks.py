"""The benchmark runs; what it measures is nobody's promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import PATIENCE

ROOT = Path(__file__).parents[1]
SMALL = ("--collections=profiles", "--latencies=0", "--seconds=3", "--sustained=0", "--profiles=1000", "--events=0")
FEW = ("--actions", *("events", "list removals"), "--latency=0", "--seconds=5", "--alone=1", "--records=200")


def _table(script: str, *options: str) -> list[dict[str, str]]:
    """The lines of the Markdown table that a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True, cwd=ROOT)
    heads, _, *lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    return [dict(zip(heads, map(str.strip, line), strict=True)) for line in lines]


@pytest.mark.exhaustive
def test_the_benchmark_prints_a_table():
    """Every reader starts, reads from a small account, and has a line of a Markdown table."""
    table = _table("extract.py", *SMALL)
    assert [(line["reader"], line["concurrency"]) for line in table] == [
        *(("sdk", "1"), ("bare", "1"), ("bare", "96"), ("tap", "1"), ("tap", "default"))
    ]
    assert {line["collection"] for line in table} == {"profiles"}


@pytest.mark.exhaustive
def test_the_benchmark_of_the_target_prints_a_table():
    """The target and the sender of single records start, and have their lines; what is to be undone is there first."""
    table = _table("load.py", *FEW)
    assert [(line["action"], line["sender"]) for line in table] == [
        *(("events", "one by one"), ("events", "target"), ("list removals", "target"))
    ]
    assert [line["records"] for line in table[1:]] == ["200", "200"]
