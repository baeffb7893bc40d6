"""The lake of the examples: its modules can be imported from here on, and what its views hold."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import duckdb

from support.commands import run_command
from support.fast_clock import AT_ONCE, fast_command

LAKE = Path(__file__).parents[2] / "examples" / "lake"
if str(LAKE) not in sys.path:
    sys.path.insert(0, str(LAKE))

from lake_columns import Columns  # noqa: E402
from lake_values import CUT, MENDED, NO_COLUMN, Changes, Unreadable, split_members  # noqa: E402

__all__ = [
    "CUT",
    "LAKE",
    "MENDED",
    "NO_COLUMN",
    "Changes",
    "Columns",
    "Unreadable",
    "fill",
    "land",
    "program",
    "query",
    "split_members",
]


def program(name: str, before: str = "") -> list[str]:
    """The beginning of a command that runs ``examples/lake/<name>.py``, after a text of Python."""
    start = f"import sys; sys.path.insert(0, {str(LAKE)!r})\n{before}\nimport {name}; sys.exit({name}.main())"
    return [sys.executable, "-c", start]


def land(lake: Path, *messages: Any) -> Any:
    """Run the loader with these messages; a text is a line as it stands."""
    return run_command([*program("land"), str(lake)], messages)


def fill(lake: Path, url: str, *options: str, before: str = "", **environment: str) -> Any:
    """Run the one command, with a tap that waits for no limits; ``before`` is a text of Python that comes first."""
    quick = f"import lake; lake.TAP = {fast_command('tap_klaviyo', AT_ONCE)!r}\n{before}"
    return run_command(
        [*program("lake", quick), str(lake), *options],
        environment={"TAP_KLAVIYO_API_KEY": "pk_lake", "TAP_KLAVIYO_API_URL": url, **environment},
    )


def query(lake: Path, statement: str) -> list[tuple[Any, ...]]:
    """What the warehouse answers."""
    with duckdb.connect(str(lake / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(statement).fetchall()
