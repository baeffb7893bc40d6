"""Slices are read by threads, pages are handed out in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from klaviyo_client.protocol import RawPage
from tap_klaviyo.frontier import Frontier, Part, Taken, Times

# Bytes of pages that may wait to be handed out, whatever the volume; a page of events has two million.
MEMORY = 80_000_000
# Where pages are small, so many for each thread.
DEPTH = 4


def no_turns() -> None:
    """For pages that nobody counts."""


def no_times(page: RawPage) -> Times:  # noqa: ARG001
    """For pages without an order."""
    return Times()


def read(
    frontier: Frontier,
    fetch: Callable[[Part], RawPage],
    *,
    workers: int,
    turn: Callable[[], None] = no_turns,
    times: Callable[[RawPage], Times] = no_times,
) -> Iterator[Taken]:
    """Every page, in the frontier's order.

    An error in a slice is raised when its turn comes, after the good pages before it.

    Args:
        frontier: what to read.
        fetch: gets the next page of a part; called by the threads.
        workers: how many threads may wait for answers at once.
        turn: waits until one more request may be sent. What to ask for is chosen after that, by what is known then.
        times: a page's first and last bookmark.
    """
    reading = _Reading(frontier, fetch, workers, turn, times)
    try:
        yield from reading.pages()
    finally:
        reading.stop()


class _Reading:
    def __init__(
        self,
        frontier: Frontier,
        fetch: Callable[[Part], RawPage],
        workers: int,
        turn: Callable[[], None],
        times: Callable[[RawPage], Times],
    ) -> None:
        self._frontier = frontier
        self._fetch = fetch
        self._turn = turn
        self._times = times
        self._workers = workers
        self._threads = 0
        self._asking = 0
        self._held = self._held_bytes = 0
        self._seen = self._seen_bytes = 0
        self._stopped = False
        self._changed = threading.Condition()
        # Whoever is inside waits for the budget and takes what is most urgent then; the others wait behind.
        self._door = threading.Lock()

    def pages(self) -> Iterator[Taken]:
        while (taken := self._wait_for_page()) is not None:
            yield taken

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _wait_for_page(self) -> Taken | None:
        with self._changed:
            while not self._frontier.done:
                taken = self._frontier.pop()
                if taken is not None:
                    self._held -= 1
                    self._held_bytes -= len(taken.page.body)
                    self._changed.notify_all()
                    return taken
                self._staff()
                self._changed.wait()
        return None

    def _staff(self) -> None:
        """One thread more, where there is work for it."""
        if self._threads < self._workers and self._frontier.has_work(room=self._has_room()):
            self._threads += 1
            # Daemons: a thread that waits for a budget must not keep a process alive that wants to end.
            threading.Thread(target=self._work, daemon=True).start()

    def _has_room(self) -> bool:
        ahead = self._held + self._asking
        mean = self._seen_bytes / self._seen if self._seen else 0
        return ahead < DEPTH * self._workers and self._held_bytes + self._asking * mean < MEMORY

    def _work(self) -> None:
        while True:
            with self._door:
                if not self._wait_for_work():
                    return
                self._turn()
                with self._changed:
                    part = None if self._stopped else self._frontier.take(room=self._has_room())
                    if part is None:
                        continue
                    self._asking += 1
                    self._staff()
            try:
                page = self._fetch(part)
                times = self._times(page)
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                self._note(part, error)
            else:
                self._note(part, page, times)

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._stopped and not self._frontier.has_work(room=self._has_room()):
                self._changed.wait()
            return not self._stopped

    def _note(self, part: Part, answer: RawPage | BaseException, times: Times | None = None) -> None:
        with self._changed:
            self._asking -= 1
            if isinstance(answer, BaseException):
                self._frontier.failed(part, answer)
            else:
                self._held += 1
                self._held_bytes += len(answer.body)
                self._seen += 1
                self._seen_bytes += len(answer.body)
                self._frontier.pages_per_slice = self._affordable()
                self._frontier.answered(part, answer, times or Times())
            self._changed.notify_all()

    def _affordable(self) -> int:
        """Pages of a slice: the more the fewer half-empty ones, but those that are read ahead wait in memory.

        Of the slices that are being read, each holds half of its pages on average.
        """
        pages = min(MEMORY * self._seen / max(1, self._seen_bytes), DEPTH * self._workers)
        return max(2, min(40, int(2 * pages / (self._asking + 1))))
