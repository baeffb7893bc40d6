"""Klaviyo's protocol: what requests and answers hold, as functions on values. No socket, no clock, no state."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from klaviyo_client import errors
from klaviyo_client.api.json_text import decode_json
from klaviyo_client.api.operations import Operation

MEDIA_TYPE = "application/vnd.api+json"
PARTIAL_FAILURE = "x-klaviyo-partial-failure"
# Longer than any caller waits, in seconds.
_LONG = 10**9

_REFUSALS: Mapping[int, type[errors.Refused]] = {
    401: errors.InvalidKey,
    403: errors.NotAllowed,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.RevisionRetired,
    413: errors.TooLarge,
}
KEY_REFUSED = (
    "Klaviyo does not accept the api_key: check that it is a private key (it begins with pk_) and was not revoked"
)
# Recorded of webhooks: "You must have Advanced KDP enabled to use this endpoint."
_NOT_ENABLED = re.compile(r"\bmust have (.+) enabled\b", re.IGNORECASE)
_ADVICE: Mapping[int, str] = {
    410: "Klaviyo no longer serves the revision of its API that this version asks for: update singer-klaviyo",
}


def headers(revision: str, user_agent: str, *, with_body: bool) -> dict[str, str]:
    """Headers of every request but the key, which the transport adds."""
    fields = {
        "accept": MEDIA_TYPE,
        "revision": revision,
        "user-agent": user_agent,
        # Without it a retired revision is answered in the shape of a newer one, silently.
        "x-klaviyo-revision-fall-forward-opt-out": "1",
    }
    if with_body:
        fields["content-type"] = MEDIA_TYPE
    return fields


def check_api_url(url: str) -> str:
    """The base address without a trailing slash.

    Raises:
        SettingsError: it is no address, or it would send the key in the clear to another machine.
    """
    url = url.strip()
    if any(mark in url for mark in "@?#"):
        raise errors.SettingsError("api_url must be a plain address, without user name, query or fragment")
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        scheme = host = ""
    if scheme not in ("http", "https") or not host:
        raise errors.SettingsError("api_url must be an address such as https://a.klaviyo.com")
    if scheme == "http" and not is_loopback(host):
        raise errors.SettingsError(
            f"api_url must begin with https:// (http is only for this machine): {host} would see the key"
        )
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an address.

    Raises:
        ValueError: it is broken, or written so that two readers of it may see two hosts.
    """
    parts = urlsplit(url)
    # `urlsplit` takes what follows the last @ for the host, and drops line breaks; others end the host at a backslash.
    if not re.fullmatch(r"[\w.:\[\]-]*", parts.netloc, re.ASCII) or re.search(r"[\x00-\x1f]", url):
        raise ValueError("the address is ambiguous")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def same_origin(url: str, api_url: str, *, seen_from: str = "") -> str:
    """The URL, made absolute as it is seen from another (by default ``api_url``), when it stays at that one's origin.

    Raises:
        UntrustedOrigin: it leads elsewhere, and the key must not follow.
    """
    try:
        url = urljoin(seen_from or f"{api_url}/", url)
        there = origin(url)
    except ValueError:
        there = ("", "a broken address", 0)
    if there != origin(api_url):
        raise errors.UntrustedOrigin(
            f"Klaviyo's answer leads to another origin ({there[1]}) than api_url; the key was not sent there"
        )
    return url


def split_link(link: str, api_url: str) -> tuple[str, dict[str, str]]:
    """(address, query) of a ``next`` link.

    Raises:
        UntrustedOrigin: it leads to another origin than ``api_url``.
    """
    address, _, query = same_origin(link, api_url).partition("?")
    return address, dict(parse_qsl(query, keep_blank_values=True))


def path_of(operation: Operation, values: Mapping[str, str]) -> str:
    """The operation's path with its parameters filled in and escaped.

    Raises:
        NotFound: an id is none, and would lead to another path.
    """
    for value in values.values():
        if value in ("", ".", ".."):
            raise errors.NotFound(f"{operation.id}: {value!r} is no id", status=404, operation=operation.id)
    return re.sub(r"\{(\w+)\}", lambda match: quote(values[match[1]], safe=""), operation.path)


# Answers ------------------------------------------------------------------------------------------------------------


def retry_after(response_headers: Mapping[str, str], now: datetime) -> int | None:
    """Whole seconds that the server asks for, from 1 on; None when it says nothing we understand, or no time to wait.

    Args:
        response_headers: of the answer.
        now: what a wait that is an HTTP date is counted from, where the answer has no date of its own.
    """
    text = response_headers.get("retry-after", "").strip()
    # A header that a proxy has added once more comes with both values.
    parts = [part.strip() for part in text.split(",")]
    if all(re.fullmatch(r"[0-9]+(\.[0-9]*)?", part) for part in parts):
        # Python refuses to read a number of 5,000 digits.
        seconds = max(_LONG if len(part.partition(".")[0]) > 9 else math.ceil(float(part)) for part in parts)
    else:
        until = http_date(text)
        if until is None:
            return None
        seconds = math.ceil((until - (http_date(response_headers.get("date", "")) or now)).total_seconds())
    return min(seconds, _LONG) if seconds > 0 else None


def http_date(text: str) -> datetime | None:
    """The moment that a header names; None when it names none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def announced_limits(response_headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """(burst, steady, daily) from ``ratelimit-limit: 1, 1;w=1, 2;w=60, 225;w=86400``, when the header says so.

    Most operations have no limit of a day.
    """
    windows = {
        window: int(limit)
        for limit, window in re.findall(r"\b(\d{1,9})\s*;\s*w=(\d+)", response_headers.get("ratelimit-limit", ""))
    }
    if not {"1", "60"} <= windows.keys():
        return None
    return windows["1"], windows["60"], windows.get("86400")


class BadLink(ValueError):
    """An answer has something in place of a link that leads nowhere."""


def next_link(document: Mapping[str, Any]) -> str | None:
    """The next page's address in an answer's links; None when this page is the last.

    JSON:API has a link as an address, or as an object with one. An empty list is PHP's empty object, and a blank text
    stands for no link.

    Raises:
        BadLink: it is something else: to end there would lose rows without a word.
    """
    links = document.get("links")
    if links is None or links == []:
        return None
    if not isinstance(links, dict):
        raise BadLink("its links is no object")
    link = links.get("next")
    if link is None or link == "":
        return None
    address = link.get("href") if isinstance(link, dict) else link
    if not isinstance(address, str) or not address:
        raise BadLink("its link to the next page is neither an address nor an object with one")
    return address


def api_errors(body: bytes) -> tuple[errors.ApiError, ...]:
    """The entries of an error document; empty when the body is something else (a proxy's HTML, say)."""
    try:
        document = decode_json(body)
    except ValueError:
        return ()
    entries = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(api_error(entry) for entry in entries if isinstance(entry, dict))


def api_error(entry: Mapping[str, Any]) -> errors.ApiError:
    """One entry of an error document, or the attributes of an import error, of which any member may be null."""
    source, meta = entry.get("source"), entry.get("meta")
    places: Mapping[str, Any] = source if isinstance(source, dict) else {}
    return errors.ApiError(
        code=_text(entry.get("code")),
        title=_text(entry.get("title")),
        detail=_text(entry.get("detail")),
        pointer=_text(places.get("pointer")) or None,
        parameter=_text(places.get("parameter")) or None,
        id=_text(entry.get("id")) or None,
        meta=meta if isinstance(meta, dict) else None,
    )


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def response_error(
    operation: Operation,
    status: int,
    body: bytes,
    *,
    wait: int | None,
    max_wait: float,
    advice_on_401: str = KEY_REFUSED,
) -> errors.KlaviyoError | None:
    """The error that an answer stands for, None for a success. ``http/retries.py`` says which are sent again.

    Args:
        operation: what was called.
        status: the answer's HTTP status.
        body: its body.
        wait: seconds that it asks to wait, if it does.
        max_wait: the longest wait, in seconds, that a limit of a second or a minute can ask for.
        advice_on_401: what to do about a 401.
    """
    if status < 300:
        return None
    if status < 400:
        message = f"{operation.id}: answered {status}, check api_url"
        return errors.BadRequest(message, status=status, operation=operation.id)
    if status == 429 and operation.daily and wait is not None and wait > max_wait:
        # Only the limit of a day can last so long; others may have used it up.
        return errors.DailyLimitReached.of(operation.id, wait)
    if status == 429:
        return errors.Throttled.of(operation.id, wait)
    if status == 403 and not api_errors(body):
        # No verdict on the key: Klaviyo says why.
        message = f"{operation.id}: a proxy or firewall answered 403, not Klaviyo"
        return errors.Blocked(message, operation=operation.id, retry_after=wait)
    # A 501 that says what is not served is no fault that passes.
    if (status == 408 or status >= 500) and not (status == 501 and api_errors(body)):
        message = f"{operation.id}: Klaviyo answered {status}"
        return errors.ServerFault(message, operation=operation.id, retry_after=wait)
    return refusal(status, body, operation, advice_on_401)


def refusal(status: int, body: bytes, operation: Operation, advice_on_401: str = KEY_REFUSED) -> errors.Refused:
    """The error for a 4xx answer, with what to do about it."""
    entries = api_errors(body)
    details = "; ".join(_sentence(entry) for entry in entries[:3]) or f"HTTP {status}"
    advice = advice_on_401 if status == 401 else _ADVICE.get(status)
    kind = _REFUSALS.get(status, errors.BadRequest)
    if status == 403 and any(_NOT_ENABLED.search(entry.detail) for entry in entries):
        kind, advice = errors.NotEnabled, f"the account's plan does not include {operation.id}"
    elif status == 403:
        advice = (
            f"the key lacks a scope for {operation.id}: it needs {' and '.join(operation.scopes) or '(none named)'}"
        )
    elif status == 400 and any(entry.parameter == "revision" for entry in entries):
        kind, advice = (
            errors.RevisionRetired,
            "Klaviyo does not serve the revision that this version requests: update singer-klaviyo",
        )
    message = f"{advice} ({details})" if advice else f"{operation.id} was refused: {details}"
    return kind(message, status=status, operation=operation.id, errors=entries)


def _sentence(error: errors.ApiError) -> str:
    place = error.pointer or error.parameter
    return (error.detail or error.title) + (f" [{place}]" if place else "")
