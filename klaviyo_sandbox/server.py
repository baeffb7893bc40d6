"""Starts a sandbox on a port, in a thread of this process."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from klaviyo_sandbox.account.build_cache import build_cached
from klaviyo_sandbox.account.odd_values import add_odd_values
from klaviyo_sandbox.account.persistence import AccountDatabase, AccountParameters
from klaviyo_sandbox.account.procedural.account import MAX_SEEDED_ROWS, build_procedural
from klaviyo_sandbox.account.seeded.attributions import WINDOWS, parse_windows
from klaviyo_sandbox.account.store import APPENDS, CONVERSIONS, JOB_ENDS, POINTERS, REPEATS, Store
from klaviyo_sandbox.browser.app import PageMiddleware
from klaviyo_sandbox.http.access import OTHER_REVISIONS, Access, parse_scopes
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.control import Control
from klaviyo_sandbox.http.control_app import ControlApp
from klaviyo_sandbox.http.control_fields import SETTINGS, check_fields
from klaviyo_sandbox.http.fault_settings import parse_faults
from klaviyo_sandbox.http.faults import FaultMiddleware, RecordUnserved
from klaviyo_sandbox.http.oauth import OAuthApp, Tokens
from klaviyo_sandbox.http.quotas import Budget, Quotas
from klaviyo_sandbox.http.request_log import Exchange, LoggedRequest
from klaviyo_sandbox.http.served_account import ServedAccount
from klaviyo_sandbox.http.web_server import PortTaken, open_listener, run_in_thread
from klaviyo_sandbox.manners.judge import KINDS, MAX_REPEATS, Judge

__all__ = ["PortTaken", "RunningSandbox", "judge_listeners", "serve"]

# Called with the judge of each account that is made in this process: a plugin of tests asks them all.
judge_listeners: list[Callable[[Judge], object]] = []


class RunningSandbox:
    """A sandbox that is being served.

    Attributes:
        url: its origin, without a slash at the end.
        requests: the requests that were made to it, oldest first; the latest 100,000 are kept.
        control: changes it while it runs.
    """

    def __init__(self, url: str, control: Control) -> None:
        self.url = url
        self.control = control

    @property
    def _sandbox(self) -> Sandbox:
        return self.control.current.sandbox

    @property
    def store(self) -> Store:
        """The live account, with every job that is due carried out."""
        return self._sandbox.store

    @property
    def requests(self) -> deque[LoggedRequest]:
        return self._sandbox.requests

    @property
    def other_revisions(self) -> Mapping[str, int]:
        """Revision -> requests that asked for it and were answered in one that the sandbox speaks."""
        return self._sandbox.other_revisions


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
    append: str = "set",
    quiet_suppressions: bool = False,
    other_revisions: str = "warn",
    attribution: str = WINDOWS,
    conversions: str = "first",
    faults: str = "",
    clock: Callable[[], float] = time.time,
    observer: Callable[[Exchange], object] | None = None,
    procedural: bool | None = None,
    odd_values: bool = False,
    include_limit: Budget | None = None,
    data: Path | None = None,
    oauth: OAuthApp | None = None,
    speed: float = 1.0,
    in_flight: int | None = None,
    max_repeats: int = MAX_REPEATS,
    allowed_breaches: Collection[str] = (),
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
        append: whether a property that a profile's ``patch_properties`` appends to is a "set", in which nothing is
            twice, or a "list": nobody knows which Klaviyo's is.
        quiet_suppressions: whether a profile keeps its ``updated`` when e-mail to it is suppressed: by hand, by
            unsubscribing, by a bounce or a complaint.
        other_revisions: whether a request in a revision that the sandbox does not speak is answered, with a "warn"ing
            in its log and on its page, or whether to "refuse" it.
        attribution: the days after a message in which what somebody does is attributed to it, by channel, as
            ``attributions.parse_windows`` reads them.
        conversions: whether a report counts a conversion for the "first" message that it is attributed to only, or
            for "each" of them.
        faults: how often requests meet which fault, as ``fault_settings.parse_faults`` reads it; none by default.
        clock: seconds since 1970; moves budgets, jobs and the time of what is written.
        observer: called with every finished exchange, in the serving thread; not with those that meet a fault.
        procedural: work rows out when they are asked for instead of making them first: an account of any size, and
            another one than the seed gives otherwise. None: when there are more than
            ``MAX_SEEDED_ROWS`` rows.
        odd_values: let some rows hold what JSON, a database or a program has trouble with: halves of surrogate pairs,
            U+0000, NaN, numbers beyond 64 bits.
        include_limit: a budget that requests with ``include`` or ``additional-fields`` share beside their own; no
            header tells of it.
        data: directory that keeps what is written to the account, and gives it back to the next one that is served
            from there; None keeps nothing.
        oauth: an app that may sign in at ``/oauth/token``, beside the keys; its tokens have the scopes above.
        speed: how many seconds pass for the account in one of ``clock``'s: all of the above are the account's
            seconds, so at 100 a minute's limit is full again after 0.6 s, and a latency of 1.0 takes 0.01 s.
        in_flight: how many requests a client may have under way at once, all others being early that come in the pause
            after a 429; None: as many as it was seen to have connections at once.
        max_repeats: after how many requests that only repeat the one before a further one is a breach of manners.
        allowed_breaches: kinds of breaches (of ``manners.judge.KINDS``) that are not listed.

    Raises:
        DataRefused: ``data`` holds another account or something else, or is in use.
        PortTaken: the port cannot be listened on.
        ValueError: a scope is unknown, ``faults`` or ``attribution`` cannot be read, or another argument is none of
            its values.
    """
    _check_choice("job_end", job_end, JOB_ENDS)
    _check_choice("repeats", repeats, REPEATS)
    _check_choice("pointers", pointers, POINTERS)
    _check_choice("other_revisions", other_revisions, OTHER_REVISIONS)
    _check_choice("append", append, APPENDS)
    _check_choice("conversions", conversions, CONVERSIONS)
    parse_windows(attribution)
    initial_faults = parse_faults(faults)
    granted = None if scopes is None else parse_scopes(scopes if isinstance(scopes, str) else " ".join(scopes))
    for kind in allowed_breaches:
        _check_choice("allowed_breaches", kind, KINDS)
    check_fields({"speed": speed}, SETTINGS)
    listener = open_listener(host, port)
    with contextlib.closing(listener), contextlib.ExitStack() as resources:
        is_procedural = profiles + events > MAX_SEEDED_ROWS if procedural is None else procedural
        parameters = AccountParameters(seed, profiles, events, is_procedural, attribution, odd_values)
        # Before the account is made, for that may take long.
        database = (
            None if data is None else resources.enter_context(contextlib.closing(AccountDatabase(data, parameters)))
        )

        def make_account(previous: ServedAccount | None) -> ServedAccount:
            account_clock = Clock(clock, speed)
            store = _make_store(parameters, account_clock, database, previous)
            store.job_seconds, store.job_end = job_seconds, job_end
            store.repeats, store.pointers, store.append = repeats, pointers, append
            store.conversions = conversions
            store.quiet_suppressions = quiet_suppressions
            quotas = Quotas(account_clock, seed, initial_faults.other_app)
            tokens = Tokens(oauth, account_clock) if oauth else None
            access, initial_quotas = Access(key, granted, advanced_kdp, other_revisions), quotas if limits else None
            judge = Judge(in_flight=in_flight, max_repeats=max_repeats, allowed=allowed_breaches)
            for listen in judge_listeners:
                listen(judge)
            sandbox = Sandbox(
                store, access, initial_quotas, account_clock, latency, observer, include_limit, tokens, judge
            )
            record = _unserved_recorder(sandbox, account_clock)
            fault_middleware = FaultMiddleware(
                sandbox.app, initial_faults, seed, record, account_clock, sandbox.operation_id
            )
            sandbox.faults = lambda: fault_middleware.text
            return ServedAccount(sandbox, fault_middleware, account_clock, quotas, seed)

        control = Control(make_account)
        resources.callback(_save_changes, control)
        with run_in_thread(PageMiddleware(ControlApp(control), lambda: control.current.sandbox), listener):
            address = f"[{host}]" if ":" in host else host
            yield RunningSandbox(f"http://{address}:{listener.getsockname()[1]}", control)


def _make_store(
    parameters: AccountParameters, clock: Clock, database: AccountDatabase | None, previous: ServedAccount | None
) -> Store:
    """The account, with the writes that its database kept; a reset, which has a previous account, clears these."""
    build = build_procedural if parameters.procedural else build_cached
    store = build(parameters.seed, parameters.profiles, parameters.events, clock, parameters.attribution)
    if parameters.odd_values:
        add_odd_values(store)
    if database is None:
        return store
    if previous is None:
        database.restore(store)
        return store
    previous_store = previous.sandbox.store
    with previous_store.lock:
        database.clear()
        database.restore(store)
        # Requests to the previous account that are still being answered must not write into the new one's database.
        previous_store.save = lambda: None
    return store


def _unserved_recorder(sandbox: Sandbox, clock: Clock) -> RecordUnserved:
    """A function that records the requests that never reach the account."""

    def record(
        method: str,
        path: str,
        revision: str | None,
        query: Mapping[str, str],
        status: int,
        fault: str,
        retry_after: int | None,
        client: str,
    ) -> None:
        operation = sandbox.operation_id(method, path, revision)
        # It took no time, and brought nothing.
        sandbox.record(
            LoggedRequest(method, path, query, status, fault, clock(), 0.0, operation, 0, retry_after, client)
        )

    return record


def _save_changes(control: Control) -> None:
    """Save what tests changed without a request."""
    store = control.current.sandbox.store
    with store.lock:
        store.save()


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not '{value}'")
