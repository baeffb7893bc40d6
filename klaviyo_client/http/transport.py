"""The transport: sends one HTTP request and reads its answer. The only module that opens a socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.exceptions import HTTPError, ReadTimeoutError

from klaviyo_client.api.protocol import is_loopback
from klaviyo_client.http.time_limit import PoolClasses, pool_classes

# No page of Klaviyo's comes near: a thousand events have a few megabytes.
MAX_BYTES = 256 << 20
# As many times as long as a part of an answer may take, the whole of it may.
_PARTS = 5


@dataclass(frozen=True)
class Request:
    """An HTTP request. ``authorization`` is the value of that header."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True)
class Response:
    """An HTTP response.

    Attributes:
        status: the HTTP status.
        headers: name, in lower case -> value.
        body: the body, decompressed.
        retry_after: whole seconds that its ``Retry-After`` asks to wait, as ``Sender`` has read them; None without.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after: int | None = None


class TransportError(Exception):
    """There was no whole answer. ``may_have_succeeded`` says whether the request may have reached the server."""

    def __init__(self, message: str, *, may_have_succeeded: bool) -> None:
        super().__init__(message)
        self.may_have_succeeded = may_have_succeeded


class Transport(Protocol):
    """What sends a request; a test may pass any object that has this method."""

    def send(self, request: Request) -> Response:
        """Send one request and return its answer, whatever the status.

        Raises:
            TransportError: there was no whole answer.
        """


class _Session(requests.Session):
    # `requests` reads a redirect's address even when it is not to follow it, and may raise another library's error.
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the library's signature
        return None

    # Its own exception for this machine is a list in the environment, which may lack it.
    def merge_environment_settings(self, url: str | bytes | None, *settings: Any) -> Any:
        merged = super().merge_environment_settings(url, *settings)
        if is_loopback(urlsplit(str(url)).hostname or ""):
            merged["proxies"] = {}
        return merged


class _Adapter(HTTPAdapter):
    # `requests` makes the pools itself; what they are made of can be set only afterwards.
    def __init__(self, pools: PoolClasses, *, pool_size: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0)
        self._pools = pools
        self.poolmanager.pool_classes_by_scheme = pools

    def proxy_manager_for(self, proxy: str, **settings: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **settings)
        # A SOCKS proxy has connections of its own, which only it can make.
        if type(manager) is ProxyManager:
            manager.pool_classes_by_scheme = self._pools
        return manager


class RequestsTransport:
    """A transport of the library `requests`: one pool of connections for all threads.

    Args:
        timeout: seconds to wait for a connection, and for each part of an answer. A whole answer has five times as
            long: one byte now and then is no answer.
        pool_size: how many connections are kept.
        max_bytes: how large an answer may be, unpacked.
        monotonic: what a whole answer's time is taken on. Time-outs of single parts are the operating system's, so
            this is no clock that a caller's waits are taken on.
    """

    def __init__(
        self,
        *,
        timeout: float,
        pool_size: int = 256,
        max_bytes: int = MAX_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout
        self._answer_timeout = timeout * _PARTS
        self._max_bytes = max_bytes
        self._monotonic = monotonic
        self._session = _Session()
        adapter = _Adapter(pool_classes(self._answer_timeout, monotonic), pool_size=pool_size)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._environments: dict[tuple[str, str], Mapping[str, Any]] = {}

    def send(self, request: Request) -> Response:
        began = self._monotonic()
        try:
            with self._send(request) as answer:
                # At once: `content` reads a page of two megabytes in two hundred pieces, and copies them. Unpacking
                # stops at the size, too.
                body = answer.raw.read(self._size_to_read(answer), decode_content=True)
        except requests.ConnectTimeout as error:
            raise TransportError(f"no connection within {self._timeout:g} s", may_have_succeeded=False) from error
        except (requests.Timeout, ReadTimeoutError) as error:
            raise TransportError(self._what_took_too_long(began), may_have_succeeded=True) from error
        except requests.ConnectionError as error:
            reason, may_have_succeeded = _reason(error)
            raise TransportError(reason, may_have_succeeded=may_have_succeeded) from error
        except (requests.RequestException, HTTPError) as error:
            raise TransportError(f"the answer broke off ({type(error).__name__})", may_have_succeeded=True) from error
        if len(body) > self._max_bytes:
            size = f"{self._max_bytes / (1 << 20):g} MB"
            raise TransportError(f"the answer is larger than {size}", may_have_succeeded=True)
        return Response(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
        )

    def _send(self, request: Request) -> requests.Response:
        """The answer, whose body is still to be read.

        A session's own ``request`` looks through the environment each time, and through its cookies and a ~/.netrc, the
        latter of which would replace our key: together for as long as all the rest of a request takes.
        """
        prepared = requests.Request(
            request.method,
            request.url,
            headers={**self._session.headers, **request.headers, "Authorization": request.authorization},
            data=request.body,
            params=request.query,
        ).prepare()
        settings = {**self._environment(request.url), "stream": True}
        return self._session.send(prepared, timeout=self._timeout, allow_redirects=False, **settings)

    def _environment(self, url: str) -> Mapping[str, Any]:
        """The proxies and certificates that the environment has for an address."""
        origin = urlsplit(url)[:2]
        if origin not in self._environments:
            self._environments[origin] = self._session.merge_environment_settings(url, {}, None, None, None)
        return self._environments[origin]

    def _size_to_read(self, answer: requests.Response) -> int:
        # Of an answer that has just the size that was asked for, urllib3 makes no copy.
        size = None if "content-encoding" in answer.headers else answer.raw.length_remaining
        return min(size or self._max_bytes + 1, self._max_bytes + 1)

    def _what_took_too_long(self, began: float) -> str:
        if self._monotonic() - began >= self._answer_timeout:
            return f"no whole answer within {self._answer_timeout:g} s"
        return f"no answer within {self._timeout:g} s"


def _reason(error: requests.ConnectionError) -> tuple[str, bool]:
    """What went wrong in words, and whether the request may have arrived. The error's own text holds the whole URL."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    name = type(cause).__name__
    if name in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ProxyError"):
        return "the host cannot be reached", False
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection could be made (certificate or protocol)", False
    return "the connection broke", True
