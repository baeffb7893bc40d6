"""Starts processes that have the plugins imported already, with the interface of ``subprocess``.

Three quarters of a short run are imports. A server has them behind it (one for each process of tests) and forks for
every run, so a run is still a process: with its own arguments, environment, folder, streams, signals and exit code.
Tests of the start itself, or of what is imported, take ``subprocess``.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
CompletedProcess = subprocess.CompletedProcess
_SERVER = Path(__file__).with_name("warm_server.py")


@cache
def _server_socket() -> socket.socket:
    """The socket to the server, which takes orders at it. The first call starts the server."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, _SERVER, str(theirs.fileno())],
            # Never used, but what programs have: streams that cannot be rewound.
            stdin=PIPE,
            stdout=PIPE,
            stderr=None,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        server.communicate()

    atexit.register(end)
    return ours


class Popen:
    """As ``subprocess.Popen``, with what tests use of it.

    Args:
        command: ``[sys.executable, "-m", module, *arguments]``, ``"-c"`` and a text, or ``"-P"`` and a file.
        others: as there.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        text: bool = False,
        bufsize: int = -1,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        python, *arguments = command
        assert python == sys.executable
        assert arguments[0] in ("-m", "-c", "-P")
        self.args = command
        self.returncode: int | None = None
        order = {"arguments": arguments, "cwd": os.fspath(cwd or Path.cwd()), "env": dict(env or os.environ)}
        self._connection, server_end = socket.socketpair()
        with server_end:
            pipes = [_Stream(0, stdin), _Stream(1, stdout), _Stream(2, stderr)]
            descriptors = [pipe.descriptor for pipe in pipes]
            socket.send_fds(_server_socket(), [json.dumps(order).encode()], [*descriptors, server_end.fileno()])
        self.stdin, self.stdout, self.stderr = (pipe.open(text=text, bufsize=bufsize) for pipe in pipes)
        self._line = b""
        self._read_line(None)
        self.pid = int(self._line)

    def _read_line(self, timeout: float | None) -> bool:
        """Wait for a line of the server's; whether it came in time."""
        if not select.select([self._connection], [], [], timeout)[0]:
            return False
        line = b""
        while not line.endswith(b"\n"):
            more = self._connection.recv(1)
            assert more, "the server of warm processes is gone"
            line += more
        self._line = line
        return True

    def poll(self) -> int | None:
        """The exit code, minus the signal's number after a signal; None while it runs."""
        if self.returncode is None and self._read_line(0):
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As ``poll``, when it has ended."""
        if self.returncode is None:
            if not self._read_line(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def _end(self) -> None:
        self.returncode = int(self._line)
        self._connection.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            # It may end in this moment.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:  # noqa: A002 - as there
        """Write all, read all, wait."""
        output: dict[str, Any] = {}
        readers = [
            threading.Thread(target=lambda name=name, pipe=pipe: output.update({name: pipe.read()}), daemon=True)
            for name, pipe in (("stdout", self.stdout), ("stderr", self.stderr))
            if pipe is not None
        ]
        if self.stdin is not None:
            readers.append(threading.Thread(target=self._write, args=(input,), daemon=True))
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        self._close()
        return output.get("stdout"), output.get("stderr")

    def _write(self, data: Any) -> None:
        assert self.stdin is not None
        try:
            if data:
                self.stdin.write(data)
            self.stdin.close()
        except BrokenPipeError:
            pass  # it ended before it had read all, as it may

    def _close(self) -> None:
        for pipe in (self.stdout, self.stderr, self.stdin):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self.wait()


class _Stream:
    """A standard stream of a process that is to start: the ``descriptor`` that it gets, and our end of a pipe."""

    def __init__(self, number: int, wanted: int | IO[Any] | None) -> None:
        self._writes = number == 0
        self._ours: int | None = None
        self._theirs: int | None = None
        if wanted == PIPE:
            reading, writing = os.pipe()
            self._ours, self._theirs = (writing, reading) if self._writes else (reading, writing)
            self.descriptor = self._theirs
        elif wanted == DEVNULL:
            self.descriptor = self._theirs = os.open(os.devnull, os.O_RDWR)
        else:
            self.descriptor = number if wanted is None else wanted if isinstance(wanted, int) else wanted.fileno()

    def open(self, *, text: bool, bufsize: int) -> IO[Any] | None:
        """Our end of the pipe, once the process has the other."""
        if self._theirs is not None:
            os.close(self._theirs)
        if self._ours is None:
            return None
        mode = "w" if self._writes else "r"
        return open(self._ours, mode if text else f"{mode}b", bufsize)  # noqa: PTH123 - it is a number


def run(
    command: Sequence[str],
    *,
    input: Any = None,  # noqa: A002 - as in subprocess
    capture_output: bool = False,
    check: bool = False,
    timeout: float | None = None,
    **options: Any,
) -> CompletedProcess[Any]:
    """As ``subprocess.run``."""
    if capture_output:
        options.update(stdout=PIPE, stderr=PIPE)
    if input is not None:
        options.update(stdin=PIPE)
    with Popen(command, **options) as process:
        try:
            out, errors = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = CompletedProcess(command, process.wait(), out, errors)
    if check:
        done.check_returncode()
    return done


if sys.platform != "linux":
    # Forks of a process that has loaded the system's frameworks are not safe everywhere.
    Popen, run = subprocess.Popen, subprocess.run  # type: ignore[assignment,misc]
