"""The content of a page as plain data, without its looks; ``html.py`` makes HTML of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Link:
    """A link to another page."""

    text: str
    href: str


@dataclass(frozen=True)
class Timestamp:
    """A date and time, or a time of day (UTC), as text. ``href`` is the page that it leads to, "" for none."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class Badge:
    """A status in a frame of its own. ``tone`` is "good", "bad", "busy" or "calm" and gives its colour."""

    text: str
    tone: str = "calm"


@dataclass(frozen=True)
class Meter:
    """A bar that shows how much of a limit is used."""

    used: int
    allowed: int
    label: str


Cell = str | int | float | bool | None | Link | Timestamp | Badge | Meter | Sequence[Link | Badge]


@dataclass(frozen=True)
class Table:
    """A table with a caption.

    Attributes:
        empty_text: is shown in place of rows.
        rows_id: the HTML id of the rows, for a script that refreshes them; "" where none does.
        numeric: names of columns that hold numbers, whatever the rows hold.
        note: is shown below the rows.
        more: a link to the rest of the rows.
        idle: positions of rows that fade, because nothing happens there now.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty_text: str = "None."
    rows_id: str = ""
    numeric: Collection[str] = ()
    note: str = ""
    more: Link | None = None
    idle: Collection[int] = ()


@dataclass(frozen=True)
class Tile:
    """A number at the top of a page, such as how many profiles there are.

    Attributes:
        name: the tile's HTML id is made of it.
        href: the page that the label leads to; "" where there is none.
    """

    name: str
    label: str
    count: int
    href: str = ""


@dataclass(frozen=True)
class Facts:
    """A list of names and values, such as a profile's attributes."""

    caption: str
    values: Mapping[str, Cell]


@dataclass(frozen=True)
class Document:
    """A JSON value, however deep, shown as indented JSON."""

    caption: str
    value: Any


@dataclass(frozen=True)
class Pager:
    """Links to the pages before and after in a long table; None where there is no such page."""

    text: str
    newer: str | None
    older: str | None
    newer_text: str = "Newer"
    older_text: str = "Older"


@dataclass(frozen=True)
class Choice:
    """A form that leads to ``path`` with the query parameter ``name``: one of the values in ``options``.

    Attributes:
        options: value -> what is shown of it.
        chosen: the present value; one that is no option is none of them.
    """

    label: str
    path: str
    name: str
    options: Mapping[str, str]
    chosen: str


Block = Table | Facts | Document | Pager | Choice


@dataclass(frozen=True)
class Bar:
    """A bar of a chart, in units of ``chart.py`` from the left and from the top. ``tone`` gives its colour."""

    x: int
    y: float
    height: float
    tone: str


@dataclass(frozen=True)
class Column:
    """Bars of one time; ``title`` says in words what they show."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Chart:
    """Bars over the last minutes.

    Attributes:
        summary: says in a sentence what the chart shows.
        legend: (tone, what it stands for).
        scale: what the height of the chart stands for.
    """

    caption: str
    summary: str
    columns: Sequence[Column]
    legend: Sequence[tuple[str, str]]
    scale: str


@dataclass(frozen=True)
class View:
    """A whole page.

    Attributes:
        title: the heading.
        blocks: the content from top to bottom.
        subtitle: a line below the title.
        breadcrumbs: links to the pages above this one.
        tiles: numbers between the title and the blocks.
        live: tables beside the blocks that a script refreshes.
        charts: above the live tables.
        cursor: how many requests the live tables know of.
        search: what was searched for, "" when nothing was; None on a page without a search field.
    """

    title: str
    blocks: Sequence[Block]
    subtitle: str = ""
    breadcrumbs: Sequence[Link] = ()
    tiles: Sequence[Tile] = ()
    live: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    cursor: int = 0
    search: str | None = None


def link_to(kind: str, row_id: str, text: str | None = None) -> Link:
    """Link to the page of one resource, such as ("lists", its id, its name)."""
    return Link(text or row_id, f"/{kind}/{quote(row_id, safe='', errors='replace')}")
