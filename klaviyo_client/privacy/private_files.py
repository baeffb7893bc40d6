"""Private files: with personal data or secrets, readable by their owner only, and never half written."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_RETRY_SECONDS = 0.05
# In place of a file's handle: another process has the lock; locks are not possible here.
_BUSY, _IMPOSSIBLE = -1, -2


def write_private(path: Path, text: str) -> None:
    """Write a file as a whole: a reader sees the old one or the new one, never a part.

    Raises:
        OSError: it cannot be written there.
    """
    if is_device(path):  # replacing it by a file would remove it
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A new file (O_EXCL), readable by its owner only.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        # Half a surrogate pair, which JSON can hold, is no UTF-8.
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


@contextmanager
def file_lock(path: Path, sleep: Callable[[float], None], seconds: float) -> Iterator[None]:
    """A lock that only one process has at a time. It is on an empty file beside ``path``, which is there meanwhile.

    It ends with the process, however that ends. Where locks are not possible, and after ``seconds``, the caller goes on
    without one.

    Args:
        path: the file to lock; it is replaced as a whole, so that the lock cannot be on itself.
        sleep: waits between two tries.
        seconds: how long to wait for others.
    """
    beside = path.with_name(f".{path.name}.lock")
    waited = 0.0
    handle = _lock(beside)
    while handle == _BUSY and waited < seconds:
        sleep(_RETRY_SECONDS)
        waited += _RETRY_SECONDS
        handle = _lock(beside)
    try:
        yield
    finally:
        if handle >= 0:
            # Before the lock ends: a process that then locks the removed file sees that it is no longer the one there.
            with suppress(OSError):
                beside.unlink()
            os.close(handle)


def hold_lock(path: Path) -> int | None:
    """Lock a file, which is made if it is not there, until the process ends or closes the handle that this returns.

    None where another process has it, and where locks are not possible.
    """
    handle = _lock(path)
    return None if handle < 0 else handle


def _lock(path: Path) -> int:
    """The handle of the locked file; ``_BUSY`` or ``_IMPOSSIBLE`` where it cannot be locked."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return _IMPOSSIBLE
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(handle), path.stat()):
                raise BlockingIOError(errno.EAGAIN, "another file has taken its place")
    except OSError as error:
        os.close(handle)
        return _BUSY if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK, errno.ENOENT) else _IMPOSSIBLE
    return handle


def check_writable(path: Path) -> None:
    """Check that a file can be written there, before data could be lost. Makes its folder; nothing else stays.

    Raises:
        OSError: it cannot.
    """
    if is_device(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    Path(temporary).unlink()


def is_device(path: Path) -> bool:
    """Whether the path is a device or a pipe, which only passes on what is written."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def create_private(path: Path) -> tuple[Path, TextIO]:
    """Create a file to write line by line; returns its path and the open file.

    Where a file is there already, the new one gets another name beside it: no two processes ever get the same file, and
    no file is changed. Every line is written at once, so that a kill breaks only the line that is being written. Until
    the file is closed ``exclusively`` gives it to nobody.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = path
    while True:
        try:
            handle = os.open(free, os.O_WRONLY | (os.O_APPEND if is_device(free) else os.O_CREAT | os.O_EXCL), 0o600)
        except FileExistsError:
            began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            free = path.with_name(f"{path.stem}.{began}-{secrets.token_hex(3)}{path.suffix}")
        else:
            _hold(handle)
            return free, os.fdopen(handle, "w", encoding="utf-8", buffering=1)


def replace_private(path: Path) -> int:
    """Make a new file in the place of one that may be there; the handle of the open file.

    Who still writes, or reads, the earlier one has it to the end. A device or a pipe is opened as it is.

    Raises:
        OSError: it cannot be made.
    """
    if is_device(path):
        return os.open(path, os.O_WRONLY | os.O_APPEND)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        Path(temporary).replace(path)
    except BaseException:
        os.close(handle)
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    return handle


@contextmanager
def exclusively(path: Path) -> Iterator[TextIO | None]:
    """The file, open to be read, and nobody else has it until the context ends.

    None where who made it by ``create_private`` still writes it, where somebody else has it so, or where it is gone.

    Raises:
        OSError: it cannot be read.
    """
    try:
        # Locks on some file systems (NFS) are given to who may write only.
        file = path.open("r+", encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        yield None
        return
    with file:
        is_mine = _hold(file.fileno())
        # Whoever had it may have given it another name meanwhile.
        yield file if is_mine and path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()) else None


def _hold(handle: int) -> bool:
    """Lock an open file for as long as it is open; False where another process has. Where locks are not possible: True.

    Not on Windows, where nobody could read what is locked, and nobody renames what is open.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True
