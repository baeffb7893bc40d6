"""What an end-to-end benchmark found, as it is on file: a line for each pipe, and the table that is made of them. Pure.

A line has ``reader`` and ``loader``, whether they are ``ours``, ``rows`` that arrived and ``distinct`` ids among them
(None where lines were counted), ``seconds`` from the start of the pipe to its end, ``cpu`` seconds and peak ``memory``
(megabytes) of all its processes, and ``server_cpu`` and ``store_cpu`` seconds of the sandbox and the database server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]
# The loader of a pipe that has none.
ALONE = "none: lines are counted"
COLUMNS = (
    *("reader", "loader", "rows", "distinct ids", "seconds", "rows/s", "of its reader", "CPU s", "CPU µs a row"),
    *("memory MB", "server CPU s", "sandbox CPU s"),
)


def rate(line: Line) -> float:
    """Rows a second."""
    return float(line["rows"] / line["seconds"])


def share(line: Line, lines: Iterable[Line]) -> float | None:
    """Which part of what its reader reads alone arrives; None where that was not measured."""
    alone = [rate(other) for other in lines if (other["reader"], other["loader"]) == (line["reader"], ALONE)]
    return rate(line) / alone[0] if alone else None


def cells(line: Line, lines: Iterable[Line]) -> list[str]:
    """A line of the table; ``lines`` are those of its run."""
    part = share(line, lines)
    return [
        line["reader"],
        line["loader"],
        f"{line['rows']:,}",
        "" if line["distinct"] is None else f"{line['distinct']:,}",
        f"{line['seconds']:.1f}",
        f"{rate(line):,.0f}",
        "" if part is None else f"{part:.0%}",
        f"{line['cpu']:.1f}",
        f"{line['cpu'] / line['rows'] * 1e6:,.0f}",
        f"{line['memory']:.0f}",
        f"{line['store_cpu']:.1f}",
        f"{line['server_cpu']:.1f}",
    ]


def table(results: Mapping[str, Any]) -> list[list[str]]:
    """The names of the columns, and a line for each pipe."""
    return [list(COLUMNS), *(cells(line, results["lines"]) for line in results["lines"])]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first row its head."""
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, f"|{' --- |' * len(rows[0])}", *lines])
