"""Compares what a warehouse holds after many incremental runs with one whole read, and with what the account means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meaning import MEANING, as_account_has_it
from month_excuses import EXCUSES, different_columns
from month_shop import Shop
from support.warehouse import Key, Row, Rows, Warehouse

from klaviyo_sandbox.account.store import Store
from tap_klaviyo.rows import schema_files

DAILY, WHOLE = "daily", "whole"
# How many rows of a table are told of a day.
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """Rows of a table that differ and may not.

    Attributes:
        examples: keys and columns, and no value of anybody's.
    """

    table: str
    what: str
    count: int
    examples: str


class Judge:
    """Judges a warehouse day after day.

    Attributes:
        excused: how many rows differed and might, by table and note.
    """

    def __init__(self, warehouse: Warehouse, tables: list[str]) -> None:
        self._warehouse = warehouse
        self._tables = tables
        # Table -> key -> every row that a whole read gave.
        self._history: dict[str, dict[Key, list[Row]]] = {table: {} for table in tables}
        self.excused: Counter[tuple[str, str]] = Counter()

    def findings(self, shop: Shop) -> Iterator[Finding]:
        """What differs today and may not."""
        for table in self._tables:
            daily, whole = (_without_times_of_reading(table, self._warehouse.rows(s, table)) for s in (DAILY, WHOLE))
            history = self._history[table]
            for key, row in whole.items():
                if row not in history.setdefault(key, []):
                    history[key].append(row)
            excused = self._excused(shop, table, daily, whole)
            yield from _compare(table, daily, whole, excused)
            if table in MEANING:
                yield from _compare_with_meaning(shop.store, table, "after daily runs", daily, excused)
                yield from _compare_with_meaning(shop.store, table, "read whole", whole, set())

    def _excused(self, shop: Shop, table: str, daily: Rows, whole: Rows) -> set[Key]:
        """Keys of the rows that differ and may; a row must be as a whole read once said."""
        excused = set()
        for key in daily.keys() | whole.keys():
            row, other = daily.get(key), whole.get(key)
            if row != other and (row is None or row in self._history[table].get(key, ())):
                notes = [excuse.note for excuse in EXCUSES.get(table, ()) if excuse.holds(shop, row, other)]
                self.excused.update((table, note) for note in notes)
                excused |= {key} if notes else set()
        return excused


def _compare(table: str, daily: Rows, whole: Rows, excused: set[Key]) -> Iterator[Finding]:
    both = daily.keys() & whole.keys() - excused
    changed = {key: _columns(daily[key], whole[key]) for key in both if daily[key] != whole[key]}
    yield from _told(table, "another row than in a whole read", changed)
    yield from _told(table, "only after daily runs", dict.fromkeys(daily.keys() - whole.keys() - excused, ""))
    yield from _told(table, "only in a whole read", dict.fromkeys(whole.keys() - daily.keys() - excused, ""))


def _without_times_of_reading(table: str, rows: Rows) -> Rows:
    schema = schema_files.load(table)
    optional = schema_files.optional_columns(schema)
    columns = {name: column for name, column in schema["properties"].items() if name not in optional}
    kept = [name for name, column in columns.items() if column.get("x-klaviyo-path") != "extracted#"]
    return {key: {name: row[name] for name in kept} for key, row in rows.items()}


def _compare_with_meaning(store: Store, table: str, how: str, rows: Rows, excused: set[Key]) -> Iterator[Finding]:
    expect, names = MEANING[table]
    expected = expect(store)
    found: Rows = {}
    spared: set[Key] = set()
    for key, row in rows.items():
        meant = tuple(as_account_has_it(name, row[name]) for name in names)
        if key in excused:
            spared.add(meant)
        # Of several of the same meaning the newest counts.
        elif meant not in found or str(row.get("timestamp")) > str(found[meant].get("timestamp")):
            found[meant] = row
    wrong = {}
    for key in expected.keys() & found.keys():
        told = {name: as_account_has_it(name, found[key].get(name)) for name in expected[key]}
        if told != expected[key]:
            wrong[key] = _columns(told, expected[key])
    yield from _told(table, f"{how}, not what the specification means", wrong)
    missing = expected.keys() - found.keys() - spared
    yield from _told(table, f"{how}, missing by the specification", dict.fromkeys(missing, ""))
    yield from _told(table, f"{how}, too many by the specification", dict.fromkeys(found.keys() - expected.keys(), ""))


def _columns(row: Row, wanted: Row) -> str:
    different = sorted(different_columns(row, wanted))
    return ", ".join(f"{name} {_masked(row[name])}, not {_masked(wanted[name])}" for name in different)


def _masked(value: Any) -> str:
    """A value without what may be personal."""
    if value is None or isinstance(value, (bool, datetime)):
        return str(value)
    return f"a {type(value).__name__}"


def _told(table: str, what: str, rows: Mapping[Key, str]) -> Iterator[Finding]:
    if rows:
        shown = [f"{'/'.join(map(str, key))} {text}".rstrip() for key, text in sorted(rows.items(), key=str)[:_SHOWN]]
        yield Finding(table, what, len(rows), "; ".join(shown))
