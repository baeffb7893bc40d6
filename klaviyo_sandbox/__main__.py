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
from importlib import metadata
from pathlib import Path
from types import FrameType

from klaviyo_sandbox.http.oauth import OAuthApp
from klaviyo_sandbox.manners.judge import MAX_REPEATS, Judge

_NOTES = """\
at scale:
  klaviyo-sandbox --profiles 1_000_000 --events 100_000_000
    starts in about a second: every row follows from its number and the seed. Two years of events with days and
    nights, quiet weeks, and seconds that hundreds of them share; lists and segments to match; the rest of the account
    is the small seeded one. What is written lies over it. It cannot be searched by what takes a look at every row.

faults (--faults), by the part of all requests that meets one, from 0 to 1:
  429          too many requests; with storm=SECONDS every request is turned away for so long
  503          from the account, or from a proxy in HTML
  reset        the connection breaks without an answer
  stall        the answer comes stall_seconds=10 late
  truncate     the answer breaks off
  challenge    a firewall's 403, in HTML, for a browser to solve
  expired      400 to the cursor of a further page, until the page before it is read again
  disorder     a row of a page stands a few places too late, perhaps on the next page
  repeat       the link to the next page leads to the page itself
  trickle      the answer comes in twenty pieces, over trickle_seconds=10
  huge         the answer is huge_megabytes=64 larger
and in whatever they ask for:
  refuse=get_lists+get_tags:403
               these operations refuse every request, with 500 or the status named
  other_app=0.5
               another app spends this part of every rate limit
  seed=1       draws others

to go on later:
  klaviyo-sandbox --data DIR
    keeps what is written in DIR, before it is answered; started again with DIR, also after a kill, the account is as
    it was. DIR belongs to one account: its seed, numbers and kind are known from there, and no others are taken.
"""
_MISSING = "klaviyo-sandbox needs starlette and uvicorn: pip install ./klaviyo_sandbox in a clone of singer-klaviyo"


# The names of these functions are texts that users read: "argument --port: invalid _count value".


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _limit(text: str) -> tuple[int, int]:
    burst, steady = map(int, text.split(":"))
    if min(burst, steady) < 1:
        raise ValueError(text)
    return burst, steady


def _app(text: str) -> tuple[str, str, str]:
    client_id, client_secret, refresh_token = text.split(":")
    if not (client_id and client_secret and refresh_token):
        raise ValueError(text)
    return client_id, client_secret, refresh_token


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number


def _windows(text: str) -> str:
    from klaviyo_sandbox.account.seeded.attributions import parse_windows

    parse_windows(text)
    return text


def _speed(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


class _Version(argparse.Action):
    """Looks the version up when it is asked for: what is installed is searched for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        try:
            version = f" {metadata.version('klaviyo-sandbox')}"
        except metadata.PackageNotFoundError:
            version = ", not installed"
        print(f"klaviyo-sandbox{version}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The command line's options and their defaults."""
    options = argparse.ArgumentParser(
        prog="klaviyo-sandbox",
        description=__doc__,
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--version", action=_Version, nargs=0, help="show the version and end")
    options.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options.add_argument("--port", type=_count, default=8765, help="0 takes any free port (default: %(default)s)")
    options.add_argument("--seed", type=int, help="the same seed gives the same account (default: 1)")
    options.add_argument("--profiles", type=_count, help="profiles in the account (default: 2000)")
    options.add_argument("--events", type=_count, help="events in the account (default: 20000)")
    options.add_argument(
        "--procedural",
        action=argparse.BooleanOptionalAction,
        help="make rows when they are asked for: an account of any size, at once (default: above 100000 rows)",
    )
    options.add_argument(
        "--odd-values",
        action="store_true",
        default=None,
        help="let some rows hold what programs have trouble with: halves of surrogate pairs, U+0000, NaN, numbers "
        "beyond 64 bits",
    )
    options.add_argument(
        "--attribution",
        type=_windows,
        metavar="DAYS",
        help="days after a message in which what somebody does is attributed to it; 0 attributes nothing "
        "(default: email=5,sms=1,sms_received=0.5,push=1)",
    )
    options.add_argument(
        "--data", type=Path, metavar="DIR", help="keep what is written in this directory (default: keep nothing)"
    )
    options.add_argument("--key", help="the one private key that opens the account (default: any that begins with pk_)")
    options.add_argument(
        "--scopes", help='what the key may do, such as "profiles:read lists:read" (default: everything)'
    )
    options.add_argument("--no-limits", action="store_true", help="do not enforce Klaviyo's rate limits")
    options.add_argument(
        "--include-limit",
        type=_limit,
        metavar="BURST:STEADY",
        help="requests a second and a minute that may include or ask for additional fields, such as 10:150 "
        "(Klaviyo has such a limit and does not say which; default: none)",
    )
    options.add_argument(
        "--other-revisions",
        choices=("warn", "refuse"),
        default="warn",
        help="whether a request in a revision that the sandbox does not speak is answered, with a warning here and on "
        "the page, or refused (default: %(default)s)",
    )
    options.add_argument("--latency", type=_seconds, default=0.0, help="seconds to wait before each answer")
    options.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        help="seconds that pass for the account in one second: limits, latency, stalls, jobs and tokens are over so "
        "many times as fast (default: %(default)s)",
    )
    options.add_argument(
        "--faults",
        default="",
        metavar="RATES",
        help='what goes wrong, and how often, such as "429=0.02,storm=5,503=0.01,reset=0.005,challenge=0.001,'
        'other_app=0.3,seed=1"; see below (default: nothing)',
    )
    _add_oauth_options(options)
    _add_write_options(options)
    return options


def _add_oauth_options(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--oauth-app",
        type=_app,
        metavar="CLIENT_ID:CLIENT_SECRET:REFRESH_TOKEN",
        help="an OAuth app that may sign in at /oauth/token, beside the keys (default: none)",
    )
    options.add_argument(
        "--token-seconds", type=_seconds, default=3600.0, help="how long an access token holds (default: %(default)s)"
    )
    options.add_argument(
        "--rotate-refresh-tokens",
        action="store_true",
        help="let a refresh token be good for one access token only, which comes with the next one",
    )


def _add_write_options(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--repeats",
        choices=("request", "history"),
        default="request",
        help="where a unique_id in a bulk request of events must not be again: Klaviyo refuses a repetition and does "
        "not say how far it looks (default: %(default)s)",
    )
    options.add_argument(
        "--pointers",
        choices=("all", "first", "none"),
        default="all",
        help="whether a 400 names all that is wrong with what is written, the first of it, or nothing "
        "(default: %(default)s)",
    )
    options.add_argument(
        "--append",
        choices=("set", "list"),
        default="set",
        help="whether a value that is appended to a property which has it is there once, as in a set, or twice: nobody "
        "knows which Klaviyo does (default: %(default)s)",
    )
    options.add_argument(
        "--quiet-suppressions",
        action="store_true",
        help="let a profile keep its updated when e-mail to it is suppressed (by hand, by unsubscribing, by a bounce "
        "or a complaint): Klaviyo says nowhere that it moves",
    )
    options.add_argument(
        "--conversions",
        choices=("first", "each"),
        default="first",
        help="whether a report counts a conversion for the first message that it is attributed to, or for each "
        "(default: %(default)s)",
    )
    options.add_argument(
        "--job-end",
        choices=("complete", "cancelled", "never"),
        default="complete",
        help="how import and suppression jobs end; never leaves them queued (default: %(default)s)",
    )
    options.add_argument(
        "--max-repeats",
        type=_count,
        default=MAX_REPEATS,
        help="after how many requests that only repeat the one before a further one is listed as a breach of manners "
        "(default: %(default)s)",
    )
    options.add_argument(
        "--job-seconds", type=_seconds, default=0.2, help="how long such a job takes (default: %(default)s)"
    )


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
