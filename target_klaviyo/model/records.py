"""Records and what becomes of them: a record as it came, its outcome, the list that it names. Data only. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

Record = Mapping[str, Any]
Options = Mapping[str, Any]

# The rejects file keeps lines that nobody can read in messages of this type; a replay skips them.
UNREADABLE = "REJECTED"


class OutcomeKind(StrEnum):
    """What became of a record."""

    DELIVERED = "delivered"
    ACCEPTED = "accepted"  # Klaviyo took it and tells nothing more
    REJECTED = "rejected"
    LEFT_OUT = "left out"  # as an option of its stream says


@dataclass(frozen=True)
class Outcome:
    """What became of one record, and why.

    Attributes:
        status: the HTTP status that decided it; None when nothing was sent.
        code: Klaviyo's error code, or ours.
        pointer: JSON Pointer to the fault, in what was sent or in what came.
        reason: one sentence for people.
        left_out: the notes on what was left out of what was sent.
    """

    kind: OutcomeKind
    status: int | None = None
    code: str | None = None
    pointer: str | None = None
    reason: str | None = None
    left_out: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Note:
    """What was left out of a record that was sent; for its outcome. Never quotes values.

    Attributes:
        code, pointer, reason: as an outcome has them.
        others: pointers to what else was left out for this reason.
    """

    code: str
    pointer: str
    reason: str
    others: tuple[str, ...] = ()


# The codes of notes.
IDENTIFIER_LEFT_OUT, CHANNEL_LEFT_OUT = "identifier_left_out", "channel_left_out"
PRODUCTS_LEFT_OUT, VALUE_LEFT_OUT = "products_left_out", "value_left_out"


# The code of records that were delivered before and are left out while they say the same.
UNCHANGED = "unchanged"
# Those of records that create_only and set_if_empty leave out, because there is somebody, or a value.
EXISTS, HAS_VALUES = "exists", "has_values"
# Records that are left out so are as good as delivered.
NOTHING_TO_DO = frozenset({UNCHANGED, EXISTS, HAS_VALUES})


class RejectedRecord(Exception):
    """A record, or a line, that cannot be sent.

    The reason never quotes values: it goes to the log. The record itself goes to the rejects file.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        pointer: str | None = None,
        kind: OutcomeKind = OutcomeKind.REJECTED,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.kind = kind
        self.code = code
        self.reason = reason
        self.pointer = pointer

    def below(self, field: str) -> RejectedRecord:
        """The same of what a field of the record holds."""
        return RejectedRecord(
            self.code, f"{field}: {self.reason}", pointer=f"/{field}{self.pointer or ''}", kind=self.kind
        )

    @property
    def note(self) -> Note:
        """The note for a record that is sent although it has this fault."""
        return Note(
            self.code, self.pointer or "", f"not as the tap's SCHEMA has it, which was not needed: {self.reason}"
        )

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.kind, self.status, code=self.code, pointer=self.pointer, reason=self.reason)


@dataclass(eq=False)
class SourceRecord:
    """A record as it came, before stream maps: what the rejects file repeats; with its outcome so far.

    Attributes:
        action: what is to be done with it; empty until that is known.
        pending: how many of its steps have no outcome yet.
        outcome: the worst outcome of its steps so far.
        version: the version of its table, where the tap gives one.
        has_lost_text: whether it holds text that cannot be sent as it came.
        is_retried: whether it comes from the rejects file of an earlier run.
    """

    stream: str
    record: Record
    action: str = ""
    pending: int = 1
    outcome: Outcome | None = None
    version: int | None = None
    has_lost_text: bool = False
    is_retried: bool = False


@dataclass(frozen=True)
class ListRef:
    """How a record or a setting names a list.

    Attributes:
        id, name: one of them, or both with the same text when the setting may mean either.
        create: make the list when there is none of that name.
        configured: it comes from the settings, so that a mistake stops the run instead of rejecting rows.
    """

    id: str | None = None
    name: str | None = None
    create: bool = False
    configured: bool = False

    def __str__(self) -> str:
        return self.name or self.id or ""


@dataclass(frozen=True)
class Context:
    """What an action knows beside the record's fields.

    Attributes:
        options: its options, as the ``streams`` entry has them or by default.
        now: the time, in UTC.
        is_deleted: whether the record's source marks it as deleted.
        lost_text: what of the record's text cannot be sent, in a form that tells it from others; mostly empty.
        drops_bad_values: whether a value that does not fit, and that the record can do without, is left out of it.
    """

    options: Options
    now: datetime
    is_deleted: bool = False
    lost_text: str = ""
    drops_bad_values: bool = True


@dataclass(frozen=True)
class Step:
    """One of the things that are to be done with a record: an action's name, and the fields for it.

    Attributes:
        fields: they need not have the types of the action's contract, as those of a record need not.
        field: the field of the record that holds them, for pointers to what is wrong.
    """

    action: str
    fields: Record
    field: str | None = None


@dataclass(frozen=True)
class Call:
    """An operation of Klaviyo's that an action makes use of beside its own.

    Attributes:
        operation: its id.
        purpose: what for, in words.
        option: the option that asks for it; with ``values``, only where it has one of these.
        field: the field of a record that asks for it.
    """

    operation: str
    purpose: str
    option: str | None = None
    values: tuple[str, ...] = ()
    field: str | None = None

    @property
    def used_when(self) -> str:
        """The option or field that asks for it, in words; empty when it is always made use of."""
        if self.values:
            return f"{self.option}: {' or '.join(self.values)}"
        return self.option or self.field or ""

    def is_needed(self, options: Options) -> bool:
        """Whether any record is sure to need it with these options."""
        if self.option is None:
            return self.field is None
        value = options.get(self.option)
        return value in self.values if self.values else bool(value)
