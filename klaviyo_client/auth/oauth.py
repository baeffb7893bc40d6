"""OAuth: requests to Klaviyo's token endpoint, and what its answers mean, as functions on values. Pure.

What Klaviyo says of it (read in November 2026):

- ``POST https://a.klaviyo.com/oauth/token``; other hosts than ``a.klaviyo.com`` are refused since 2025-03-31:
  https://developers.klaviyo.com/en/docs/set_up_oauth
- The client's id and secret go into a header ``Authorization: Basic``, ``grant_type=refresh_token`` and the refresh
  token into a form; the answer has ``access_token``, ``refresh_token`` and ``expires_in``. Access tokens are sent as
  ``Bearer``; a 401 says that one has expired. What comes is to be kept, for the refresh token may be another one:
  https://github.com/klaviyo-labs/oauth-migration-demo
- ``invalid_client``: id or secret is wrong. ``invalid_grant_type`` (RFC 6749 calls it ``invalid_grant``) to a request
  that looks right: the refresh token has expired or was revoked:
  https://developers.klaviyo.com/en/docs/troubleshoot_oauth_errors

Whether Klaviyo does rotate refresh tokens, how long they last unused, and which limits the endpoint has, its documents
were not found to say: both kinds of answer are understood, and a 429 is waited out. RFC 6749 (sections 5 and 6) has the
rest, and ``oauthlib`` writes and reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from oauthlib.oauth2 import OAuth2Error, WebApplicationClient

from klaviyo_client import errors
from klaviyo_client.api.json_text import decode_json

PATH = "/oauth/token"
MEDIA_TYPE = "application/x-www-form-urlencoded"
# What errors call a request to the endpoint, which is no operation of the specification.
NAME = "oauth_token"
# Our limits, in requests a second and a minute: no document of Klaviyo's was found that names any, so these are those
# of its slower operations. A run signs in once an hour.
RATES = (3, 60)

_CENTURY = 36_525 * 86_400
_GRANT = frozenset({"invalid_grant", "invalid_grant_type"})
_CLIENT = frozenset({"invalid_client", "unauthorized_client"})


@dataclass(frozen=True)
class App:
    """An OAuth app of Klaviyo's, as one account has authorised it.

    Attributes:
        client_id, client_secret: the app's.
        refresh_token: what the authorisation gave.
        refresh_token_path: the file that later refresh tokens are kept in; None keeps them in memory.

    Raises:
        SettingsError: one of them is empty, or cannot be sent.
    """

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    refresh_token_path: str | None = None

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret", "refresh_token"):
            if not is_sendable(getattr(self, name)):
                raise errors.SettingsError(f"{name} must be what Klaviyo gave, without spaces")
        if ":" in self.client_id:
            raise errors.SettingsError("client_id must not hold a colon")


@dataclass(frozen=True)
class Token:
    """An access token.

    Attributes:
        access: the token.
        refresh: the refresh token that came with it; None when the old one stays.
        seconds: how long it is valid, counted from the request; None when the answer does not say.
        scopes: what it may do; None when the answer does not say.
    """

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    seconds: float | None = None
    scopes: frozenset[str] | None = None

    @property
    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self.access}"


def is_sendable(value: object) -> bool:
    """Whether a header can carry it."""
    return isinstance(value, str) and value.isascii() and value.isprintable() and value != "" and " " not in value


def refresh_body(refresh_token: str) -> bytes:
    """The body of a request for an access token."""
    return str(WebApplicationClient("").prepare_refresh_body(refresh_token=refresh_token)).encode()


def parse_token_response(status: int, body: bytes, retry_after: int | None = None) -> Token:
    """The access token that an answer of the endpoint holds.

    Raises:
        GrantRefused: the refresh token is accepted no more.
        SettingsError: the app's id or secret is wrong, or the address is.
        SignInFault: the endpoint is busy or broken, or a proxy has answered.
    """
    if status in (408, 429) or status >= 500 or (status == 403 and not _is_json(body)):
        raise errors.SignInFault(f"{NAME}: Klaviyo answered {status}", operation=NAME, retry_after=retry_after)
    # The reasons are not chained: the library's text repeats what the server says, and that may be a token.
    try:
        document = WebApplicationClient("").parse_request_body_response(body.decode("utf-8", "replace"))
    except OAuth2Error as error:
        raise _refusal(status, str(error.error)) from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise _unusable(status) from None
    if status >= 300 or not is_sendable(document["access_token"]):
        raise _unusable(status)
    refresh = document.get("refresh_token")
    return Token(
        document["access_token"],
        refresh if is_sendable(refresh) else None,
        # The library has made a whole number of it, or left it out.
        min(document["expires_in"], _CENTURY) if "expires_in" in document else None,
        _scopes(document.get("scope")),
    )


def _is_json(body: bytes) -> bool:
    """Whether the endpoint has spoken; what a proxy or firewall answers in its place is no JSON."""
    try:
        return isinstance(decode_json(body), dict)
    except ValueError:
        return False


def _scopes(value: Any) -> frozenset[str] | None:
    # The library splits the text at spaces, and leaves a list as it is; an empty text says nothing.
    return frozenset(map(str, filter(None, value))) or None if isinstance(value, list) else None


def _refusal(status: int, code: str) -> errors.KlaviyoError:
    if code in _GRANT:
        return errors.GrantRefused(
            f"Klaviyo no longer accepts the refresh token ({code}): it has expired or was revoked, or the app was "
            "uninstalled. Authorise the app again, and set the new refresh_token"
        )
    if code in _CLIENT:
        return errors.SettingsError(
            f"Klaviyo does not accept client_id and client_secret ({code}): check that both belong to the app that "
            "issued the refresh_token"
        )
    if status < 400 and code == "missing_token":
        return _unusable(status)
    reason = f", {code}" if re.fullmatch(r"[a-z_]{1,40}", code) and code != "missing_token" else ""
    return errors.SettingsError(
        f"Klaviyo gives no access token (HTTP {status}{reason}): check api_url and the app's settings"
    )


def _unusable(status: int) -> errors.KlaviyoError:
    if status >= 300:
        return _refusal(status, "")
    return errors.SignInFault(f"{NAME}: the answer holds no access token", operation=NAME)
