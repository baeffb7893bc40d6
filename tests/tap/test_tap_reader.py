"""Threads read, pages come in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from klaviyo_client.protocol import Page
from tap_klaviyo.model import Slice
from tap_klaviyo.reader import DEPTH, read

SLICES = [Slice({"id": str(number)}) for number in range(12)]


def pages(part: Slice, count: int = 3) -> Iterator[Page]:
    for number in range(count):
        yield Page([{"id": f"{part.path['id']}.{number}"}])


def test_pages_come_in_order_whatever_the_threads_do() -> None:
    """Early slices are slow here, and still come first."""

    def fetch(part: Slice) -> Iterator[Page]:
        for page in pages(part):
            time.sleep(0.002 * (12 - int(part.path["id"])))
            yield page

    found = [page.data[0]["id"] for _, page in read(SLICES, fetch, workers=4)]
    assert found == [f"{slice_}.{page}" for slice_ in range(12) for page in range(3)]


def test_an_error_comes_after_the_good_pages_before_it() -> None:
    """What was read is handed out; nothing of a later slice is."""

    def fetch(part: Slice) -> Iterator[Page]:
        yield from pages(part)
        if part.path["id"] == "2":
            raise RuntimeError("broken")

    seen: list[str] = []

    def consume() -> None:
        for _, page in read(SLICES, fetch, workers=4):
            seen.append(page.data[0]["id"])

    with pytest.raises(RuntimeError, match="broken"):
        consume()
    assert seen == [f"{slice_}.{page}" for slice_ in range(3) for page in range(3)]


def test_closing_early_stops_the_threads() -> None:
    """Whoever reads one row leaves nobody behind who goes on asking Klaviyo."""
    before = set(threading.enumerate())
    reading = read(SLICES, lambda part: pages(part, 1000), workers=4)
    next(reading)
    reading.close()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) - before == set()


def test_no_more_is_read_ahead_than_can_wait() -> None:
    """When stdout is slow, memory holds a few pages per thread, whatever the volume."""
    fetched = []

    def fetch(part: Slice) -> Iterator[Page]:
        for page in pages(part, 1000):
            fetched.append(page)
            yield page

    reading = read(SLICES, fetch, workers=3)
    next(reading)
    time.sleep(0.3)
    reading.close()
    assert len(fetched) <= 3 * (DEPTH + 1) + 1


def test_the_bound_holds_while_slices_end_and_begin() -> None:
    """A thread that is done takes the next slice only when a slice was handed out: from first page to last."""
    lock = threading.Lock()
    fetched = taken = 0
    ahead = []

    def fetch(part: Slice) -> Iterator[Page]:
        nonlocal fetched
        for page in pages(part, 1 + 3 * int(part.path["id"]) % 8):
            with lock:
                fetched += 1
                ahead.append(fetched - taken)
            yield page

    for _ in read(SLICES, fetch, workers=3):
        time.sleep(0.005)
        with lock:
            taken += 1
    assert fetched == taken == sum(1 + 3 * number % 8 for number in range(12))
    assert max(ahead) <= 3 * (DEPTH + 1) + 1  # the one is the page in the reader's hands


def test_a_first_error_is_raised_although_later_slices_are_good() -> None:
    """And stops the threads, too."""
    before = set(threading.enumerate())

    def fetch(part: Slice) -> Iterator[Page]:
        if part.path["id"] == "0":
            raise RuntimeError("broken")
        yield from pages(part, 1000)

    with pytest.raises(RuntimeError, match="broken"):
        next(read(SLICES, fetch, workers=4))
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) - before == set()


def test_nothing_to_read_is_read() -> None:
    """No slices, no pages, no threads."""
    assert list(read([], pages)) == []
