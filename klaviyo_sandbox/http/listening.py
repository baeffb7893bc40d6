"""An ASGI application on a port of this machine, in a thread: there within milliseconds, and gone within as many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from klaviyo_sandbox.http.faults import App

# How often the header `date` is looked after.
_TICK_SECONDS = 0.1
# Requests that are being answered may come to their end for so long.
_GRACE_SECONDS = 1.0
_GLANCE_SECONDS = 0.002
# A client that was busy for a while must not find its connection closed just as it asks again.
_KEEP_ALIVE_SECONDS = 300


class PortTaken(Exception):
    """Nothing can listen on the host and port that were asked for."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 is any that is free.

    Raises:
        PortTaken: there can be none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio only sends answers without delay (40 ms each) on sockets that are TCP by name, which the
    # usual helper's are not.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise PortTaken(f"cannot listen on {host} port {port}: {error}") from error
    return listener


@contextlib.contextmanager
def running(app: App, listener: socket.socket) -> Iterator[None]:
    """Answer on the socket until the block ends."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    server = _Server(config)
    thread = threading.Thread(target=server.answer, args=(listener,), name="klaviyo-sandbox", daemon=True)
    thread.start()
    try:
        server.settled.wait()
        if not server.started:
            raise RuntimeError("the sandbox did not start; its log says why")
        yield
    finally:
        server.end()
        thread.join()


class _Server(uvicorn.Server):
    """Uvicorn, which looks ten times a second whether it is to end, and then waits as long: here it is told.

    Attributes:
        settled: set when it has started, or never will.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    def answer(self, listener: socket.socket) -> None:
        """Serve until ``end``."""
        try:
            self.run([listener])
        finally:
            self.settled.set()

    def end(self) -> None:
        """Come to an end soon; for other threads."""
        self.should_exit = True
        if self._loop is not None:
            # It may have ended by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.settled.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        patience = loop.time() + _GRACE_SECONDS
        while (state.connections or state.tasks) and loop.time() < patience:
            await asyncio.sleep(_GLANCE_SECONDS)
        for task in state.tasks:
            task.cancel()
