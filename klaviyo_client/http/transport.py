"""The only module that opens a socket."""

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
    """What goes over the wire. ``authorization`` is the header of that name."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True)
class Response:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TransportError(Exception):
    """No answer. ``may_have_succeeded`` says whether the request may have reached the server."""

    def __init__(self, message: str, *, may_have_succeeded: bool) -> None:
        super().__init__(message)
        self.may_have_succeeded = may_have_succeeded


class Transport(Protocol):
    """One method touches the wire; a test may pass any object that has it."""

    def send(self, request: Request) -> Response:
        """Send one request and return its answer, whatever the status.

        Raises:
            Broken: there was no whole answer.
        """


class _Authorization(AuthBase):
    # An auth object, because `requests` lets a ~/.netrc entry for the host replace a plain header.
    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class _Session(requests.Session):
    # `requests` reads a redirect's address even when it is not to follow it, and raises what is no error of its own.
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - the library's signature
        return None


class RequestsTransport:
    """Connections of one account, shared by every thread."""

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
                # In one go: `content` takes a page of two megabytes in two hundred pieces, and copies them.
                body = answer.raw.read(decode_content=True)
        except requests.ConnectTimeout as error:
            raise TransportError(f"no connection within {self._timeout:g} s", may_have_succeeded=False) from error
        except requests.Timeout as error:
            raise TransportError(f"no answer within {self._timeout:g} s", may_have_succeeded=True) from error
        except requests.ConnectionError as error:
            raise TransportError(*_reason(error)[:1], may_have_succeeded=_reason(error)[1]) from error
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
