"""Loads what a tap writes as targets do, upserts by key, into a PostgreSQL or, where there is none, into SQLite."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import psycopg

Row = dict[str, Any]
Key = tuple[Any, ...]
Rows = dict[Key, Row]


class Warehouse(ABC):
    """A database with some schemas of tables.

    Attributes:
        keys: table -> the columns of its key.
    """

    types: ClassVar[Mapping[str, str]]
    _connection: psycopg.Connection[Any] | sqlite3.Connection

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, ...]] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self._created: set[tuple[str, str]] = set()

    def load(self, schema: str, messages: Iterable[Mapping[str, Any]]) -> None:
        """Upsert the RECORDs of a run; of a key that comes several times the last one stays."""
        wanted: dict[str, Rows] = {}
        for message in messages:
            table = message.get("stream")
            if message["type"] == "SCHEMA":
                self._columns[table] = {
                    name: self.types[_kind(column)] for name, column in message["schema"]["properties"].items()
                }
                self.keys[table] = tuple(message["key_properties"])
                if (schema, table) not in self._created:
                    self._create(schema, table)
                    self._created.add((schema, table))
            elif message["type"] == "RECORD":
                record = message["record"]
                wanted.setdefault(table, {})[tuple(record[name] for name in self.keys[table])] = record
        for table, rows in wanted.items():
            self._upsert(schema, table, list(rows.values()))

    def _create(self, schema: str, table: str) -> None:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in self._columns[table].items())
        key = _quoted(self.keys[table])
        self.execute(f'create table if not exists "{schema}"."{table}" ({columns}, primary key ({key}))')

    def _update(self, table: str) -> str:
        """What an upsert does with a row that is there."""
        others = [name for name in self._columns[table] if name not in self.keys[table]]
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
        return f"on conflict ({_quoted(self.keys[table])}) do " + (f"update set {changes}" if others else "nothing")

    def rows(self, schema: str, table: str) -> Rows:
        """Every row of a table, by its key."""
        names = list(self._columns[table])
        found = self.execute(f'select {_quoted(names)} from "{schema}"."{table}"')
        positions = [names.index(name) for name in self.keys[table]]
        return {tuple(row[at] for at in positions): dict(zip(names, row, strict=True)) for row in found}

    def close(self) -> None:
        self._connection.close()

    def empty(self, schema: str) -> None:
        """Take all rows out of a schema's tables."""
        for place, table in self._created:
            if place == schema:
                self.execute(f'delete from "{place}"."{table}"')

    @abstractmethod
    def execute(self, statement: str) -> Iterable[tuple[Any, ...]]:
        """Run a statement; the rows that it gives."""

    @abstractmethod
    def _upsert(self, schema: str, table: str, rows: list[Row]) -> None: ...


class Postgres(Warehouse):
    """Columns of PostgreSQL's own types: a value that is none of its type ends the load."""

    types: ClassVar[Mapping[str, str]] = {
        "boolean": "boolean",
        "integer": "bigint",
        "number": "double precision",
        "time": "timestamptz",
        "string": "text",
        "any": "jsonb",
    }

    def __init__(self, schemas: Iterable[str], address: str) -> None:
        super().__init__()
        self._connection = psycopg.connect(address, autocommit=True)
        for schema in schemas:
            self.execute(f'create schema "{schema}"')

    def execute(self, statement: str) -> Iterable[tuple[Any, ...]]:
        cursor = self._connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else ()

    def _upsert(self, schema: str, table: str, rows: list[Row]) -> None:
        place = f'"{schema}"."{table}"'
        statement = f"insert into {place} select * from jsonb_populate_recordset(null::{place}, %s) "
        self._connection.execute((statement + self._update(table)).encode(), [json.dumps(rows)])


class Sqlite(Warehouse):
    """Values as they come; what is no text and no number is JSON."""

    types: ClassVar[Mapping[str, str]] = dict.fromkeys(Postgres.types, "")

    def __init__(self, schemas: Iterable[str]) -> None:
        super().__init__()
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for schema in schemas:
            self.execute(f"attach ':memory:' as \"{schema}\"")

    def execute(self, statement: str) -> Iterable[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    def _upsert(self, schema: str, table: str, rows: list[Row]) -> None:
        names = list(self._columns[table])
        marks = ", ".join("?" * len(names))
        statement = f'insert into "{schema}"."{table}" ({_quoted(names)}) values ({marks}) {self._update(table)}'
        self._connection.execute("begin")
        self._connection.executemany(statement, ([_sqlite_value(row.get(name)) for name in names] for row in rows))
        self._connection.execute("commit")


def warehouses(schemas: Sequence[str], make_database: Callable[[], Callable[[], str]]) -> list[Warehouse]:
    """SQLite always, and a PostgreSQL where this machine can have one.

    Args:
        schemas: the schemas of each.
        make_database: gives what makes an empty database and tells its address; an ImportError where there is none.
    """
    try:
        address = make_database()()
    except ImportError:
        return [Sqlite(schemas)]
    return [Sqlite(schemas), Postgres(schemas, address)]


def _kind(column: Mapping[str, Any]) -> str:
    kinds = column.get("type", ())
    names = {kinds} if isinstance(kinds, str) else set(kinds)
    names.discard("null")
    if names != {"string"}:
        return names.pop() if len(names) == 1 and names <= {"boolean", "integer", "number"} else "any"
    return "time" if column.get("format") == "date-time" else "string"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _sqlite_value(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, (dict, list)) else value
