"""Which page is requested next: whatever the account, and whenever answers come, no row is lost."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from frontier_support import KINDS, SECOND, Answer, Server, SimulatedRead, account, answer
from hypothesis import given
from hypothesis import strategies as st

from tap_klaviyo.model import Slice
from tap_klaviyo.reading.frontier import Frontier, SliceRead
from tap_klaviyo.reading.page_times import PageTimes
from tap_klaviyo.reading.slices import SETTLE, TICK, BookmarkTracker
from tap_klaviyo.rows.values import bookmark_text

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

# Moments before now: the future, the last seconds, a few seconds, a day, ten years.
AGES = st.one_of(
    st.integers(-60, 30),
    st.integers(-5, 20),
    st.integers(100, 106),
    st.integers(0, 86_400),
    st.integers(0, 320_000_000),
)
MICROSECONDS = st.sampled_from((0, 0, 1, 400_000, 500_000, 999_999))
MOMENTS = st.builds(lambda age, us: NOON - age * SECOND + timedelta(microseconds=us), AGES, MICROSECONDS)
# Some moments have many rows.
TIMES = st.lists(st.tuples(MOMENTS, st.sampled_from((1, 1, 1, 2, 9))), min_size=1, max_size=40).map(
    lambda entries: [moment for moment, count in entries for _ in range(count)]
)
NOWS = st.sampled_from((NOON, NOON + timedelta(microseconds=400_000)))
SINCE = st.none() | MOMENTS
CHANCE = st.integers(0, 2**32).map(random.Random)
PAGES_PER_SLICE = st.none() | st.integers(1, 5)


@pytest.mark.parametrize("kind", KINDS)
@given(
    times=TIMES,
    now=NOWS,
    since=SINCE,
    size=st.integers(1, 6),
    pages_per_slice=PAGES_PER_SLICE,
    eager=st.booleans(),
    chance=CHANCE,
)
def test_every_row_comes_once_and_in_order(
    kind: str,
    times: list[datetime],
    now: datetime,
    since: datetime | None,
    size: int,
    pages_per_slice: int | None,
    eager: bool,
    chance: random.Random,
) -> None:
    """From the bookmark on, for each set of operators, and nothing is asked that Klaviyo refuses."""
    server = Server(KINDS[kind], account(times), page_size=size, clock=now, eager=eager)
    read = SimulatedRead(server, now, chance, since, pages_per_slice, workers=chance.randint(1, 8)).run()
    handed = read.handed
    assert [time for time, _ in handed] == sorted(time for time, _ in handed)
    start = None if since is None else min(since, now - SETTLE)
    found = Counter(name for _, name in handed)
    wanted = {name for name, time in server.rows.items() if start is None or time >= start}
    assert wanted <= found.keys()
    assert set(found.values()) <= {1}
    # Beyond what was wanted, `>` brings the rows of one tick.
    assert start is None or all(time > start - TICK for time, _ in handed)


@pytest.mark.parametrize("now", [NOON, NOON + timedelta(microseconds=400_000)])
@pytest.mark.parametrize("seconds", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_no_window_is_shorter_than_a_second(kind: str, seconds: int, now: datetime) -> None:
    """However many rows the last seconds of the settled past hold: Klaviyo answers 400 to an empty window."""
    end = NOON - SETTLE
    burst = [end - seconds * SECOND + timedelta(microseconds=us) for us in range(-1, 60)]
    server = Server(KINDS[kind], account(burst), page_size=2, clock=now)
    for seed in range(10):
        read = SimulatedRead(server, now, random.Random(seed), pages_per_slice=1).run()
        assert len(read.handed) == len(burst)


@given(times=TIMES, others=TIMES, since=SINCE, size=st.integers(1, 6), chance=CHANCE)
def test_each_slice_comes_whole_before_the_next(
    times: list[datetime], others: list[datetime], since: datetime | None, size: int, chance: random.Random
) -> None:
    """Slices of filter sets and parents are cut alike, and one's future comes before the next one's past."""
    first, second = (
        Server(KINDS["events"], account(found, prefix), page_size=size, clock=NOON)
        for prefix, found in (("a", times), ("b", others))
    )
    read = SimulatedRead(first, NOON, chance, since, None, others=[second]).run()
    start = NOON - SETTLE if since is None else min(since, NOON - SETTLE)
    for server, prefix in ((first, "a"), (second, "b")):
        wanted = sorted((time, name) for name, time in server.rows.items() if since is None or time >= start)
        assert [row for row in read.handed if row[1].startswith(prefix)] == wanted
    owners = [name[0] for _, name in read.handed]
    assert owners == sorted(owners)


@given(times=TIMES, since=SINCE, size=st.integers(1, 3), chance=CHANCE)
def test_an_error_comes_after_the_good_pages_before_it(
    times: list[datetime], since: datetime | None, size: int, chance: random.Random
) -> None:
    """And nothing comes after it: what was handed out is a completed prefix."""
    server = Server(KINDS["events"], account(times), page_size=size, clock=NOON)
    read = SimulatedRead(server, NOON, chance, since, None, broken=0.15)
    try:
        read.run()
        raised = False
    except ConnectionError:
        raised = True
        assert not read.frontier._reads[0].pages
    assert raised == (read.failures > 0)
    start = None if since is None else min(since, NOON - SETTLE)
    wanted = sorted((time, name) for name, time in server.rows.items() if start is None or time >= start)
    assert read.handed == wanted[: len(read.handed)]
    assert raised or read.handed == wanted


class Unruly(Server):
    """Breaks its own order: each row stands up to so many places too early or too late."""

    def __init__(self, rows: Mapping[str, datetime], places: int, chance: random.Random, *, page_size: int) -> None:
        super().__init__(KINDS["events"], rows, page_size=page_size, clock=NOON)
        self._places = places
        self._chance = chance
        self._pages: dict[str, list[tuple[datetime, str]]] = {}

    def get(self, filters: Sequence[str], link: str | None) -> Answer:
        self.calls += 1
        if link is None:
            first, last = self._window(filters)
            rows = list(enumerate(self._keys[first:last]))
            rows.sort(key=lambda entry: entry[0] + self._chance.uniform(0, self._places))
            left = [key for _, key in rows]
        else:
            left = self._pages[link]
        page, left = left[: self.page_size], left[self.page_size :]
        if not left:
            return answer(page, None)
        following = f"cursor {len(self._pages)}"
        self._pages[following] = left
        return answer(page, following)


@pytest.mark.parametrize("places", [1, 2, 3])
@given(
    gaps=st.lists(st.integers(0, 5000), min_size=30, max_size=200),
    size=st.integers(6, 20),
    pages_per_slice=PAGES_PER_SLICE,
    chance=CHANCE,
)
def test_pages_slightly_out_of_order_lose_no_row(
    places: int, gaps: list[int], size: int, pages_per_slice: int | None, chance: random.Random
) -> None:
    """Within a page and from one to the next: where the order does not hold, a slice is read by its cursor."""
    times = [NOON - DAY - SECOND * sum(gaps[:at]) for at in range(len(gaps))]
    server = Unruly(account(times), places, chance, page_size=size)
    read = SimulatedRead(server, NOON, chance, None, pages_per_slice).run()
    assert {name for _, name in read.handed} == server.rows.keys()


@given(times=TIMES, size=st.integers(1, 6), chance=CHANCE)
def test_without_room_it_goes_on_with_what_is_next_in_turn(
    times: list[datetime], size: int, chance: random.Random
) -> None:
    """One answer at a time is waited for, and the end is reached."""
    server = Server(KINDS["events"], account(times), page_size=size, clock=NOON)
    read = SimulatedRead(server, NOON, chance, pages_per_slice=None, roomy=0).run()
    assert len(read.handed) == len(times)
    assert read.most_asked == 1


@pytest.mark.parametrize("kind", ["events", "profiles"])
@given(times=TIMES, now=NOWS, since=SINCE, size=st.integers(1, 6), stop=st.integers(0, 60), chance=CHANCE)
def test_what_changes_while_it_is_read_is_not_lost(
    kind: str,
    times: list[datetime],
    now: datetime,
    since: datetime | None,
    size: int,
    stop: int,
    chance: random.Random,
) -> None:
    """Whether the run ends or is killed at any page: it has written a row as it is now, or the next run does."""
    server = Server(KINDS[kind], account(times), page_size=size, clock=now)
    read = SimulatedRead(server, now, chance, since, None, restless=0.3)
    tracker = BookmarkTracker(now=lambda: now, ordered=True)
    bookmark = None
    for index, rows in enumerate(read.pages()):
        if index == stop:
            break
        bookmark = tracker.after_page(bookmark_text(time) for time, _ in rows) or bookmark
    else:
        bookmark = tracker.at_end()
    written = set(read.handed)
    server.clock += 60 * SECOND
    again = SimulatedRead(server, server.clock, chance, datetime.fromisoformat(bookmark) if bookmark else since).run()
    wanted = {(time, name) for name, time in server.rows.items() if since is None or time >= since}
    assert wanted <= written | set(again.handed)


@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_out_of_a_slice_is_found_by_the_tail(kind: str) -> None:
    """A row that is changed before it was read comes in the same run, since the tail is read last."""
    server = Server(KINDS[kind], account(NOON - DAY + at * 60 * SECOND for at in range(60)), page_size=2, clock=NOON)
    read = SimulatedRead(server, NOON, random.Random(1), pages_per_slice=2)
    pages = read.pages()
    next(pages)
    server.clock += SECOND
    server.touch("000050")
    assert [row for rows in pages for row in rows][-1] == (server.clock, "000050")


# How slices are chosen -----------------------------------------------------------------------------------------------


def test_a_density_must_show_itself_before_many_slices_rely_on_it() -> None:
    """Four slices of a gap at first, one more for each that was as full as it was thought to be."""
    frontier = Frontier([Slice()], page_size=10, end=lambda: NOON)
    first = frontier.take(math.inf)
    assert first
    began = NOON - DAY
    frontier.add_page(
        first, answer([(began, str(at)) for at in range(10)], "more"), PageTimes(began, began + 60 * SECOND)
    )
    in_flight = list(all_work(frontier))
    # A tenth of each slice's last page is left free.
    assert [read.slice.start for read in in_flight] == [began + at * SECOND for at in (60, 294, 528, 762)]
    start = in_flight[0].slice.start
    assert start
    frontier.add_page(in_flight[0], answer([(start, "x")] * 10, "more"), PageTimes(start, start + 60 * SECOND))
    assert len(list(all_work(frontier))) == 3  # its own next page, and two slices


@pytest.mark.parametrize(("seconds", "expected"), [(60, 234), (1, 58), (3600, 8 * 234)])
def test_densities_are_believed_down_at_once_and_up_slowly(seconds: int, expected: int) -> None:
    """A denser slice makes the next one a quarter at least; a sparser one makes it up to eight times as wide."""
    frontier = Frontier([Slice()], page_size=10, end=lambda: NOON)
    first = frontier.take(math.inf)
    assert first
    began = NOON - DAY
    frontier.add_page(
        first, answer([(began, str(at)) for at in range(10)], "more"), PageTimes(began, began + 60 * SECOND)
    )
    read = frontier.take(math.inf)
    assert read
    start = read.slice.start
    assert start
    frontier.add_page(read, answer([(start, "x")] * 10, "more"), PageTimes(start, start + seconds * SECOND))
    following = list(all_work(frontier))[-1].slice
    assert following.start
    assert following.stop
    assert (following.stop - following.start).total_seconds() == expected


def test_a_density_of_nearly_nothing_stays_within_the_calendar() -> None:
    """A slice of so many pages would end after the year 9999; then it is what is left."""
    frontier = Frontier([Slice()], page_size=10, end=lambda: NOON)
    first = frontier.take(math.inf)
    assert first
    began = NOON - 20_000 * DAY
    frontier.add_page(
        first, answer([(began, str(at)) for at in range(10)], "more"), PageTimes(began, began + 100 * DAY)
    )
    frontier.pages_per_slice = 10**9
    following = frontier.take(math.inf)
    assert following
    assert following.slice.stop == NOON


def all_work(frontier: Frontier) -> Iterator[SliceRead]:
    while (read := frontier.take(math.inf)) is not None:
        yield read


def test_slices_are_not_asked_for_before_their_time() -> None:
    """A million owners are not listed in memory."""
    listed = 0

    def slices() -> Iterator[Slice]:
        nonlocal listed
        for listed in range(1, 1000):
            yield Slice({"id": str(listed)})

    frontier = Frontier(slices())
    for _ in range(5):
        frontier.take(math.inf)
    assert listed == 6


def test_nothing_is_read_of_nothing() -> None:
    """No slices, no work, and it is done."""
    frontier = Frontier([])
    assert frontier.is_done
    assert frontier.take(math.inf) is None
    assert frontier.pop() is None


# What it costs -------------------------------------------------------------------------------------------------------


def calls(times: list[datetime], size: int, *, pages_per_slice: int = 4, workers: int = 8) -> int:
    """How many pages are asked for to read these events, whose rows must all come."""
    server = Server(KINDS["events"], account(times), page_size=size, clock=NOON)
    chance = random.Random(7)
    read = SimulatedRead(server, NOON, chance, pages_per_slice=pages_per_slice, workers=workers, roomy=1).run()
    assert len(read.handed) == len(times)
    return server.calls


def test_sparse_years_cost_a_handful_of_calls() -> None:
    """Ten years with ten rows are not looked through week by week."""
    years = [NOON - at * 365 * DAY for at in range(1, 11)]
    assert calls(years, 1000) == 1
    assert calls(years, 4) <= 5


@pytest.mark.parametrize(("pages_per_slice", "even"), [(2, True), (4, True), (8, False), (40, False)])
def test_an_even_density_costs_little_more_than_its_pages(pages_per_slice: int, *, even: bool) -> None:
    """200 pages cost 230 calls at most: each slice ends with a page that may be half empty."""
    chance = random.Random(3)
    year = 365 * 86_400
    ages = [at * year / 20_000 if even else chance.random() * year for at in range(1, 20_001)]
    times = [NOON - SETTLE - age * SECOND for age in ages]
    for workers in (4, 32):
        assert calls(times, 100, pages_per_slice=pages_per_slice, workers=workers) <= 230


def test_nights_and_days_cost_little_more_than_their_pages() -> None:
    """A week shows how dense each hour of a day is: slices of the later ones hold as much at noon as at night."""
    by_hour = [round(20 * (1 + 0.8 * math.sin(hour / 24 * 2 * math.pi))) for hour in range(24)]
    start = NOON - 60 * DAY
    hours = [(start + at * HOUR, by_hour[at % 24]) for at in range(59 * 24)]
    times = [hour + at * HOUR / rows for hour, rows in hours for at in range(rows)]
    pages = len(times) / 100
    assert calls(times, 100, pages_per_slice=3, workers=16) < 1.2 * pages


def test_a_slice_that_runs_into_a_rush_is_cut_there() -> None:
    """What its second page shows counts alone: the rest is read in parallel, not page after page."""
    frontier = Frontier([Slice()], page_size=10, end=lambda: NOON)
    first = frontier.take(math.inf)
    assert first
    began = NOON - DAY
    frontier.add_page(first, answer([(began, "x")] * 10, "more"), PageTimes(began, began + HOUR))
    frontier.pages_per_slice = 3
    read = frontier.take(math.inf)
    assert read
    assert read.slice.start == began + HOUR
    rush = read.slice.start + HOUR
    frontier.add_page(read, answer([(rush, "x")] * 10, "more"), PageTimes(read.slice.start, rush))
    assert read.cut is None
    frontier.add_page(read, answer([(rush, "x")] * 10, "more"), PageTimes(rush, rush + HOUR / 4))
    assert read.cut == rush + HOUR / 4


def test_a_dense_second_is_read_by_its_cursor() -> None:
    """It cannot be cut; five pages are five calls, alone or amid a day of others."""
    second = [NOON - DAY] * 5000
    assert calls(second, 1000) == 5
    around = [NOON - DAY + at * 60 * SECOND for at in range(-1000, 1000)]
    assert calls([*second, *around], 1000) <= 10


@pytest.mark.parametrize("burst", [NOON - timedelta(hours=1), NOON - 9 * DAY])
def test_a_burst_after_a_quiet_month_wastes_less_than_half_of_its_pages(burst: datetime) -> None:
    """A density from before it, and one of it when it is over, are believed for a few slices only."""
    quiet = [burst - 30 * DAY + at * 7 * 3600 * SECOND for at in range(100)]
    dense = [burst + at * SECOND / 1000 * 120 for at in range(5000)]  # fifty pages in ten minutes
    for workers in (4, 64):
        assert calls(quiet + dense, 100, pages_per_slice=2, workers=workers) < 75
