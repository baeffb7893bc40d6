"""The transport: sends one HTTP request and reads its answer. The only module that opens a socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError


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


class _Authorization(AuthBase):
    # An auth object, because `requests` lets a ~/.netrc entry for the host replace a plain header.
    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class _Session(requests.Session):
    # `requests` reads a redirect's address even when it is not to follow it, and may raise another library's error.
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the library's signature
        return None


class RequestsTransport:
    """A transport of the library `requests`: one pool of connections for all threads."""

    def __init__(self, *, timeout: float, pool_size: int = 256) -> None:
        self._timeout = timeout
        self._session = _Session()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=pool_size, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def send(self, request: Request) -> Response:
        try:
            with self._session.request(
                request.method,
                request.url,
                params=request.query,
                headers=request.headers,
                data=request.body,
                auth=_Authorization(request.authorization),
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                # At once: `content` reads a page of two megabytes in two hundred pieces, and copies them.
                body = answer.raw.read(decode_content=True)
        except requests.ConnectTimeout as error:
            raise TransportError(f"no connection within {self._timeout:g} s", may_have_succeeded=False) from error
        except requests.Timeout as error:
            raise TransportError(f"no answer within {self._timeout:g} s", may_have_succeeded=True) from error
        except requests.ConnectionError as error:
            reason, may_have_succeeded = _reason(error)
            raise TransportError(reason, may_have_succeeded=may_have_succeeded) from error
        except (requests.RequestException, HTTPError) as error:
            raise TransportError(f"the answer broke off ({type(error).__name__})", may_have_succeeded=True) from error
        return Response(
            status=answer.status_code,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
        )


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
