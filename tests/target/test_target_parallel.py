"""Several requests of one batch at once: their order, their number, and what an error leaves behind."""

from __future__ import annotations

import threading

import pytest
from support.patience import PATIENCE, until

from target_klaviyo.delivery.parallel import map_parallel


def test_results_come_in_the_order_of_what_was_asked() -> None:
    """Whoever is asked last may answer first."""

    later = [threading.Event() for _ in range(20)]

    def work(item: int) -> int:
        # Of each two the first answers when the second has.
        if item % 2 == 0:
            assert later[item + 1].wait(PATIENCE)
        later[item].set()
        return item * item

    assert map_parallel(work, range(20), max_threads=8) == [item * item for item in range(20)]
    assert map_parallel(work, [], max_threads=8) == []


def test_no_more_are_under_way_than_may_be() -> None:
    """And not fewer, when there is enough to do."""
    lock, active, most = threading.Lock(), 0, 0
    full = threading.Event()

    def work(_: int) -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
            if active == 4:
                full.set()
        assert full.wait(PATIENCE)
        with lock:
            active -= 1

    map_parallel(work, range(30), max_threads=4)
    assert most == 4


def test_an_error_is_raised_and_nothing_is_begun_after_it() -> None:
    """What had begun has ended by then."""
    begun: list[int] = []
    breaking = threading.current_thread()

    def work(item: int) -> None:
        nonlocal breaking
        begun.append(item)
        if item == 1:
            breaking = threading.current_thread()
            raise ValueError("broken")
        # Its thread ends when the error is on record.
        until(lambda: 1 in begun and not breaking.is_alive())

    with pytest.raises(ValueError, match="broken"):
        map_parallel(work, range(100), max_threads=2)
    assert sorted(begun) == [0, 1]
