"""The dispatcher: sends rows in batches with threads, several batches at once; rows of one person stay in order.

Each queue (the rows of one stream and action) has slots. A slot fills while its last batch is in flight, and never has
two in flight; a person's next row goes into the slot that holds their rows. So no row of a person overtakes another.
It may overtake rows of another queue, unless one removes what the other adds: whoever subscribed and then unsubscribed
must end up unsubscribed.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from queue import Empty, SimpleQueue
from typing import Final, Literal

from klaviyo_client.errors import Incomplete
from target_klaviyo.delivery import responses
from target_klaviyo.delivery.action import Action, Row, Unit
from target_klaviyo.delivery.batch_queue import Queue, Slot
from target_klaviyo.delivery.batches import ordered_groups
from target_klaviyo.delivery.graceful_stop import GracefulStop, Stopped
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Outcome, OutcomeKind

_POLL_SECONDS = 0.5

OnOutcome = Callable[[Row, Outcome], None]


@dataclass(frozen=True)
class _BatchEnd:
    """Message of a thread: its batch is through, or broke off with an error."""

    queue: Queue
    slot: Slot
    error: BaseException | None


# Message without content: whoever waits shall look again whether to go on.
_WAKE: Final = "wake"
_Message = tuple[Unit, Outcome] | _BatchEnd | Literal["wake"]


class Dispatcher:
    """Sends rows in threads; everything else happens in the thread that calls.

    Args:
        session: what the actions share.
        on_outcome: called with every row that has its outcome.
        max_in_flight: batches of one queue that may be in flight at once, times its action's ``concurrency_factor``.
        max_rows: rows to send at once at most, where the user wants fewer than Klaviyo takes.
        stop: bounds how long ``drain`` waits.
    """

    def __init__(
        self,
        session: Session,
        on_outcome: OnOutcome,
        *,
        max_in_flight: int,
        max_rows: int | None = None,
        stop: GracefulStop | None = None,
    ) -> None:
        self._session = session
        self._on_outcome = on_outcome
        self._max_in_flight = max_in_flight
        self._max_rows = max_rows
        self._queues: dict[tuple[str, str], Queue] = {}
        self._stop = stop or GracefulStop()
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        self._next_steps: deque[tuple[str, Action, Row]] = deque()
        # What next steps that have not begun will add to whom; none of them removes anything.
        self._expected: Counter[tuple[Identifier, str]] = Counter()
        self._in_flight = 0
        self._error: BaseException | None = None

    def add(self, stream: str, action: Action, row: Row) -> None:
        """Let a row wait for its batch, and send the batch when it is full.

        Raises:
            Exception: what kept an earlier batch from its outcomes.
        """
        while self._removes_expected(action, row):
            self.send_waiting()
            if self._in_flight:
                self._wait()
            self.poll()
        self._finish_those_before(action.after(row.payload))
        for step in _steps_after(row):
            self._expect(step)
        self._add_to_slot(stream, action, row)
        self.poll()

    def poll(self) -> None:
        """Handle what came back meanwhile, without waiting.

        Raises:
            Exception: what kept a batch from its outcomes.
        """
        while not self._messages.empty():  # nobody else takes from it
            self._handle(self._messages.get_nowait())
        self._start_next_steps()
        if self._error is not None:
            raise self._error

    def send_waiting(self) -> None:
        """Send the rows of every slot without a batch in flight, full or not, and do not wait for them."""
        for queue in list(self._queues.values()):
            for slot in queue.slots:
                if slot.rows and slot.in_flight is None:
                    self._send(queue, slot)

    def flush(self) -> None:
        """Send everything and wait until it has its outcome.

        Raises:
            Exception: what kept a batch from its outcomes.
        """
        while True:
            self.poll()
            self.send_waiting()
            if not self._in_flight and not self._next_steps:
                return
            self._wait()

    def stop(self) -> None:
        """Send nothing more: ``add`` and ``flush`` raise ``Stopped``. May be called by a signal's handler."""
        self._error = self._error or Stopped()
        self._messages.put(_WAKE)

    def drain(self, after_each: Callable[[], None] = lambda: None) -> None:
        """Send nothing more; wait for what is in flight, with a bound when the run was asked to stop.

        What has no answer by then comes again, as after a kill.

        Args:
            after_each: called whenever something has its outcome.
        """
        self.stop()
        while self._in_flight:
            # Looked at anew all the time: the signal may come while this waits.
            if not self._stop.seconds_left:
                return
            try:
                self._handle(self._messages.get(timeout=min(_POLL_SECONDS, self._stop.seconds_left)))
            except Empty:
                continue
            after_each()

    def _add_to_slot(self, stream: str, action: Action, row: Row) -> None:
        queue = self._queue(stream, action)
        person = _person_of(action, row)
        removes = action.removes(row.batch_key)
        queue.removes |= removes
        for other in self._queues.values():
            while other is not queue and other.keeps_order_with(action, removes) and (slots := other.slots_of(person)):
                self._make_room(other, slots)
        slots = queue.slots_of(person)
        while len(slots) > 1:  # one person known by two identifiers: the rows of both go first
            self._make_room(queue, slots)
            slots = queue.slots_of(person)
        slot = slots[0] if slots else queue.open_slot()
        if queue.is_full(slot):  # its last batch is still in flight
            self._make_room(queue, [slot])
        slot.rows.append(row)
        slot.identifiers.update(person)
        slot.size += len(row.body) + 1
        if queue.is_full(slot) and slot.in_flight is None:
            self._send(queue, slot)

    def _queue(self, stream: str, action: Action) -> Queue:
        key = (stream, action.name)
        if key not in self._queues:
            limit = min(action.max_items, self._max_rows or action.max_items)
            self._queues[key] = Queue(action, stream, limit, self._max_in_flight * action.concurrency_factor)
        return self._queues[key]

    def _make_room(self, queue: Queue, slots: Sequence[Slot]) -> None:
        """Send the rows that wait in these slots, each after the slot's last batch. Of several, wait until all ended.

        A single slot may still have its batch in flight then: a row that is added to it keeps its place anyway.
        """
        for slot in slots:
            self._wait_until_idle(slot)
            if slot.rows:
                self._send(queue, slot)
        if len(slots) > 1:
            for slot in slots:
                self._wait_until_idle(slot)

    def _wait_until_idle(self, slot: Slot) -> None:
        while slot.in_flight is not None:
            self._wait()

    def _send(self, queue: Queue, slot: Slot) -> None:
        if self._error is not None:
            raise self._error
        rows, slot.rows, slot.size = slot.rows, [], 0
        slot.in_flight, slot.identifiers = slot.identifiers, set()
        self._in_flight += 1
        # Daemons: a thread that waits for a job must not keep a process alive that wants to end.
        threading.Thread(target=self._deliver, args=(queue, slot, rows), daemon=True).start()

    def _deliver(self, queue: Queue, slot: Slot, rows: Sequence[Row]) -> None:
        """Deliver one batch; the work of a thread, which hands back outcomes as messages."""
        error: BaseException | None = None
        outcomes = 0
        try:
            for unit, outcome in _unit_outcomes(queue, self._session, rows):
                self._messages.put((unit, outcome))
                outcomes += len(unit.rows)
        except BaseException as failure:  # noqa: BLE001 - handed to the main thread, which raises it
            error = failure
        else:
            if outcomes != len(rows):
                difference = f"{len(rows)} records were sent and {outcomes} outcomes came back"
                error = Incomplete(f"{queue.stream}: {difference}")
        self._messages.put(_BatchEnd(queue, slot, error))

    def _wait(self) -> None:
        """Wait for one message and handle it."""
        self._handle(self._messages.get())
        if isinstance(self._error, Stopped):
            raise self._error

    def _handle(self, message: _Message) -> None:
        if message == _WAKE:
            return
        if isinstance(message, _BatchEnd):
            message.slot.in_flight = None
            self._in_flight -= 1
            self._error = self._error or message.error
            if self._error is None and message.queue.is_full(message.slot):
                self._send(message.queue, message.slot)
            return
        unit, outcome = message
        for row in unit.rows:
            self._on_outcome(row, responses.with_notes(outcome, row.notes))
            if row.next_step is not None:
                self._plan_next_step(row.next_step, outcome)

    def _plan_next_step(self, step: tuple[Action, Row], outcome: Outcome) -> None:
        """Remember a record's next step. After a refusal it is not done: it and all that follow are refused, too."""
        action, row = step
        if outcome.kind is not OutcomeKind.REJECTED:
            self._next_steps.append((row.source.stream, action, row))
            return
        self._expect(step, -1)
        self._on_outcome(row, outcome)
        if row.next_step is not None:
            self._plan_next_step(row.next_step, outcome)

    def _start_next_steps(self) -> None:
        """Add the rows of next steps whose earlier steps were taken."""
        while self._next_steps and self._error is None:
            stream, action, row = self._next_steps.popleft()
            self._add_to_slot(stream, action, row)
            self._expect((action, row), -1)

    def _expect(self, step: tuple[Action, Row], count: int = 1) -> None:
        """Count what a next step will add to its person; with -1, take it back."""
        action, row = step
        for addition in product(_person_of(action, row), action.adds):
            self._expected[addition] += count
            if not self._expected[addition]:
                del self._expected[addition]

    def _removes_expected(self, action: Action, row: Row) -> bool:
        """Whether a next step that has not begun will add to the row's person what the row removes."""
        if not self._expected:
            return False
        removes = action.removes(row.batch_key)
        return any(addition in self._expected for addition in product(_person_of(action, row), removes))

    def _finish_those_before(self, actions: Collection[str]) -> None:
        """Send the rows of actions that make what a row names, and wait until they have their outcomes."""
        for queue in [queue for queue in self._queues.values() if queue.action.name in actions]:
            self._make_room(queue, queue.slots)
            for slot in queue.slots:
                self._wait_until_idle(slot)


def _unit_outcomes(queue: Queue, session: Session, rows: Sequence[Row]) -> Iterator[tuple[Unit, Outcome]]:
    if queue.action.deliver is None:
        raise TypeError(f"the action {queue.action.name} is made of others and sends nothing itself")
    for group in ordered_groups(rows, queue.action.profile_of):
        yield from queue.action.deliver(session, group)


def _person_of(action: Action, row: Row) -> tuple[Identifier, ...]:
    """The identifiers of the person whom a row is about."""
    return tuple(identifiers_of(action.profile_of(row.payload)).items())


def _steps_after(row: Row) -> Iterator[tuple[Action, Row]]:
    """What is to be done with the record after this."""
    while row.next_step is not None:
        yield row.next_step
        row = row.next_step[1]
