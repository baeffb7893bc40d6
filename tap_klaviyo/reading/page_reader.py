"""Slices are read by threads, pages are handed out in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from klaviyo_client.api.pages import RawPage
from klaviyo_client.http.rate_limits import Turn
from tap_klaviyo.model import SlicePage
from tap_klaviyo.reading.frontier import Frontier, Part, Times

# Bytes of packed pages that may wait to be handed out, whatever the volume: some 200 pages of events.
MEMORY = 45_000_000
# Where pages are small, so many for each thread.
DEPTH = 12
# A slice is read page after page: longer ones would waste hardly fewer calls, and be long in coming.
MOST_PAGES = 60


def no_turns() -> Turn | None:
    """For pages that nobody counts."""
    return None


def no_times(page: RawPage) -> Times:  # noqa: ARG001
    """For pages without an order."""
    return Times()


class Reading:
    """Every page, in the frontier's order, once; ``close`` ends it early. It may be passed from thread to thread.

    An error in a slice is raised when its turn comes, after the good pages before it.

    Args:
        frontier: what to read.
        fetch: gets the next page of a part; called by the threads.
        workers: how many threads may wait for answers at once.
        turn: waits until one more request may be sent. What to ask for is chosen after that, by what is known then,
            and is given the turn to send it with.
        rate: requests a second that the turns will come to.
        times: a page's first and last bookmark.
        memory: bytes of packed pages that may wait to be handed out.
    """

    def __init__(
        self,
        frontier: Frontier,
        fetch: Callable[[Part], RawPage],
        *,
        workers: int,
        turn: Callable[[], Turn | None] = no_turns,
        rate: float = 1.0,
        times: Callable[[RawPage], Times] = no_times,
        memory: int = MEMORY,
    ) -> None:
        self._frontier = frontier
        self._fetch = fetch
        self._turn = turn
        self._rate = rate
        self._times = times
        self._workers = workers
        self._memory = memory
        self._threads = 0
        self._asking = 0
        self._held = self._held_bytes = 0
        self._seen = self._seen_bytes = 0
        self._latency = 0.0
        self._most_ahead = DEPTH * workers
        self._stopped = False
        self._broken: BaseException | None = None
        self._changed = threading.Condition()
        # Whoever is inside waits for the budget and takes what is most urgent then; the others wait behind.
        self._door = threading.Lock()

    def __iter__(self) -> Iterator[SlicePage]:
        return self

    def __next__(self) -> SlicePage:
        try:
            taken = self._wait_for_page()
        except BaseException:
            self.close()
            raise
        if taken is None:
            self.close()
            raise StopIteration
        return taken

    def begin(self) -> None:
        """Begin to ask before the first page is wanted."""
        with self._changed:
            self._staff()

    def close(self) -> None:
        """Ask for nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _wait_for_page(self) -> SlicePage | None:
        with self._changed:
            while not self._stopped and not self._frontier.done:
                if self._broken is not None:
                    raise self._broken
                taken = self._frontier.pop()
                if taken is not None:
                    self._held -= 1
                    self._held_bytes -= len(taken.page.packed)
                    self._changed.notify_all()
                    return taken
                self._staff()
                self._changed.wait()
        return None

    def _staff(self) -> None:
        """One thread more, where there is work for it."""
        if self._threads < self._workers and self._frontier.has_work(self._room()):
            self._threads += 1
            # Daemons: a thread that waits for a budget must not keep a process alive that wants to end.
            threading.Thread(target=self._work, daemon=True).start()

    def _room(self) -> float:
        """How many more pages may be held, those that are being fetched taken as held."""
        mean = self._seen_bytes / self._seen if self._seen else 0.0
        free = self._most_ahead - self._held - self._asking
        return min(free, (self._memory - self._held_bytes) / mean - self._asking) if mean else free

    def _work(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - as below; nobody must wait for a thread that is gone
            with self._changed:
                self._broken = error
                self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            with self._door:
                if not self._wait_for_work():
                    return
                turn = self._turn()
                part = self._take()
            if part is None:
                return
            part.turn = turn
            began = time.monotonic()
            try:
                page = self._fetch(part)
                times = self._times(page)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                self._note(part, error)
            else:
                self._note(part, page, times, time.monotonic() - began)

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._stopped and not self._frontier.has_work(self._room()):
                self._changed.wait()
            return not self._stopped

    def _take(self) -> Part | None:
        """What is most urgent now. The turn is kept when its work is gone: an answer may have filled the memory."""
        with self._changed:
            while not self._stopped:
                part = self._frontier.take(self._room())
                if part is not None:
                    self._asking += 1
                    self._staff()
                    return part
                self._changed.wait()
        return None

    def _note(
        self, part: Part, answer: RawPage | BaseException, times: Times | None = None, seconds: float = 0.0
    ) -> None:
        with self._changed:
            self._asking -= 1
            if isinstance(answer, BaseException):
                self._frontier.failed(part, answer)
            else:
                self._held += 1
                self._held_bytes += len(answer.packed)
                self._seen += 1
                self._seen_bytes += len(answer.packed)
                self._latency += (seconds - self._latency) / min(self._seen, 10)
                self._adapt()
                self._frontier.answered(part, answer, times or Times())
            self._changed.notify_all()

    def _adapt(self) -> None:
        """Fit slices, and what is read ahead, to what Klaviyo has shown."""
        room = min(DEPTH * self._workers, self._memory * self._seen / max(1, self._seen_bytes))
        # Slices to read at once, some more than would do if all were as dense as it was thought to be. Each has all of
        # its pages ahead: the more pages, the fewer half-empty ones, but the longer until the first of them come.
        needed = min(self._workers, 1.5 * (2 + self._rate * self._latency))
        pages = max(2, min(MOST_PAGES, int(room / needed)))
        self._frontier.pages_per_slice = pages
        self._most_ahead = min(DEPTH * self._workers, max(DEPTH, round(needed * pages)))
