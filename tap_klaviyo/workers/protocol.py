"""What the pool and its workers say to each other: messages, pickled, through pipes."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from klaviyo_client.errors import KlaviyoError
from tap_klaviyo.model import Collection, PathEquals, Resource, SelectedTable, Slice
from tap_klaviyo.rows.page_rows import Faults, Shaper
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.workers.shared_memory import Placed


@dataclass(frozen=True)
class Order:
    """What it takes to shape a collection's pages, anywhere.

    Attributes:
        collection: what is read.
        tables: its tables that are wanted.
        account: the account itself, for columns that read it.
        api_url: where the pages come from.
        without: what no table is to have.
        integration: what the V1 tables call the account, for columns that read it.
    """

    collection: Collection
    tables: Sequence[SelectedTable]
    account: Resource | None
    api_url: str
    without: PathEquals | None = None
    integration: Resource | None = None

    def shaper(self) -> Shaper:
        """Makes the rows."""
        return Shaper(self.collection, self.tables, self.account, self.without, self.integration)

    def by_names(self) -> ByNames:
        """The order in names, which fit through a pipe; tables hold functions, which do not."""
        tables = tuple((entry.table.name, entry.columns, entry.since, entry.version) for entry in self.tables)
        return ByNames(self.collection.name, tables, self.account, self.api_url, self.without, self.integration)


@dataclass(frozen=True)
class ByNames:
    """An order in names: tables are (name, columns, since, version)."""

    collection: str
    tables: tuple[tuple[str, tuple[str, ...], str | None, int | None], ...]
    account: Resource | None
    api_url: str
    without: PathEquals | None
    integration: Resource | None


@dataclass(frozen=True)
class Job:
    """A compressed page; ``cut`` is as ``slice_rows.own_rows`` takes it, ``slot`` where on the board its lines go."""

    compressed: bytes
    slice: Slice
    cut: str | None
    slot: int | None


@dataclass(frozen=True)
class Made:
    """What a process made of a page. Its lines are ``placed`` on the board, or here when there is no room for them."""

    times: tuple[str | None, ...]
    faults: Faults
    lines: Mapping[str, Lines] = field(default_factory=dict)
    placed: Mapping[str, Placed] = field(default_factory=dict)
    slot: int | None = None


@dataclass(frozen=True)
class Question:
    """What a process must know to go on: what it saw on its page, and what it looks for."""

    seen: Mapping[str, Mapping[str, Any]]
    lookup: str | None = None
    wanted: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Failure:
    """Why a process cannot go on: what was raised, and where."""

    reason: str


class Broken(KlaviyoError):
    """A process ended before its work."""


def send(pipe: IO[bytes] | None, message: Any) -> None:
    if pipe is None:
        raise Broken("there is no pipe")
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()


def receive(pipe: IO[bytes] | None) -> Any:
    if pipe is None:
        raise Broken("there is no pipe")
    return pickle.load(pipe)  # noqa: S301 - from a process of ours
