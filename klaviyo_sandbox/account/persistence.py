"""A SQLite database with the changes to an account, so that a sandbox that was stopped goes on as it was.

The account itself is not in it: it is made again from its seed, and the changes are applied to it, in the order in
which rows were last written. A change is on disk before the answer to its request is sent. The database is in WAL
mode with ``synchronous=NORMAL``: it survives a kill of the process at any moment; a power failure may take the latest
changes with it, and never more than that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from klaviyo_sandbox.account.seeded.attributions import WINDOWS
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.exchange import encode_json

FILE = "account.sqlite"
# "Klav", so that no other program's database is taken for one of ours.
_APPLICATION = 0x4B6C6176
_FORMAT = 1
_SCHEMA = (
    "CREATE TABLE made (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # ``row`` is null where one was dropped. ``number`` grows, so it tells what was written last.
    "CREATE TABLE written (number INTEGER PRIMARY KEY AUTOINCREMENT, part TEXT, id TEXT, row TEXT, UNIQUE (part, id))",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)
_MEMBERS = ("list_members", "segment_members")
_RESOURCES = "resources"


class DataRefused(Exception):
    """The content of the directory cannot be used; the message says why."""


@dataclass(frozen=True)
class AccountParameters:
    """The parameters that an account was made with; ``attribution`` as ``attributions.parse_windows`` reads it."""

    seed: int
    profiles: int
    events: int
    procedural: bool
    # Databases from before it could be set do not hold it.
    attribution: str = WINDOWS
    odd_values: bool = False

    def __str__(self) -> str:
        kind = "procedural" if self.procedural else "seeded"
        odd = ", and odd values" if self.odd_values else ""
        attribution = "" if self.attribution == WINDOWS else f" that are attributed by {self.attribution}"
        rows = f"{self.profiles} profiles and {self.events} events{attribution}{odd}"
        return f"a {kind} account of seed {self.seed} with {rows}"


def read_parameters(directory: Path) -> AccountParameters | None:
    """The parameters of the account whose changes are in a directory; None when there is no account yet.

    Raises:
        DataRefused: something else is there, or another process has it open.
    """
    path = directory / FILE
    if not path.exists():
        return None
    with contextlib.closing(_open(path)) as connection, _as_data_refused(path):
        return _read_parameters(connection)


class AccountDatabase:
    """The database of one account, open for this process alone. Hold the store's lock, except to open it.

    Raises:
        DataRefused: the directory holds another account or something else, is in use, or cannot be written.
    """

    def __init__(self, directory: Path, parameters: AccountParameters) -> None:
        self._path = directory / FILE
        _create(self._path)
        self._connection = _open(self._path)
        try:
            with _as_data_refused(self._path):
                self._claim(parameters)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def restore(self, store: Store) -> None:
        """Apply the saved changes to a new account, and save what is changed from now on.

        Raises:
            DataRefused: the account differs from the one that was changed: another version of the sandbox made that.
        """
        with _as_data_refused(self._path):
            self._check_same(store)
            for part, row_id, row in self._connection.execute("SELECT part, id, row FROM written ORDER BY number"):
                _apply(store, part, row_id, row)
        for list_id in store.lists.rows:
            store.list_members.setdefault(list_id, Table())
        for _, table in _named_tables(store):
            table.changed_ids = {}
        store.save = lambda: self.write(store)

    def clear(self) -> None:
        """Delete the saved changes."""
        with _as_data_refused(self._path), self._connection:
            self._connection.execute("DELETE FROM written")

    def write(self, store: Store) -> None:
        """Save what was changed since the last call, all of it or nothing.

        Raises:
            sqlite3.Error: it cannot be written; the next call tries it again.
        """
        changed = [
            (name, table) for name, table in _named_tables(store) if table.changed_ids or table.changed_ids is None
        ]
        if not changed:
            return
        with self._connection:
            for name, table in changed:
                # A table that is new, as that of a new list, is written whole.
                ids = table.in_memory if table.changed_ids is None else table.changed_ids
                self._connection.executemany(
                    "INSERT OR REPLACE INTO written (part, id, row) VALUES (?, ?, ?)",
                    ((name, row_id, _row_json(table, row_id)) for row_id in ids),
                )
        for _, table in changed:
            table.changed_ids = {}

    def _claim(self, parameters: AccountParameters) -> None:
        """Lock the database for this process; set it up when it is new."""
        saved = _read_parameters(self._connection)
        if saved not in (None, parameters):
            raise DataRefused(f"{self._path.parent} holds {saved}, not {parameters}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            if saved is None:
                for statement in _SCHEMA:
                    self._connection.execute(statement)
                self._insert_values({name: json.dumps(value) for name, value in asdict(parameters).items()})

    def _check_same(self, store: Store) -> None:
        fingerprint = _fingerprint(store)
        saved = self._connection.execute("SELECT value FROM made WHERE name = 'fingerprint'").fetchone()
        if saved is None:
            with self._connection:
                self._insert_values({"fingerprint": fingerprint})
        elif saved[0] != fingerprint:
            raise DataRefused(
                f"{self._path.parent} was made by another version of klaviyo-sandbox, whose accounts differ"
            )

    def _insert_values(self, values: dict[str, str]) -> None:
        self._connection.executemany("INSERT INTO made VALUES (?, ?)", values.items())


def _create(path: Path) -> None:
    """Create the directory and an empty file, for their owner only from the first moment."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DataRefused(f"cannot keep data in {path.parent}: {error.strerror}") from error


def _open(path: Path) -> sqlite3.Connection:
    with _as_data_refused(path):
        # Requests are answered in another thread than the one that starts; the store's lock separates them.
        connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
        # No other process may open it, not even to read, while a sandbox has it.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection


def _read_parameters(connection: sqlite3.Connection) -> AccountParameters | None:
    """The parameters of the account; None in a database that is still empty."""
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if application == tables == 0:
        return None
    if application != _APPLICATION:
        raise DataRefused(f"{FILE} in it is no account of klaviyo-sandbox")
    if version != _FORMAT:
        raise DataRefused(f"{FILE} in it has format {version}; this version of klaviyo-sandbox knows {_FORMAT}")
    values = dict(connection.execute("SELECT name, value FROM made WHERE name != 'fingerprint'"))
    return AccountParameters(**{name: json.loads(value) for name, value in values.items()})


@contextlib.contextmanager
def _as_data_refused(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into ``DataRefused`` that names the directory."""
    try:
        yield
    except sqlite3.Error as error:
        code = error.sqlite_errorcode & 0xFF
        reasons = {
            sqlite3.SQLITE_BUSY: "another process has it open",
            sqlite3.SQLITE_NOTADB: f"{FILE} in it is no account of klaviyo-sandbox",
        }
        raise DataRefused(f"cannot keep data in {path.parent}: {reasons.get(code, error)}") from error
    except DataRefused as refused:
        if str(path.parent) in str(refused):
            raise
        raise DataRefused(f"cannot keep data in {path.parent}: {refused}") from None


def _named_tables(store: Store) -> Iterator[tuple[str, Table]]:
    """Every table with the name that it has in the database."""
    for name, value in vars(store).items():
        if isinstance(value, Table):
            yield name, value
    for name in _MEMBERS:
        for group_id, members in getattr(store, name).items():
            yield f"{name}/{group_id}", members
    for kind, table in store.resources.items():
        yield f"{_RESOURCES}/{kind}", table


def _apply(store: Store, part: str, row_id: str, text: str | None) -> None:
    """Apply one saved change: put a row into a table (``part``), or drop it when the text is None."""
    row = None if text is None else json.loads(text)
    if part == "profiles":
        # The store must index their identifiers.
        if row is None:
            store.drop_profile(row_id)
        else:
            store.put_profile(row)
        return
    name, _, group_id = part.partition("/")
    value = getattr(store, name)
    table: Table = value.setdefault(group_id, Table()) if group_id else value
    if row is None:
        table.drop(row_id)
    else:
        table.put(row)


def _row_json(table: Table, row_id: str) -> str | None:
    row = table.in_memory.get(row_id)
    return None if row is None else encode_json(dict(row)).decode()


def _fingerprint(store: Store) -> str:
    """A hash that differs when the same seed makes another account; looks at a few rows only of each table."""
    digest = hashlib.sha256()
    for name, table in _named_tables(store):
        if name.startswith(_RESOURCES):  # databases from before they could be written do not know them
            continue
        keys = table.sorted_keys("id")
        sample_ids = [keys[position][1] for position in (0, len(keys) // 2, -1)] if keys else []
        digest.update(encode_json([name, len(keys), *(dict(table.rows[row_id]) for row_id in sample_ids)]))
    return digest.hexdigest()
