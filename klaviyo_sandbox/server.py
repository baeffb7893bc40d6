"""Starts a sandbox on a port, in a thread of this process."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from klaviyo_sandbox.account.build_cache import build_cached
from klaviyo_sandbox.account.persistence import AccountDatabase, AccountParameters
from klaviyo_sandbox.account.procedural.account import MAX_SEEDED_ROWS, build_procedural
from klaviyo_sandbox.account.store import JOB_ENDS, POINTERS, REPEATS, Store
from klaviyo_sandbox.http.app import Access, Sandbox, parse_scopes
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.control import SETTINGS, Control, Life, checked
from klaviyo_sandbox.http.control_app import ControlApp
from klaviyo_sandbox.http.faults import Faulty, Note, parse
from klaviyo_sandbox.http.listening import PortTaken, listen, running
from klaviyo_sandbox.http.oauth import OAuthApp, Tokens
from klaviyo_sandbox.http.quotas import Budget, Quotas
from klaviyo_sandbox.http.request_log import Asked, Exchange
from klaviyo_sandbox.page.app import PageMiddleware

__all__ = ["PortTaken", "RunningSandbox", "serve"]


class RunningSandbox:
    """A sandbox that listens.

    Attributes:
        url: its origin, without a slash at the end.
        requests: what was asked of it, oldest first; the latest 100,000 are kept.
        control: changes it while it runs.
    """

    def __init__(self, url: str, control: Control) -> None:
        self.url = url
        self.control = control

    @property
    def _sandbox(self) -> Sandbox:
        return self.control.life.sandbox

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
    speed: float = 1.0,
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
            another one than the seed gives otherwise. None: when there are more than
            ``MAX_SEEDED_ROWS`` rows.
        include_limit: a budget that requests with ``include`` or ``additional-fields`` share beside their own; no
            header tells of it.
        data: directory that keeps what is written to the account, and gives it back to the next one that is served
            from there; None keeps nothing.
        oauth: an app that may sign in at ``/oauth/token``, beside the keys; its tokens have the scopes above.
        speed: how many seconds pass for the account in one of ``clock``'s: all of the above are the account's
            seconds, so at 100 a minute's limit is full again after 0.6 s, and a latency of 1.0 takes 0.01 s.

    Raises:
        DataRefused: ``data`` holds another account or something else, or is in use.
        PortTaken: the port cannot be listened on.
        ValueError: a scope is unknown, ``faults`` cannot be read, or another argument is none of its values.
    """
    _check_choice("job_end", job_end, JOB_ENDS)
    _check_choice("repeats", repeats, REPEATS)
    _check_choice("pointers", pointers, POINTERS)
    wanted = parse(faults)
    granted = None if scopes is None else parse_scopes(scopes if isinstance(scopes, str) else " ".join(scopes))
    checked({"speed": speed}, SETTINGS)
    listener = listen(host, port)
    with contextlib.closing(listener), contextlib.ExitStack() as ended:
        made = AccountParameters(
            seed, profiles, events, profiles + events > MAX_SEEDED_ROWS if procedural is None else procedural
        )
        # Before the account is made, for that may take long.
        kept = None if data is None else ended.enter_context(contextlib.closing(AccountDatabase(data, made)))

        def begin(before: Life | None) -> Life:
            watch = Clock(clock, speed)
            store = _stored(made, watch, kept, before)
            store.job_seconds, store.job_end = job_seconds, job_end
            store.repeats, store.pointers = repeats, pointers
            quotas, tokens = Quotas(watch), Tokens(oauth, watch) if oauth else None
            access, holding = Access(key, granted, advanced_kdp), quotas if limits else None
            sandbox = Sandbox(store, access, holding, watch, latency, observer, include_limit, tokens)
            faulty = Faulty(sandbox.app, wanted, seed, _noted(sandbox, watch), watch.pause)
            return Life(sandbox, faulty, watch, quotas, seed)

        control = Control(begin)
        ended.callback(_keep_last, control)
        with running(PageMiddleware(ControlApp(control), lambda: control.life.sandbox), listener):
            address = f"[{host}]" if ":" in host else host
            yield RunningSandbox(f"http://{address}:{listener.getsockname()[1]}", control)


def _stored(made: AccountParameters, clock: Clock, kept: AccountDatabase | None, before: Life | None) -> Store:
    """The account, with what was written to it before, which is kept; nothing when it is made anew."""
    store = (build_procedural if made.procedural else build_cached)(made.seed, made.profiles, made.events, clock)
    if kept is None:
        return store
    if before is None:
        kept.restore(store)
        return store
    old = before.sandbox.store
    with old.lock:
        kept.clear()
        kept.restore(store)
        # Requests to the old account that are still being answered are not to write into the new one's.
        old.save = lambda: None
    return store


def _noted(sandbox: Sandbox, clock: Clock) -> Note:
    """Records the requests that never reach the account."""

    def note(
        method: str, path: str, query: Mapping[str, str], status: int, fault: str, retry_after: int | None
    ) -> None:
        operation = sandbox.operation_of(method, path)
        sandbox.record(Asked(method, path, query, status, fault, clock(), operation=operation, retry_after=retry_after))

    return note


def _keep_last(control: Control) -> None:
    """Keep what tests changed without a request."""
    store = control.life.sandbox.store
    with store.lock:
        store.save()


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not '{value}'")
