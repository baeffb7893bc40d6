"""The options of ``klaviyo-sandbox``, and what ``--help`` says of them."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path

from klaviyo_sandbox.manners.judge import MAX_REPEATS

DESCRIPTION = "``klaviyo-sandbox``: a local Klaviyo account to extract from and load into."
_NOTES = """\
at scale:
  klaviyo-sandbox --profiles 1_000_000 --events 100_000_000
    starts in about a second: every row follows from its number and the seed. Two years of events with days and
    nights, quiet weeks, and seconds that hundreds of them share; lists and segments to match; the rest of the account
    is the small seeded one. What is written lies over it. It cannot be searched by what takes a look at every row.

faults (--faults): NAMExN for the next N requests, NAME=PART for a part of all requests, from 0 to 1:
  429x2        the next two requests get a 429, the others do not; any status from 400 to 599 can be counted so
  429=0.02     a fiftieth of all requests get a 429; with storm=SECONDS every request is turned away for so long
  500, 503     the account fails; some 503s come from a proxy, in HTML
  502, 504     a proxy before the account fails, in HTML
  reset        the connection breaks without an answer
  stall        the answer comes stall_seconds=10 late
  truncate     the answer breaks off
  challenge    a firewall's 403, in HTML, for a browser to solve
  expired      400 to the cursor of a further page, until the page before it is read again
  disorder     a row of a page stands a few places too late, perhaps on the next page
  repeat       the link to the next page leads to the page itself
  trickle      the answer comes in twenty pieces, over trickle_seconds=10
  huge         the answer is huge_megabytes=64 larger
  carried_out=0.5
               the part of the writes that is done although its answer is lost (500 to 504, reset, truncate)
  retry_after=5
               the seconds that a 429 or a 503 names
and in whatever they ask for:
  refuse=get_lists+get_tags:403
               these operations refuse every request, with 500 or the status named
  refuse=get_events:502x3
               this operation fails for its next three requests
  other_app=0.5
               another app spends this part of every rate limit
  seed=1       draws others

to go on later:
  klaviyo-sandbox --data DIR
    keeps what is written in DIR, before it is answered; started again with DIR, also after a kill, the account is as
    it was. DIR belongs to one account: its seed, numbers and kind are known from there, and no others are taken.
"""

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
        sys.stdout.write(f"klaviyo-sandbox{version}\n")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The command line's options and their defaults."""
    options = argparse.ArgumentParser(
        prog="klaviyo-sandbox",
        description=DESCRIPTION,
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
        metavar="FAULTS",
        help='what goes wrong, and how often, such as "429x2" for the next two requests, or '
        '"429=0.02,storm=5,503=0.01,reset=0.005,other_app=0.3,seed=1"; see below (default: nothing)',
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
