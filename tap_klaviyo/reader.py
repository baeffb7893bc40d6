"""Slices are read by threads, pages are handed out in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from klaviyo_client.protocol import Page
from tap_klaviyo.model import Slice

WORKERS = 8
# Pages that wait per slice: enough to fetch one while another is written, few enough to bound memory.
DEPTH = 2

_DONE = object()


@dataclass
class _Job:
    slice: Slice
    pages: queue.Queue[Any] = field(default_factory=lambda: queue.Queue(DEPTH))


def read(
    slices: Iterable[Slice], fetch: Callable[[Slice], Iterator[Page]], *, workers: int = WORKERS
) -> Iterator[tuple[Slice, Page]]:
    """Every page of every slice; a slice's pages never come before those of an earlier slice.

    An error in a slice is raised when its turn comes, after the good pages before it.
    """
    tasks: queue.Queue[_Job | None] = queue.Queue()
    stop = threading.Event()
    waiting: deque[_Job] = deque()
    remaining = iter(slices)

    def hand_out() -> None:
        for part in remaining:
            job = _Job(part)
            waiting.append(job)
            tasks.put(job)
            return

    for _ in range(workers):
        hand_out()
    for _ in range(len(waiting)):
        # Daemons: a thread that waits for a budget must not keep a process alive that wants to end.
        threading.Thread(target=_work, args=(tasks, fetch, stop), daemon=True).start()
    try:
        while waiting:
            job = waiting.popleft()
            while (item := job.pages.get()) is not _DONE:
                if isinstance(item, BaseException):
                    raise item
                yield job.slice, item
            hand_out()
    finally:
        stop.set()
        for _ in range(workers):
            tasks.put(None)


def _work(tasks: queue.Queue[_Job | None], fetch: Callable[[Slice], Iterator[Page]], stop: threading.Event) -> None:
    while not stop.is_set() and (job := tasks.get()) is not None:
        try:
            for page in fetch(job.slice):
                if not _put(job, page, stop):
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            _put(job, error, stop)
        else:
            _put(job, _DONE, stop)


def _put(job: _Job, item: Any, stop: threading.Event) -> bool:
    """Hand over one item, waiting for room; False when nobody wants it any more."""
    while not stop.is_set():
        try:
            job.pages.put(item, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False
