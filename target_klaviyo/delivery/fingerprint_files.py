"""Fingerprints on file: what was delivered of each stream, so that it can be left out while it is unchanged.

A file is a SQLite database, so that a million people take no memory. It holds keyed hashes only; the key lies beside
it, and both are their owner's alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from klaviyo_client.errors import Incomplete, SettingsError

_KEY_FILE, _KEY_BYTES, _DIGEST_BYTES = "key", 32, 16
# What is remembered is written so many at once: a kill before that costs as many rows that are sent again.
_BATCH = 1_000
# Of a file's pages, so many bytes stay in memory.
_CACHE_KIB = 16 * 1024
_SAFE_NAME = re.compile(r"[a-z0-9_-]{1,80}")
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fingerprints (key BLOB PRIMARY KEY, content BLOB, run INTEGER) WITHOUT ROWID;
"""

Digests = Mapping[bytes, bytes]


class Hasher:
    """Makes digests with a key that is made at random and kept in a file: without it no digest says whose it is.

    Args:
        folder: where the file is, or is made.
        keeps: whether it is made.

    Raises:
        SettingsError: it cannot be read or made.
    """

    def __init__(self, folder: Path, *, keeps: bool = True) -> None:
        path = folder / _KEY_FILE
        try:
            self._key = _read_or_make_key(path, keeps=keeps)
        except OSError as error:
            raise SettingsError(f"fingerprints_path cannot be used: {path}: {error.strerror}") from error
        if len(self._key) != _KEY_BYTES:
            raise SettingsError(
                f"fingerprints_path: {path} is not a key; delete {folder}, and everything is sent again"
            )

    def digest(self, *parts: str | bytes) -> bytes:
        """The digest of some parts: the same for the same parts, and for no others."""
        data = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in parts]
        whole = b"".join([b"%d:%b" % (len(part), part) for part in data])
        return hashlib.blake2b(whole, key=self._key, digest_size=_DIGEST_BYTES).digest()


class FingerprintFile:
    """The fingerprints of one stream: key (of an identifier) -> digest of what was delivered last. One thread's.

    Args:
        folder: where the file is, or is made.
        stream: the stream.
        context: digest of what else must be as it was, such as the list; otherwise the file begins anew.
        keeps: whether what happens stays on file; a rehearsal leaves it as it was.

    Raises:
        SettingsError: it cannot be used, or another run is using it.
    """

    def __init__(self, folder: Path, stream: str, context: bytes, *, keeps: bool = True) -> None:
        self.path = folder / file_name(stream)
        self._keeps = keeps
        self._remembered: dict[bytes, bytes] = {}
        try:
            if keeps:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            # Without a name it is a temporary one.
            name = self.path if keeps or self.path.exists() else ""
            self._database = sqlite3.connect(name, timeout=0, isolation_level=None)
            self._run = self._begin(context)
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(_unusable(self.path, error)) from error

    def _begin(self, context: bytes) -> int:
        """Prepare the tables; the number of this run."""
        # One run alone: two would each remember what the other has overwritten. A kill loses nothing that was
        # committed, which a power failure may; then rows are sent again.
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL", f"cache_size=-{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _TABLES.split(";")):
            self._database.execute(statement)
        about = dict(self._database.execute("SELECT name, value FROM about"))
        if about.get("context") != context:
            self._database.execute("DELETE FROM fingerprints")
        run = int(about.get("run") or 0) + 1
        self._database.executemany(
            "INSERT OR REPLACE INTO about VALUES (?, ?)", {"context": context, "run": run}.items()
        )
        if self._keeps:
            self._database.execute("COMMIT")
        return run

    def holds(self, digests: Digests) -> bool:
        """Whether all of this was delivered by an earlier run, and nothing else since."""
        if any(key in self._remembered for key in digests):
            return False
        query = f"SELECT key, content FROM fingerprints WHERE key IN ({_marks(digests)}) AND run < ?"  # noqa: S608
        with self._telling():
            return dict(self._database.execute(query, (*digests, self._run))) == dict(digests)

    def forget(self, keys: Collection[bytes]) -> None:
        """Forget what is about to be overwritten: a kill from now on leaves nothing here that may be wrong.

        Raises:
            Incomplete: the file cannot be written.
        """
        for key in keys:
            self._remembered.pop(key, None)
        with self._telling():
            self._database.execute(f"DELETE FROM fingerprints WHERE key IN ({_marks(keys)})", tuple(keys))  # noqa: S608

    def remember(self, digests: Digests) -> None:
        """Remember what was delivered.

        Raises:
            Incomplete: the file cannot be written.
        """
        self._remembered.update(digests)
        if len(self._remembered) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what is remembered, and let go of the file.

        Raises:
            Incomplete: the file cannot be written.
        """
        try:
            if self._keeps:
                self._write()
            else:
                self._database.execute("ROLLBACK")
        finally:
            self._database.close()

    def _write(self) -> None:
        rows = [(key, content, self._run) for key, content in self._remembered.items()]
        self._remembered.clear()
        with self._telling():
            if self._keeps:
                self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)", rows)
            if self._keeps:
                self._database.execute("COMMIT")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Incomplete(_unusable(self.path, error)) from error


def _marks(keys: Collection[bytes]) -> str:
    return ",".join("?" * len(keys))


def _read_or_make_key(path: Path, *, keeps: bool) -> bytes:
    key = secrets.token_bytes(_KEY_BYTES)
    if not keeps:
        return path.read_bytes() if path.exists() else key
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        file.write(key)
    return key


def _unusable(path: Path, error: Exception) -> str:
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return f"another run uses {path}: only_changed works for one run of a stream at a time"
    what = (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
    return f"the fingerprints in {path} cannot be used ({what}); delete the file, and everything is sent again"


def file_name(stream: str) -> str:
    """The name of a stream's file: no two streams have the same, on any file system.

    >>> file_name("people"), file_name("My people")
    ('people.sqlite', 'my_people-1ec1b9b1.sqlite')
    """
    if _SAFE_NAME.fullmatch(stream):
        return f"{stream}.sqlite"
    plain = re.sub(r"[^a-z0-9_-]+", "_", stream.lower())[:80]
    return f"{plain}-{hashlib.blake2b(stream.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}.sqlite"
