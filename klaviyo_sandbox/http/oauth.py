"""An OAuth app that the account has authorised: its tokens, and the endpoint that gives them for a refresh token.

Klaviyo's documents (https://developers.klaviyo.com/en/docs/set_up_oauth) name the endpoint and how a client signs in;
what was not found in them is as RFC 6749 has it: the documents of errors, and what may become of a refresh token.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from klaviyo_sandbox.spec.exchange import Answer

PATH = "/oauth/token"
NAME = "oauth_token"


@dataclass(frozen=True)
class OAuthApp:
    """What signs in.

    Attributes:
        client_id, client_secret, refresh_token: what a client must have.
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
        app: whose they are.
        clock: seconds since 1970.
    """

    def __init__(self, app: OAuthApp, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._refresh: str | None = app.refresh_token
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def opens(self, access_token: str) -> bool:
        """Whether a request with it is the app's."""
        with self._lock:
            return self._clock() < self._ends.get(access_token, 0.0)

    def expire(self) -> None:
        """End all access tokens."""
        with self._lock:
            self._ends.clear()

    def revoke(self) -> None:
        """End all tokens, as when the app is uninstalled: it must be authorised again."""
        with self._lock:
            self._ends.clear()
            self._refresh = None

    def answer(self, method: str, headers: Mapping[str, str], body: bytes, scopes: Iterable[str]) -> Answer:
        """What the endpoint answers. ``scopes`` is what the token may do."""
        if method != "POST":
            return _refused(405, "invalid_request", "Only POST.")
        if not self._is_client(headers.get("authorization", "")):
            return _refused(401, "invalid_client", "Unknown client, or a wrong secret.")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        given = parse_qs(body.decode("utf-8", "replace")) if media_type == "application/x-www-form-urlencoded" else {}
        if given.get("grant_type") != ["refresh_token"]:
            return _refused(400, "unsupported_grant_type", "The grant_type must be refresh_token, in a form.")
        with self._lock:
            if self._refresh is None or given.get("refresh_token") != [self._refresh]:
                return _refused(400, "invalid_grant", "The refresh token has expired or was revoked.")
            if self._app.rotates:
                self._refresh = secrets.token_urlsafe(32)
            access = secrets.token_urlsafe(32)
            self._ends[access] = self._clock() + self._app.token_seconds
            document = {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": int(self._app.token_seconds),
                "refresh_token": self._refresh,
                "scope": " ".join(sorted(scopes)),
            }
        return Answer(200, document, {"Cache-Control": "no-store"})

    def _is_client(self, given: str) -> bool:
        scheme, _, encoded = given.partition(" ")
        try:
            found = base64.b64decode(encoded, validate=True)
        except ValueError:
            return False
        wanted = f"{self._app.client_id}:{self._app.client_secret}".encode()
        return scheme.lower() == "basic" and secrets.compare_digest(found, wanted)


def _refused(status: int, error: str, description: str) -> Answer:
    return Answer(status, {"error": error, "error_description": description})
