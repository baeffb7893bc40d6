"""The connection settings that both plugins share, as JSON Schema, and the client that is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from klaviyo_client.auth.oauth import App
from klaviyo_client.client import DEFAULT_API_URL, KlaviyoClient

OAUTH = ("client_id", "client_secret", "refresh_token")
# Kinds of credentials, of which a schema asks for exactly one.
CREDENTIALS = [{"required": ["api_key"]}, {"required": list(OAUTH)}]

CONNECTION: Mapping[str, Mapping[str, Any]] = {
    "api_key": {
        "type": "string",
        "secret": True,
        "title": "Private API key",
        "description": (
            "A private key of your Klaviyo account (pk_...), made in Klaviyo under Settings, API keys. "
            "Either this is needed, or client_id, client_secret and refresh_token of an OAuth app."
        ),
    },
    "client_id": {
        "type": "string",
        "title": "OAuth client id",
        "description": "The id of an OAuth app that the account has authorised; in place of api_key.",
    },
    "client_secret": {
        "type": "string",
        "secret": True,
        "title": "OAuth client secret",
        "description": "The secret of the OAuth app.",
    },
    "refresh_token": {
        "type": "string",
        "secret": True,
        "title": "OAuth refresh token",
        "description": "The refresh token that the account's authorisation of the OAuth app gave.",
    },
    "refresh_token_path": {
        "type": "string",
        "minLength": 1,
        "title": "File of the refresh token",
        "description": (
            "Where to keep a refresh token that replaces the configured one, for the next run; only its owner can "
            "read the file. It takes precedence over refresh_token until that is set to another one. By default a "
            "new one is kept for this run only, and the log warns."
        ),
    },
    "api_url": {
        "type": "string",
        "default": DEFAULT_API_URL,
        "title": "API address",
        "description": "Where the API is. Must be https, unless it is on this machine (a klaviyo-sandbox, say).",
    },
    "revision": {
        "type": "string",
        "deprecated": True,
        "title": "API revision (no longer used)",
        "description": (
            "Does nothing: each operation is asked for in the revision of Klaviyo's API that its columns were made for."
        ),
    },
    "rate_limit_share": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.9,
        "title": "Share of the rate limits",
        "description": "The part of the account's rate limits to use; the rest is for your other apps.",
    },
    "request_timeout": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 60,
        "title": "Request time-out",
        "description": "Seconds to wait for a connection and for each part of an answer. "
        "A whole answer may take five times as long.",
    },
    "user_agent": {
        "type": "string",
        "pattern": r"^[\x20-\x7e]+$",
        "title": "User agent",
        "description": "The User-Agent of the requests. By default the plugin's name and version.",
    },
}


def version() -> str:
    """The installed version of this distribution."""
    return metadata.version("singer-klaviyo")


def connect(
    config: Mapping[str, Any], plugin: str, client_class: Callable[..., KlaviyoClient] = KlaviyoClient
) -> KlaviyoClient:
    """Make a client from settings. Nothing is sent yet.

    Args:
        config: the settings.
        plugin: the plugin's name, for the user agent.
        client_class: makes the client; takes the arguments of ``KlaviyoClient``.

    Raises:
        SettingsError: a setting cannot be used.
    """
    return client_class(
        api_key=config.get("api_key") or "",
        app=_app(config),
        api_url=config.get("api_url") or DEFAULT_API_URL,
        rate_limit_share=config.get("rate_limit_share", 0.9),
        request_timeout=config.get("request_timeout", 60),
        user_agent=config.get("user_agent") or f"{plugin}/{version()}",
    )


def _app(config: Mapping[str, Any]) -> App | None:
    if not any(config.get(name) for name in OAUTH):
        return None
    return App(
        client_id=config.get("client_id") or "",
        client_secret=config.get("client_secret") or "",
        refresh_token=config.get("refresh_token") or "",
        refresh_token_path=config.get("refresh_token_path") or None,
    )
