"""Reads the pages of slices with several threads, and hands them out in order."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator

from klaviyo_client.api.pages import RawPage
from klaviyo_client.http.permits import Permit
from tap_klaviyo.model import SlicePage
from tap_klaviyo.reading.frontier import Frontier, SliceRead
from tap_klaviyo.reading.page_times import PageTimes

# Bytes of pages that may wait to be handed out, whatever the volume: some 160 packed pages of events.
MEMORY = 36_000_000
# The part of it that pages take as they came where answers take long, and packed ones are read ahead: only pages that
# are soon wanted do, for to pack one and to unpack it takes as long as to receive it.
_PLAIN_PART = 0.25
# How many times smaller a page is packed, as long as none shows it.
_PACKED_PART = 5
# With at least so many pages of each slice, answers are so quick that none need be packed; the quickest of so many
# full pages tells, for others may have waited for each other.
_MIN_PLAIN_PAGES, _RECENT = 4, 32
# How many pages may wait for each thread, where pages are small.
PAGES_PER_THREAD = 12
# A slice is read page after page: longer ones would waste hardly fewer calls, and be long in coming.
MAX_PAGES_PER_SLICE = 60


def no_limits() -> Permit | None:
    """Wait for nothing: for requests without a rate limit."""
    return None


def no_times(page: RawPage) -> PageTimes:  # noqa: ARG001
    """No bookmarks: for pages that do not come in order of time."""
    return PageTimes()


# The reader that a thread works for, and every reader that there is.
_thread = threading.local()
_readers: weakref.WeakSet[PageReader] = weakref.WeakSet()


def close_readers() -> None:
    """Close every reader of this process, which ends: what its threads would still say came after its last line."""
    for reader in list(_readers):
        reader.close()


def _is_wanted(record: logging.LogRecord) -> bool:  # noqa: ARG001 - of any record of the thread
    reader: PageReader | None = getattr(_thread, "reader", None)
    return reader is None or not reader.is_closed


# A thread has a request under way when its reader is closed, and may log for minutes that it is tried again.
for _name in ("tap-klaviyo", "klaviyo_client"):
    logging.getLogger(_name).addFilter(_is_wanted)


class PageReader:
    """An iterator over every page, once, in the frontier's order; any thread may iterate. ``close`` ends it early.

    An error in a slice is raised when its turn comes, after the good pages before it.

    Args:
        frontier: what to read.
        fetch: requests the next page of a slice; called by the threads.
        workers: how many threads may wait for answers at once.
        acquire: waits until one more request may be sent, and gives the permit to send it with. What to request is
            chosen after that, by what is known then.
        rate: requests a second that may be sent.
        times: a page's first and last bookmark.
        memory: bytes of pages that may wait to be handed out; most of them are packed then.
    """

    def __init__(
        self,
        frontier: Frontier,
        fetch: Callable[[SliceRead], RawPage],
        *,
        workers: int,
        acquire: Callable[[], Permit | None] = no_limits,
        rate: float = 1.0,
        times: Callable[[RawPage], PageTimes] = no_times,
        memory: int = MEMORY,
    ) -> None:
        self._frontier = frontier
        self._fetch = fetch
        self._acquire = acquire
        self._rate = rate
        self._times = times
        self._workers = workers
        self._memory = memory
        self._threads = 0
        self._in_flight = 0
        self._held = self._held_bytes = self._plain_bytes = 0
        self._received = self._received_bytes = 0
        self._packed = self._packed_bytes = 0
        self._latency = 0.0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._packs = True
        self._max_pages = PAGES_PER_THREAD * workers
        self._max_ahead: float = self._max_pages
        self._stopped = False
        _readers.add(self)
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        # One thread at a time waits for the rate limit and chooses what is most urgent then; the others queue for this.
        self._choose_lock = threading.Lock()

    def __iter__(self) -> Iterator[SlicePage]:
        return self

    def __next__(self) -> SlicePage:
        try:
            slice_page = self._wait_for_page()
        except BaseException:
            self.close()
            raise
        if slice_page is None:
            self.close()
            raise StopIteration
        return slice_page

    def start(self) -> None:
        """Begin to request pages before the first is wanted."""
        with self._changed:
            self._start_thread()

    @property
    def pages_expected(self) -> float:
        """How many pages are still to be handed out, as far as those that came show."""
        with self._changed:
            return self._frontier.pages_expected

    @property
    def is_closed(self) -> bool:
        """Whether nothing more of it is wanted."""
        return self._stopped

    def close(self) -> None:
        """Request nothing more, and log nothing more of what is under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _wait_for_page(self) -> SlicePage | None:
        with self._changed:
            while not self._stopped and not self._frontier.is_done:
                if self._error is not None:
                    raise self._error
                slice_page = self._frontier.pop()
                if slice_page is not None:
                    self._held -= 1
                    self._held_bytes -= len(slice_page.page.held)
                    self._plain_bytes -= 0 if slice_page.page.is_packed else len(slice_page.page.held)
                    self._changed.notify_all()
                    return slice_page
                self._start_thread()
                self._changed.wait()
        return None

    def _start_thread(self) -> None:
        """Start one more thread, where there is work for it."""
        if self._threads < self._workers and self._frontier.has_work(self._free_pages()):
            self._threads += 1
            # Daemons: a thread that waits for a budget must not keep a process alive that wants to end.
            threading.Thread(target=self._run, daemon=True).start()

    def _free_pages(self) -> float:
        """How many more pages may be held, those in flight counted as held."""
        free = self._max_ahead - self._held - self._in_flight
        left = self._memory - self._held_bytes
        return min(free, left / self._mean_bytes() - self._in_flight) if self._received else free

    def _run(self) -> None:
        """Request pages in a thread of its own, and keep whatever ends it."""
        _thread.reader = self
        try:
            self._request_pages()
        except BaseException as error:  # noqa: BLE001 - as below; nobody must wait for a thread that is gone
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _request_pages(self) -> None:
        while True:
            with self._choose_lock:
                if not self._wait_for_work():
                    return
                permit = self._acquire()
                read = self._choose()
            if read is None:
                return
            read.permit = permit
            self._fetch_page(read)

    def _fetch_page(self, read: SliceRead) -> None:
        # On its own, so that no thread holds on to the page that it fetched last while it waits.
        began = time.monotonic()
        try:
            page = self._fetch(read)
            times = self._times(page)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self._store(read, error)
        else:
            self._store(read, page, times, time.monotonic() - began)

    def _wait_for_work(self) -> bool:
        """Wait until a page can be requested; whether anything is still wanted."""
        with self._changed:
            while not self._stopped and not self._frontier.has_work(self._free_pages()):
                self._changed.wait()
            return not self._stopped

    def _choose(self) -> SliceRead | None:
        """Choose the most urgent slice, None when all is stopped.

        A permit is kept when the slice that it was for is gone: an answer may have filled the memory meanwhile.
        """
        with self._changed:
            while not self._stopped:
                read = self._frontier.take(self._free_pages())
                if read is not None:
                    self._in_flight += 1
                    self._start_thread()
                    return read
                self._changed.wait()
        return None

    def _store(
        self, read: SliceRead, answer: RawPage | BaseException, times: PageTimes | None = None, seconds: float = 0.0
    ) -> None:
        """Take the answer to a request, or its error; ``seconds``: how long it took."""
        size = len(answer.held) if isinstance(answer, RawPage) else 0
        if isinstance(answer, RawPage) and not (answer.is_packed or self._reserve_plain(read, size)):
            answer = answer.packed()
        with self._changed:
            self._in_flight -= 1
            if isinstance(answer, BaseException):
                self._frontier.add_error(read, answer)
            else:
                self._held += 1
                self._held_bytes += len(answer.held)
                self._received += 1
                self._received_bytes += size
                if answer.is_packed:
                    self._packed += 1
                    self._packed_bytes += len(answer.held)
                self._latency += (seconds - self._latency) / min(self._received, 10)
                if answer.next is not None or not self._recent:
                    self._recent.append(seconds)
                self._adapt_slices()
                self._frontier.add_page(read, answer, times or PageTimes())
            self._changed.notify_all()

    def _reserve_plain(self, read: SliceRead, size: int) -> bool:
        """Whether a page of so many bytes may wait as it came; then it is counted."""
        with self._changed:
            waiting = self._plain_bytes if self._frontier.is_first(read) else self._held_bytes
            has_room = waiting + size <= self._memory * (_PLAIN_PART if self._packs else 1)
            self._plain_bytes += size if has_room else 0
        return has_room

    def _adapt_slices(self) -> None:
        """Adapt the size of slices, and how many pages are read ahead, to the size of pages and the latency."""
        slices = self._slices_at_once(min(self._recent))
        self._packs = self._memory < _MIN_PLAIN_PAGES * slices * self._received_bytes / self._received
        if self._packs:
            slices = min(self._workers, self._slices_at_once(self._latency))
        self._max_ahead = max(PAGES_PER_THREAD, min(self._max_pages, self._memory / self._mean_bytes()))
        # Each slice has all of its pages ahead: with more, fewer are half empty, but the first are longer in coming.
        self._frontier.pages_per_slice = max(2, min(MAX_PAGES_PER_SLICE, int(self._max_ahead / slices)))

    def _slices_at_once(self, latency: float) -> float:
        """How many slices to read at once: some more than would do if all were as dense as they are thought to be."""
        return 1.5 * (2 + self._rate * latency)

    def _mean_bytes(self) -> float:
        """The mean size of a page that waits."""
        if self._packs and self._packed:
            return max(1.0, self._packed_bytes / self._packed)
        return max(1.0, self._received_bytes / self._received / (_PACKED_PART if self._packs else 1))
