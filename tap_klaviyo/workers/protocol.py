"""Messages between the pool and its workers, pickled and sent through pipes.

The pool sends a ``PicklableRowSpec`` once, then a ``Job`` for each page. For a job, the worker sends ``SeenValues`` and
``LookupRequest``s, which the pool answers with the values by id, and at last a ``JobResult`` or a ``Failure``. Between
jobs the pool may send ``FinishFiles``, which the worker answers with ``FinishedFiles`` or a ``Failure``.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

from klaviyo_client.api.pages import TypedDecoder, decode_page
from klaviyo_client.errors import KlaviyoError
from tap_klaviyo.files.destination import PARQUET
from tap_klaviyo.files.open_files import FinishedFile
from tap_klaviyo.files.rows import FileColumnEncoder, FileRowEncoder
from tap_klaviyo.files.run_files import FileSpec
from tap_klaviyo.model import Collection, PathEquals, Resource, SelectedTable, Slice
from tap_klaviyo.rows.lookup_protocol import WantedIds
from tap_klaviyo.rows.page_lines import LineMaker, typed_resources
from tap_klaviyo.rows.page_rows import RowMaker, RowProblems
from tap_klaviyo.rows.record_lines import E, Encoder, LineEncoder, Lines
from tap_klaviyo.rows.typed_rows import TypedResources
from tap_klaviyo.workers.shared_memory import Span


@dataclass(frozen=True)
class RowSpec:
    """What anybody must know to make rows of a collection's pages.

    Attributes:
        collection: what is read.
        tables: its tables that are read.
        account: the account itself, for columns that read it.
        api_url: where the pages come from.
        exclude: resources that no table gets.
        integration: what the V1 tables call the account, for columns that read it.
        known: table that fills gaps -> the ids that need no row of it.
        files: what it takes to write files of the rows; None where lines are wanted.
        omit_nulls: whether lines lack the columns that are null.
        listed: as ``RowMaker`` takes it.
    """

    collection: Collection
    tables: Sequence[SelectedTable]
    account: Resource | None
    api_url: str
    exclude: PathEquals | None = None
    integration: Resource | None = None
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    files: FileSpec | None = None
    omit_nulls: bool = False
    listed: Mapping[tuple[str, str], Resource] | None = None

    def row_maker(self, typed: TypedResources | None = None) -> RowMaker:
        """A new maker of these rows; ``typed`` is as ``RowMaker`` takes it."""
        return RowMaker(
            self.collection,
            self.tables,
            self.account,
            self.exclude,
            self.integration,
            self.known,
            typed,
            self.listed,
        )

    def line_maker(self, encoders: Mapping[str, Encoder[E]]) -> LineMaker[E]:
        """A new maker of what these encoders make of the rows."""
        typed = typed_resources(self.collection, self.tables, self.exclude)
        typed_maker = None if typed is None else (self.row_maker(typed), TypedDecoder(typed.kind))
        return LineMaker(self.row_maker, typed_maker, encoders, partial(decode_page, api_url=self.api_url))

    def encoders(self, *, gaps_as_lines: bool) -> dict[str, Encoder[Any]]:
        """Table -> what makes of its rows what is written of them.

        Args:
            gaps_as_lines: whether rows that fill gaps become lines in any case, so that somebody else can read them.
        """
        encoders: dict[str, Encoder[Any]] = {}
        for entry in self.tables:
            name, version = entry.table.name, entry.version
            if self.files is None or (gaps_as_lines and entry.table.gap is not None):
                encoders[name] = LineEncoder(name, version, self.omit_nulls)
            else:
                by_column = self.files.destination.format == PARQUET
                encoders[name] = FileColumnEncoder(version) if by_column else FileRowEncoder(version)
        return encoders

    def to_picklable(self) -> PicklableRowSpec:
        """The same by names: tables hold functions, which cannot be pickled."""
        tables = tuple(
            (entry.table.name, entry.schema, entry.columns, entry.since, entry.version, entry.parents)
            for entry in self.tables
        )
        return PicklableRowSpec(
            self.collection.name,
            tables,
            self.account,
            self.api_url,
            self.exclude,
            self.integration,
            self.known,
            self.files,
            self.omit_nulls,
            self.listed,
        )


@dataclass(frozen=True)
class PicklableRowSpec:
    """A ``RowSpec`` by names: tables are (name, schema, columns, since, version, parents)."""

    collection: str
    tables: tuple[tuple[str, Mapping[str, Any], tuple[str, ...], str | None, int | None, frozenset[str] | None], ...]
    account: Resource | None
    api_url: str
    exclude: PathEquals | None
    integration: Resource | None
    known: Mapping[str, frozenset[str]]
    files: FileSpec | None
    omit_nulls: bool
    listed: Mapping[tuple[str, str], Resource] | None


@dataclass(frozen=True)
class Job:
    """A page to make lines of.

    Attributes:
        document: the page, compressed; or where in the shared memory it is, as it came.
        slice: the slice that it is of.
        cut: as ``slice_rows.own_rows`` takes it.
        slot: the slot of the shared memory that its lines go to; None where there is no such memory.
    """

    document: bytes | Span
    slice: Slice
    cut: str | None
    slot: int | None


@dataclass(frozen=True)
class JobResult:
    """What a worker made of a page.

    Attributes:
        times: the bookmarks of the resources that are the slice's own.
        problems: what could not be converted, and rows without a key.
        lines: the lines of each table, where they are not in the shared memory.
        spans: where in the shared memory they are.
        slot: the slot that was given with the job.
        counts: how many rows of each table are in a file of the worker's own.
    """

    times: tuple[str | None, ...]
    problems: RowProblems
    lines: Mapping[str, Lines] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    slot: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FinishFiles:
    """Asks a worker to finish its files, so that they can be announced."""


@dataclass(frozen=True)
class FinishedFiles:
    """The files that a worker has finished."""

    files: Sequence[FinishedFile]


@dataclass(frozen=True)
class SeenValues:
    """The values of look-ups that the job's page has itself: lookup -> values by id. Each job sends some."""

    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class LookupRequest:
    """Values that a worker needs to go on: the name of a lookup, and the ids by owner."""

    lookup: str
    wanted: WantedIds


@dataclass(frozen=True)
class Failure:
    """Why a worker cannot go on: the type of the error, and where it was raised."""

    reason: str


class WorkerDied(KlaviyoError):
    """A worker process ended before its work."""


def send(pipe: IO[bytes] | None, message: Any) -> None:
    """Write a message."""
    if pipe is None:
        raise WorkerDied("there is no pipe")
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()


def receive(pipe: IO[bytes] | None) -> Any:
    """Wait for a message and read it."""
    if pipe is None:
        raise WorkerDied("there is no pipe")
    return pickle.load(pipe)  # noqa: S301 - from a process of ours
