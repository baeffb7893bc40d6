"""Rows on their way: several batches at once, and one person's rows one after another.

Each queue (the rows of one stream and action) has lanes. A lane fills up while its last batch is under way, and never
has two under way; whoever has rows in a lane gets the next one there too. So nobody's rows overtake each other. Those
of another queue they may overtake, unless one takes what the other gives: who subscribed and then unsubscribed is off.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from queue import Empty, SimpleQueue
from typing import Final, Literal

from klaviyo_client.errors import Incomplete
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Action, Row, Unit
from target_klaviyo.delivery.batches import turns
from target_klaviyo.delivery.session import Session
from target_klaviyo.delivery.stopping import Stop, Stopped
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Outcome, OutcomeKind

_LOOK_SECONDS = 0.5


Settle = Callable[[Row, Outcome], None]


@dataclass(eq=False)
class _Lane:
    rows: list[Row] = field(default_factory=list)
    identifiers: set[Identifier] = field(default_factory=set)
    size: int = 0
    flying: set[Identifier] | None = None


@dataclass(frozen=True)
class _Ended:
    queue: Queue
    lane: _Lane
    error: BaseException | None


# Nothing came back: whoever waits shall look up.
_WAKE: Final = "wake"
_Answer = tuple[Unit, Outcome] | _Ended | Literal["wake"]


@dataclass(eq=False)
class Queue:
    """The rows of one stream and action.

    Args:
        action: sends itself; an action that is made of others has no queue.
        stream: whose rows they are.
        max_rows: rows to send at once.
        width: batches that may be under way at once.
        removes: what its rows so far may remove.
    """

    action: Action
    stream: str
    max_rows: int
    width: int
    removes: frozenset[str] = frozenset()
    _lanes: list[_Lane] = field(default_factory=list)
    _filling: _Lane | None = None

    @property
    def lanes(self) -> Sequence[_Lane]:
        return self._lanes

    def holders(self, mine: Sequence[Identifier]) -> list[_Lane]:
        """The lanes that have rows of the same person."""
        return [
            lane
            for lane in self._lanes
            if not (lane.identifiers.isdisjoint(mine) and (lane.flying is None or lane.flying.isdisjoint(mine)))
        ]

    def crosses(self, action: Action, takes: frozenset[str]) -> bool:
        """Whether its rows must keep their order with a row of this action that takes so much."""
        return not (self.action.adds.isdisjoint(takes) and self.removes.isdisjoint(action.adds))

    def filling(self) -> _Lane:
        """The lane for people who have no row under way."""
        lane = self._filling
        if lane is None or lane.flying is not None:
            idle = [other for other in self._lanes if other.flying is None]
            if not idle and len(self._lanes) < self.width:
                self._lanes.append(_Lane())
                idle = self._lanes[-1:]
            # The fullest of those that can go; else the emptiest of those that must wait.
            lane = max(idle, key=_weight) if idle else min(self._lanes, key=_weight)
            self._filling = lane
        return lane

    def is_full(self, lane: _Lane) -> bool:
        """Whether a lane's rows fill a request, by count or by bytes."""
        limit = self.action.max_bytes
        # One more row of the largest size must still fit, or the batch would need a second, nearly empty request.
        heavy = limit is not None and lane.size >= limit - 2 * (self.action.max_item_bytes or 0)
        return heavy or len(lane.rows) >= self.max_rows


class Despatch:
    """Sends rows in threads; everything else happens in the thread that calls.

    Args:
        session: what the actions share.
        settle: told of every row that has its outcome.
        width: batches of one queue that may be under way at once, times its action's lanes.
        max_rows: rows to send at once at most, where the user wants fewer than Klaviyo takes.
        stop: bounds how long ``land`` waits.
    """

    def __init__(
        self, session: Session, settle: Settle, *, width: int, max_rows: int | None = None, stop: Stop | None = None
    ) -> None:
        self._session = session
        self._settle = settle
        self._width = width
        self._max_rows = max_rows
        self._queues: dict[tuple[str, str], Queue] = {}
        self._stop = stop or Stop()
        self._answers: SimpleQueue[_Answer] = SimpleQueue()
        self._next: deque[tuple[str, Action, Row]] = deque()
        # What will be given to whom by what is to be done next with records; none of it takes anything.
        self._promised: Counter[tuple[Identifier, str]] = Counter()
        self._flying = 0
        self._error: BaseException | None = None

    def put(self, stream: str, action: Action, row: Row) -> None:
        """Let a row wait for its batch, and send the batch when it is full.

        Raises:
            Exception: what kept an earlier batch from its outcomes.
        """
        while self._is_promised(action, row):
            self.hurry()
            if self._flying:
                self._wait()
            self.poll()
        for step in _following(row):
            self._promise(step)
        self._put(stream, action, row)
        self.poll()

    def poll(self) -> None:
        """Take in what came back meanwhile, without waiting.

        Raises:
            Exception: what kept a batch from its outcomes.
        """
        while not self._answers.empty():  # nobody else takes from it
            self._take(self._answers.get_nowait())
        self._go_on()
        if self._error is not None:
            raise self._error

    def hurry(self) -> None:
        """Send what waits as far as its lane is free, full or not, without waiting for it."""
        for queue in list(self._queues.values()):
            for lane in queue.lanes:
                if lane.rows and lane.flying is None:
                    self._send(queue, lane)

    def flush(self) -> None:
        """Send everything and wait until it has its outcome.

        Raises:
            Exception: what kept a batch from its outcomes.
        """
        while True:
            self.poll()
            self.hurry()
            if not self._flying and not self._next:
                return
            self._wait()

    def stop(self) -> None:
        """Send nothing more: whoever puts or flushes is told by ``Stopped``. May be called by a signal's handler."""
        self._error = self._error or Stopped()
        self._answers.put(_WAKE)

    def land(self, after_each: Callable[[], None] = lambda: None) -> None:
        """Send nothing more; wait for what is under way, with a bound when the run was asked to stop.

        What has no answer by then comes again, as after a kill.

        Args:
            after_each: called whenever something has its outcome.
        """
        self.stop()
        while self._flying:
            # Looked at anew all the time: the signal may come while this waits.
            if not self._stop.left:
                return
            try:
                self._take(self._answers.get(timeout=min(_LOOK_SECONDS, self._stop.left)))
            except Empty:
                continue
            after_each()

    def _put(self, stream: str, action: Action, row: Row) -> None:
        queue = self._queue(stream, action)
        mine = _names(action, row)
        takes = action.removes(row.batch_key)
        queue.removes |= takes
        for other in self._queues.values():
            while other is not queue and other.crosses(action, takes) and (before := other.holders(mine)):
                self._clear(other, before)
        holders = queue.holders(mine)
        while len(holders) > 1:  # one person known by two names: what is under way of both comes first
            self._clear(queue, holders)
            holders = queue.holders(mine)
        lane = holders[0] if holders else queue.filling()
        if queue.is_full(lane):  # it fills while its last batch is under way
            self._clear(queue, [lane])
        lane.rows.append(row)
        lane.identifiers.update(mine)
        lane.size += len(row.body) + 1
        if queue.is_full(lane) and lane.flying is None:
            self._send(queue, lane)

    def _queue(self, stream: str, action: Action) -> Queue:
        key = (stream, action.name)
        if key not in self._queues:
            limit = min(action.max_items, self._max_rows or action.max_items)
            self._queues[key] = Queue(action, stream, limit, self._width * action.concurrency_factor)
        return self._queues[key]

    def _clear(self, queue: Queue, lanes: Sequence[_Lane]) -> None:
        """Send these lanes' rows and wait until they have room again."""
        for lane in lanes:
            while lane.flying is not None:
                self._wait()
            if lane.rows:
                self._send(queue, lane)
        if len(lanes) > 1:
            for lane in lanes:
                while lane.flying is not None:
                    self._wait()

    def _send(self, queue: Queue, lane: _Lane) -> None:
        if self._error is not None:
            raise self._error
        rows, lane.rows, lane.size = lane.rows, [], 0
        lane.flying, lane.identifiers = lane.identifiers, set()
        self._flying += 1
        # Daemons: a thread that waits for a job must not keep a process alive that wants to end.
        threading.Thread(target=self._fly, args=(queue, lane, rows), daemon=True).start()

    def _fly(self, queue: Queue, lane: _Lane, rows: Sequence[Row]) -> None:
        error: BaseException | None = None
        settled = 0
        try:
            for unit, outcome in _delivered(queue, self._session, rows):
                self._answers.put((unit, outcome))
                settled += len(unit.rows)
        except BaseException as failure:  # noqa: BLE001 - handed to the main thread, which raises it
            error = failure
        else:
            if settled != len(rows):
                lost = f"{len(rows)} records were sent and {settled} outcomes came back"
                error = Incomplete(f"{queue.stream}: {lost}")
        self._answers.put(_Ended(queue, lane, error))

    def _wait(self) -> None:
        self._take(self._answers.get())
        if isinstance(self._error, Stopped):
            raise self._error

    def _take(self, answer: _Answer) -> None:
        if answer == _WAKE:
            return
        if isinstance(answer, _Ended):
            answer.lane.flying = None
            self._flying -= 1
            self._error = self._error or answer.error
            if self._error is None and answer.queue.is_full(answer.lane):
                self._send(answer.queue, answer.lane)
            return
        unit, outcome = answer
        for row in unit.rows:
            self._settle(row, responses.noted(outcome, row.note))
            if row.next_step is not None:
                self._follow(row.next_step, outcome)

    def _follow(self, then: tuple[Action, Row], outcome: Outcome) -> None:
        """What was to be done next with a record: it is done, or not when what came before it was refused."""
        action, row = then
        if outcome.kind is not OutcomeKind.REJECTED:
            self._next.append((row.source.stream, action, row))
            return
        self._promise(then, -1)
        self._settle(row, outcome)
        if row.next_step is not None:
            self._follow(row.next_step, outcome)

    def _go_on(self) -> None:
        """Put what is to be done with records after what was done with them."""
        while self._next and self._error is None:
            stream, action, row = self._next.popleft()
            self._put(stream, action, row)
            self._promise((action, row), -1)

    def _promise(self, step: tuple[Action, Row], count: int = 1) -> None:
        action, row = step
        for promise in product(_names(action, row), action.adds):
            self._promised[promise] += count
            if not self._promised[promise]:
                del self._promised[promise]

    def _is_promised(self, action: Action, row: Row) -> bool:
        """Whether something is still to be given to the row's person that the row takes."""
        if not self._promised:
            return False
        takes = action.removes(row.batch_key)
        return any(promise in self._promised for promise in product(_names(action, row), takes))


def _delivered(queue: Queue, session: Session, rows: Sequence[Row]) -> Iterator[tuple[Unit, Outcome]]:
    if queue.action.deliver is None:
        raise TypeError(f"the action {queue.action.name} is made of others and sends nothing itself")
    for turn in turns(rows, queue.action.profile_of):
        yield from queue.action.deliver(session, turn)


def _names(action: Action, row: Row) -> tuple[Identifier, ...]:
    return tuple(identifiers_of(action.profile_of(row.payload)).items())


def _following(row: Row) -> Iterator[tuple[Action, Row]]:
    """What is to be done with the record after this."""
    while row.next_step is not None:
        yield row.next_step
        row = row.next_step[1]


def _weight(lane: _Lane) -> int:
    return len(lane.rows)
