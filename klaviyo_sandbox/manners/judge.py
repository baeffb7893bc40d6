"""Judges what clients ask of an account: keeps a list of the breaches of good manners. Pure: time is an argument.

No verdict depends on how fast a machine is. Of a request nobody can see when it set out; but those that were on their
way when a 429 was sent are at most as many as the client has others under way at once. How many that can be is given,
or else the most connections that the client was seen to have open at once; what comes beyond has set out later. A
client that turns out to have more than was seen so far is excused afterwards.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from klaviyo_sandbox.manners.writes import doubles_when_repeated, may_double, tells_of

# A request for an operation before the `Retry-After` of its last 429 was over.
EARLY = "early"
# More than the announced budget, by a client that had a 429 of the operation before.
OVER_BUDGET = "over_budget"
# A write that doubles when it is done twice, sent again after an answer that may have been lost.
REPEATED_WRITE = "repeated_write"
# A key in a request to another origin than the client's first.
OTHER_ORIGIN = "other_origin"
# More requests than allowed that only repeat the one before, although it was answered.
REPETITION = "repetition"
KINDS = (EARLY, OVER_BUDGET, REPEATED_WRITE, OTHER_ORIGIN, REPETITION)

MAX_REPEATS = 100
# How many breaches are kept, the first ones; all are counted.
_KEPT = 1_000
# The account's clock and the client's are two: they need not run at the same pace to the last digit, and at the highest
# speed the smallest step of this one is some milliseconds. In seconds, and as a part of a pause.
_STEP = 0.01
_DRIFT = 0.001


class Connection(Protocol):
    """What a request came on."""

    def is_closing(self) -> bool: ...


@dataclass(frozen=True)
class Breach:
    """A request that a well-behaved client would not have made, or not then.

    Attributes:
        kind: one of ``KINDS``.
        reason: what is wrong with it, in words.
        operation: the operation's id; None when the request met none.
        at: when it came, by the account's clock, in seconds since 1970.
        client: what it calls itself: the header ``User-Agent``.
    """

    kind: str
    reason: str
    operation: str | None
    method: str
    path: str
    at: float
    client: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.method} {self.path}: {self.reason}"


@dataclass(eq=False)
class JudgedRequest:
    """A request, from when it arrives until it has its answer.

    Attributes:
        client: who sends it: a credential (none that could be used), and a name.
        host: the header.
        has_key: whether it has a credential.
        connection: what it came on; None when that is unknown.
        operation: the operation's id; None when it meets none.
        budget: name and (requests, seconds) of the windows of the budget that it is taken from; None without limits.
        body: of a write; b"" until it has been read.
        status: of the answer; 0 until there is one.
        is_answered: whether the answer was sent to its end.
    """

    client: tuple[str, str]
    method: str
    path: str
    query: str
    host: str
    has_key: bool
    connection: Connection | None
    operation: str | None
    budget: tuple[str, Sequence[tuple[int, int]]] | None = None
    body: bytes = b""
    status: int = 0
    is_answered: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether its client knows what became of it. What answers 408 and 5xx may stand before the account."""
        return self.is_answered and self.status not in (0, 408) and self.status < 500


@dataclass
class _Pause:
    """What a client's 429s of an operation ask for.

    Attributes:
        end: when it is over.
        until: the same, by a clock that runs a little faster.
        requests: how many came in it.
    """

    end: float = float("-inf")
    until: float = float("-inf")
    requests: int = 0


@dataclass
class _Window:
    """A client's requests in the present window of a budget; ``has_late_ones``: some may have set out before it."""

    number: int
    has_late_ones: bool
    count: int = 0


@dataclass
class _Client:
    """What is known of a client."""

    host: str | None = None
    connections: set[Connection] = field(default_factory=set)
    most_connections: int = 1
    pauses: dict[str, _Pause] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    windows: dict[tuple[str, int], _Window] = field(default_factory=dict)
    writes: dict[tuple[str, str, bytes], JudgedRequest] = field(default_factory=dict)
    latest: JudgedRequest | None = None
    repeats: int = 0
    # What is found of it, by kind and by how many requests under way would excuse it.
    found: Counter[tuple[str, float]] = field(default_factory=Counter)

    def add_connection(self, connection: Connection | None) -> None:
        if connection is not None and connection not in self.connections:
            self.connections = {one for one in self.connections if not one.is_closing()} | {connection}
            self.most_connections = max(self.most_connections, len(self.connections))


class Judge:
    """Judges requests as they arrive and are answered, in the order in which that happens.

    Args:
        in_flight: how many requests a client may have under way at once; None: as many as it has had connections.
        max_repeats: how many requests may only repeat the one before.
        allowed: kinds of breaches that are not listed.
    """

    def __init__(
        self, *, in_flight: int | None = None, max_repeats: int = MAX_REPEATS, allowed: Collection[str] = ()
    ) -> None:
        self._in_flight = in_flight
        self._max_repeats = max_repeats
        self._allowed = frozenset(allowed)
        self._clients: dict[tuple[str, str], _Client] = {}
        self._kept: list[tuple[Breach, _Client, float]] = []

    @property
    def counts(self) -> Counter[str]:
        """Kind -> how many breaches there were."""
        counts: Counter[str] = Counter()
        for client in list(self._clients.values()):
            under_way = self._under_way(client)
            for (kind, excused_by), count in list(client.found.items()):
                counts[kind] += count if under_way < excused_by else 0
        return +counts

    @property
    def count(self) -> int:
        """How many breaches there were."""
        return self.counts.total()

    def breaches(self) -> list[Breach]:
        """The breaches, oldest first; the first 1,000."""
        return [breach for breach, client, excused_by in self._kept.copy() if self._under_way(client) < excused_by]

    def arrive(self, request: JudgedRequest, now: float) -> None:
        """A request has arrived, perhaps without its body. ``now`` is the account's time."""
        client = self._clients.setdefault(request.client, _Client())
        client.add_connection(request.connection)
        self._check_origin(client, request, now)
        if not self._check_pause(client, request, now):
            self._check_budget(client, request, now)

    def complete(self, request: JudgedRequest, now: float) -> None:
        """The whole of a request is there, its body included."""
        client = self._clients[request.client]
        self._check_repeats(client, request, now)
        if may_double(request.operation):
            self._check_write(client, request, now)

    def answer(self, request: JudgedRequest, status: int, retry_after: float | None, now: float) -> None:
        """An answer begins. ``retry_after`` is in seconds, None where it names no time."""
        request.status = status
        client, operation = self._clients[request.client], request.operation
        if status == 429 and retry_after is not None and operation is not None:
            pause = client.pauses.setdefault(operation, _Pause())
            if now >= pause.until:
                pause.requests = 0
            pause.end = max(pause.end, now + retry_after)
            pause.until = max(pause.until, now + retry_after * (1 - _DRIFT) - _STEP)
        elif request.budget is not None:
            # Any other answer tells of the budget.
            client.announced.add(request.budget[0])

    def finish(self, request: JudgedRequest) -> None:
        """The answer was sent to its end."""
        request.is_answered = True
        client = self._clients[request.client]
        if may_double(request.operation) and request.is_settled:
            if client.writes.get(_content(request)) is request:
                del client.writes[_content(request)]
        elif request.method == "GET" and 200 <= request.status < 300 and client.writes:
            for content, write in list(client.writes.items()):
                if tells_of(request.path, write.operation or ""):
                    del client.writes[content]

    # The rules --------------------------------------------------------------------------------------------------------

    def _check_origin(self, client: _Client, request: JudgedRequest, now: float) -> None:
        if not request.has_key:
            return
        client.host = client.host or request.host
        if request.host != client.host:
            self._add(client, OTHER_ORIGIN, f"a key of {client.host} was sent to {request.host}", request, now)

    def _check_pause(self, client: _Client, request: JudgedRequest, now: float) -> bool:
        """Whether the request comes in a pause."""
        pause = client.pauses.get(request.operation or "")
        if pause is None or now >= pause.until:
            return False
        pause.requests += 1
        reason = f"{pause.until - now:.3g} s before the Retry-After of the last 429 was over"
        # One of those that may be under way was refused, the others may come.
        self._add(client, EARLY, reason, request, now, excused_by=pause.requests + 1)
        return True

    def _check_budget(self, client: _Client, request: JudgedRequest, now: float) -> None:
        pause = client.pauses.get(request.operation or "")
        if pause is None or request.budget is None or request.budget[0] not in client.announced:
            return
        name, windows = request.budget
        for limit, seconds in windows:
            number = int(now // seconds)
            window = client.windows.get((name, seconds))
            if window is None or window.number != number:
                # What comes after a pause that ended in this window has set out in it, too.
                window = client.windows[name, seconds] = _Window(number, int(pause.end // seconds) != number)
            window.count += 1
            if window.count > limit:
                reason = f"number {window.count} in {seconds} s that allow {limit}, after a 429"
                excused_by = window.count - limit if window.has_late_ones else math.inf
                self._add(client, OVER_BUDGET, reason, request, now, excused_by=excused_by)
                return

    def _check_write(self, client: _Client, request: JudgedRequest, now: float) -> None:
        before = client.writes.get(_content(request))
        client.writes[_content(request)] = request
        if before is None or before.operation is None:
            return
        # One that is still being answered is another write of the same content, not its repetition.
        was_lost = before.is_answered or (before.connection is not None and before.connection.is_closing())
        if was_lost and doubles_when_repeated(before.operation, request.body):
            said = f"{before.status} was answered" if before.is_answered else "the answer was lost"
            self._add(client, REPEATED_WRITE, f"{said}, and it may have been done", request, now)

    def _check_repeats(self, client: _Client, request: JudgedRequest, now: float) -> None:
        before, client.latest = client.latest, request
        # Who is told to come again, or to sign in, has a reason to.
        if before is None or not before.is_settled or before.status in (401, 429) or not _are_same(before, request):
            client.repeats = 0
            return
        client.repeats += 1
        if client.repeats > self._max_repeats:
            reason = f"number {client.repeats} that only repeats the one before"
            self._add(client, REPETITION, reason, request, now)

    def _under_way(self, client: _Client) -> int:
        """How many requests the client may have under way at once."""
        return client.most_connections if self._in_flight is None else self._in_flight

    def _add(
        self,
        client: _Client,
        kind: str,
        reason: str,
        request: JudgedRequest,
        now: float,
        excused_by: float = math.inf,
    ) -> None:
        """List a breach, unless it is none where the client may have ``excused_by`` requests under way."""
        if kind in self._allowed or self._under_way(client) >= excused_by:
            return
        # More than ever are under way need not be told apart.
        client.found[kind, excused_by if excused_by < _KEPT else math.inf] += 1
        if len(self._kept) < _KEPT:
            name = request.client[1]
            breach = Breach(kind, reason, request.operation, request.method, request.path, now, name)
            self._kept.append((breach, client, excused_by))


def _content(request: JudgedRequest) -> tuple[str, str, bytes]:
    return request.path, request.query, request.body


def _are_same(one: JudgedRequest, other: JudgedRequest) -> bool:
    return one.method == other.method and _content(one) == _content(other)
