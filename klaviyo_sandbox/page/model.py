"""What a page is made of, as plain data; ``html.py`` makes HTML of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Link:
    """Text that leads to another page."""

    text: str
    href: str


@dataclass(frozen=True)
class Moment:
    """A point in time or a time of day (UTC), and where it leads, if anywhere."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Badge:
    """A status. ``tone`` is "good", "bad", "busy" or "calm"."""

    text: str
    tone: str = "calm"


@dataclass(frozen=True)
class Meter:
    """How much of what is allowed is used."""

    used: int
    allowed: int
    label: str


Cell = str | int | float | bool | None | Link | Moment | Badge | Meter | Sequence[Link]


@dataclass(frozen=True)
class Table:
    """Rows under a caption.

    Attributes:
        empty: stands in place of rows.
        names: an id for the rows, for whoever refreshes them.
        numeric: columns of numbers, whatever the rows hold.
        note: stands below.
        more: where the rest is.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "None."
    names: str = ""
    numeric: Collection[str] = ()
    note: str = ""
    more: Link | None = None


@dataclass(frozen=True)
class Tiles:
    """The numbers of an account: (id, label, count, where it leads or "")."""

    tiles: Sequence[tuple[str, str, int, str]]


@dataclass(frozen=True)
class Facts:
    """Names and values of one thing."""

    caption: str
    values: Mapping[str, Cell]


@dataclass(frozen=True)
class Document:
    """A value that is as deep as JSON can be."""

    caption: str
    value: Any


@dataclass(frozen=True)
class Pager:
    """Where a long table goes on; None at its ends."""

    text: str
    newer: str | None
    older: str | None


Block = Table | Facts | Document | Pager


@dataclass(frozen=True)
class View:
    """A whole page.

    Attributes:
        title: its heading.
        subtitle: a line below.
        crumbs: the pages above it.
        blocks: from top to bottom.
        tiles: numbers above them.
        live: tables beside them that a script keeps fresh; ``cursor`` is how many requests they know of.
        search: what was searched for; None where there is nothing to search.
    """

    title: str
    blocks: Sequence[Block]
    subtitle: str = ""
    crumbs: Sequence[Link] = ()
    tiles: Tiles | None = None
    live: Sequence[Table] = ()
    cursor: int = 0
    search: str | None = None


def to(kind: str, row_id: str, text: str | None = None) -> Link:
    """A link to the page of one thing, such as ("lists", id, its name)."""
    return Link(text or row_id, f"/{kind}/{quote(row_id, safe='')}")
