"""Runs an ASGI application on a port of this machine, in a thread. It starts and stops within milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from klaviyo_sandbox.http.asgi import App

# How often uvicorn renews the header `date`.
_TICK_SECONDS = 0.1
# At a stop, requests that are being answered have this long to finish.
_GRACE_SECONDS = 1.0
_POLL_SECONDS = 0.002
# A client that was busy for a while must not find its connection closed just as it sends its next request.
_KEEP_ALIVE_SECONDS = 300


class PortTaken(Exception):
    """Nothing can listen on the host and port that were asked for."""


def open_listener(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 is any that is free.

    Raises:
        PortTaken: nothing can listen there.
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
def run_in_thread(app: App, listener: socket.socket) -> Iterator[None]:
    """Answer requests on the socket until the block ends."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    server = _StoppableServer(config)
    thread = threading.Thread(target=server.serve_on, args=(listener,), name="klaviyo-sandbox", daemon=True)
    thread.start()
    try:
        server.start_finished.wait()
        if not server.started:
            raise RuntimeError("the sandbox did not start; its log says why")
        yield
    finally:
        server.stop()
        thread.join()


class _StoppableServer(uvicorn.Server):
    """Uvicorn that stops as soon as another thread asks; by itself it only looks ten times a second.

    Attributes:
        start_finished: set when it has started, or failed to.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.start_finished = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_requested = asyncio.Event()

    def serve_on(self, listener: socket.socket) -> None:
        """Answer requests until ``stop`` is called."""
        try:
            self.run([listener])
        finally:
            self.start_finished.set()

    def stop(self) -> None:
        """Ask the server to stop; for other threads."""
        self.should_exit = True
        if self._loop is not None:
            # It may have stopped by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop_requested.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.start_finished.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_requested.wait(), _TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _GRACE_SECONDS
        while (state.connections or state.tasks) and loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        for task in state.tasks:
            task.cancel()
