"""Rows as every source gives them: headers, then one sequence of values a row. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from klaviyo_client.errors import SettingsError

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# Marks of byte order and spaces of no width, which nothing shows.
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"


@dataclass
class Rows:
    """What a source holds.

    Attributes:
        columns: the headers, each once.
        values: the rows, each with a value for every column; null where there is none. Iterable once.
        has_types: whether the source says of what type its columns are; texts may stand for anything otherwise.
        notes: what is to be said of the source, for people.
    """

    columns: Sequence[str]
    values: Iterator[Sequence[Any]]
    has_types: bool = False
    notes: list[str] = field(default_factory=list)


def check_names(columns: Sequence[str], what: str) -> None:
    """Refuse two columns of one name, as a query can give them.

    Raises:
        SettingsError: there are such.
    """
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise SettingsError(f"{what} gives two columns of one name: {', '.join(twice)}; name them with 'as'")


def rows_below_header(rows: Iterator[Sequence[Any]], name: str) -> Rows:
    """The rows below the first that is not blank, which holds the headers.

    Blank rows are left out, and so are columns without header and values. Texts lose the space around them.

    Args:
        rows: all rows, whatever their length.
        name: the file, for errors.

    Raises:
        SettingsError: there is no header, or a value stands where no header is.
    """
    cleaned = (row for row in map(_clean_row, rows) if any(value is not None for value in row))
    first = next(cleaned, None)
    if first is None:
        raise SettingsError(f"{name} is empty: its first line must hold the names of the columns")
    if any(isinstance(value, str) and _EMAIL.fullmatch(value) for value in first):
        raise SettingsError(
            f"the first line of {name} holds an e-mail address: it must hold the names of the columns, such as Email"
        )
    headers = [_header_text(value) for value in first]
    places = [place for place, header in enumerate(headers) if header]
    columns = _distinct([headers[place] for place in places])
    notes = [f"two columns are called {old!r}: the other is {new!r} here" for old, new in _renamed(headers, columns)]
    return Rows(columns, _below(cleaned, places, name), notes=notes)


def _below(rows: Iterator[Sequence[Any]], places: Sequence[int], name: str) -> Iterator[Sequence[Any]]:
    width, named = len(places), set(places)
    is_simple = list(places) == list(range(width))
    for number, row in enumerate(rows, 1):
        if len(row) > width or not is_simple:
            stray = [place for place, value in enumerate(row) if value is not None and place not in named]
            if stray:
                raise SettingsError(
                    f"{name}: row {number:,} below the header has a value in column {stray[0] + 1}, which has no "
                    "header; quote a value that holds the delimiter, or name the column"
                )
        yield [row[place] if place < len(row) else None for place in places]


def _clean_row(row: Sequence[Any]) -> list[Any]:
    return [clean_text(value) if isinstance(value, str) else value for value in row]


def clean_text(text: str) -> str | None:
    """A text without the space around it; None where nothing of it can be seen."""
    text = text.strip()
    return (text if text.isascii() else text.strip(_INVISIBLE).strip()) or None


def _header_text(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def _distinct(headers: Sequence[str]) -> list[str]:
    """The headers, with a number behind one that came before."""
    columns: list[str] = []
    for header in headers:
        name, number = header, 1
        while name in columns:
            number += 1
            name = f"{header} ({number})"
        columns.append(name)
    return columns


def _renamed(headers: Sequence[str], columns: Sequence[str]) -> list[tuple[str, str]]:
    return [(old, new) for old, new in zip(filter(None, headers), columns, strict=True) if old != new]
