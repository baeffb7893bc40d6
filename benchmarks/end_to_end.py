"""How fast is what arrives in a database? ``make bench``, or ``python benchmarks/end_to_end.py --quick``.

Every pipe reads the same computed account, from a sandbox of its own that sets no limits, and what has arrived is
counted in the database when it has ended. Beside ours stand programs of others. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from arrivals import COLUMNS, cells
from bare import END, START
from chart import FOUND
from chart import main as update_docs
from measure import run, sandbox
from pipelines import Pipe, Place, Unavailable, history, pipes
from support.demo import load as load_demo
from tables import machine, print_head, print_line

NOTE = (
    "*Rows* are those in the database; of a tap alone, lines, a few in a thousand of which are STATE and SCHEMA. Slow "
    "pipes read the end of the account only. Seconds count from the start of the pipe's processes to the end of the "
    "last. *Of its reader*: rows/s over what the same reader writes when its lines are only counted. CPU and memory "
    "are those of the whole pipe, without the database's server."
)


@contextmanager
def database_server() -> Iterator[tuple[str, psutil.Process]]:
    """A PostgreSQL of our own: its address, and its process."""
    with load_demo().postgres() as address, psycopg.connect(address) as connection:
        yield address, psutil.Process(connection.info.backend_pid).parent() or psutil.Process()


def new_database(address: str, number: int) -> str:
    """The address of an empty database of this server."""
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute(f"create database bench_{number}".encode())
    return urlsplit(address)._replace(path=f"/bench_{number}").geturl()


def processor_seconds(process: psutil.Process) -> float:
    """Of a process and all its children, those that have ended among them."""
    spent = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            spent += sum(child.cpu_times()[:2])
    return spent


def measure(pipe: Pipe, options: argparse.Namespace, database: str, server: psutil.Process) -> dict[str, Any]:
    """Let a pipe run to its end; what came of it, as ``arrivals`` has it.

    Raises:
        Unavailable: it cannot be measured here.
        RuntimeError: it failed, or what arrived is not there once; the message says so.
    """
    since = END - (END - START) * pipe.part if pipe.part < 1 else START - timedelta(days=30)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        size = {"events": options.events, "profiles": options.profiles}
        url, account = stack.enter_context(sandbox(**size, latency=options.latency, limits=False))
        job = pipe.make(Place(folder, url, f"{since:%Y-%m-%dT%H:%M:%SZ}", database, stack))
        before = processor_seconds(server)
        command = ["bash", "-o", "pipefail", "-c", job.command]
        try:
            with (folder / "log").open("wb") as log:
                found = run(command, account, float("inf"), log, environment=job.environment)
        except RuntimeError as problem:
            raise RuntimeError(f"{problem}\n{(folder / 'log').read_text()[-2000:]}") from problem
        spent = processor_seconds(server) - before
        rows, distinct = job.count() if job.count else (found.rows, None)
    if distinct is not None and (rows != distinct or (not pipe.other and pipe.part >= 1 and rows != options.events)):
        raise RuntimeError(f"{rows} rows and {distinct} distinct ids arrived of {options.events}")
    costs = {"cpu": found.cpu, "memory": found.memory, "server_cpu": found.server_cpu, "store_cpu": spent}
    costs = {name: round(value, 2) for name, value in costs.items()}
    who = {"reader": pipe.reader, "loader": pipe.loader, "ours": not pipe.other}
    return {**who, "rows": rows, "distinct": distinct, "seconds": round(found.seconds, 2), **costs}


def measure_all(wanted: list[Pipe], options: argparse.Namespace) -> dict[str, Any]:
    """Measure these pipes, and print each when it has ended."""
    account = f"{options.events:,} events, {options.profiles:,} profiles"
    print_head([account], limits=False, columns=COLUMNS)
    results: dict[str, Any] = {"machine": machine(), "account": f"{account}, no limits", "lines": [], "skipped": []}

    def skip(pipe: Pipe, why: str) -> None:
        results["skipped"].append({"pipe": f"{pipe}", "why": why})
        print(f"{pipe} is not measured: {why}", file=sys.stderr, flush=True)

    with database_server() as (address, server):
        for number, pipe in enumerate(wanted):
            try:
                results["lines"].append(measure(pipe, options, new_database(address, number), server))
            except Unavailable as problem:
                skip(pipe, f"{problem}")
            except (RuntimeError, CalledProcessError) as problem:
                if not pipe.other:
                    raise SystemExit(f"{pipe}: {problem}") from problem
                print(problem, file=sys.stderr)
                skip(pipe, "it fails")
            else:
                print_line(cells(results["lines"][-1], results["lines"]))
    return results


def with_history(known: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """What is known from an earlier run, with the history that this one has measured."""
    histories = [{**line, "account": measured["account"]} for line in measured["lines"]]
    return {**measured, "lines": [], **known, **({"history": histories[0]} if histories else {})}


def make_parser() -> argparse.ArgumentParser:
    """The options, with what they default to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the account, and no programs of others")
    parser.add_argument("--events", type=int, default=300_000, help="in the account (default: %(default)s)")
    parser.add_argument("--profiles", type=int, default=20_000, help="in the account (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds of an answer (default: %(default)s)")
    parser.add_argument("--part", type=float, default=0.2, help="of the account for slow pipes (default: %(default)s)")
    parser.add_argument("--small", type=float, default=0.05, help="... and for the slowest (default: %(default)s)")
    parser.add_argument("--without-others", action="store_true", help="measure no programs of others")
    parser.add_argument("--history", type=int, metavar="EVENTS", help="only read an account of so many into Parquet")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go; a history joins what is there")
    parser.add_argument("--docs", action="store_true", help="instead into the documentation: its table and its chart")
    return parser


def main() -> None:
    """Print the table, line by line as it is measured, and write the numbers where that is asked for."""
    options = make_parser().parse_args()
    if options.quick:
        options.events, options.part, options.small, options.without_others = options.events // 10, 1.0, 0.5, True
    file = FOUND if options.docs else options.json
    if options.history:
        options.events = options.history
        measured = measure_all([history()], options)
        results = with_history(json.loads(file.read_text()) if file and file.exists() else {}, measured)
    else:
        results = measure_all(pipes(options.part, options.small, others=not options.without_others), options)
        print(f"\n{NOTE}")
    if file:
        file.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    if options.docs:
        update_docs()


if __name__ == "__main__":
    main()
