"""One OAuth app: as an account that has authorised it knows it, as a client is it, and as settings name it."""

from __future__ import annotations

from typing import Any

from klaviyo_client.auth.oauth import App
from klaviyo_sandbox.http.oauth import OAuthApp

CLIENT_ID = "app-1"
SECRET, REFRESH = "secret-of-the-app-471100", "refresh-of-the-account-471100"
SETTINGS = {"client_id": CLIENT_ID, "client_secret": SECRET, "refresh_token": REFRESH}


def sandbox_app(**options: Any) -> OAuthApp:
    """The app as ``serve`` takes it; the options are those of ``OAuthApp``."""
    return OAuthApp(CLIENT_ID, SECRET, REFRESH, **options)


def client_app(*, secret: str = SECRET, refresh: str = REFRESH, path: str | None = None) -> App:
    """The app as the client takes it, with another secret or refresh token where one must be refused."""
    return App(CLIENT_ID, secret, refresh, path)
