"""Actions, and what they send: a row is what one record becomes, a unit is one item of a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from klaviyo_client.api.operations import operation
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import require_valid_identifiers
from target_klaviyo.model.records import (
    Call,
    Context,
    ListRef,
    Note,
    Options,
    Outcome,
    Record,
    RejectedRecord,
    SourceRecord,
    Step,
)

BatchKey = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """A record, or one step of what is done with it, ready to be sent.

    Attributes:
        payload: what is sent of it, as its action makes it: mostly the profile as a JSON:API resource.
        body: the payload's JSON, in bytes.
        list: the list that it is about.
        batch_key: what else all rows of one request must have in common, as its action says.
        next_step: what is to be done with the record after this: an action, and the row for it.
        notes: what was left out of it.
        drops_bad_values: whether what Klaviyo refuses of it may be left out, too.
    """

    source: SourceRecord
    payload: Record
    body: bytes
    list: ListRef | None = None
    batch_key: BatchKey = ()
    next_step: tuple[Action, Row] | None = None
    notes: tuple[Note, ...] = ()
    drops_bad_values: bool = True

    @property
    def note(self) -> Note | None:
        """The first of the notes."""
        return next(iter(self.notes), None)


@dataclass(frozen=True, eq=False)
class Unit:
    """One item of a request. It stands for several rows where they are about the same person."""

    rows: tuple[Row, ...]
    payload: Record
    body: bytes


UnitOutcome = tuple[Unit, Outcome]


@dataclass(frozen=True)
class Action:
    """One thing that the target can do. A new one is one declaration and one entry in the catalogue.

    An action sends rows itself (``resource`` and ``deliver``), or is made of others (``steps``).

    Attributes:
        name: what the ``streams`` setting calls it; also the name of its contract in ``schemas/target/``.
        summary: one sentence for the documentation.
        operation: the Klaviyo operation whose limits bound a batch.
        other_operations: the others that it makes use of.
        resource: the contract's fields -> what is sent of them.
        deliver: sends rows, yields every row's unit with its outcome; called in a thread.
        steps: the contract's fields -> what is to be done, one after the other.
        batch_key: the contract's fields -> what all rows of one request must have in common.
        select_fields: the fields, what is wrong with identifiers that are not among them, and the context -> the
            fields that are sent, and what was left out; raises RejectedRecord when nothing is left. The contract is
            checked against these fields only.
        profile_of: what ``resource`` made -> the profile in it, as a resource.
        adds: what it may add, by the words "profile", "consent" and "list".
        removes: a row's batch key -> what it may remove, by the same words. Where one action adds what another
            removes, the rows of one person are sent in the order in which they came, whatever their streams.
        streams: incoming streams that take this action by their name alone.
        options: its own options in a ``streams`` entry: name -> JSON Schema, with description and default.
        normalize: a record -> the same with its columns under the names of the contract, for older shapes.
        arrange: the fields as the mapping made them -> the same where the contract has them, for objects of others.
        check: gets the options; raises ValueError with what is wrong, beginning with the option's name.
        column_defaults: columns of a stream -> the entry's defaults: for streams that the tap writes.
        self_copy_guard: a stream of the tap, an operation that finds something by its id, and the column that holds
            the id: when the account has it, the stream comes from this very account.
        is_about_people: whether a record must name somebody.
        accepts_deleted: whether a record that its source marks as deleted (``_sdc_deleted_at``) means something to
            it; otherwise such a record is left out.
        needs_list: a record must say, or the option ``list`` must say, which list.
        needs_field: fields of which a stream must have one, or nothing could be done with any record.
        after: what ``resource`` made -> the actions whose rows that came earlier must have their outcomes before it is
            sent: what it names, they make.
        max_rows: rows to send at once, where that is not what one request may hold.
        concurrency_factor: batches in flight for each that the setting ``concurrency`` allows: more than one where
            they are so small that its number would not spend the budget.
    """

    name: str
    summary: str
    operation: str
    other_operations: tuple[Call, ...] = ()
    resource: Callable[[Record, Context], Record] | None = None
    deliver: Callable[[Session, Sequence[Row]], Iterable[UnitOutcome]] | None = None
    steps: Callable[[Record, Context], Iterable[Step]] | None = None
    batch_key: Callable[[Record, Context], BatchKey] = lambda _fields, _context: ()
    select_fields: Callable[[Record, Mapping[str, RejectedRecord], Context], tuple[Record, Note | None]] = (
        require_valid_identifiers
    )
    profile_of: Callable[[Record], Record] = lambda payload: payload
    adds: frozenset[str] = frozenset({"profile"})
    removes: Callable[[BatchKey], frozenset[str]] = lambda _batch_key: frozenset()
    streams: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    normalize: Callable[[Record], Record] = lambda record: record
    arrange: Callable[[dict[str, Any]], dict[str, Any]] = lambda fields: fields
    check: Callable[[Options], None] | None = None
    column_defaults: Callable[[Collection[str]], Mapping[str, Any]] = lambda _columns: {}
    self_copy_guard: tuple[str, str, str] | None = None
    is_about_people: bool = True
    accepts_deleted: bool = False
    needs_list: bool = False
    needs_field: tuple[str, ...] = ()
    after: Callable[[Record], tuple[str, ...]] = lambda _payload: ()
    max_rows: int | None = None
    concurrency_factor: int = 1

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
