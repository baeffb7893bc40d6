"""Budgets."""

from __future__ import annotations

import bisect
import threading

from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.limits import STEADY_SECONDS, Budget, Clock


class FakeTime:
    """Time that passes only by sleeping, or by ``pass_``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def most_in_a_window(moments: list[float], seconds: float) -> int:
    """The largest number of moments in any half-open window of this length."""
    moments = sorted(moments)
    # A hair less: moments exactly one window apart are not in one window, whatever rounding says.
    return max(bisect.bisect_left(moments, m + seconds - 1e-6) - i for i, m in enumerate(moments))


@given(
    burst=st.integers(1, 20),
    steady=st.integers(1, 60),
    gaps=st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=150),
)
def test_no_window_ever_holds_more_than_its_budget(burst: int, steady: int, gaps: list[float]) -> None:
    """Whenever requests are wanted, every second has at most `burst` of them and every minute at most `steady`."""
    time = FakeTime()
    budget = Budget(burst, steady, clock=time.clock)
    sent = []
    for gap in gaps:
        time.now += gap
        budget.acquire()
        sent.append(time.now)

    assert most_in_a_window(sent, 1.0) <= burst
    assert most_in_a_window(sent, 60.0) <= steady


def test_the_budget_is_spent_fully() -> None:
    """Who always wants more gets the whole steady budget in every minute."""
    time = FakeTime()
    budget = Budget(10, 150, clock=time.clock)
    begun = time.now
    for _ in range(450):
        budget.acquire()

    assert time.now - begun < 135


def test_a_share_leaves_room_for_others() -> None:
    """Half of the share is half of both windows, and never less than one request."""
    time = FakeTime()
    budget = Budget(10, 100, share=0.5, clock=time.clock)
    sent = []
    for _ in range(120):
        budget.acquire()
        sent.append(time.now)
    assert most_in_a_window(sent, 1.0) == 5
    assert most_in_a_window(sent, 60.0) == 50

    assert Budget(1, 2, share=0.1, clock=time.clock).acquire() == 0


def test_threads_share_one_budget() -> None:
    """Threads that ask at once get moments that keep both windows, none of them twice the same place."""
    waits: list[float] = []
    budget = Budget(5, 20, clock=Clock(lambda: 50.0, lambda seconds: None))
    threads = [threading.Thread(target=lambda: waits.append(budget.acquire())) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(waits) == 40
    assert most_in_a_window(waits, 1.0) <= 5
    assert most_in_a_window(waits, 60.0) <= 20


def test_a_429_stops_everybody_and_slows_down_for_a_minute() -> None:
    """Nobody sends before Retry-After is over; then fewer at once, and after quiet minutes as many as before."""
    time = FakeTime()
    budget = Budget(8, 1000, clock=time.clock)
    budget.throttled(7)
    budget.throttled(7)  # a second thread that was refused in the same moment changes nothing more
    assert budget.acquire() == 7

    def in_a_second() -> int:
        time.now += 2
        begun, count = time.now, 0
        while time.now - begun < 1:
            budget.acquire()
            count += time.now - begun < 1
        return count

    assert in_a_second() == 6
    time.now += STEADY_SECONDS + 1
    assert in_a_second() == 8


def test_the_servers_word_wins() -> None:
    """Limits that an answer announces replace those of the specification, up and down."""
    time = FakeTime()
    budget = Budget(2, 1000, clock=time.clock)
    budget.announced(4, 1000)
    assert [budget.acquire() for _ in range(5)] == [0, 0, 0, 0, 1]
