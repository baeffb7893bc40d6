"""Keeps what was written to an account in a SQLite database, so that a sandbox that was stopped goes on as it was.

The account itself is not in it: it is made again from its seed, and what was written is laid over it, in the order in
which it was last written. A change is on disk before the answer to its request is sent. The database is kept in WAL
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


class DataRefused(Exception):
    """What is in the directory cannot be used, and why."""


@dataclass(frozen=True)
class Made:
    """What an account was made of."""

    seed: int
    profiles: int
    events: int
    procedural: bool

    def __str__(self) -> str:
        kind = "procedural" if self.procedural else "seeded"
        return f"a {kind} account of seed {self.seed} with {self.profiles} profiles and {self.events} events"


def made_in(directory: Path) -> Made | None:
    """What the account that is kept in a directory was made of; None when there is none yet.

    Raises:
        DataRefused: there is something else, or another process has it open.
    """
    path = directory / FILE
    if not path.exists():
        return None
    with contextlib.closing(_open(path)) as connection, _explained(path):
        return _made(connection)


class Kept:
    """The database of one account, open for this process alone. Hold the store's lock, except to open it.

    Raises:
        DataRefused: the directory holds another account or something else, is in use, or cannot be written.
    """

    def __init__(self, directory: Path, made: Made) -> None:
        self._path = directory / FILE
        _create(self._path)
        self._connection = _open(self._path)
        try:
            with _explained(self._path):
                self._claim(made)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def restore(self, store: Store) -> None:
        """Lay what is kept over the account as it was made, and keep what is changed from now on.

        Raises:
            DataRefused: the account is not the one that it was: another version of the sandbox makes others.
        """
        with _explained(self._path):
            self._check_same(store)
            for part, row_id, row in self._connection.execute("SELECT part, id, row FROM written ORDER BY number"):
                _lay(store, part, row_id, row)
        for list_id in store.lists.rows:
            store.list_members.setdefault(list_id, Table())
        for _, table in _parts(store):
            table.changed_ids = {}
        store.save = lambda: self.write(store)

    def clear(self) -> None:
        """Forget what was written."""
        with _explained(self._path), self._connection:
            self._connection.execute("DELETE FROM written")

    def write(self, store: Store) -> None:
        """Write what was changed since the last time, all of it or nothing.

        Raises:
            sqlite3.Error: it cannot be written; it is tried again the next time.
        """
        changed = [(part, table) for part, table in _parts(store) if table.changed_ids or table.changed_ids is None]
        if not changed:
            return
        with self._connection:
            for part, table in changed:
                # A table that came since, as a new list does, is written whole.
                ids = table.in_memory if table.changed_ids is None else table.changed_ids
                self._connection.executemany(
                    "INSERT OR REPLACE INTO written (part, id, row) VALUES (?, ?, ?)",
                    ((part, row_id, _text(table, row_id)) for row_id in ids),
                )
        for _, table in changed:
            table.changed_ids = {}

    def _claim(self, made: Made) -> None:
        """Make it ours alone; fill it when it is new."""
        known = _made(self._connection)
        if known not in (None, made):
            raise DataRefused(f"{self._path.parent} holds {known}, not {made}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            if known is None:
                for statement in _SCHEMA:
                    self._connection.execute(statement)
                self._remember({name: json.dumps(value) for name, value in asdict(made).items()})

    def _check_same(self, store: Store) -> None:
        fingerprint = _fingerprint(store)
        known = self._connection.execute("SELECT value FROM made WHERE name = 'fingerprint'").fetchone()
        if known is None:
            with self._connection:
                self._remember({"fingerprint": fingerprint})
        elif known[0] != fingerprint:
            raise DataRefused(
                f"{self._path.parent} was made by another version of klaviyo-sandbox, whose accounts differ"
            )

    def _remember(self, values: dict[str, str]) -> None:
        self._connection.executemany("INSERT INTO made VALUES (?, ?)", values.items())


def _create(path: Path) -> None:
    """The directory and an empty file, for their owner only from the first moment."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DataRefused(f"cannot keep data in {path.parent}: {error.strerror}") from error


def _open(path: Path) -> sqlite3.Connection:
    with _explained(path):
        # Requests are answered in another thread than the one that starts; the store's lock parts them.
        connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
        # Nobody else may look, not even to read, while a sandbox has it.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection


def _made(connection: sqlite3.Connection) -> Made | None:
    """What the account was made of; None in a database that is still empty."""
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
    return Made(**{name: json.loads(value) for name, value in values.items()})


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
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


def _parts(store: Store) -> Iterator[tuple[str, Table]]:
    """Every table with its name."""
    for name, held in vars(store).items():
        if isinstance(held, Table):
            yield name, held
    for name in _MEMBERS:
        for group_id, members in getattr(store, name).items():
            yield f"{name}/{group_id}", members


def _lay(store: Store, part: str, row_id: str, text: str | None) -> None:
    row = None if text is None else json.loads(text)
    if part == "profiles":
        # Identifiers follow from the profiles.
        if row is None:
            store.drop_profile(row_id)
        else:
            store.put_profile(row)
        return
    name, _, group_id = part.partition("/")
    held = getattr(store, name)
    table: Table = held.setdefault(group_id, Table()) if group_id else held
    if row is None:
        table.drop(row_id)
    else:
        table.put(row)


def _text(table: Table, row_id: str) -> str | None:
    row = table.in_memory.get(row_id)
    return None if row is None else encode_json(dict(row)).decode()


def _fingerprint(store: Store) -> str:
    """Changes when the same seed makes another account; looks at a few rows of what may be large."""
    found = hashlib.sha256()
    for name, table in _parts(store):
        keys = table.sorted_keys("id")
        ends = [keys[place][1] for place in (0, len(keys) // 2, -1)] if keys else []
        found.update(encode_json([name, len(keys), *(dict(table.rows[row_id]) for row_id in ends)]))
    return found.hexdigest()
