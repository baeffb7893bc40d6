"""An OAuth app that the account has authorised: its tokens, and the endpoint that gives them for a refresh token.

Klaviyo's documents (https://developers.klaviyo.com/en/docs/set_up_oauth) name the endpoint and how a client signs in.
Two things that they leave open are as in RFC 6749: the documents of errors, and when a refresh token is replaced.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

from klaviyo_sandbox.spec.exchange import Answer

PATH = "/oauth/token"
# In the log of requests the token endpoint has this id, although it is no operation of the specification.
OPERATION_ID = "oauth_token"


@dataclass(frozen=True)
class OAuthApp:
    """An app that may sign in.

    Attributes:
        client_id, client_secret, refresh_token: with these a client gets an access token.
        token_seconds: how long an access token holds.
        rotates: whether a refresh token is good for one access token only, which then comes with the next one.
    """

    client_id: str
    client_secret: str
    refresh_token: str
    token_seconds: float = 3600.0
    rotates: bool = False


class Tokens:
    """The tokens of one app. Safe to share between threads.

    Args:
        app: the app.
        clock: seconds since 1970.
    """

    def __init__(self, app: OAuthApp, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._refresh_token: str | None = app.refresh_token
        self._expires_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def is_valid(self, access_token: str) -> bool:
        """Whether this is an access token of the app that has not expired."""
        with self._lock:
            return self._clock() < self._expires_at.get(access_token, 0.0)

    def expire(self) -> None:
        """End all access tokens."""
        with self._lock:
            self._expires_at.clear()

    def revoke(self) -> None:
        """End all tokens, as when the app is uninstalled: it must be authorised again."""
        with self._lock:
            self._expires_at.clear()
            self._refresh_token = None

    def answer(self, method: str, headers: Mapping[str, str], body: bytes, scopes: Iterable[str]) -> Answer:
        """The endpoint's answer to a request. ``scopes`` are those of the access token."""
        if method != "POST":
            return replace(_error(405, "invalid_request", "Only POST."), headers={"Allow": "POST"})
        if not self._is_client(headers.get("authorization", "")):
            return _error(401, "invalid_client", "Unknown client, or a wrong secret.")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        form = parse_qs(body.decode("utf-8", "replace")) if media_type == "application/x-www-form-urlencoded" else {}
        if form.get("grant_type") != ["refresh_token"]:
            return _error(400, "unsupported_grant_type", "The grant_type must be refresh_token, in a form.")
        with self._lock:
            if self._refresh_token is None or form.get("refresh_token") != [self._refresh_token]:
                return _error(400, "invalid_grant", "The refresh token has expired or was revoked.")
            if self._app.rotates:
                self._refresh_token = secrets.token_urlsafe(32)
            access_token = secrets.token_urlsafe(32)
            self._expires_at[access_token] = self._clock() + self._app.token_seconds
            document = {
                "access_token": access_token,
                "token_type": "Bearer",
                "expires_in": int(self._app.token_seconds),
                "refresh_token": self._refresh_token,
                "scope": " ".join(sorted(scopes)),
            }
        return Answer(200, document, {"Cache-Control": "no-store"})

    def _is_client(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            credentials = base64.b64decode(encoded, validate=True)
        except ValueError:
            return False
        expected = f"{self._app.client_id}:{self._app.client_secret}".encode()
        return scheme.lower() == "basic" and secrets.compare_digest(credentials, expected)


def _error(status: int, error: str, description: str) -> Answer:
    return Answer(status, {"error": error, "error_description": description})
