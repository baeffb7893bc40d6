"""The words of the target as types: a row, a unit, an outcome, an action. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from klaviyo_client.api.operations import operation

if TYPE_CHECKING:
    from target_klaviyo.delivery.requests import Session

Record = Mapping[str, Any]
Options = Mapping[str, Any]
Terms = tuple[Any, ...]


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


@dataclass(frozen=True, eq=False)
class Row:
    """A record, or a part of one, that is ready to be sent.

    Attributes:
        payload: what is sent of it, as its action makes it: mostly the profile as a JSON:API resource.
        body: the payload's JSON, in bytes.
        list: the list that it is about.
        terms: what else all rows of one request must have in common, as its action says.
        then: what is to be done with the record when this was taken: an action, and the row for it.
        note: what was left out of it.
    """

    origin: Origin
    payload: Record
    body: bytes
    list: ListRef | None = None
    terms: Terms = ()
    then: tuple[Action, Row] | None = None
    note: Note | None = None


@dataclass(frozen=True, eq=False)
class Unit:
    """One item of a request. It stands for several rows where they are about the same person."""

    rows: tuple[Row, ...]
    payload: Record
    body: bytes


Settled = tuple[Unit, Outcome]


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


@dataclass(frozen=True)
class Action:
    """One thing that the target can do. A new one is one declaration and one entry in the catalogue.

    An action sends rows itself (``resource`` and ``deliver``), or is made of others (``parts``).

    Attributes:
        name: what the ``streams`` setting calls it; also the name of its contract in ``schemas/target/``.
        summary: one sentence for the documentation.
        operation: the Klaviyo operation whose limits bound a batch.
        calls: the others that it makes use of.
        resource: the contract's fields -> what is sent of them.
        deliver: sends rows, yields every row's unit with its outcome; called in a thread.
        parts: the contract's fields -> what is to be done, one after the other.
        terms: the contract's fields -> what all rows of one request must have in common.
        sifted: the fields, what is wrong with identifiers that are not among them, and the context -> the fields that
            are sent, and what was left out; raises Unfit when nothing is left. Only what it gives back is judged.
        person: what ``resource`` made -> the profile in it, as a resource.
        gives: what it may bring about, by the words "profile", "consent" and "list".
        takes: a row's terms -> what it may take away. Where one action gives what another takes, the rows of one person
            are sent in the order in which they came, whatever their streams.
        streams: incoming streams that take this action by their name alone.
        options: its own options in a ``streams`` entry: name -> JSON Schema, with description and default.
        unpacked: a record -> the same with its columns under the names of the contract, for shapes of old.
        check: told of the options; raises ValueError with what is wrong, beginning with the option's name.
        fitted: columns of a stream -> what its entry says where the user's says nothing: for streams of the tap.
        copied_from: a stream of the tap, an operation that finds something by its id, and the column that holds the
            id: when the account has it, the stream comes from this very account.
        is_about_people: whether a record must name somebody.
        takes_deleted: whether a record that its source marks as deleted (``_sdc_deleted_at``) means something to it;
            otherwise such a record is left out.
        needs_list: a record must say, or the option ``list`` must say, which list.
        max_rows: rows to send at once, where that is not what one request may hold.
        lanes: batches that may be under way for each that the setting ``concurrency`` allows: more than one where
            they are so small that its number would not spend the budget.
    """

    name: str
    summary: str
    operation: str
    calls: tuple[Call, ...] = ()
    resource: Callable[[Record, Context], Record] | None = None
    deliver: Callable[[Session, Sequence[Row]], Iterable[Settled]] | None = None
    parts: Callable[[Record, Context], Iterable[Part]] | None = None
    terms: Callable[[Record, Context], Terms] = lambda _fields, _context: ()
    sifted: Callable[[Record, Mapping[str, Unfit], Context], tuple[Record, Note | None]] = strict
    person: Callable[[Record], Record] = lambda payload: payload
    gives: frozenset[str] = frozenset({"profile"})
    takes: Callable[[Terms], frozenset[str]] = lambda _terms: frozenset()
    streams: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unpacked: Callable[[Record], Record] = lambda record: record
    check: Callable[[Options], None] | None = None
    fitted: Callable[[Collection[str]], Mapping[str, Any]] = lambda _columns: {}
    copied_from: tuple[str, str, str] | None = None
    is_about_people: bool = True
    takes_deleted: bool = False
    needs_list: bool = False
    max_rows: int | None = None
    lanes: int = 1

    @property
    def max_items(self) -> int:
        """Rows that are sent at once."""
        return self.max_rows or operation(self.operation).max_items or 1

    @property
    def max_bytes(self) -> int | None:
        """Bytes of JSON that one request may have."""
        return operation(self.operation).max_bytes

    @property
    def max_item_bytes(self) -> int | None:
        """Bytes of JSON that one item may have."""
        return operation(self.operation).max_item_bytes
