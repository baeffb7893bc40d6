"""Server behind ``warm``: has the plugins imported, and forks a process for each order that it gets.

It has one thread, so a fork of it is a whole process. What a test spoils in one fork, the next does not see.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

# What a run of a plugin or the sandbox imports, late ones too; not their `__main__`, which runs anew in every fork.
IMPORTED = (
    "tap_klaviyo.tap",
    "tap_klaviyo.workers.tuning",
    "target_klaviyo.target",
    "klaviyo_audience.command",
    "email.policy",
    "importlib_metadata._adapters",
    "klaviyo_sandbox.server",
    "klaviyo_sandbox.http.web_server",
    "klaviyo_sandbox.account.persistence",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)
# The standard streams, and the connection to who asked.
DESCRIPTORS = 4
LONGEST = 1 << 20


def serve(orders: socket.socket) -> None:
    """Fork for every order, until nobody is left to give one. Returns in each fork, with the order carried out."""
    while True:
        text, descriptors, *_ = socket.recv_fds(orders, LONGEST, DESCRIPTORS)
        _reap()
        if not text:
            return
        if os.fork() == 0:
            orders.close()
            *streams, connection = descriptors
            if _is_program(connection, streams):
                _set_streams(streams)
                _run(json.loads(text))
                return
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _is_program(connection: int, streams: list[int]) -> bool:
    """Fork into the program (True) and a process that waits for its end and reports it (False)."""
    with socket.socket(fileno=connection) as report:
        pid = os.fork()
        if pid:
            for descriptor in (*streams, 0, 1, 2):
                os.close(descriptor)
            report.sendall(b"%d\n" % pid)
            _, status = os.waitpid(pid, 0)
            with suppress(OSError):
                report.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    return pid == 0


def _set_streams(streams: list[int]) -> None:
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]


def _run(order: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    option, program, *arguments = order["arguments"]
    sys.argv[:] = [option if option == "-c" else program, *arguments]
    try:
        if option == "-m":
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        elif option == "-P":
            runpy.run_path(program, run_name="__main__")
        else:
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        _end(end.code or 0)
    _end(0)


def _end(code: int) -> NoReturn:
    """As at the end of every process, but without taking all that was imported apart: that would cost most of it."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
