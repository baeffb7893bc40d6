"""Values that do not fit: which of them a record can do without, and what is left of it then. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from target_klaviyo.intake.field_values import FieldPath
from target_klaviyo.model.pointers import from_pointer, to_pointer, without
from target_klaviyo.model.records import VALUE_LEFT_OUT, Note, OutcomeKind, Record, RejectedRecord

T = TypeVar("T")
# The choices of the option ``on_bad_value``; the first is the default.
DROP, REJECT = "drop", "reject"
# Field -> what says nothing without it: an amount of no currency would be counted in the account's.
_SAYS_NOTHING_WITHOUT: Mapping[FieldPath, FieldPath] = {("value_currency",): ("value",)}


@dataclass
class LeftOut:
    """What is left out of one record, with a note for each value.

    Attributes:
        optional: the fields that a record can do without, and with them all that they hold; none where a bad value is
            to reject the record.
        notes: what was left out so far.
    """

    optional: Collection[FieldPath] = ()
    notes: list[Note] = field(default_factory=list)

    def add(self, fault: RejectedRecord) -> None:
        """Note a value that is left out.

        Raises:
            RejectedRecord: the fault itself, where the record cannot do without.
        """
        if not self._is_about_optional(fault):
            raise fault
        note = note_of(fault)
        if note.pointer not in {other.pointer for other in self.notes}:
            self.notes.append(note)

    def without_faults(self, make: Callable[[Record], T], fields: Record) -> T:
        """What is made of the fields, without those that it refuses.

        Raises:
            RejectedRecord: it refuses what the record cannot do without.
        """
        while True:
            try:
                return make(fields)
            except RejectedRecord as fault:
                fields = self.drop(fields, fault)

    def drop(self, fields: Record, fault: RejectedRecord) -> Record:
        """The fields without the one that a fault is about, and a note on it.

        Raises:
            RejectedRecord: the fault itself, where the record cannot do without.
        """
        path = from_pointer(fault.pointer or "")
        rest = without(fields, path)
        if rest is None:
            raise fault
        self.add(fault)
        other = _SAYS_NOTHING_WITHOUT.get(path)
        if other is not None and (without_other := without(rest, other)) is not None:
            self.notes[-1] = replace(self.notes[-1], others=(to_pointer(other),))
            rest = without_other
        return rest

    def _is_about_optional(self, fault: RejectedRecord) -> bool:
        is_part = is_part_of(from_pointer(fault.pointer or ""), self.optional)
        return fault.kind is OutcomeKind.REJECTED and is_part


def is_part_of(path: FieldPath, fields: Collection[FieldPath]) -> bool:
    """Whether a path leads to one of these fields, or into it."""
    return any(path[: len(found)] == found for found in fields)


def note_of(fault: RejectedRecord) -> Note:
    """The note for a record that is sent without the value that has this fault."""
    pointer = fault.pointer or ""
    name = ".".join(from_pointer(pointer))
    return Note(VALUE_LEFT_OUT, pointer, f"{name} does not fit and was left out ({fault.reason})")


def below(notes: Iterable[Note], name: str | None) -> list[Note]:
    """Notes on what a field holds, as notes on the record; ``name`` None: they are already."""
    if name is None:
        return list(notes)
    above = to_pointer((name,))
    return [
        replace(note, pointer=above + note.pointer, others=tuple(above + pointer for pointer in note.others))
        for note in notes
    ]
