"""The words of the target as types: a row, a unit, an outcome, an action. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from klaviyo_client.operations import operation

if TYPE_CHECKING:
    from target_klaviyo.delivery import Session

Record = Mapping[str, Any]


class Kind(StrEnum):
    """What became of a record."""

    DELIVERED = "delivered"
    ACCEPTED = "accepted"  # Klaviyo took it and tells nothing more
    REJECTED = "rejected"


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

    def __init__(self, code: str, reason: str, *, pointer: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.pointer = pointer

    @property
    def outcome(self) -> Outcome:
        return Outcome(Kind.REJECTED, code=self.code, pointer=self.pointer, reason=self.reason)


@dataclass(frozen=True)
class Origin:
    """A record as it came, before stream maps: what the rejects file repeats."""

    stream: str
    record: Record


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
    """A record that is ready to be sent.

    Attributes:
        payload: the profile as a JSON:API resource.
        body: the payload's JSON, in bytes.
    """

    origin: Origin
    payload: Record
    body: bytes
    list: ListRef | None = None


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

    Attributes:
        name: what the ``streams`` setting calls it; also the name of its contract in ``schemas/target/``.
        summary: one sentence for the documentation.
        streams: incoming streams that take this action by their name alone.
        operation: the Klaviyo operation whose limits bound a batch.
        resource: the contract's fields -> the resource to send.
        deliver: sends rows, yields every row's unit with its outcome.
        options: its own options in a ``streams`` entry -> description.
        needs_list: a record must say, or the option ``list`` must say, which list.
    """

    name: str
    summary: str
    streams: tuple[str, ...]
    operation: str
    resource: Callable[[Record], dict[str, Any]]
    deliver: Callable[[Session, Sequence[Row]], Iterable[Settled]]
    options: Mapping[str, str] = field(default_factory=dict)
    needs_list: bool = False

    @property
    def max_items(self) -> int:
        """Items that one request may hold."""
        return operation(self.operation).max_items or 1

    @property
    def max_bytes(self) -> int | None:
        """Bytes of JSON that one request may have."""
        return operation(self.operation).max_bytes

    @property
    def max_item_bytes(self) -> int | None:
        """Bytes of JSON that one item may have."""
        return operation(self.operation).max_item_bytes
