"""How fast does tap-klaviyo read? ``make bench``, or ``python benchmarks/extract.py --quick``.

Every run is a process of its own against a sandbox of its own, with Klaviyo's limits, an account too large to be read
to its end, and a fixed number of seconds. Beside the tap stand a bare downloader (what the sandbox can serve) and the
SDK's own REST stream. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measure import Measured, run, sandbox
from subjects import KEY, SUBJECTS, Subject
from tables import concurrency_cell, cost_cells, print_head, print_line

HERE = Path(__file__).parent
TAP = [sys.executable, "-m", "tap_klaviyo"]
# Enough to spend the budget for events (58 requests a second) when each takes a second and a half.
THREADS = 96
COLUMNS = (
    *("collection", "latency", "reader", "concurrency", "rows", "seconds", "rows/s", "of steady", "of allowed"),
    *("x SDK", "memory MB", "CPU s", "sandbox CPU s"),
)

NOTE = (
    "*Of steady*: rows/s over page size x the minute's limit / 60; a run of under a minute can spend a whole minute's "
    "budget and exceed it. *Of allowed*: rows over what Klaviyo allows in just that time, the burst and the budget of "
    "every minute begun. Seconds count from the start of the process. CPU and memory include children; rows of the tap "
    "and of the SDK are lines, a few in a thousand of which are STATE and SCHEMA."
)


@dataclass(frozen=True)
class Run:
    """One line of the table. ``concurrency`` None is the reader's own default."""

    collection: str
    latency: float
    reader: str
    concurrency: int | None
    seconds: float


def plan(options: argparse.Namespace) -> Iterator[Run]:
    """The runs, those that are compared next to each other."""
    for collection in options.collections:
        for latency in options.latencies:
            for reader, concurrency in (("sdk", 1), ("bare", 1), ("bare", THREADS), ("tap", 1), ("tap", None)):
                yield Run(collection, latency, reader, concurrency, options.seconds)
        if options.sustained:
            yield Run(collection, 0.4, "tap", None, options.sustained)


def command(line: Run, url: str, workspace: Path, settings: frozenset[str]) -> list[str]:
    """What runs the reader, with its files in the workspace."""
    if line.reader != "tap":
        return [sys.executable, str(HERE / f"{line.reader}.py"), line.collection, url, str(line.concurrency)]
    # All of the budget, which is what the shares in the table are shares of.
    config: dict[str, object] = {"api_key": KEY, "api_url": url, "rate_limit_share": 1.0}
    if line.concurrency is not None:
        config["concurrency"] = line.concurrency
    (workspace / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k in settings}))
    files = [f"--{name}={workspace / name}.json" for name in ("config", "catalog")]
    return [*TAP, *files]


def write_catalog(workspace: Path, subject: Subject) -> None:
    """The tap's own catalog with one stream selected, with all columns but those that must be asked for by name."""
    config = workspace / "discover.json"
    config.write_text(json.dumps({"api_key": KEY}))
    done = subprocess.run([*TAP, f"--config={config}", "--discover"], capture_output=True, check=True)
    catalog = json.loads(done.stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            by_default = not entry["breadcrumb"] or entry["metadata"].get("selected-by-default", True)
            entry["metadata"]["selected"] = stream["tap_stream_id"] == subject.stream and by_default
    (workspace / "catalog.json").write_text(json.dumps(catalog))


def tap_settings() -> frozenset[str]:
    """The names of the tap's settings: not every version can be told its concurrency."""
    done = subprocess.run([*TAP, "--about", "--format=json"], capture_output=True, check=True)
    return frozenset(json.loads(done.stdout)["settings"]["properties"])


def cells(line: Run, result: Measured, sdk: float | None) -> list[str]:
    """One line of the table."""
    budget = SUBJECTS[line.collection].budget
    return [
        line.collection,
        f"{line.latency:g}",
        line.reader,
        concurrency_cell(line.concurrency),
        f"{result.rows:,}",
        f"{result.seconds:.1f}",
        f"{result.rate:,.0f}",
        f"{result.rate / budget.per_second():.0%}",
        f"{result.rows / budget.allowed(result.seconds):.0%}",
        "" if sdk is None else f"{result.rate / sdk:.1f}" if sdk else "-",
        *cost_cells(result),
    ]


def measure(line: Run, options: argparse.Namespace, workspace: Path, settings: frozenset[str]) -> Measured:
    """Carry out one run."""
    size = {"events": options.events, "profiles": options.profiles}
    with (
        sandbox(**size, latency=line.latency, limits=not options.no_limits) as (url, server),
        (workspace / "log").open("wb") as log,
    ):
        try:
            return run(command(line, url, workspace, settings), server, line.seconds, log)
        except RuntimeError as problem:
            raise SystemExit(f"{problem}\n{(workspace / 'log').read_text()[-2000:]}") from problem


def make_parser() -> argparse.ArgumentParser:
    """The options, with what they default to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one latency, four seconds of each run: a minute in all")
    parser.add_argument("--collections", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--latencies", nargs="*", type=float, default=[0.0, 0.4, 1.5])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run (default: %(default)s)")
    parser.add_argument(
        "--sustained",
        type=float,
        default=125.0,
        help="seconds of one more run of the tap for each collection, long enough to outlast a minute's budget",
    )
    parser.add_argument("--events", type=int, default=100_000_000, help="in the account (default: %(default)s)")
    parser.add_argument("--profiles", type=int, default=2_000_000, help="in the account (default: %(default)s)")
    parser.add_argument("--no-limits", action="store_true", help="do not enforce Klaviyo's rate limits")
    return parser


def main() -> None:
    """Print the table, line by line as it is measured."""
    options = make_parser().parse_args()
    if options.quick:
        options.latencies, options.seconds, options.sustained = [0.4], 4.0, 0.0
    settings = tap_settings()
    if "concurrency" not in settings:
        print("this tap has no setting `concurrency`: both of its lines are measured alike", file=sys.stderr)
    account = f"{options.events:,} events, {options.profiles:,} profiles"
    print_head([account], limits=not options.no_limits, columns=COLUMNS)
    floors: dict[tuple[str, float], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace, ready = Path(folder), ""
        for line in plan(options):
            if line.collection != ready:
                write_catalog(workspace, SUBJECTS[line.collection])
                ready = line.collection
            result = measure(line, options, workspace, settings)
            if line.reader == "sdk":
                floors[line.collection, line.latency] = result.rate
            print_line(cells(line, result, floors.get((line.collection, line.latency))))
    print(f"\n{NOTE}")


if __name__ == "__main__":
    main()
