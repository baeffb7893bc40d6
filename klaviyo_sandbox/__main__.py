"""``klaviyo-sandbox``: a local Klaviyo account to extract from and load into."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from types import FrameType

from klaviyo_sandbox.http.oauth import OAuthApp
from klaviyo_sandbox.http.options import parser
from klaviyo_sandbox.manners.judge import Judge

_MISSING = "klaviyo-sandbox needs starlette and uvicorn: pip install ./klaviyo_sandbox in a clone of singer-klaviyo"


def _set_account_defaults(options: argparse.Namespace) -> None:
    """Set the options of the account that were left out, from its data directory when that holds an account."""
    from klaviyo_sandbox.account.persistence import read_parameters
    from klaviyo_sandbox.account.seeded.attributions import WINDOWS

    saved = read_parameters(options.data) if options.data is not None else None
    fresh = {"seed": 1, "profiles": 2000, "events": 20_000, "attribution": WINDOWS, "odd_values": False}
    defaults = fresh if saved is None else asdict(saved)
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def _oauth_app(options: argparse.Namespace) -> OAuthApp | None:
    if options.oauth_app is None:
        return None
    client_id, client_secret, refresh_token = options.oauth_app
    return OAuthApp(
        client_id, client_secret, refresh_token, options.token_seconds, rotates=options.rotate_refresh_tokens
    )


def _exit(_signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _serve_forever(options: argparse.Namespace) -> None:
    """Serve the account that the options describe, and say where, until a signal ends the process."""
    from klaviyo_sandbox.http.quotas import Budget
    from klaviyo_sandbox.server import serve

    with serve(
        profiles=options.profiles,
        events=options.events,
        seed=options.seed,
        host=options.host,
        port=options.port,
        key=options.key,
        scopes=options.scopes,
        limits=not options.no_limits,
        latency=options.latency,
        speed=options.speed,
        procedural=options.procedural,
        odd_values=options.odd_values,
        data=options.data,
        include_limit=Budget(*options.include_limit) if options.include_limit else None,
        oauth=_oauth_app(options),
        faults=options.faults,
        other_revisions=options.other_revisions,
        repeats=options.repeats,
        pointers=options.pointers,
        append=options.append,
        quiet_suppressions=options.quiet_suppressions,
        attribution=options.attribution,
        conversions=options.conversions,
        job_end=options.job_end,
        job_seconds=options.job_seconds,
        max_repeats=options.max_repeats,
    ) as sandbox:
        # The account stays until the end: looking it over for garbage makes pages several times slower.
        gc.freeze()
        # A page is thousands of short-lived objects in no cycle: looking them over costs a tenth of its time.
        gc.set_threshold(100_000, 50, 50)
        print(
            f"Klaviyo sandbox ready at {sandbox.url} ({options.profiles} profiles, {options.events} events)",
            flush=True,
        )
        try:
            threading.Event().wait()
        finally:
            _print_breaches(sandbox.control.current.sandbox.judge)


def _print_breaches(judge: Judge) -> None:
    """Say how many breaches of manners there were, and of which kinds."""
    kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in judge.counts.most_common())
    text = f"{judge.count:,} breaches of manners: {kinds}" if kinds else "no breaches of manners"
    try:
        print(f"Klaviyo sandbox ended: {text}", flush=True)
    except OSError:
        # Whoever read the address has gone. Nothing must be left to write at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Gives 2 when it cannot start."""
    options = parser().parse_args(arguments)
    try:
        from klaviyo_sandbox.account.persistence import DataRefused
        from klaviyo_sandbox.server import PortTaken
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        print(_MISSING, file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    try:
        _set_account_defaults(options)
        _serve_forever(options)
    except (PortTaken, DataRefused, ValueError) as problem:
        print(f"klaviyo-sandbox: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
