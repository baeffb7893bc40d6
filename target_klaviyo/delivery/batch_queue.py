"""The queue of one stream and action: slots of rows that wait for a batch while the last one is in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.model.identifiers import Identifier


@dataclass(eq=False)
class Slot:
    """Rows that wait for the next batch, and the people of the batch that is in flight: one at most.

    Attributes:
        rows: the rows that wait.
        identifiers: of the people whom those rows are about.
        size: bytes of those rows' JSON, with a comma each.
        in_flight: identifiers of the people in the batch that is in flight; None when there is no such batch.
    """

    rows: list[Row] = field(default_factory=list)
    identifiers: set[Identifier] = field(default_factory=set)
    size: int = 0
    in_flight: set[Identifier] | None = None


@dataclass(eq=False)
class Queue:
    """The rows of one stream and action.

    Args:
        action: sends itself; an action that is made of others has no queue.
        stream: whose rows they are.
        max_rows: rows to send at once.
        max_in_flight: batches that may be in flight at once.
        removes: what its rows so far may remove.
    """

    action: Action
    stream: str
    max_rows: int
    max_in_flight: int
    removes: frozenset[str] = frozenset()
    slots: list[Slot] = field(default_factory=list)
    _open: Slot | None = None

    def slots_of(self, person: Sequence[Identifier]) -> list[Slot]:
        """The slots that hold rows of this person, waiting or in flight."""
        return [
            slot
            for slot in self.slots
            if not (
                slot.identifiers.isdisjoint(person) and (slot.in_flight is None or slot.in_flight.isdisjoint(person))
            )
        ]

    def keeps_order_with(self, action: Action, removes: frozenset[str]) -> bool:
        """Whether its rows must keep their order with a row of this action that removes so much."""
        return not (self.action.adds.isdisjoint(removes) and self.removes.isdisjoint(action.adds))

    def open_slot(self) -> Slot:
        """The slot for people who have no row here: the same one until its batch is sent."""
        slot = self._open
        if slot is None or slot.in_flight is not None:
            slot = self._open = self._choose_slot()
        return slot

    def _choose_slot(self) -> Slot:
        """The fullest slot without a batch in flight, else a new one, else the emptiest of all."""
        idle = [slot for slot in self.slots if slot.in_flight is None]
        if idle:
            return max(idle, key=_row_count)
        if len(self.slots) < self.max_in_flight:
            self.slots.append(Slot())
            return self.slots[-1]
        return min(self.slots, key=_row_count)

    def is_full(self, slot: Slot) -> bool:
        """Whether a slot's rows fill a request, by count or by bytes."""
        limit = self.action.max_bytes
        # One more row of the largest size must still fit, or the batch would need a second, nearly empty request.
        is_heavy = limit is not None and slot.size >= limit - 2 * (self.action.max_item_bytes or 0)
        return is_heavy or len(slot.rows) >= self.max_rows


def _row_count(slot: Slot) -> int:
    return len(slot.rows)
