"""The same work, done by several threads at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_at_once(count: int, work: Callable[[], T]) -> list[T]:
    """Let ``count`` threads begin together and do the work; what each of them returned.

    All of them end first; then the error of one that failed, if one did, is raised.
    """
    begin = threading.Barrier(count)

    def begin_together() -> T:
        begin.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(begin_together) for _ in range(count)]
    return [future.result() for future in futures]
