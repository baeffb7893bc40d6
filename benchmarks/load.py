"""How fast does target-klaviyo push? ``make bench``, or ``python benchmarks/load.py --quick``.

Every run is a process of its own against a sandbox of its own, with Klaviyo's limits, and more records on file than
can be sent in its time. When that is over, the target is asked to stop, and settles what is under way: records are
those that have their outcome. Beside it stands a sender that makes a request for every single record. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from measure import Measured, run, sandbox
from pushes import PUSHES, STREAM, Entry, Push
from subjects import KEY

HERE = Path(__file__).parent
TARGET = [sys.executable, "-m", "target_klaviyo"]
# Records on file beyond what Klaviyo allows in a run, as seconds of it: a run must not end for want of them.
SPARE_SECONDS = 5
HEADER = (
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


def plan(asked: argparse.Namespace) -> Iterator[Run]:
    """The runs, those that are compared next to each other."""
    for action in asked.actions:
        if PUSHES[action].alone is not None and asked.alone:
            yield Run(action, "one by one", 1, asked.alone)
        for concurrency in asked.concurrency:
            yield Run(action, "target", concurrency, asked.seconds)


def command(workspace: Path, url: str, entry: Entry, concurrency: int | None) -> list[str]:
    """What runs the target, with its files in the workspace."""
    # All of the budget, which is what the shares in the table are shares of.
    config: dict[str, object] = {"api_key": KEY, "api_url": url, "rate_limit_share": 1.0, "streams": {STREAM: entry}}
    config["rejects_path"] = str(workspace / "rejects.jsonl")
    if concurrency is not None:
        config["concurrency"] = concurrency
    (workspace / "config.json").write_text(json.dumps(config))
    return [*TARGET, f"--config={workspace / 'config.json'}"]


def write_lines(push: Push, asked: argparse.Namespace, workspace: Path) -> Path:
    """A file with enough records for any run of the action."""
    path = workspace / "lines"
    count = min(asked.records, int(push.allowed(asked.seconds + SPARE_SECONDS)))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in push.lines(count))
    return path


def settled(log: Path) -> int:
    """How many records have their outcome, as the target's log says.

    Raises:
        RuntimeError: some were rejected, or it does not say.
    """
    text = log.read_text(encoding="utf-8")
    found = _DONE.search(text)
    if found is None or int(found[3]):
        raise RuntimeError(f"not every record was taken: {text[-2000:]}")
    return int(found[1]) + int(found[2])


def measured(line: Run, asked: argparse.Namespace, workspace: Path, lines: Path) -> Measured:
    """Carry out one run."""
    push, log = PUSHES[line.action], workspace / "log"
    account = sandbox(events=0, profiles=0, latency=asked.latency, limits=not asked.no_limits, procedural=False)
    try:
        with account as (url, server):
            if line.sender != "target":
                one_by_one = [sys.executable, str(HERE / "one_by_one.py"), str(push.alone), url]
                with log.open("wb") as file:
                    return run(one_by_one, server, line.seconds, file, source=lines)
            if push.before is not None:
                with log.open("wb") as file:
                    run(command(workspace, url, push.before, None), server, float("inf"), file, source=lines)
                settled(log)
            with log.open("wb") as file:
                sending = command(workspace, url, push.entry, line.concurrency)
                found = run(sending, server, line.seconds, file, source=lines, gently=True)
            return replace(found, rows=settled(log))
    except RuntimeError as problem:
        raise SystemExit(f"{problem}\n{log.read_text()[-2000:]}") from problem


def cells(line: Run, latency: float, found: Measured, alone: float | None) -> list[str]:
    """One line of the table."""
    push = PUSHES[line.action]
    return [
        line.action,
        f"{latency:g}",
        line.sender,
        "default" if line.concurrency is None else str(line.concurrency),
        f"{found.rows:,}",
        f"{found.seconds:.1f}",
        f"{found.rate:,.0f}" if found.rate >= 100 else f"{found.rate:.1f}",
        f"{found.rate / push.steady():.0%}",
        f"{found.rows / push.allowed(found.seconds):.0%}",
        f"{found.rate / alone:,.0f}" if alone else "",
        f"{found.memory:.0f}",
        f"{found.cpu:.1f}",
        f"{found.server_cpu:.1f}",
    ]


def parser() -> argparse.ArgumentParser:
    """The options, with what they default to."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="four seconds of each run: about a minute in all")
    options.add_argument("--actions", nargs="+", choices=PUSHES, default=list(PUSHES))
    options.add_argument("--latency", type=float, default=0.4, help="seconds (default: %(default)s)")
    options.add_argument(
        "--seconds", type=float, default=60.0, help="of each run; a minute's budget lasts that long (%(default)s)"
    )
    options.add_argument("--alone", type=float, default=10.0, help="seconds of each run one by one; 0 leaves them out")
    options.add_argument("--records", type=int, default=600_000, help="on file at most (default: %(default)s)")
    options.add_argument(
        "--concurrency", nargs="+", type=int, default=[None], help="measure these instead of the target's default"
    )
    options.add_argument("--no-limits", action="store_true", help="do not enforce Klaviyo's rate limits")
    return options


def main() -> None:
    """Print the table, line by line as it is measured."""
    asked = parser().parse_args()
    if asked.quick:
        asked.seconds, asked.alone, asked.records = 4.0, min(asked.alone, 4.0), min(asked.records, 30_000)
    print(
        f"{psutil.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}; "
        f"limits {'off' if asked.no_limits else 'as in the specification'}.\n"
    )
    print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}", flush=True)
    floors: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace, ready = Path(folder), ""
        for line in plan(asked):
            if line.action != ready:
                lines = write_lines(PUSHES[line.action], asked, workspace)
                ready = line.action
            found = measured(line, asked, workspace, lines)
            if line.sender != "target":
                floors[line.action] = found.rate
            print(f"| {' | '.join(cells(line, asked.latency, found, floors.get(line.action)))} |", flush=True)
    print(f"\n{NOTE}")


if __name__ == "__main__":
    main()
