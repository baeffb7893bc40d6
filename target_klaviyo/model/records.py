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


class Kind(StrEnum):
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
    """

    kind: Kind
    status: int | None = None
    code: str | None = None
    pointer: str | None = None
    reason: str | None = None


class Unfit(Exception):
    """A record, or a line, that cannot be sent.

    The reason never quotes values: it goes to the log. The record itself goes to the rejects file.
    """

    def __init__(self, code: str, reason: str, *, pointer: str | None = None, kind: Kind = Kind.REJECTED) -> None:
        super().__init__(reason)
        self.kind = kind
        self.code = code
        self.reason = reason
        self.pointer = pointer

    @property
    def note(self) -> Note:
        """What is said of a record that is sent all the same."""
        return Note(
            self.code, self.pointer or "", f"not as the tap's SCHEMA has it, which was not needed: {self.reason}"
        )

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.kind, code=self.code, pointer=self.pointer, reason=self.reason)


@dataclass(frozen=True)
class Note:
    """What was left out of a record that was sent; for its outcome. Never quotes values.

    Attributes:
        code, pointer, reason: as an outcome has them.
    """

    code: str
    pointer: str
    reason: str


# The codes of notes.
IDENTIFIER_LEFT_OUT, CHANNEL_LEFT_OUT = "identifier_left_out", "channel_left_out"


def strict(fields: Record, faults: Mapping[str, Unfit], _context: Context) -> tuple[Record, Note | None]:
    """For actions that send all identifiers: one that is wrong is one too many.

    Raises:
        Unfit: one is wrong.
    """
    for unfit in faults.values():
        raise unfit
    return fields, None


def left_out(faults: Mapping[str, Unfit]) -> Note | None:
    """The note on identifiers that are wrong and were not needed."""
    if not faults:
        return None
    names, first = ", ".join(faults), next(iter(faults))
    return Note(IDENTIFIER_LEFT_OUT, f"/{first}", f"{names} cannot be used and was left out ({faults[first].reason})")


@dataclass(eq=False)
class Origin:
    """A record as it came, before stream maps: what the rejects file repeats; and what is known of its fate.

    Attributes:
        action: what is to be done with it; empty until that is known.
        left: how many of its parts have no outcome yet.
        outcome: the worst outcome of its parts so far.
        version: the version of its table, where the tap gives one.
    """

    stream: str
    record: Record
    action: str = ""
    left: int = 1
    outcome: Outcome | None = None
    version: int | None = None


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
    """

    options: Options
    now: datetime
    is_deleted: bool = False


@dataclass(frozen=True)
class Part:
    """One of the things that are to be done with a record: an action's name, and the fields for it."""

    action: str
    fields: Record


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
    def occasion(self) -> str:
        """The option or field that asks for it, in words; empty when it is always made use of."""
        if self.values:
            return f"{self.option}: {' or '.join(self.values)}"
        return self.option or self.field or ""

    def is_asked_for(self, options: Options) -> bool:
        """Whether any record is sure to need it with these options."""
        if self.option is None:
            return self.field is None
        value = options.get(self.option)
        return value in self.values if self.values else bool(value)
