"""The benchmark runs; what it measures is nobody's promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SMALL = ("--collections=profiles", "--latencies=0", "--seconds=3", "--sustained=0", "--profiles=1000", "--events=0")


def test_the_benchmark_prints_a_table():
    """Every reader starts, reads from a small account, and has a line of a Markdown table."""
    command = [sys.executable, str(ROOT / "benchmarks" / "extract.py"), *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    heads, _, *lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    table = [dict(zip(heads, line, strict=True)) for line in lines]
    assert [(line["reader"], line["concurrency"]) for line in table] == [
        *(("sdk", "1"), ("bare", "1"), ("bare", "96"), ("tap", "1"), ("tap", "default"))
    ]
    assert {line["collection"] for line in table} == {"profiles"}
