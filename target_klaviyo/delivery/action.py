"""An action and what it sends: a row is what one record becomes, a unit is one item of a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from klaviyo_client.api.operations import operation
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import (
    Call,
    Context,
    ListRef,
    Note,
    Options,
    Origin,
    Outcome,
    Part,
    Record,
    Unfit,
    strict,
)

Terms = tuple[Any, ...]


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
