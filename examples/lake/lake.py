"""Klaviyo to a folder of Parquet files, and a DuckDB with a view of each table: ``python lake.py LAKE``.

Runs the tap, which goes on where the last run ended. Settings are the tap's: a config file, or variables TAP_KLAVIYO_*.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from lake_folder import DATABASE, Lake, LakeError, find_lake, open_lake, write_whole

if TYPE_CHECKING:
    from land import Lander

STATE = "state.json"
TAP = (sys.executable, "-m", "tap_klaviyo")
SECONDS_BETWEEN_LINES = 10.0
# Readers of the URLs in BATCH messages do not agree on these, so the tap takes no folder with one of them.
AMBIGUOUS = frozenset("%?#")

logger = logging.getLogger("lake")


class Progress:
    """Says on stderr how far a run is: on a terminal in one line, elsewhere in a line every ten seconds.

    Args:
        lander: what counts.
        output: where it is said, and what the tap says, too.
    """

    def __init__(self, lander: Lander, output: IO[str]) -> None:
        self._lander = lander
        self._output = output
        self._is_terminal = output.isatty()
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()

    def text(self) -> str:
        """Rows, rows a second, files."""
        rows, seconds = self._lander.rows, max(time.monotonic() - self._began, 0.001)
        return f"{rows:,} rows, {rows / seconds:,.0f} rows/s, {self._lander.files:,} files"

    def pass_on(self, lines: IO[str]) -> None:
        """Say what the tap says; on a terminal only what is a warning or worse."""
        for line in lines:
            if not (self._is_terminal and re.search(r"\| (INFO|DEBUG) ", line)):
                self.say(line.rstrip("\n"))

    def say(self, text: str) -> None:
        """Write a line, above the one of progress."""
        with self._lock:
            self._output.write(f"{self._clear()}{text}\n")
            self._output.flush()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it meanwhile."""
        thread = threading.Thread(target=self._show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self.say(self.text())

    def _show(self) -> None:
        while not self._over.wait(1.0 if self._is_terminal else SECONDS_BETWEEN_LINES):
            if not self._is_terminal:
                self.say(self.text())
                continue
            with self._lock:
                self._output.write(self._clear() + self.text())
                self._output.flush()

    def _clear(self) -> str:
        return "\r\x1b[2K" if self._is_terminal else ""


def fill(lake: Lake, options: Sequence[str], output: IO[str]) -> int:
    """Run the tap into the lake from its last STATE; the tap's exit code, or 1 where something could not be landed."""
    state = lake.path / STATE
    command = [*TAP, *options]
    # With such a name, the tap writes lines, of which files are made here.
    if AMBIGUOUS.isdisjoint(f"{lake.incoming}"):
        # The last one named wins: settings of the user's own may have a `batch_config`, too.
        config = lake.incoming / "batches.json"
        storage = {"root": f"file://{lake.incoming}", "prefix": ""}
        write_whole(config, json.dumps({"batch_config": {"encoding": {"format": "parquet"}, "storage": storage}}))
        command += ["--config", str(config)]
    if state.exists():
        command += ["--state", str(state)]
    # A session of its own: Ctrl-C comes to us, and the tap gets what lets it end well.
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as tap,
        ExitStack() as at_the_end,
    ):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: tap.terminate())
        try:
            # To import these takes as long as the tap needs to start.
            from land import Lander, land_all

            lander = Lander(lake, lambda value: write_whole(state, value.decode("utf-8", "replace")))
            progress = Progress(lander, output)
            said = io.TextIOWrapper(cast("IO[bytes]", tap.stderr), errors="replace")
            saying = threading.Thread(target=progress.pass_on, args=(said,))
            saying.start()
            at_the_end.callback(saying.join)
            with progress.shown():
                land_all(cast("IO[bytes]", tap.stdout), lander)
                lander.finish()
        except BaseException:
            tap.kill()
            raise
        finally:
            code = tap.wait()
    return code if code >= 0 else 128 - code


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake", type=Path, metavar="LAKE", help="the folder; made when it is not there")
    parser.add_argument("--config", help="the tap's settings; without it, variables TAP_KLAVIYO_* only")
    parser.add_argument("--catalog", help="which tables and columns; without it, those read by default")
    parser.add_argument(
        "--views", action="store_true", help="only make the views: after the folder was moved, or while a run fills it"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    os.umask(0o077)
    options = [part for name in ("config", "catalog") if (it := getattr(arguments, name)) for part in (f"--{name}", it)]
    try:
        # Views can be made at any time, also while a run is filling the lake.
        with nullcontext(find_lake(arguments.lake)) if arguments.views else open_lake(arguments.lake) as lake:
            code = 0 if arguments.views else fill(lake, [*options, "--config", "ENV"], sys.stderr)
            # What this imports needs fifty megabytes, which are not to lie beside the tap's.
            from lake_views import make_views

            views = make_views(lake.path)
    except (LakeError, OSError) as error:
        logger.critical("%s", error)
        return 1
    say_how_to_query(arguments.lake / DATABASE, views)
    return code


def say_how_to_query(database: Path, views: Sequence[str]) -> None:
    """Print a query to try."""
    if not views:
        return
    table = "events" if "events" in views else views[0]
    print(f"{database} has views: {', '.join(views)}. Try:")
    print(
        f"""  {sys.executable} -c "import duckdb; print(duckdb.connect('{database}').sql('from {table} limit 5'))\""""
    )


if __name__ == "__main__":
    sys.exit(main())
