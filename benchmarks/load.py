"""How fast does target-klaviyo push? ``make bench``, or ``python benchmarks/load.py --quick``.

Every run is a process of its own against a sandbox of its own, with Klaviyo's limits, and more records on file than
can be sent in its time. When that is over, the target is asked to stop, and settles what is under way: records are
those that have their outcome. Beside it stands a sender that makes a request for every single record. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from measure import Measured, run, sandbox
from pushes import PUSHES, STREAM, Entry, Push
from subjects import KEY
from tables import concurrency_cell, cost_cells, print_head, print_line

HERE = Path(__file__).parent
TARGET = [sys.executable, "-m", "target_klaviyo"]
# Records on file beyond what Klaviyo allows in a run, as seconds of it: a run must not end for want of them.
SPARE_SECONDS = 5
COLUMNS = (
    *("action", "latency", "sender", "concurrency", "records", "seconds", "records/s", "of steady", "of allowed"),
    *("x one by one", "memory MB", "CPU s", "sandbox CPU s"),
)
NOTE = (
    "*Of steady*: records/s over items a request x the minute's limit / 60; a run of under a minute can spend a whole "
    "minute's budget and exceed it. *Of allowed*: records over what Klaviyo allows in just that time, the burst and "
    "the budget of every minute begun. List removals are bounded by look-ups, 100 people in each. Seconds count from "
    "the start of the process to its end, when every record sent has its outcome."
)
_DONE = re.compile(r"done: (\d+) delivered, (\d+) accepted, (\d+) rejected")


@dataclass(frozen=True)
class Run:
    """One line of the table. ``concurrency`` None is the target's own default."""

    action: str
    sender: str
    concurrency: int | None
    seconds: float


def plan(options: argparse.Namespace) -> Iterator[Run]:
    """The runs, those that are compared next to each other."""
    for action in options.actions:
        if PUSHES[action].alone is not None and options.alone:
            yield Run(action, "one by one", 1, options.alone)
        for concurrency in options.concurrency:
            yield Run(action, "target", concurrency, options.seconds)


def command(workspace: Path, url: str, entry: Entry, concurrency: int | None) -> list[str]:
    """What runs the target, with its files in the workspace."""
    # All of the budget, which is what the shares in the table are shares of.
    config: dict[str, object] = {"api_key": KEY, "api_url": url, "rate_limit_share": 1.0, "streams": {STREAM: entry}}
    config["rejects_path"] = str(workspace / "rejects.jsonl")
    if concurrency is not None:
        config["concurrency"] = concurrency
    (workspace / "config.json").write_text(json.dumps(config))
    return [*TARGET, f"--config={workspace / 'config.json'}"]


def write_lines(push: Push, options: argparse.Namespace, workspace: Path) -> Path:
    """A file with enough records for any run of the action."""
    path = workspace / "lines"
    count = min(options.records, int(push.allowed(options.seconds + SPARE_SECONDS)))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in push.lines(count))
    return path


def count_outcomes(log: Path) -> int:
    """How many records have their outcome, as the target's log says.

    Raises:
        RuntimeError: some were rejected, or it does not say.
    """
    text = log.read_text(encoding="utf-8")
    done = _DONE.search(text)
    if done is None or int(done[3]):
        raise RuntimeError(f"not every record was taken: {text[-2000:]}")
    return int(done[1]) + int(done[2])


def measure(line: Run, options: argparse.Namespace, workspace: Path, lines: Path) -> Measured:
    """Carry out one run."""
    push, log = PUSHES[line.action], workspace / "log"
    account = sandbox(events=0, profiles=0, latency=options.latency, limits=not options.no_limits, procedural=False)
    try:
        with account as (url, server):
            if line.sender != "target":
                one_by_one = [sys.executable, str(HERE / "one_by_one.py"), str(push.alone), url]
                with log.open("wb") as file:
                    return run(one_by_one, server, line.seconds, file, source=lines)
            if push.before is not None:
                with log.open("wb") as file:
                    run(command(workspace, url, push.before, None), server, float("inf"), file, source=lines)
                count_outcomes(log)
            with log.open("wb") as file:
                sending = command(workspace, url, push.entry, line.concurrency)
                result = run(sending, server, line.seconds, file, source=lines, gently=True)
            return replace(result, rows=count_outcomes(log))
    except RuntimeError as problem:
        raise SystemExit(f"{problem}\n{log.read_text()[-2000:]}") from problem


def cells(line: Run, latency: float, result: Measured, alone: float | None) -> list[str]:
    """One line of the table."""
    push = PUSHES[line.action]
    return [
        line.action,
        f"{latency:g}",
        line.sender,
        concurrency_cell(line.concurrency),
        f"{result.rows:,}",
        f"{result.seconds:.1f}",
        f"{result.rate:,.0f}" if result.rate >= 100 else f"{result.rate:.1f}",
        f"{result.rate / push.per_second():.0%}",
        f"{result.rows / push.allowed(result.seconds):.0%}",
        f"{result.rate / alone:,.0f}" if alone else "",
        *cost_cells(result),
    ]


def make_parser() -> argparse.ArgumentParser:
    """The options, with what they default to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four seconds of each run: about a minute in all")
    parser.add_argument("--actions", nargs="+", choices=PUSHES, default=list(PUSHES))
    parser.add_argument("--latency", type=float, default=0.4, help="seconds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of each run; a minute's budget lasts that long (%(default)s)"
    )
    parser.add_argument("--alone", type=float, default=10.0, help="seconds of each run one by one; 0 leaves them out")
    parser.add_argument("--records", type=int, default=600_000, help="on file at most (default: %(default)s)")
    parser.add_argument(
        "--concurrency", nargs="+", type=int, default=[None], help="measure these instead of the target's default"
    )
    parser.add_argument("--no-limits", action="store_true", help="do not enforce Klaviyo's rate limits")
    return parser


def main() -> None:
    """Print the table, line by line as it is measured."""
    options = make_parser().parse_args()
    if options.quick:
        options.seconds, options.alone, options.records = 4.0, min(options.alone, 4.0), min(options.records, 30_000)
    print_head([], limits=not options.no_limits, columns=COLUMNS)
    floors: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace, ready = Path(folder), ""
        for line in plan(options):
            if line.action != ready:
                lines = write_lines(PUSHES[line.action], options, workspace)
                ready = line.action
            result = measure(line, options, workspace, lines)
            if line.sender != "target":
                floors[line.action] = result.rate
            print_line(cells(line, options.latency, result, floors.get(line.action)))
    print(f"\n{NOTE}")


if __name__ == "__main__":
    main()
