"""The folder of a lake: who may write to it, and when what is written is there for good."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

# <run>-<number in the run>-<when it was landed, in UTC>[-v<version>].parquet; DuckDB reads it, too.
FILE = r"(\d+)-(\d+)-(\d{8}T\d{12})Z(?:-v(\d+))?\.parquet"
_RUN = re.compile(FILE)
DATABASE = "warehouse.duckdb"


class LakeError(Exception):
    """What the user is told when a lake cannot be written."""


class Lake:
    """A folder of tables that this process alone writes to.

    Attributes:
        path: where it is.
        run: the number of this run, greater than that of each one before.
        incoming: an empty folder for the files of this run that are not landed yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        names = [_RUN.fullmatch(file.name) for file in path.glob("*/*.parquet")]
        self.run = 1 + max((int(name[1]) for name in names if name), default=0)
        # What lies there was announced by nobody, or not vouched for: its rows come again.
        shutil.rmtree(path / "_incoming", ignore_errors=True)
        self.incoming = path / "_incoming" / f"{self.run:06}"
        self.incoming.mkdir(parents=True, mode=0o700)

    def folder_of(self, stream: str) -> Path:
        """The folder of a stream's table. Readers of folders leave out what begins with ``_`` or a dot.

        Raises:
            LakeError: there is one whose name differs in capitals only.
        """
        name = quote(stream, safe="")
        if name[:1] in ("_", "."):
            name = f"%{ord(name[0]):02X}{name[1:]}"
        for other in self.path.iterdir():
            if other.name != name and other.name.casefold() == name.casefold():
                raise LakeError(f"{other.name} is there already, and {stream} differs from it in capitals only")
        folder = self.path / name
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            sync(self.path)
        return folder


_LOCK = ".lock"


def find_lake(path: Path) -> Lake:
    """The lake that is there, whoever writes to it.

    Raises:
        LakeError: there is none.
    """
    path = path.absolute()
    if not (path / _LOCK).is_file():
        raise LakeError(f"{path} is no lake; a run without --views makes one")
    return Lake(path)


@contextmanager
def open_lake(path: Path) -> Iterator[Lake]:
    """The lake, until it is closed; a new folder, and its files, can be read by their owner only.

    Raises:
        LakeError: another process writes to it, or the folder holds something else.
    """
    path = path.absolute()
    if "?" in str(path):
        raise LakeError(f"{path}: DuckDB takes a question mark for the end of a path; name another folder")
    lock = path / _LOCK
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not lock.exists() and any(path.iterdir()):
            raise LakeError(f"{path} is no lake and not empty; name a folder that is empty or yet to be made")
        path.chmod(0o700)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(f"another run is writing to {path}; wait for its end, or name another folder") from None
        lake = Lake(path)
        yield lake
        shutil.rmtree(lake.incoming.parent, ignore_errors=True)
    finally:
        # The lock ends with the process, however that ends.
        os.close(handle)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, meets the old one or the new one."""
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    put(beside, path)


def put(source: Path, place: Path) -> None:
    """Move a file that is on disk to its place; it is there for good when this returns."""
    source.replace(place)
    sync(place.parent)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
