"""Threads read, pages come in order."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from frontier_support import KINDS, SECOND, Server, SimulatedRead, account, times_of
from support.patience import PATIENCE, until

from klaviyo_client.api.pages import RawPage
from tap_klaviyo.model import Slice, SlicePage
from tap_klaviyo.reading.frontier import Frontier, SliceRead
from tap_klaviyo.reading.page_reader import PAGES_PER_THREAD, PageReader, close_readers
from tap_klaviyo.reading.page_times import PageTimes
from tap_klaviyo.reading.slices import conditions

SLICES = [Slice({"id": str(number)}) for number in range(12)]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def pages(counts: Callable[[str], int] = lambda _: 3, *, size: int = 0) -> Callable[[SliceRead], RawPage]:
    """Fetches pages of an owner, which are called owner.number; each of so many bytes at least."""

    def fetch(read: SliceRead) -> RawPage:
        owner, number = read.slice.path["id"], int(read.link or 0)
        following = str(number + 1) if number + 1 < counts(owner) else None
        return RawPage(f"{owner}.{number}".ljust(size).encode(), following, 1)

    return fetch


def names(slice_pages: Iterable[SlicePage]) -> list[str]:
    return [page.page.held.decode().strip() for page in slice_pages]


def expected(counts: Callable[[str], int] = lambda _: 3, owners: int = 12) -> list[str]:
    return [f"{owner}.{number}" for owner in range(owners) for number in range(counts(str(owner)))]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """However a read ends, its threads end with it and ask Klaviyo for nothing more."""
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


def test_pages_come_in_order_whatever_the_threads_do() -> None:
    """Of each two slices the later is answered first here, and still comes second."""
    fetch = pages()
    answered = [threading.Event() for _ in SLICES]

    def slow(read: SliceRead) -> RawPage:
        number = int(read.slice.path["id"])
        if number % 2 == 0:
            assert answered[number + 1].wait(PATIENCE)
        answered[number].set()
        return fetch(read)

    slice_pages = list(PageReader(Frontier(SLICES), slow, workers=4))
    assert names(slice_pages) == expected()
    assert [one.ended for one in slice_pages] == [False, False, True] * 12


def test_an_error_comes_after_the_good_pages_before_it() -> None:
    """What was read is handed out; nothing of a later slice is."""
    fetch = pages()

    def broken(read: SliceRead) -> RawPage:
        if (read.slice.path["id"], read.link) == ("2", "2"):
            raise RuntimeError("broken")
        return fetch(read)

    seen: list[SlicePage] = []
    with pytest.raises(RuntimeError, match="broken"):
        seen.extend(PageReader(Frontier(SLICES), broken, workers=4))
    # `extend` keeps what came before the error.
    assert names(seen) == expected()[:8]


def test_closing_early_stops_the_threads() -> None:
    """After a read of one row, no thread stays behind that goes on sending requests."""
    requested: list[SliceRead] = []
    fetch = pages(lambda _: 1000)

    def recorded(read: SliceRead) -> RawPage:
        requested.append(read)
        return fetch(read)

    before = set(threading.enumerate())
    reader = PageReader(Frontier(SLICES), recorded, workers=4)
    next(reader)
    reader.close()
    # Nobody is left who could ask.
    until(lambda: set(threading.enumerate()) <= before)
    assert len(requested) < 12 * 1000


def test_no_more_is_read_ahead_than_can_wait() -> None:
    """When stdout is slow, memory holds a few pages per thread, whatever the volume."""
    fetched: list[RawPage] = []
    fetch = pages(lambda _: 1000)

    def recorded(read: SliceRead) -> RawPage:
        fetched.append(fetch(read))
        return fetched[-1]

    reader = PageReader(Frontier(SLICES), recorded, workers=3)
    for count in range(1, 300):
        next(reader)
        until(lambda least=count + 3 * PAGES_PER_THREAD - 1: len(fetched) >= least)
        # One page is in the reader's hands; the first slice may ask for one more when there is no room.
        assert len(fetched) - count <= 3 * PAGES_PER_THREAD + 1
    reader.close()


def test_how_many_pages_are_to_come_is_known_from_the_first() -> None:
    """A day of four hours, a row each second, in pages of ten: sixty of them and more are still to come."""
    rows = account(NOON - at * SECOND for at in range(4 * 3600))
    server = Server(KINDS["events"], rows, page_size=10, clock=NOON)
    kind = KINDS["events"]

    def fetch(read: SliceRead) -> RawPage:
        return server.get(conditions(read.slice, kind.collection, kind.operation), read.link)

    frontier = Frontier([Slice(start=NOON - timedelta(hours=4))], page_size=10, end=lambda: NOON)
    reader = PageReader(frontier, fetch, workers=1, times=times_of)
    assert reader.pages_expected == 1
    next(reader)
    assert 1440 <= reader.pages_expected <= 1700
    reader.close()


def test_what_waits_is_packed_but_for_a_few_pages() -> None:
    """A page that is soon wanted need not be packed and unpacked; what waits long takes a sixth of its size."""
    body = b'{"data":[]}'.ljust(9_000)

    def plain(read: SliceRead) -> RawPage:
        return RawPage(body, pages(lambda _: 40)(read).next, 1, is_packed=False)

    reader = PageReader(Frontier(SLICES[:1]), plain, workers=3, memory=100_000)
    reader.start()
    until(lambda: reader._held == 3 * PAGES_PER_THREAD)
    assert reader._held_bytes < 2 * 9_000 + 3 * PAGES_PER_THREAD * 1_000
    read = list(reader)
    assert [page.page.is_packed for page in read[: 3 * PAGES_PER_THREAD]] == [False] * 2 + [True] * 34
    assert {page.page.body for page in read} == {body}
    assert reader._held == reader._held_bytes == reader._plain_bytes == 0


def test_pages_that_wait_for_many_others_are_packed() -> None:
    """As they came they would take the place of five each; the page whose turn it is comes as it is."""
    body = b'{"data":[]}'.ljust(9_000)
    may_answer = threading.Event()

    def fetch(read: SliceRead) -> RawPage:
        number, is_due = int(read.link or 0), read.slice is SLICES[0]
        assert not is_due or may_answer.wait(PATIENCE)
        following = str(number + 1) if not is_due and number < 5 else None
        return RawPage(body, following, 1, is_packed=not is_due and number < 5)

    reader = PageReader(Frontier(SLICES[:2]), fetch, workers=2, memory=100_000)
    reader.start()
    until(lambda: reader._held == 6)
    may_answer.set()
    until(lambda: reader._held == 7)
    assert reader._plain_bytes == len(body)
    assert next(reader).page.is_packed is False
    reader.close()


@pytest.mark.parametrize(("seconds", "packs"), [(0.0, False), (0.01, True)])
def test_pages_are_packed_only_where_answers_take_long(seconds: float, packs: bool) -> None:
    """Where four pages of each slice that is read at once fit as they came, none is packed, and no more are read."""
    body = b'{"data":[]}'.ljust(9_000)

    def fetch(read: SliceRead) -> RawPage:
        time.sleep(seconds)
        return RawPage(body, pages(lambda _: 12)(read).next, 1, is_packed=False)

    # A thousand requests a second: of a hundredth of a second each, eighteen slices at once.
    reader = PageReader(Frontier(SLICES), fetch, workers=4, memory=400_000, rate=1000 if packs else 0.001)
    reader.start()
    until(lambda: reader._received >= 20)
    assert reader._packs is packs
    assert reader._held_bytes <= 400_000
    assert {page.page.body for page in reader} == {body}


def test_no_thread_holds_on_to_the_page_that_it_fetched() -> None:
    """Sixty threads that wait for the next answer would keep sixty pages."""
    fetched: list[weakref.ref[RawPage]] = []
    may_answer = threading.Event()

    def fetch(read: SliceRead) -> RawPage:
        assert not fetched or may_answer.wait(PATIENCE)
        page = pages()(read)
        fetched.append(weakref.ref(page))
        return page

    reader = PageReader(Frontier(SLICES[:1]), fetch, workers=1)
    assert names([next(reader)]) == ["0.0"]
    try:
        assert fetched[0]() is None
    finally:
        may_answer.set()
    assert names(reader) == ["0.1", "0.2"]


def watched(
    fetch: Callable[[SliceRead], RawPage], weigh: Callable[[RawPage], int]
) -> tuple[Callable[[SliceRead], RawPage], Any]:
    """The fetch, and a function that takes pages slowly and gives the most that waited at once.

    It begins to take them when ``least`` wait. How slow it is makes a test sharper, and none hangs on it.
    """
    lock = threading.Lock()
    waiting = most = 0

    def recorded(read: SliceRead) -> RawPage:
        nonlocal waiting, most
        page = fetch(read)
        with lock:
            waiting += weigh(page)
            most = max(most, waiting)
        return page

    def slowly(reader: PageReader, least: int = 0) -> tuple[list[str], int]:
        nonlocal waiting
        seen = []
        reader.start()
        until(lambda: most >= least)
        for slice_page in reader:
            time.sleep(0.003)
            seen.append(slice_page)
            with lock:
                waiting -= weigh(slice_page.page)
        return names(seen), most

    return recorded, slowly


def test_the_bound_holds_while_slices_end_and_begin() -> None:
    """From first page to last, however many pages a slice has."""

    def counts(owner: str) -> int:
        return 1 + 3 * int(owner) % 8

    fetch, slowly = watched(pages(counts), lambda _: 1)
    seen, most = slowly(PageReader(Frontier(SLICES), fetch, workers=3))
    assert seen == expected(counts)
    assert most <= 3 * PAGES_PER_THREAD + 2


def test_bytes_bound_what_waits_where_pages_are_large() -> None:
    """A dozen pages are read ahead by count, but no more of them than fit."""
    fetch, slowly = watched(pages(lambda _: 5, size=10_000), lambda page: len(page.held))
    seen, most = slowly(PageReader(Frontier(SLICES), fetch, workers=4, memory=50_000), least=20_000)
    assert seen == expected(lambda _: 5)
    # Those requested before the first showed how large they are, one handed out, one of the first slice.
    assert most <= 50_000 + 6 * 10_000


def test_a_page_larger_than_the_memory_still_comes() -> None:
    """Back-pressure is no deadlock: the slice whose turn it is always goes on."""
    assert names(PageReader(Frontier(SLICES), pages(size=1000), workers=4, memory=10)) == expected()


def test_a_first_error_is_raised_although_later_slices_are_good() -> None:
    """And stops the threads, too."""
    fetch = pages(lambda _: 1000)

    def broken(read: SliceRead) -> RawPage:
        if read.slice.path["id"] == "0":
            raise RuntimeError("broken")
        return fetch(read)

    with pytest.raises(RuntimeError, match="broken"):
        next(PageReader(Frontier(SLICES), broken, workers=4))


def test_nothing_to_read_is_read() -> None:
    """No slices, no pages, no threads."""
    before = threading.active_count()
    assert list(PageReader(Frontier([]), pages(), workers=4)) == []
    assert threading.active_count() == before


def test_one_worker_is_one_thread() -> None:
    """And no more threads are begun than there is work for."""
    threads = set()
    fetch = pages()

    def recorded(read: SliceRead) -> RawPage:
        threads.add(threading.get_ident())
        return fetch(read)

    assert names(PageReader(Frontier(SLICES), recorded, workers=1)) == expected()
    assert len(threads) == 1
    threads.clear()
    assert names(PageReader(Frontier(SLICES[:1]), recorded, workers=8)) == expected(owners=1)
    assert len(threads) == 1


def test_every_worker_waits_for_an_answer() -> None:
    """All of them at once, where there is work for all."""
    everyone = threading.Barrier(4, timeout=PATIENCE)
    fetch = pages(lambda _: 1)

    def together(read: SliceRead) -> RawPage:
        everyone.wait()
        return fetch(read)

    assert names(PageReader(Frontier(SLICES), together, workers=4)) == expected(lambda _: 1)


def test_a_permit_is_waited_for_once_for_each_request() -> None:
    """One at a time, each before its request: no budget is spent on what is not requested."""
    lock = threading.Lock()
    permits = requested = inside = 0
    fetch = pages()

    def acquire() -> None:
        nonlocal permits, inside
        with lock:
            inside += 1
            assert inside == 1
        time.sleep(0.001)  # a lock that is not held would let others in now
        with lock:
            inside -= 1
            permits += 1

    def recorded(read: SliceRead) -> RawPage:
        nonlocal requested
        with lock:
            requested += 1
            assert requested <= permits
        return fetch(read)

    assert names(PageReader(Frontier(SLICES), recorded, workers=4, acquire=acquire)) == expected()
    assert permits == requested == 36


def test_a_permit_is_kept_when_there_is_no_more_room_for_what_it_was_for() -> None:
    """A large answer may fill the memory while a permit is waited for; the permit is for the next request."""
    permits: list[int] = []
    requested: list[str] = []
    ahead: list[int] = []
    third = threading.Event()
    fetch = pages(lambda _: 1, size=5000)

    def acquire() -> None:
        permits.append(len(requested))
        if len(permits) == 3:
            third.set()
            until(lambda: reader._received == 1)

    def recorded(read: SliceRead) -> RawPage:
        owner = read.slice.path["id"]
        requested.append(owner)
        # The first is slow, the second comes and fills the memory, the third had its permit meanwhile.
        if owner == "1":
            assert third.wait(PATIENCE)
        if owner == "0":
            # Two wait: the thread with the third permit, and the reader. Or a request was sent, which is wrong.
            until(lambda: len(requested) > 2 or (len(permits) == 3 and len(reader._changed._waiters) == 2))
            ahead.append(len(requested))
        return fetch(read)

    reader = PageReader(Frontier(SLICES[:4]), recorded, workers=3, acquire=acquire, memory=1000)
    assert names(reader) == expected(lambda _: 1, owners=4)
    assert len(permits) == len(requested) == 4
    assert ahead == [2]


def test_what_to_request_is_chosen_when_the_permit_has_come() -> None:
    """By what is known then: here the first page has shown meanwhile where the next slice begins."""
    requested: list[Slice] = []
    permits = 0

    def acquire() -> None:
        nonlocal permits
        permits += 1
        # The second permit comes when the first answer is known: then there is a gap, and the second slice is not next.
        if permits == 2:
            until(lambda: reader._received == 1)

    def fetch(read: SliceRead) -> RawPage:
        requested.append(read.slice)
        if len(requested) == 1:
            return RawPage(b"", "more", 10)
        return RawPage(b"", None, 0)

    def times(page: RawPage) -> PageTimes:
        return PageTimes(NOON, NOON + timedelta(seconds=10)) if page.size else PageTimes()

    frontier = Frontier([Slice({"id": "a"}), Slice({"id": "b"})], page_size=10, end=lambda: NOON + timedelta(days=1))
    reader = PageReader(frontier, fetch, workers=2, acquire=acquire, times=times)
    list(reader)
    assert [part.path["id"] for part in requested[:2]] == ["a", "a"]
    assert requested[1].start == NOON + timedelta(seconds=10)


@pytest.mark.parametrize("fails", ["acquire", "times"])
def test_whatever_fails_in_a_thread_is_raised(fails: str) -> None:
    """No thread waits for ever for one that is gone."""

    def broken(*_: object) -> Any:
        raise ZeroDivisionError

    found: list[BaseException] = []

    def run() -> None:
        try:
            options: dict[str, Any] = {fails: broken}
            list(PageReader(Frontier(SLICES), pages(), workers=2, **options))
        except ZeroDivisionError as error:
            found.append(error)

    main = threading.Thread(target=run, daemon=True)
    main.start()
    main.join(PATIENCE)
    assert found


@pytest.mark.parametrize("workers", [1, 3])
def test_a_slow_reader_gets_everything(workers: int) -> None:
    """What is cut, what comes last, and the next owners, which are read ahead: no thread waits for ever."""
    lock = threading.Lock()
    owners = [
        Server(KINDS["events"], account((NOON - at * SECOND for at in range(60)), str(owner)), page_size=4, clock=NOON)
        for owner in range(6)
    ]
    model = SimulatedRead(owners[0], NOON, Random(1), others=owners[1:])

    def fetch(read: SliceRead) -> RawPage:
        kind = KINDS["events"]
        with lock:
            filters = conditions(read.slice, kind.collection, kind.operation)
            return owners[int(read.slice.path["id"])].get(filters, read.link)

    def run() -> None:
        for slice_page in PageReader(model.frontier, fetch, workers=workers, times=times_of):
            model.own(slice_page)
            time.sleep(0.002)

    main = threading.Thread(target=run, daemon=True)
    main.start()
    main.join(PATIENCE)
    assert len(model.handed) == 6 * 60


@pytest.mark.parametrize("close", [PageReader.close, lambda _: close_readers()], ids=["one", "all"])
def test_a_thread_of_a_closed_reader_says_nothing_more(
    close: Callable[[PageReader], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer, or its retry, would be told after the last line of the run; until then all is told."""
    asked, ended, fetch = threading.Event(), threading.Event(), pages()

    def log(text: str) -> None:
        for name in ("klaviyo_client", "tap-klaviyo"):
            logging.getLogger(name).warning(text)

    def slow(read: SliceRead) -> RawPage:
        log("in time")
        asked.set()
        assert ended.wait(PATIENCE)
        log("late")
        return fetch(read)

    before = set(threading.enumerate())
    reader = PageReader(Frontier(SLICES), slow, workers=1)
    reader.start()
    assert asked.wait(PATIENCE)
    close(reader)
    log("the last line")
    ended.set()
    until(lambda: set(threading.enumerate()) <= before)
    assert caplog.messages == ["in time"] * 2 + ["the last line"] * 2
