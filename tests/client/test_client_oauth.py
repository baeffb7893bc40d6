"""What the token endpoint is asked, and what its answers mean."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from klaviyo_client import errors
from klaviyo_client.auth import oauth
from klaviyo_client.auth.oauth import App, Token


@given(st.text(min_size=1))
def test_the_form_brings_any_refresh_token_across(token: str) -> None:
    """Whatever characters it has, the endpoint reads the same one."""
    assert parse_qs(oauth.refresh_body(token).decode()) == {"grant_type": ["refresh_token"], "refresh_token": [token]}


@pytest.mark.parametrize(
    ("answer", "token"),
    [
        (
            {
                "access_token": "a",
                "token_type": "Bearer",
                "expires_in": 3600,
                "refresh_token": "r",
                "scope": "lists:read profiles:read",
            },
            Token("a", "r", 3600, frozenset({"lists:read", "profiles:read"})),
        ),
        ({"access_token": "a", "expires_in": "60"}, Token("a", None, 60, None)),
        ({"access_token": "a", "scope": "", "expires_in": None, "refresh_token": ""}, Token("a")),
        ({"access_token": "a", "scope": ["lists:read"]}, Token("a", scopes=frozenset({"lists:read"}))),
    ],
)
def test_a_token_is_read_with_what_the_answer_says(answer: dict[str, Any], token: Token) -> None:
    """Life, scopes and a new refresh token where they are told, and None where not."""
    assert oauth.parse_token_response(200, json.dumps(answer).encode()) == token


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, b'{"error": "invalid_grant"}', errors.GrantRefused, "Authorise the app again"),
        (400, b'{"error": "invalid_grant_type"}', errors.GrantRefused, "Authorise the app again"),
        (401, b'{"error": "invalid_client"}', errors.SettingsError, "does not accept client_id and client_secret"),
        (400, b'{"error": "unsupported_grant_type"}', errors.SettingsError, "HTTP 400, unsupported_grant_type"),
        (403, b"<html>blocked</html>", errors.SignInFault, "403"),
        (403, b'{"errors": [{"code": "permission_denied"}]}', errors.SettingsError, "HTTP 403"),
        (408, b"", errors.SignInFault, "408"),
        (404, b'{"errors": [{"code": "not_found"}]}', errors.SettingsError, "HTTP 404"),
        (302, b"", errors.SettingsError, "HTTP 302"),
        (400, b"[]", errors.SettingsError, "HTTP 400"),
        (429, b"", errors.SignInFault, "429"),
        (503, b'{"error": "invalid_grant"}', errors.SignInFault, "503"),
        (200, b"<html>", errors.SignInFault, "no access token"),
        (200, b"[1]", errors.SignInFault, "no access token"),
        (200, b"{}", errors.SignInFault, "no access token"),
        (200, b'{"access_token": "a\\nb"}', errors.SignInFault, "no access token"),
        (200, b'{"access_token": 7}', errors.SignInFault, "no access token"),
        (200, b'{"access_token": "a", "expires_in": "soon"}', errors.SignInFault, "no access token"),
        (200, b'{"access_token": "a", "scope": 7}', errors.SignInFault, "no access token"),
        (200, b"[" * 100_000, errors.SignInFault, "no access token"),
    ],
)
def test_whoever_must_act_is_told(status: int, body: bytes, kind: type[errors.KlaviyoError], said: str) -> None:
    """The user for what will be refused again; nobody for what may pass by itself."""
    with pytest.raises(errors.KlaviyoError, match=said) as caught:
        oauth.parse_token_response(status, body, 7)
    assert type(caught.value) is kind
    if isinstance(caught.value, errors.SignInFault):
        assert caught.value.may_have_succeeded is False
        assert caught.value.retry_after == (7 if status in (403, 408, 429, 503) else None)


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)
NAMES = st.sampled_from(("access_token", "refresh_token", "expires_in", "expires_at", "scope", "error", "token_type"))
BODIES = st.binary() | VALUES.map(json.dumps) | st.dictionaries(NAMES, VALUES).map(json.dumps)


@given(st.sampled_from((200, 302, 400, 401, 429, 503)), BODIES)
@example(200, '{"access_token": "a", "expires_in": 1e400}')
@example(200, '{"access_token": "a", "expires_in": 1' + "0" * 400 + "}")
def test_no_answer_surprises(status: int, body: bytes | str) -> None:
    """Whatever comes is a token or an error of ours."""
    with contextlib.suppress(errors.KlaviyoError):
        token = oauth.parse_token_response(status, body if isinstance(body, bytes) else body.encode("utf-8", "replace"))
        assert token.seconds is None or math.isfinite(float(token.seconds))


@pytest.mark.parametrize("status", [200, 400, 401])
def test_what_the_endpoint_says_is_not_repeated(status: int) -> None:
    """Its description may quote the token; neither the error nor what led to it has it."""
    body = b'{"error": "LEAKED-TOKEN", "error_description": "LEAKED-TOKEN is unknown"}'
    with pytest.raises(errors.KlaviyoError) as caught:
        oauth.parse_token_response(status, body)
    seen: BaseException | None = caught.value
    assert "LEAKED" not in str(seen)
    assert seen is not None
    assert seen.__suppress_context__


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
@pytest.mark.parametrize("value", ["", "a b", "ä", "a\nb"])
def test_an_app_that_cannot_be_sent_is_not_made(name: str, value: str) -> None:
    """The setting is named, its value is not."""
    with pytest.raises(errors.SettingsError, match=f"{name} must be"):
        App(**{"client_id": "app", "client_secret": "secret", "refresh_token": "refresh", name: value})


def test_secrets_are_not_shown() -> None:
    """Whoever prints an app or a token sees no secret of it."""
    shown = repr(App("app-1", "the-secret", "the-refresh")) + repr(Token("the-access", "the-refresh"))
    assert "app-1" in shown
    assert "the-" not in shown
