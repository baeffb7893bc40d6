"""Files that hold personal data or secrets: readable by their owner only, and never half written."""

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

_LOOK_SECONDS = 0.05
_BUSY, _NEVER = -1, -2


def write_private(path: Path, text: str) -> None:
    """Put a file in its place at once: it is the old one or the new one.

    Raises:
        OSError: it cannot be written there.
    """
    if is_device(path):  # a file in its place would be the end of it
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made anew (O_EXCL), and readable by its owner only.
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        # Half a surrogate pair, which JSON can hold, is no UTF-8.
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(made).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(made).unlink()
        raise


@contextmanager
def file_lock(path: Path, sleep: Callable[[float], None], seconds: float) -> Iterator[None]:
    """Keep other processes that lock the same file out. The lock is on an empty file beside it while it lasts.

    It ends with the process, however that ends. Where none can be had, and after ``seconds``, one goes on without it.

    Args:
        path: what is to be locked; it is replaced as a whole, so that the lock cannot be on it.
        sleep: waits between two tries.
        seconds: how long to wait for others.
    """
    beside = path.with_name(f".{path.name}.lock")
    waited = 0.0
    handle = _lock(beside)
    while handle == _BUSY and waited < seconds:
        sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
        handle = _lock(beside)
    try:
        yield
    finally:
        if handle >= 0:
            # While it is ours: who holds the file that is gone then looks whether it is still the one that is there.
            with suppress(OSError):
                beside.unlink()
            os.close(handle)


def _lock(path: Path) -> int:
    """The file, locked; one of the negative numbers above where that cannot be."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return _NEVER
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(handle), path.stat()):
                raise BlockingIOError(errno.EAGAIN, "another file has taken its place")
    except OSError as error:
        os.close(handle)
        return _BUSY if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK, errno.ENOENT) else _NEVER
    return handle


def check_writable(path: Path) -> None:
    """See whether a file could be put there, before anything is at stake. Its folder is made, and nothing else stays.

    Raises:
        OSError: it could not.
    """
    if is_device(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    Path(made).unlink()


def is_device(path: Path) -> bool:
    """Whether there is something that only passes on what is written: a device, or a pipe."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def create_private(path: Path) -> tuple[Path, TextIO]:
    """A new file to write line by line, and where it is: there, or under a name of its own where one is already.

    No two processes ever get the same file, and none that is there is touched. Every line is written at once, so that
    a kill breaks none but the one that is being written.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path
    while True:
        try:
            handle = os.open(place, os.O_WRONLY | (os.O_APPEND if is_device(place) else os.O_CREAT | os.O_EXCL), 0o600)
        except FileExistsError:
            began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            place = path.with_name(f"{path.stem}.{began}-{secrets.token_hex(3)}{path.suffix}")
        else:
            return place, os.fdopen(handle, "w", encoding="utf-8", buffering=1)
