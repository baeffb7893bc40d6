"""Several requests of one batch at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def overlapped(work: Callable[[T], R], items: Sequence[T], *, at_once: int) -> list[R]:
    """What the work makes of every item, in their order.

    Raises:
        BaseException: the first that the work raised, when all that had begun has ended; nothing is begun after it.
    """
    if len(items) <= 1:
        return [work(item) for item in items]
    waiting = iter(range(len(items)))
    lock = threading.Lock()
    made: dict[int, R] = {}
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            with lock:
                at = next(waiting, None)
            if at is None:
                return
            try:
                made[at] = work(items[at])
            except BaseException as error:  # noqa: BLE001 - handed to the thread that called, which raises it
                errors.append(error)

    # Daemons, unlike a pool's: a thread that waits for its budget must not keep a process alive that wants to end.
    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(at_once, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [made[at] for at in range(len(items))]
