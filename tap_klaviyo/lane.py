"""The far side of a lane: ``python -m tap_klaviyo.lane``, started by ``lanes.py`` and by nobody else."""

from __future__ import annotations

import signal
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from klaviyo_client.pages import decode_page, unpack
from tap_klaviyo import memory, schemas
from tap_klaviyo.lanes import ByNames, Failure, Job, Made, Order, Question, Remote, receive, send
from tap_klaviyo.lines import lines_of
from tap_klaviyo.shaping import Selected
from tap_klaviyo.tables import COLLECTIONS, TABLES


def _found(names: ByNames) -> Order:
    by_name = {table.name: table for table in TABLES}
    tables = [Selected(by_name[name], schemas.load(name), columns, since) for name, columns, since in names.tables]
    return Order(COLLECTIONS[names.collection], tables, names.account, names.api_url, names.without)


def work(source: IO[bytes], sink: IO[bytes]) -> None:
    """Shape what comes until nothing more does; what goes wrong is told in one line, without any value."""
    order = _found(receive(source))
    shaper, knowledge = order.shaper(), Remote(source, sink)
    while True:
        try:
            job: Job = receive(source)
            shaped = shaper.shape(decode_page(unpack(job.packed), order.api_url), job.slice, job.cut, knowledge)
            send(sink, Question(knowledge.told()))
            lines = lines_of(shaped.rows, datetime.now(UTC))
            send(sink, Made(lines, tuple(shaped.times), shaper.faults()))
        except (EOFError, OSError):
            return  # whoever started it has ended
        except Exception as error:  # noqa: BLE001 - its text may quote a page
            frame = traceback.extract_tb(error.__traceback__)[-1]
            send(sink, Failure(f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"))
            return


if __name__ == "__main__":
    memory.quiet_collector()
    # Whoever started it decides when it ends: a Ctrl-C is theirs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work(sys.stdin.buffer, sys.stdout.buffer)
