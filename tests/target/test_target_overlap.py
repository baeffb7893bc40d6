"""Several requests of one batch at once: their order, their number, and what an error leaves behind."""

from __future__ import annotations

import threading
import time

import pytest

from target_klaviyo.overlap import overlapped


def test_results_come_in_the_order_of_what_was_asked() -> None:
    """Whoever is asked last may answer first."""

    def work(item: int) -> int:
        time.sleep((20 - item) / 2000)
        return item * item

    assert overlapped(work, range(20), at_once=8) == [item * item for item in range(20)]
    assert overlapped(work, [], at_once=8) == []


def test_no_more_are_under_way_than_may_be() -> None:
    """And not fewer, when there is enough to do."""
    lock, active, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        time.sleep(0.02)
        with lock:
            active -= 1

    overlapped(work, range(30), at_once=4)
    assert most == 4


def test_an_error_is_raised_and_nothing_is_begun_after_it() -> None:
    """What had begun has ended by then."""
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("broken")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="broken"):
        overlapped(work, range(100), at_once=2)
    assert len(begun) <= 3
