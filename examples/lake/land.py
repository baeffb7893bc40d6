"""A Singer loader: ``tap | python land.py LAKE`` makes a folder of Parquet files of each stream, and views of them.

BATCH files (Parquet, or lines) are moved to their place, RECORDs become Parquet here. A STATE goes to stdout once all
that came before it is on disk.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MISSING = "{} is missing, which the extra `lake` brings: pip install 'singer-klaviyo[lake]'"
try:
    import msgspec
    from lake_folder import Lake, LakeError, open_lake
    from lake_tables import Table, file_of
    from lake_values import Unreadable, split_members
except ModuleNotFoundError as missing:
    if missing.name not in ("msgspec", "pyarrow"):
        raise
    sys.exit(MISSING.format(missing.name))
# It is imported once the tap has ended: its fifty megabytes are not to lie beside the tap's.
if importlib.util.find_spec("duckdb") is None:
    sys.exit(MISSING.format("duckdb"))

# A STATE waits for so many rows, or seconds, so that files are not small.
STATE_ROWS, STATE_SECONDS = 200_000, 30.0
# Records of all tables that wait to be converted.
PENDING_BYTES = 64_000_000

logger = logging.getLogger("lake")


class Message(msgspec.Struct):
    """What is read of a Singer message; ``record`` and ``value`` stay JSON text."""

    type: str
    stream: str = ""
    record: msgspec.Raw = msgspec.Raw()
    value: msgspec.Raw = msgspec.Raw()
    version: int | None = None
    manifest: list[str] = []
    encoding: dict[str, Any] = {}


class Lander:
    """Takes the lines of a tap, one after the other.

    Args:
        lake: where they go.
        write_state: gets the JSON text of a STATE once everything before it is on disk.
        clock: seconds.
    """

    def __init__(
        self,
        lake: Lake,
        write_state: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tables: dict[str, Table] = {}
        self._lake = lake
        self._write_state = write_state
        self._clock = clock
        self._state: bytes | None = None
        self._settled_at, self._settled_rows, self._rows = clock(), 0, 0

    @property
    def rows(self) -> int:
        """How many rows have come."""
        return self._rows

    @property
    def files(self) -> int:
        """Files that are landed."""
        return sum(table.files for table in list(self.tables.values()))

    def take(self, line: bytes) -> None:
        """Take a line.

        Raises:
            LakeError: it is no Singer message, or it cannot be landed.
        """
        message = _read(line)
        if message.type == "RECORD":
            self._add(self._table(message.stream), message.record, message.version)
        elif message.type == "SCHEMA":
            self._describe(json.loads(line))
        elif message.type == "BATCH":
            self._take_batch(self._table(message.stream), message)
        elif message.type == "STATE":
            self._state = bytes(message.value)
            self._settle_if_due()
        elif message.type == "ACTIVATE_VERSION" and message.version is not None:
            self._table(message.stream).activate(message.version)

    def finish(self) -> None:
        """Land what has come, hand on the last STATE, and say which values did not stay as they were."""
        self._settle()
        for name, table in self.tables.items():
            for (column, what), count in sorted((+table.changes).items()):
                logger.warning("%s.%s: %d values are %s", name, column, count, what)

    def _table(self, stream: str) -> Table:
        if stream not in self.tables:
            raise LakeError(f"rows of {stream} come before its SCHEMA")
        return self.tables[stream]

    def _describe(self, message: dict[str, Any]) -> None:
        stream = message["stream"]
        if stream in self.tables:
            self.tables[stream].describe(message)
        else:
            self.tables[stream] = Table(self._lake, message)

    def _add(self, table: Table, record: msgspec.Raw | bytes, version: int | None) -> None:
        table.add(record, version)
        self._rows += 1
        if self._rows % 1000 == 0 and sum(it.pending_bytes for it in self.tables.values()) > PENDING_BYTES:
            max(self.tables.values(), key=lambda it: it.pending_bytes).convert()

    def _take_batch(self, table: Table, message: Message) -> None:
        for address in message.manifest:
            path = file_of(address)
            if message.encoding.get("format") == "parquet":
                before = table.rows
                table.land_file(path)
                self._rows += table.rows - before
                continue
            opened = gzip.open if message.encoding.get("compression") == "gzip" else open
            with opened(path, "rb") as lines:
                for line in lines:
                    self._add(table, line, message.version)
            table.land()
            path.unlink()

    def _settle_if_due(self) -> None:
        is_open = any(table.is_open for table in self.tables.values())
        is_due = self._rows - self._settled_rows >= STATE_ROWS or self._clock() - self._settled_at >= STATE_SECONDS
        if is_due or not is_open:
            self._settle()

    def _settle(self) -> None:
        for table in self.tables.values():
            table.land()
        self._settled_at, self._settled_rows = self._clock(), self._rows
        if self._state is not None:
            self._write_state(self._state)
            self._state = None


_decode = msgspec.json.Decoder(Message).decode


def _read(line: bytes) -> Message:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # A record with half a surrogate pair, with NaN, or a thousand levels deep.
        members = split_members(line)
        rest = {name: value for name, value in members.items() if name not in ("record", "value")}
        message = _decode(b"{%s}" % b",".join(json.dumps(n).encode() + b":" + v for n, v in rest.items()))
    except (Unreadable, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LakeError("a line is no Singer message") from error
    message.record = msgspec.Raw(members.get("record", b""))
    message.value = msgspec.Raw(members.get("value", b""))
    return message


def land_all(lines: Iterable[bytes], lander: Lander) -> bool:
    """Land all lines; whether the last one is whole. One that is not was never sent."""
    for line in lines:
        if not line.endswith(b"\n"):
            try:
                _read(line)
            except LakeError:
                return False
        if line.strip():
            lander.take(line)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake", type=Path, metavar="LAKE", help="the folder; made when it is not there")
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    os.umask(0o077)
    # On Ctrl-C the tap ends, after a last STATE; what it has sent is still to be landed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def write_state(state: bytes) -> None:
        sys.stdout.buffer.write(state + b"\n")
        sys.stdout.flush()

    try:
        with open_lake(arguments.lake) as lake:
            lander = Lander(lake, write_state)
            is_whole = land_all(sys.stdin.buffer, lander)
            lander.finish()
            logger.info("%d rows in %d files of %d tables", lander.rows, lander.files, len(lander.tables))
            from lake_views import make_views

            make_views(lake.path)
    except (LakeError, OSError) as error:
        logger.critical("%s", error)
        return 1
    if not is_whole:
        logger.critical("the last line is cut short: whatever wrote it has ended too early. What is whole is landed")
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
