"""A downloader that decodes no row: it fetches pages of concurrent time windows and follows their next links.

    python benchmarks/bare.py "list members" http://127.0.0.1:8765 8

Its rate is what the sandbox can serve. It writes one empty line for every row.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from urllib.parse import urlencode, urlsplit

from subjects import HEADERS, SUBJECTS, Subject

# The account's two years, in windows that are short enough to keep every thread busy until the end.
END = datetime(2026, 6, 1, tzinfo=UTC)
START, WINDOWS = END - timedelta(days=730), 2000
# The list that holds a tenth of the profiles.
LARGE = "Newsletter"


class Bare:
    """Fetches one collection, window by window, with threads."""

    def __init__(self, subject: Subject, url: str) -> None:
        self._subject = subject
        self._host = urlsplit(url).netloc
        self._lock = threading.Lock()
        self._windows: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def read(self, threads: int) -> None:
        for path in self._paths():
            for query in self._queries():
                self._windows.put((path, query))
        running = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def _paths(self) -> list[str]:
        if self._subject.stream != "list_profiles":
            return [f"/api/{self._subject.stream}"]
        connection = http.client.HTTPConnection(self._host)
        url = "/api/lists?" + urlencode({"filter": f'any(name,["{LARGE}"])'})
        (row,) = json.loads(self._fetch(connection, url))["data"]
        return [f"/api/lists/{row['id']}/profiles"]

    def _queries(self) -> Iterator[str]:
        name = self._subject.bookmark
        step = (END - START) / WINDOWS
        # In no order: there is nothing in the first weeks or the last, depending on the collection.
        for number in random.Random(1).sample(range(WINDOWS), WINDOWS):
            low, high = (f"{START + step * edge:%Y-%m-%dT%H:%M:%SZ}" for edge in (number, number + 1))
            conditions = f"and(greater-than({name},{low}),less-than({name},{high}))"
            size = str(self._subject.budget.rows)
            yield urlencode({**self._subject.query, "sort": name, "page[size]": size, "filter": conditions})

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._host)
        while True:
            try:
                path, query = self._windows.get_nowait()
            except Empty:
                return
            url: str | None = f"{path}?{query}"
            while url:
                body = self._fetch(connection, url)
                tail = json.loads(body[body.rindex(b'"links":') + 8 : -1])
                # Rows of the page itself, and not what is included with them.
                rows = body.count(b'{"type":"%b","id"' % self._subject.kind.encode(), 0, _end_of_data(body))
                with self._lock:
                    sys.stdout.buffer.write(b"\n" * rows)
                    sys.stdout.buffer.flush()
                url = tail.get("next") and tail["next"].partition(self._host)[2]

    def _fetch(self, connection: http.client.HTTPConnection, url: str) -> bytes:
        while True:
            connection.request("GET", url, headers=HEADERS)
            response = connection.getresponse()
            body = response.read()
            if response.status == http.client.OK:
                return body
            if response.status != http.client.TOO_MANY_REQUESTS:
                raise RuntimeError(f"{response.status} for {url}: {body[:300]!r}")
            time.sleep(float(response.headers["Retry-After"]))


def _end_of_data(body: bytes) -> int:
    end = body.find(b'],"included":[')
    return len(body) if end < 0 else end


if __name__ == "__main__":
    Bare(SUBJECTS[sys.argv[1]], sys.argv[2]).read(int(sys.argv[3]))
