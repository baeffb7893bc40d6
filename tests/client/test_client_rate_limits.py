"""Rate limiters keep Klaviyo's limits, whatever the threads and the answers."""

from __future__ import annotations

import bisect
import math
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.patience import until
from support.threads import run_at_once

from klaviyo_client.errors import DailyLimitReached, Throttled
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.permits import Permit
from klaviyo_client.http.rate_limits import DAY_SECONDS, STEADY_SECONDS, RateLimiter, RateLimiters
from klaviyo_client.http.usage import Usage


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
def test_no_window_ever_holds_more_than_its_limit(burst: int, steady: int, gaps: list[float]) -> None:
    """Whenever requests are wanted, every second has at most `burst` of them and every minute at most `steady`."""
    time = FakeTime()
    limiter = RateLimiter(burst, steady, clock=time.clock)
    sent = []
    for gap in gaps:
        time.now += gap
        limiter.acquire()
        sent.append(time.now)

    assert most_in_a_window(sent, 1.0) <= burst
    assert most_in_a_window(sent, 60.0) <= steady


@given(
    burst=st.integers(1, 20),
    steady=st.integers(1, 60),
    threads=st.integers(2, 8),
    gaps=st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=12),
)
def test_no_number_of_threads_overspends(burst: int, steady: int, threads: int, gaps: list[float]) -> None:
    """However many threads ask, and whenever, the moments that they are given keep both windows."""
    given_moments: list[float] = []
    local = threading.local()

    def monotonic() -> float:
        local.asked = local.now
        return float(local.now)

    def work(late: float) -> None:
        local.now = 1000.0 + late
        for gap in gaps:
            local.now += gap
            wait = limiter.acquire()
            given_moments.append(local.asked + wait)
            local.now = local.asked + wait

    limiter = RateLimiter(burst, steady, clock=Clock(monotonic, lambda seconds: None))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, (number / 3 for number in range(threads))))

    assert len(given_moments) == threads * len(gaps)
    assert most_in_a_window(given_moments, 1.0) <= burst
    assert most_in_a_window(given_moments, 60.0) <= steady


def test_the_limits_are_used_fully() -> None:
    """Who always wants more gets the whole steady limiter in every minute."""
    time = FakeTime()
    limiter = RateLimiter(10, 150, clock=time.clock)
    begun = time.now
    for _ in range(450):
        limiter.acquire()

    assert time.now - begun < 135


def test_a_share_leaves_room_for_others() -> None:
    """Half of the share is half of both windows, and never less than one request."""
    time = FakeTime()
    limiter = RateLimiter(10, 100, share=0.5, clock=time.clock)
    sent = []
    for _ in range(120):
        limiter.acquire()
        sent.append(time.now)
    assert most_in_a_window(sent, 1.0) == 5
    assert most_in_a_window(sent, 60.0) == 50

    assert RateLimiter(1, 2, share=0.1, clock=time.clock).acquire() == 0


@pytest.mark.parametrize(
    ("burst", "steady", "share"),
    [
        *[(1, 2, 0.9), (1, 2, 0.95), (1, 2, 0.6), (1, 3, 0.5), (4, 60, 0.9), (10, 100, 0.29), (2, 15, 1.0)],
        *[(1, 3, 0.9), (1, 4, 0.7), (1, 15, 0.9), (1, 15, 0.33), (1, 2, 0.1), (1, 1, 0.9), (1, 2, 0.5)],
    ],
)
def test_the_share_of_a_small_budget_is_kept(burst: int, steady: int, share: float) -> None:
    """Over a longer window, neither rounded down nor up; no window ever holds more than Klaviyo allows."""
    time = FakeTime()
    limiter = RateLimiter(burst, steady, share=share, clock=time.clock)
    # The last request is the first of the 21st window.
    a_window = math.ceil(round(steady * share, 6))
    sent = []
    for _ in range(20 * a_window + 1):
        limiter.acquire()
        sent.append(time.now)
    assert most_in_a_window(sent, 1.0) <= burst
    assert most_in_a_window(sent, 60.0) <= steady
    minutes = (sent[-1] - sent[0]) / 60
    assert (len(sent) - 1) / minutes == pytest.approx(steady * share, rel=0.02)


def test_a_small_budget_is_slowed_down_as_before() -> None:
    """After a 429 that nobody foresaw, half of two is one a minute."""
    time = FakeTime()
    limiter = RateLimiter(1, 2, share=0.9, clock=time.clock)
    permit = Permit()
    limiter.start_request(permit)
    limiter.back_off(permit, 1)
    limiter.start_request(permit)
    assert time.now >= 1000 + 59


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Threads interrupt each other as often as Python can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_switches")
def test_threads_share_one_limiter() -> None:
    """Threads that ask at once get moments that keep both windows, none of them the same moment twice."""
    waits: list[float] = []
    limiter = RateLimiter(5, 20, clock=Clock(lambda: 50.0, lambda seconds: None))

    def work() -> None:
        for _ in range(50):
            waits.append(limiter.acquire())  # noqa: PERF401 - a list made at the end would lose what went before

    run_at_once(16, work)

    assert len(waits) == 800
    assert most_in_a_window(waits, 1.0) <= 5
    assert most_in_a_window(waits, 60.0) <= 20


def send(limiter: RateLimiter) -> Permit:
    """A request that is sent, and not answered yet."""
    permit = Permit()
    limiter.start_request(permit)
    return permit


def refused(limiter: RateLimiter, seconds: float | None) -> None:
    """A request that is sent, and answered with 429."""
    limiter.back_off(send(limiter), seconds)


def let_through(limiter: RateLimiter) -> None:
    """A request that is sent, and answered."""
    limiter.add_success(send(limiter))


def test_a_429_stops_everybody_and_slows_down_for_a_minute() -> None:
    """Nobody sends before Retry-After is over; then fewer at once, and after quiet minutes as many as before."""
    time = FakeTime()
    limiter = RateLimiter(8, 1000, clock=time.clock)
    first, second = send(limiter), send(limiter)
    limiter.back_off(first, 7)
    limiter.back_off(second, 7)  # a second thread that was refused in the same moment changes nothing more
    assert limiter.acquire() == 7

    def in_a_second() -> int:
        time.now += 2
        begun, count = time.now, 0
        while time.now - begun < 1:
            limiter.acquire()
            count += time.now - begun < 1
        return count

    assert in_a_second() == 4
    assert in_a_second() == 6
    time.now += STEADY_SECONDS + 1
    assert in_a_second() == 8


def test_refusals_of_a_limit_that_is_spent_slow_down_only_once() -> None:
    """Those to whoever asks whether the pause is over tell nothing new of how fast is too fast."""
    time = FakeTime()
    limiter = RateLimiter(100, 1000, clock=time.clock)
    for _ in range(8):
        refused(limiter, 1)
    for _ in range(700):
        let_through(limiter)
    assert time.now - 1000 < STEADY_SECONDS


def test_a_permit_of_one_limiter_is_none_of_a_stricter_one() -> None:
    """A link may ask for more than the query did that the permit was acquired for."""
    time = FakeTime()
    limiters = RateLimiters(1.0, time.clock)
    many, few = limiters.of("get_profiles", (75, 750)), limiters.of("get_profiles", (1, 15), is_reduced=True)
    for _ in range(3):
        permit = Permit()
        many.acquire(permit)
        few.start_request(permit)
    assert time.now - 1000 >= 2


def test_a_pause_of_a_fault_stops_everybody_and_slows_nobody_down() -> None:
    """A 503 that names a time says nothing of how fast is too fast."""
    time = FakeTime()
    limiter = RateLimiter(8, 1000, clock=time.clock)
    send(limiter)
    limiter.pause(7)
    assert limiter.acquire() == 7
    time.now += 5
    began = time.now
    for _ in range(8):
        limiter.acquire()
    assert time.now == began


def test_after_a_429_not_everybody_comes_at_once() -> None:
    """One request in the first second after the pause, two in the next, then four: others may still be spending."""
    time = FakeTime()
    limiter = RateLimiter(100, 1000, clock=time.clock)
    refused(limiter, 5)
    ended = time.now + 5
    sent = []
    for _ in range(15):
        limiter.start_request(Permit())
        sent.append(int(time.now - ended))
    assert sent == [0, 1, 1, 2, 2, 2, 2, *[3] * 8]


def test_a_permit_from_before_a_429_is_invalid() -> None:
    """Who had been given a moment within the pause, or has not used it yet, waits like everybody else."""
    time = FakeTime()
    limiter = RateLimiter(100, 1000, clock=time.clock)
    early = Permit()
    limiter.acquire(early)
    refused(limiter, 9)
    closed_at = time.now
    limiter.start_request(early)
    assert time.now == closed_at + 9


def test_a_permit_is_for_one_request() -> None:
    """However often it is used, each request has a moment of its own in the windows, and is counted."""
    time = FakeTime()
    limiter = RateLimiter(1, 3, clock=time.clock)
    permit = Permit()
    limiter.acquire(permit)
    sent = []
    for _ in range(4):
        limiter.start_request(permit)
        sent.append(time.now - 1000)
    assert sent == [0, 1, 2, 60]
    assert limiter.usage.requests == 4


def test_only_what_is_sent_is_counted() -> None:
    """Who acquires a permit and then has nothing to send has sent nothing."""
    limiter = RateLimiter(10, 100, clock=FakeTime().clock)
    limiter.acquire(Permit())
    assert limiter.usage.requests == 0


def test_pauses_that_nobody_names_grow_for_all_threads_together() -> None:
    """A 429 without Retry-After: a second, two, four, for as long as refusals go on; a request let through ends it."""
    time = FakeTime()
    limiter = RateLimiter(100, 1000, clock=time.clock)
    pauses = []
    for number in range(10):
        for permit in [send(limiter) for _ in range(1 if number else 3)]:
            limiter.back_off(permit, None)  # of three that were under way at once, one makes the pause longer
        pauses.append(limiter.pause_left(Permit()))
    assert all(2**number <= pause <= 1.25 * 2**number for number, pause in enumerate(pauses[:7]))
    assert max(pauses) <= 150
    let_through(limiter)
    refused(limiter, None)
    assert limiter.pause_left(Permit()) <= 1.25


def test_a_pause_that_is_too_long_is_told_and_not_waited_for() -> None:
    """Nothing is sent before it is over, however long the permit may wait."""
    time = FakeTime()
    limiter = RateLimiter(10, 100, clock=time.clock)
    refused(limiter, 900)
    with pytest.raises(Throttled) as caught:
        limiter.acquire(Permit(max_wait=600))
    assert caught.value.retry_after == 900
    assert time.slept == []


def test_a_pause_is_for_all_limits_of_an_operation() -> None:
    """A 429 to its stricter variant stops the others, too; a shared one stops other operations that share it."""
    time = FakeTime()
    limiters = RateLimiters(1.0, time.clock)
    many, few = limiters.of("get_profiles", (75, 750)), limiters.of("get_profiles", (10, 150), is_reduced=True)
    other = limiters.of("get_flows", (3, 60))
    permit = Permit(limiters.shared_cooldown)
    few.start_request(permit)
    few.back_off(permit, 5)
    assert [
        many.pause_left(Permit()),
        other.pause_left(Permit()),
        other.pause_left(Permit(limiters.shared_cooldown)),
    ] == [5, 0, 5]


def test_others_are_stopped_by_a_shared_cooldown_but_not_slowed_down() -> None:
    """Whether the shared limit was the one that was spent, nobody knows."""
    time = FakeTime()
    limiters = RateLimiters(1.0, time.clock)
    refusing, other = limiters.of("get_flows", (8, 1000)), limiters.of("get_events", (8, 1000))
    permit = Permit(limiters.shared_cooldown)
    refusing.start_request(permit)
    refusing.back_off(permit, 5)
    time.now += 25

    def at_once(limiter: RateLimiter) -> int:
        began, count = time.now, 0
        while time.now == began:
            limiter.start_request(Permit(limiters.shared_cooldown))
            count += time.now == began
        return count

    assert [at_once(refusing), at_once(other)] == [6, 8]


def test_however_often_it_is_refused_a_tenth_is_left() -> None:
    """Who meets one 429 after the other is as slow as that, and not slower for half an hour."""
    time = FakeTime()
    limiter = RateLimiter(100, 1000, clock=time.clock)
    for _ in range(40):
        refused(limiter, 1)
        let_through(limiter)
    time.now += 30
    began, count = time.now, 0
    while time.now == began:
        limiter.start_request(Permit())
        count += 1
    assert count - 1 == 10


def test_an_announced_limit_never_lifts_the_stricter_one_of_a_query() -> None:
    """Klaviyo's header may speak of the operation at large; it can lower the stricter limit, and that alone."""
    limiters = RateLimiters(1.0, FakeTime().clock)
    many, few = limiters.of("get_profiles", (75, 750)), limiters.of("get_profiles", (10, 150), is_reduced=True)
    few.set_limits(75, 750)
    assert few.usage.per_minute == 150
    few.set_limits(10, 50)
    assert few.usage.per_minute == 50
    few.set_limits(75, 750)
    assert few.usage.per_minute == 150
    assert many.usage.per_minute == 750


def test_the_servers_word_wins() -> None:
    """Limits that an answer announces replace those of the specification, up and down."""
    time = FakeTime()
    limiter = RateLimiter(2, 1000, clock=time.clock)
    limiter.set_limits(4, 1000)
    assert [limiter.acquire() for _ in range(5)] == [0, 0, 0, 0, 1]

    time.now += 100
    limiter.set_limits(4, 3)
    assert [limiter.acquire() for _ in range(4)] == [0, 0, 0, 60]


class HandTime:
    """Time that passes when the test says so; whoever sleeps until then is woken."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._until: dict[int, float] = {}
        self._changed = threading.Condition()

    @property
    def asleep(self) -> int:
        """How many sleep on; those whose time has come are not among them, and are on their way."""
        with self._changed:
            return sum(until > self.now for until in self._until.values())

    def pass_(self, seconds: float) -> None:
        with self._changed:
            self.now += seconds
            self._changed.notify_all()

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            until = self._until[threading.get_ident()] = self.now + seconds
            self._changed.wait_for(lambda: self.now >= until)
            del self._until[threading.get_ident()]

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self._sleep)


@pytest.mark.usefixtures("eager_switches")
@pytest.mark.parametrize("seconds", [1, 10])
def test_threads_that_wait_for_a_permit_wait_out_a_429(seconds: int) -> None:
    """64 threads have moments of the next minute; none sends within the pause, and then one after the other does."""
    time = HandTime()
    limiter = RateLimiter(1, 1000, clock=time.clock)
    sent: list[float] = []
    first = send(limiter)

    def work() -> None:
        sent.append(send(limiter).sent_at)

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    until(lambda: time.asleep == 64)
    time.pass_(0.5)
    limiter.back_off(first, seconds)
    ends_at = time.now + seconds
    while len(sent) < 64:
        until(lambda: time.asleep + len(sent) == 64)
        time.pass_(0.5)
    for thread in threads:
        thread.join()

    assert min(sent) >= ends_at
    assert most_in_a_window(sent, 1.0) == 1


def test_each_operation_has_one_limiter_for_each_of_its_limits() -> None:
    """Who asks again gets the same limiter; another operation, or a stricter variant of it, another one."""
    limiters = RateLimiters(1.0, Clock())
    assert limiters.of("get_profiles", (75, 750)) is limiters.of("get_profiles", (75, 750))
    assert limiters.of("get_profiles", (75, 750)) is not limiters.of("get_profiles", (10, 150))
    assert limiters.of("get_profiles", (75, 750)) is not limiters.of("get_profile", (75, 750))


def test_usage_is_told_by_operation() -> None:
    """Variants of an operation are one, with the strictest limit; what the server announced wins."""
    limiters = RateLimiters(1.0, FakeTime().clock)
    limiters.of("unused", (1, 1))
    for _ in range(3):
        limiters.of("get_profiles", (75, 700)).start_request(Permit())
    limiters.of("get_profiles", (10, 150)).start_request(Permit())
    limiters.of("create_event", (350, 3500)).start_request(Permit())
    limiters.of("create_event", (350, 3500)).set_limits(10, 60)
    assert limiters.usage() == {"get_profiles": Usage(4, 150), "create_event": Usage(1, 60)}


def test_nobody_waits_for_a_day() -> None:
    """Who asks for more than the day has is told when there is room, and takes nothing; shares hold, too."""
    time = FakeTime()
    limiter = RateLimiter(10, 100, 8, share=0.5, clock=time.clock)
    assert [limiter.acquire() for _ in range(4)] == [0] * 4
    assert limiter.left_today == 0
    time.now += 400
    with pytest.raises(DailyLimitReached) as caught:
        limiter.acquire()

    assert caught.value.retry_after == DAY_SECONDS - 400
    time.now += caught.value.retry_after
    assert limiter.left_today == 4
    assert RateLimiter(10, 100, clock=time.clock).left_today is None


def test_requests_of_earlier_runs_are_of_this_day() -> None:
    """What was sent an hour ago counts, and what was sent the day before does not."""
    time = FakeTime()
    limiter = RateLimiter(10, 100, 8, clock=time.clock)
    limiter.add_past_requests([3600.0, DAY_SECONDS - 10, DAY_SECONDS + 10])
    assert limiter.left_today == 6
    time.now += 20
    assert limiter.left_today == 7


def test_the_servers_word_on_the_day_wins() -> None:
    """A limit of a day that an answer announces replaces ours, and is one where we knew of none."""
    for known in (2, None):
        limiter = RateLimiter(10, 100, known, clock=FakeTime().clock)
        limiter.set_limits(10, 100, 5)
        assert limiter.left_today == 5


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Of two requests that are refused while both are under way, the one that asks for more time is heard."""
    time = FakeTime()
    limiter = RateLimiter(8, 1000, clock=time.clock)
    first, second = send(limiter), send(limiter)
    limiter.back_off(first, 9)
    time.now += 1
    limiter.back_off(second, 2)
    assert limiter.acquire() == 8
