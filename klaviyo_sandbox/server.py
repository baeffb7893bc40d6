"""Starts a sandbox on a port, in a thread of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import uvicorn

from klaviyo_sandbox.account import build
from klaviyo_sandbox.app import Access, Sandbox, parse_scopes
from klaviyo_sandbox.control import Clock, Control
from klaviyo_sandbox.control_app import ControlApp
from klaviyo_sandbox.faults import App, Faulty, parse
from klaviyo_sandbox.oauth import OAuthApp, Tokens
from klaviyo_sandbox.page_app import Front
from klaviyo_sandbox.persistence import Kept, Made
from klaviyo_sandbox.procedural_account import LARGE, build_procedural
from klaviyo_sandbox.quotas import Budget, Quotas
from klaviyo_sandbox.records import Asked, Exchange
from klaviyo_sandbox.store import ENDS, POINTERS, REPEATS, Store

# Against hanging only.
_STARTUP_SECONDS = 300


class PortTaken(Exception):
    """Nothing can listen on the host and port that were asked for."""


class RunningSandbox:
    """A sandbox that listens.

    Attributes:
        url: its origin, without a slash at the end.
        requests: what was asked of it, oldest first; the latest 100,000 are kept.
        control: changes it while it runs.
    """

    def __init__(self, sandbox: Sandbox, url: str, control: Control) -> None:
        self._sandbox = sandbox
        self.url = url
        self.control = control

    @property
    def store(self) -> Store:
        """The live account, with every job that is due carried out."""
        return self._sandbox.store

    @property
    def requests(self) -> deque[Asked]:
        return self._sandbox.requests


@contextlib.contextmanager
def serve(
    *,
    profiles: int = 200,
    events: int = 1000,
    seed: int = 1,
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    scopes: str | Iterable[str] | None = None,
    advanced_kdp: bool = True,
    limits: bool = True,
    latency: float = 0.0,
    job_seconds: float = 0.2,
    job_end: str = "complete",
    repeats: str = "request",
    pointers: str = "all",
    faults: str = "",
    clock: Callable[[], float] = time.time,
    observer: Callable[[Exchange], object] | None = None,
    procedural: bool | None = None,
    include_limit: Budget | None = None,
    data: Path | None = None,
    oauth: OAuthApp | None = None,
) -> Iterator[RunningSandbox]:
    """Serve a seeded account until the block ends.

    Args:
        profiles: how many the account holds.
        events: how many it holds; none without profiles.
        seed: the same seed and numbers give the same account, byte for byte.
        host: address to listen on.
        port: 0 takes any that is free.
        key: the one private key that opens the account; None lets in every key that begins with ``pk_``.
        scopes: the scopes that are granted, as a list or in one string; None grants all.
        advanced_kdp: whether the account has Advanced KDP, without which webhooks and their topics are refused.
        limits: whether Klaviyo's rate limits hold.
        latency: seconds before each answer.
        job_seconds: how long a job takes.
        job_end: how jobs end: "complete", "cancelled" (nothing is done), or "never" (they stay queued).
        repeats: whether a ``unique_id`` in a bulk request of events is a repetition, and fails it, when it is in the
            same "request" only, or anywhere in the account's "history".
        pointers: whether a 400 to a write names "all" that is wrong with its body, the "first" of it, or "none".
        faults: how often requests meet which fault, as ``faults.parse`` reads it; none by default.
        clock: seconds since 1970; moves budgets, jobs and the time of what is written.
        observer: called with every finished exchange, in the serving thread; not with those that meet a fault.
        procedural: work rows out when they are asked for instead of making them first: an account of any size, and
            another one than the seed gives otherwise. None: when there are more than ``procedural_account.LARGE``.
        include_limit: a budget that requests with ``include`` or ``additional-fields`` share beside their own; no
            header tells of it.
        data: directory that keeps what is written to the account, and gives it back to the next one that is served
            from there; None keeps nothing.
        oauth: an app that may sign in at ``/oauth/token``, beside the keys; its tokens have the scopes above.

    Raises:
        DataRefused: ``data`` holds another account or something else, or is in use.
        PortTaken: the port cannot be listened on.
        ValueError: a scope is unknown, ``faults`` cannot be read, or another argument is none of its values.
    """
    _check_choice("job_end", job_end, ENDS)
    _check_choice("repeats", repeats, REPEATS)
    _check_choice("pointers", pointers, POINTERS)
    wanted = parse(faults)
    granted = None if scopes is None else parse_scopes(scopes if isinstance(scopes, str) else " ".join(scopes))
    listener = _listen(host, port)
    with contextlib.closing(listener), contextlib.ExitStack() as running:
        kind = profiles + events > LARGE if procedural is None else procedural
        watch = Clock(clock)
        store = running.enter_context(_account(Made(seed, profiles, events, kind), watch, data))
        store.job_seconds, store.job_end = job_seconds, job_end
        store.repeats, store.pointers = repeats, pointers
        quotas = Quotas(watch)
        tokens = Tokens(oauth, watch) if oauth else None
        access, holding = Access(key, granted, advanced_kdp), quotas if limits else None
        sandbox = Sandbox(store, access, holding, latency, observer, include_limit, tokens)
        faulty = Faulty(
            sandbox.app,
            wanted,
            seed,
            lambda method, path, query, status, fault: sandbox.record(
                Asked(method, path, query, status, fault, watch())
            ),
        )
        control = Control(sandbox, faulty, watch, quotas, seed)
        with _running(Front(ControlApp(faulty, control), sandbox), listener):
            address = f"[{host}]" if ":" in host else host
            yield RunningSandbox(sandbox, f"http://{address}:{listener.getsockname()[1]}", control)


@contextlib.contextmanager
def _account(made: Made, clock: Callable[[], float], data: Path | None) -> Iterator[Store]:
    """The account, with what was written to it before, which is kept."""
    build_one = build_procedural if made.procedural else build
    if data is None:
        yield build_one(made.seed, made.profiles, made.events, clock)
        return
    # Before the account is made, for that may take long.
    with contextlib.closing(Kept(data, made)) as kept:
        store = build_one(made.seed, made.profiles, made.events, clock)
        kept.restore(store)
        yield store
        with store.lock:
            # Tests change the account without a request.
            store.keep()


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not '{value}'")


def _listen(host: str, port: int) -> socket.socket:
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
def _running(app: App, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
        # A client that was busy for a while must not find its connection closed just as it asks again.
        timeout_keep_alive=300,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="klaviyo-sandbox", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the sandbox did not start; its log says why")
        time.sleep(0.005)
