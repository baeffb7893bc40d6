"""The benchmark runs; what it measures is nobody's promise."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest
from support.patience import SCRIPT_PATIENCE

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))

import arrivals  # noqa: E402 - they are scripts, and no package
import chart  # noqa: E402
import end_to_end  # noqa: E402
import pipelines  # noqa: E402

SMALL = ("--collections=profiles", "--latencies=0", "--seconds=3", "--sustained=0", "--profiles=1000", "--events=0")
FEW = ("--actions", *("events", "list removals"), "--latency=0", "--seconds=5", "--alone=1", "--records=200")


def _table(script: str, *options: str) -> list[dict[str, str]]:
    """The lines of the Markdown table that a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SCRIPT_PATIENCE, check=True, cwd=ROOT)
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


@pytest.mark.exhaustive
def test_the_benchmark_from_end_to_end_prints_a_table(tmp_path):
    """Every pipe of ours starts, what it read is there once, and the same numbers are in the file."""
    file = tmp_path / "found.json"
    file = tmp_path / "found.json"
    table = _table("end_to_end.py", "--events=3000", "--part=1", "--small=1", "--without-others", f"--json={file}")
    found = json.loads(file.read_text())
    assert table[0]["loader"] == arrivals.ALONE
    assert [(line["rows"], line["distinct ids"]) for line in table[1:]] == [("3,000", "3,000")] * (len(table) - 1)
    assert [list(line.values()) for line in table] == arrivals.table(found)[1:]
    assert len(found["lines"]) + len(found["skipped"]) == 5


@pytest.mark.parametrize(("counted", "said"), [((9, 9), "9 rows and 9 distinct ids"), ((12, 10), "12 rows and 10")])
def test_what_did_not_arrive_once_is_no_result(counted, said):
    """A pipe that loses a row, or writes one twice, is not fast."""
    options = end_to_end.make_parser().parse_args(["--events=10", "--profiles=10"])
    pipe = pipelines.Pipe("", "nowhere", 1.0, lambda place: pipelines.Job("true", lambda: counted))
    with pytest.raises(RuntimeError, match=said):
        end_to_end.measure(pipe, options, "", psutil.Process())


def test_a_pipe_that_breaks_is_no_result():
    """Also where it is the reader that fails, and the loader is content with what came."""
    options = end_to_end.make_parser().parse_args(["--events=10", "--profiles=10"])
    pipe = pipelines.Pipe(
        "", "nowhere", 1.0, lambda place: pipelines.Job("{ echo why >&2; false; } | cat", lambda: (10, 10))
    )
    with pytest.raises(RuntimeError, match="ended with 1\nwhy"):
        end_to_end.measure(pipe, options, "", psutil.Process())


def _texts(drawn: ET.Element) -> str:
    return " ".join("".join(element.itertext()) for element in drawn.iter() if element.tag.endswith("}text"))


RESULTS = {
    "machine": "2 cores, Python 3.11.7, Linux",
    "account": "3,000 events, 20,000 profiles, no limits",
    "lines": [
        {"reader": "tap-klaviyo", "loader": "none: lines are counted", "ours": True, "rows": 1000, "distinct": None}
        | {"seconds": 0.5, "cpu": 1.0, "memory": 200.0, "server_cpu": 0.5, "store_cpu": 0.0},
        {"reader": "tap-klaviyo", "loader": "target-postgres", "ours": True, "rows": 1000, "distinct": 1000}
        | {"seconds": 2.0, "cpu": 2.0, "memory": 250.0, "server_cpu": 0.5, "store_cpu": 0.7},
        {"reader": "other <tap>", "loader": "DuckDB", "ours": False, "rows": 100, "distinct": 100}
        | {"seconds": 1.0, "cpu": 1.0, "memory": 100.0, "server_cpu": 0.1, "store_cpu": 0.0},
    ],
    "skipped": [],
}


def test_shares_are_of_what_the_same_reader_reads_alone():
    """A pipe whose reader was not measured alone has none."""
    assert [arrivals.share(line, RESULTS["lines"]) for line in RESULTS["lines"]] == [1.0, 0.25, None]
    head, *lines = arrivals.table(RESULTS)
    assert [dict(zip(head, line, strict=True))["of its reader"] for line in lines] == ["100%", "25%", ""]
    assert [dict(zip(head, line, strict=True))["CPU µs a row"] for line in lines] == ["1,000", "2,000", "10,000"]


def test_a_history_joins_what_is_on_file():
    """A run of the history alone leaves the others' lines as they were, and the page tells of both."""
    line = {
        "reader": "tap-klaviyo",
        "loader": "Parquet, by BATCH",
        "ours": True,
        "rows": 10_000_000,
        "distinct": 10_000_000,
    }
    line |= {"seconds": 301.4, "cpu": 500.0, "memory": 390.2, "server_cpu": 60.0, "store_cpu": 0.0}
    measured = {**RESULTS, "account": "10,000,000 events", "lines": [line]}
    joined = end_to_end.with_history(RESULTS, measured)
    assert {**joined, "history": None} == {**RESULTS, "history": None}
    page = chart.with_table("<!-- end to end -->\n<!-- end of end to end -->", joined)
    assert "10,000,000 events into Parquet in one go" in page
    assert all(said in page for said in ("301 seconds", "390 MB", "`count(distinct id)` 10,000,000", "3,000 events"))
    assert end_to_end.with_history({}, measured)["history"]["rows"] == 10_000_000
    assert end_to_end.with_history(joined, {**measured, "lines": []}) == joined


def test_the_chart_can_be_read_in_light_and_in_dark():
    """Text is text and not outlines, ours is told from others, and it says what was measured on which machine."""
    pytest.importorskip("matplotlib")
    svg = chart.draw(RESULTS)
    texts = " ".join(
        "".join(element.itertext()) for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")
    )
    assert all(f"{line['reader']} → {line['loader']}" in texts for line in RESULTS["lines"][1:])
    assert all(part in texts for part in ("2,000", "500", "25%", RESULTS["machine"], RESULTS["account"]))
    assert svg.count("prefers-color-scheme: dark") == 1
    assert "sans-serif" in svg
    assert chart.draw(RESULTS) == svg, "another file each time"


def test_the_page_shows_the_run_that_is_on_file():
    """`python benchmarks/chart.py` brings table and chart up to date with `benchmarks/end_to_end.json`."""
    results = json.loads((BENCHMARKS / "end_to_end.json").read_text())
    page = (ROOT / "docs" / "measurements.md").read_text()
    assert chart.with_table(page, results) == page
    texts = _texts(ET.parse(ROOT / "docs" / "end-to-end.svg").getroot())
    rates = [f"{line['rows'] / line['seconds']:,.0f}" for line in results["lines"]]
    assert [rate for rate in rates if rate not in texts] == []
    assert "(docs/end-to-end.svg)" in (ROOT / "README.md").read_text()
    assert "(end-to-end.svg)" in page
