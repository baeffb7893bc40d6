"""A model of Klaviyo's paging, and a simulated read of it in which answers come in random order."""

from __future__ import annotations

import math
import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from klaviyo_client.api.operations import Operation, operation
from klaviyo_client.api.pages import RawPage
from tap_klaviyo.model import Collection, SlicePage
from tap_klaviyo.reading.frontier import Frontier, SliceRead
from tap_klaviyo.reading.page_times import PageTimes
from tap_klaviyo.reading.slices import SETTLE, conditions, plan_slices
from tap_klaviyo.rows.slice_rows import own_rows
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.tables import COLLECTIONS

LAST = "\uffff"
CONDITION = re.compile(r"(greater-or-equal|greater-than|less-than|less-or-equal)\((\w+),(.+)\)")
SECOND = timedelta(seconds=1)
EVER = datetime(1, 1, 1, tzinfo=UTC)

Key = tuple[datetime, str]


class Refused(Exception):
    """What Klaviyo answers 400 to."""


@dataclass(frozen=True)
class Answer(RawPage):
    """A page that remembers its rows."""

    rows: tuple[Key, ...] = ()


def answer(rows: Sequence[Key], following: str | None) -> Answer:
    return Answer(b"x" * 10 * len(rows), following, len(rows), (), tuple(rows))


def times_of(page: RawPage) -> PageTimes:
    assert isinstance(page, Answer)
    moments = [time for time, _ in page.rows]
    return PageTimes(moments[0], moments[-1], every=lambda: moments) if moments else PageTimes()


@dataclass(frozen=True)
class Kind:
    """A collection whose bookmark has certain operators."""

    collection: Collection
    operation: Operation

    @property
    def operators(self) -> frozenset[str]:
        assert self.collection.bookmark
        return self.operation.operators(self.collection.bookmark)


def _with_only(*operators: str) -> Kind:
    events = COLLECTIONS["events"]
    return Kind(events, replace(operation("get_events"), filters={"datetime": {"single": list(operators)}}))


KINDS = {
    "events": Kind(COLLECTIONS["events"], operation("get_events")),
    "profiles": Kind(COLLECTIONS["profiles"], operation("get_profiles")),
    "inclusive only": _with_only("greater-or-equal", "less-or-equal"),
    "> and <=": _with_only("greater-than", "less-or-equal"),
}


class Server:
    """Sorts by time and id, pages by cursor, and refuses what Klaviyo refuses.

    Args:
        kind: which operators there are.
        rows: the account: times by id.
        page_size: rows of a page.
        clock: the time.
        eager: whether a full page has a next page although that may be empty.
    """

    def __init__(
        self, kind: Kind, rows: Mapping[str, datetime], *, page_size: int, clock: datetime, eager: bool = False
    ) -> None:
        self.kind = kind
        self.page_size = page_size
        self.clock = clock
        self.calls = 0
        self._eager = eager
        self._rows = dict(rows)
        self._keys = sorted((time, name) for name, time in rows.items())
        self._cursors: dict[str, tuple[tuple[str, ...], Key]] = {}

    @property
    def rows(self) -> Mapping[str, datetime]:
        return self._rows

    def touch(self, name: str) -> None:
        """A row is changed now."""
        self._keys.remove((self._rows[name], name))
        self._rows[name] = self.clock
        self._keys.insert(bisect_left(self._keys, (self.clock, name)), (self.clock, name))

    def get(self, filters: Sequence[str], link: str | None) -> Answer:
        self.calls += 1
        after = None
        if link is not None:
            filters, after = self._cursors[link]
        first, last = self._window(filters)
        if after is not None:
            first = max(first, bisect_right(self._keys, after))
        rows = self._keys[first : min(first + self.page_size, last)]
        more = len(rows) == self.page_size if self._eager else first + len(rows) < last
        if not (rows and more):
            return answer(rows, None)
        following = f"cursor {len(self._cursors)}"
        self._cursors[following] = tuple(filters), rows[-1]
        return answer(rows, following)

    def _window(self, filters: Iterable[str]) -> tuple[int, int]:
        first, last = 0, len(self._keys)
        lowest = highest = None
        for text in filters:
            found = CONDITION.fullmatch(text)
            assert found, text
            operator, name, bound = found[1], found[2], datetime.fromisoformat(found[3])
            if name != self.kind.collection.bookmark or operator not in self.kind.operators:
                raise Refused(f"{text} cannot be asked for")
            if bound > self.clock - 5 * SECOND:
                raise Refused(f"{text} is in the future")
            side = (bound, LAST if operator in ("greater-than", "less-or-equal") else "")
            if operator.startswith("greater"):
                first, lowest = bisect_left(self._keys, side), bound
            else:
                last, highest = bisect_left(self._keys, side), bound
        # Klaviyo compares whole seconds.
        if lowest and highest and lowest.replace(microsecond=0) >= highest.replace(microsecond=0):
            raise Refused(f"{filters} is an empty window")
        return first, max(first, last)


@dataclass
class SimulatedRead:
    """One read of a server, as a page reader does it. Answers come at random times and in random order.

    Attributes:
        pages_per_slice: as the frontier takes it; None for another number every time.
        workers: how many answers may be waited for at once.
        broken: how likely an answer is an error.
        restless: how likely a row is touched between two steps.
        roomy: how likely there is room.
        others: what is read after it, each as a slice of its own.
        handed_out: the pages that were handed out so far, each with its slice's own rows.
    """

    server: Server
    now: datetime
    chance: random.Random
    since: datetime | None = None
    pages_per_slice: int | None = 4
    workers: int = 4
    broken: float = 0
    restless: float = 0
    roomy: float = 0.8
    others: Sequence[Server] = ()
    handed_out: list[tuple[SlicePage, tuple[Key, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (whole,) = plan_slices(self.server.kind.collection, since=self.since, now=self.now)
        self._servers = {str(at): server for at, server in enumerate((self.server, *self.others))}
        slices = [replace(whole, path={"id": name}) for name in self._servers]
        self.frontier = Frontier(slices, page_size=self.server.page_size, end=lambda: self.now - SETTLE)
        self._asked: list[tuple[SliceRead, Answer | Exception]] = []
        self.failures = self.most_asked = 0

    @property
    def handed(self) -> list[Key]:
        return [row for _, rows in self.handed_out for row in rows]

    def pages(self) -> Iterator[tuple[Key, ...]]:
        """The rows of each page that are its slice's own."""
        while not self.frontier.is_done:
            self._disturb()
            if self._asked and (len(self._asked) >= self.workers or self.chance.random() < 0.4):
                self._answer()
            elif self.chance.random() < 0.4 or not self._take():
                slice_page = self.frontier.pop()
                if slice_page is None:
                    # Whoever waits must be waiting for something.
                    assert self._asked or self.frontier.has_work(0)
                    continue
                yield self.own(slice_page)

    def run(self) -> SimulatedRead:
        for _ in self.pages():
            pass
        return self

    def _disturb(self) -> None:
        if self.chance.random() < self.restless:
            self.server.clock += timedelta(milliseconds=self.chance.randrange(3000))
            self.server.touch(self.chance.choice(list(self.server.rows)))

    def _take(self) -> bool:
        room = self.chance.choice((1.0, 3.0, math.inf, math.inf)) if self.chance.random() < self.roomy else 0.0
        read = self.frontier.take(room) if self.frontier.has_work(room) else None
        if read is None:
            return False
        self._check(read, room=room)
        server = self._servers[read.slice.path["id"]]
        filters = conditions(read.slice, self.server.kind.collection, self.server.kind.operation)
        fails = self.chance.random() < self.broken
        self._asked.append((read, ConnectionError() if fails else server.get(filters, read.link)))
        self.most_asked = max(self.most_asked, len(self._asked))
        return True

    def _check(self, read: SliceRead, *, room: float) -> None:
        reads = self.frontier._reads
        # Without room only what is next in turn is asked, after an error nothing.
        assert room or (read is reads[0] and not read.pages)
        assert all(other.error is None for other in reads[: reads.index(read)] if read in reads)
        if read.is_tail:
            # Nothing that comes before it is still to come.
            assert read is reads[0]
            start, stop = self.since or EVER, read.slice.start
            rows = self._servers[read.slice.path["id"]].rows
            assert stop
            assert self.restless or {(time, name) for name, time in rows.items() if start <= time < stop} <= set(
                self.handed
            )

    def _answer(self) -> None:
        read, found = self._asked.pop(self.chance.randrange(len(self._asked)))
        self.frontier.pages_per_slice = self.pages_per_slice or self.chance.randint(1, 6)
        if isinstance(found, Exception):
            self.failures += 1
            self.frontier.add_error(read, found)
        else:
            self.frontier.add_page(read, found, times_of(found))

    def own(self, slice_page: SlicePage) -> tuple[Key, ...]:
        """Record a page that was handed out; the rows of it that are its slice's own."""
        page = slice_page.page
        assert isinstance(page, Answer)
        cut = None if slice_page.cut is None else bookmark_text(slice_page.cut)
        own = own_rows(slice_page.slice, [bookmark_text(time) for time, _ in page.rows], cut)
        rows = tuple(page.rows[place] for place in own)
        self.handed_out.append((slice_page, rows))
        return rows


def account(times: Iterable[datetime], prefix: str = "") -> dict[str, datetime]:
    """Rows with these times."""
    return {f"{prefix}{at:06}": time.astimezone(UTC) for at, time in enumerate(times)}
