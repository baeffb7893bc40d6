"""Rows on their way: order, limits, outcomes, and what an error leaves behind."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.patience import PATIENCE
from target_support import respond, scripted_session

from target_klaviyo.delivery.action import Action, Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.dispatch import Dispatcher
from target_klaviyo.delivery.graceful_stop import Stopped
from target_klaviyo.delivery.ledger import Ledger
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import Outcome, OutcomeKind, SourceRecord

DELIVERED, REJECTED = Outcome(OutcomeKind.DELIVERED, 200), Outcome(OutcomeKind.REJECTED, 400)


@dataclass
class RecordingAction:
    """An action that takes its time, refuses those who are named so, and remembers what it sent.

    Attributes:
        seconds: how long it takes at most, so that batches overtake each other; no test hangs on how long it was.
        concurrent: so many batches are in flight at once before the first of them ends.
    """

    batches: list[list[Row]] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    seconds: float = 0.0
    fails_at: str = ""
    concurrent: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)
    active: int = 0
    met: threading.Event = field(default_factory=threading.Event)

    def deliver(self, _: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
        with self.lock:
            self.batches.append(list(rows))
            self.active += 1
            self.in_flight.append(self.active)
            if self.active >= self.concurrent:
                self.met.set()
        assert self.met.wait(PATIENCE)
        time.sleep(random.random() * self.seconds)
        for row in rows:
            name = row.payload["attributes"]["email"]
            if name == self.fails_at:
                raise RuntimeError("broken")
            yield Unit((row,), row.payload, row.body), REJECTED if name.startswith("bad") else DELIVERED
        with self.lock:
            self.active -= 1

    def action(self, name: str = "post", max_rows: int = 5) -> Action:
        return Action(name, "", "bulk_import_profiles", deliver=self.deliver, max_rows=max_rows)


def row(number: int, email: str, **more: str) -> Row:
    payload = {"type": "profile", "attributes": {"email": email, **more}}
    return Row(SourceRecord("s", {"number": number, "email": email}), payload, encode_json(payload))


def make_dispatcher(outcomes: list[tuple[Row, Outcome]], **options: Any) -> Dispatcher:
    session, _ = scripted_session(lambda _: respond(200))
    return Dispatcher(session, lambda one, outcome: outcomes.append((one, outcome)), **{"max_in_flight": 3, **options})


PEOPLE = st.lists(st.sampled_from(["a@x.io", "b@x.io", "c@x.io", "bad1@x.io", *(f"p{n}@x.io" for n in range(20))]))


@given(people=PEOPLE, width=st.integers(1, 4), size=st.integers(1, 6))
def test_every_row_has_one_outcome_and_nobody_is_overtaken(people: list[str], width: int, size: int) -> None:
    """Whatever comes: one outcome each, batches within their limit, somebody's rows in the order in which they came."""
    recording, outcomes = RecordingAction(seconds=0.002), list[tuple[Row, Outcome]]()
    dispatcher, action = make_dispatcher(outcomes, max_in_flight=width), recording.action(max_rows=size)
    for number, email in enumerate(people):
        dispatcher.add("s", action, row(number, email))
    dispatcher.flush()
    assert sorted(one.source.record["number"] for one, _ in outcomes) == list(range(len(people)))
    assert all(len(batch) <= size for batch in recording.batches)
    assert max(recording.in_flight, default=0) <= width
    sent = [one for batch in recording.batches for one in batch]
    for email in set(people):
        numbers = [one.source.record["number"] for one in sent if one.source.record["email"] == email]
        assert numbers == sorted(numbers)
    assert all((outcome is REJECTED) == one.source.record["email"].startswith("bad") for one, outcome in outcomes)


def test_somebody_known_by_two_names_is_waited_for() -> None:
    """Rows of one person in two slots are both sent before a row that belongs to both."""
    recording, outcomes = RecordingAction(seconds=0.01), list[tuple[Row, Outcome]]()
    dispatcher, action = make_dispatcher(outcomes), recording.action(max_rows=2)
    for number, (email, phone) in enumerate([("a@x.io", "1"), ("z@x.io", "9"), ("b@x.io", "2"), ("a@x.io", "2")]):
        dispatcher.add("s", action, row(number, email, phone_number=phone))
    dispatcher.flush()
    order = [one.source.record["number"] for batch in recording.batches for one in batch]
    assert order.index(3) == 3


def test_batches_overlap() -> None:
    """While one batch is in flight the next is sent."""
    recording, outcomes = RecordingAction(concurrent=3), list[tuple[Row, Outcome]]()
    dispatcher, action = make_dispatcher(outcomes), recording.action(max_rows=1)
    for number in range(9):
        dispatcher.add("s", action, row(number, f"p{number}@x.io"))
    dispatcher.flush()
    assert max(recording.in_flight) == 3


def test_what_follows_is_sent_after_what_came_first_and_not_after_a_refusal() -> None:
    """A record that needs two requests gets the second when the first was taken, and one outcome for both otherwise."""
    first, second, outcomes = RecordingAction(), RecordingAction(), list[tuple[Row, Outcome]]()
    dispatcher = make_dispatcher(outcomes)
    for number, email in enumerate(["good@x.io", "bad@x.io"]):
        one = row(number, email)
        one.source.pending = 2
        then = (second.action("second"), replace(one))
        dispatcher.add("s", first.action("first"), replace(one, next_step=then))
    dispatcher.flush()
    assert [one.source.record["email"] for batch in second.batches for one in batch] == ["good@x.io"]
    kinds = [(one.source.record["email"], outcome.kind) for one, outcome in outcomes]
    assert sorted(kinds) == [("bad@x.io", "rejected")] * 2 + [("good@x.io", "delivered")] * 2


def test_an_error_is_raised_where_rows_are_put_and_the_others_still_land() -> None:
    """What breaks in a thread ends the run, but not before everything in flight has its outcome."""
    recording, outcomes = RecordingAction(seconds=0.02, fails_at="p0@x.io"), list[tuple[Row, Outcome]]()
    dispatcher, action = make_dispatcher(outcomes), recording.action(max_rows=1)

    def put() -> None:
        # However many are put before the thread has failed.
        for number in count():
            dispatcher.add("s", action, row(number, f"p{number}@x.io"))

    with pytest.raises(RuntimeError, match="broken"):
        put()
    dispatcher.drain()
    assert {one.source.record["number"] for one, _ in outcomes} == {
        one.source.record["number"] for batch in recording.batches for one in batch
    } - {0}


def test_after_a_stop_nothing_more_is_sent() -> None:
    """What waits stays; what is in flight has its outcome."""
    recording, outcomes = RecordingAction(), list[tuple[Row, Outcome]]()
    dispatcher, action = make_dispatcher(outcomes), recording.action(max_rows=2)
    for number in range(3):
        dispatcher.add("s", action, row(number, f"p{number}@x.io"))
    dispatcher.stop()
    with pytest.raises(Stopped):
        dispatcher.flush()
    dispatcher.drain()
    assert [one.source.record["number"] for one, _ in outcomes] == [0, 1]


Moves = st.lists(st.one_of(st.just("record"), st.just("state"), st.integers(0, 30)), max_size=60)


@given(moves=Moves)
def test_a_state_is_due_when_everything_before_it_is_settled(moves: list[str | int]) -> None:
    """In whatever order outcomes come, a state never speaks for a record that has none, and the last one comes out."""
    ledger, count_so_far, pending, due = Ledger(), 0, list[tuple[int, SourceRecord]](), list[int]()

    def look() -> None:
        state = ledger.take_due_state()
        if state is not None:
            due.append(state["at"])
            assert all(number >= state["at"] for number, _ in pending)

    for move in moves:
        if move == "record":
            origin = SourceRecord("s", {}, pending=2)
            ledger.add_record(origin)
            pending.append((count_so_far, origin))
            count_so_far += 1
        elif move == "state":
            ledger.add_state({"at": count_so_far})
        elif pending:
            place = int(move) % len(pending)
            if ledger.add_outcome(pending[place][1], DELIVERED):
                del pending[place]
        look()
    for _, origin in pending:
        while not ledger.add_outcome(origin, DELIVERED):
            pass
    pending.clear()
    ledger.add_state({"at": count_so_far})
    look()
    assert due == sorted(due)
    assert due[-1] == count_so_far


def test_the_worst_outcome_of_its_parts_is_the_records() -> None:
    """Delivered and accepted is accepted; with a refusal it is refused."""
    origin = SourceRecord("s", {}, pending=3)
    Ledger.add_outcome(origin, DELIVERED)
    Ledger.add_outcome(origin, REJECTED)
    assert Ledger.add_outcome(origin, Outcome(OutcomeKind.ACCEPTED, 202))
    assert origin.outcome is REJECTED


def test_an_action_of_small_batches_may_have_more_of_them_under_way() -> None:
    """Its concurrency factor multiplies what the user allows; nobody's rows are in two batches at once."""
    recording = RecordingAction(concurrent=3)
    outcomes: list[tuple[Row, Outcome]] = []
    dispatcher = make_dispatcher(outcomes, max_in_flight=2)
    action = replace(recording.action(max_rows=1), concurrency_factor=3)
    for number in range(30):
        dispatcher.add("s", action, row(number, f"p{number % 20}@x.org"))
    dispatcher.flush()
    assert len(outcomes) == 30
    assert 2 < max(recording.in_flight) <= 6
    order = [origin.payload["attributes"]["email"] for origin, _ in outcomes]
    assert sorted(order) == sorted(f"p{number % 20}@x.org" for number in range(30))


class Gate(RecordingAction):
    """Holds the first batch back until another one has begun, and notes beginnings and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, int]] = []
        self.last_began = threading.Event()

    def deliver(self, _: Session, rows: Sequence[Row]) -> Iterator[UnitOutcome]:
        number = rows[0].source.record["number"]
        with self.lock:
            self.log.append(("begins", number))
        if number == 2:
            self.last_began.set()
        if number == 0:
            assert self.last_began.wait(PATIENCE)
        for one in rows:
            yield Unit((one,), one.payload, one.body), DELIVERED
        with self.lock:
            self.log.append(("ends", number))


def test_nobodys_rows_are_under_way_twice() -> None:
    """While somebody's row is being sent their next one waits, although slots are free and others are sent."""
    gate = Gate()
    dispatcher, action = make_dispatcher([], max_in_flight=3), gate.action(max_rows=1)
    for number, email in enumerate(["a@x.io", "a@x.io", "b@x.io"]):
        dispatcher.add("s", action, row(number, email))
    dispatcher.flush()
    assert gate.log.index(("ends", 0)) < gate.log.index(("begins", 1))
