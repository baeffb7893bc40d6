"""A parallel map: several requests of one batch at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_parallel(work: Callable[[T], R], items: Sequence[T], *, max_threads: int) -> list[R]:
    """The results of the work for every item, in the items' order.

    Raises:
        BaseException: the first that the work raised, when all that had begun has ended; nothing is begun after it.
    """
    if len(items) <= 1:
        return [work(item) for item in items]
    indexes = iter(range(len(items)))
    lock = threading.Lock()
    results: dict[int, R] = {}
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            with lock:
                index = next(indexes, None)
            if index is None:
                return
            try:
                results[index] = work(items[index])
            except BaseException as error:  # noqa: BLE001 - handed to the thread that called, which raises it
                errors.append(error)

    # Daemons, unlike a pool's: a thread that waits for its budget must not keep a process alive that wants to end.
    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(max_threads, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(items))]
