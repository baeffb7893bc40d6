"""The token endpoint, and requests with its tokens."""

from __future__ import annotations

import sys

import pytest
import requests
from support import warm
from support.calls import REVISION, problem
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.http.control_fields import InvalidChange
from klaviyo_sandbox.http.oauth import OAuthApp

APP = OAuthApp("app-1", "secret-of-the-app", "refresh-of-the-account")


@pytest.fixture
def installed(make_sandbox):
    """An account that has authorised the app."""
    return make_sandbox(profiles=5, events=0, oauth=APP, scopes="lists:read profiles:read")


def sign_in(sandbox, refresh_token=APP.refresh_token, *, auth=(APP.client_id, APP.client_secret), **form):
    given = {"grant_type": "refresh_token", "refresh_token": refresh_token, **form}
    return requests.post(f"{sandbox.url}/oauth/token", data=given, auth=auth, timeout=PATIENCE)


def read(sandbox, token, path="lists"):
    headers = {"Authorization": f"Bearer {token}", "revision": REVISION}
    return requests.get(f"{sandbox.url}/api/{path}", headers=headers, timeout=PATIENCE)


def test_a_refresh_token_gives_a_token_that_may_do_what_was_granted(installed):
    """The answer says how long and what for, and the account opens to it as to a key."""
    answer = sign_in(installed)
    token = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert {name: token[name] for name in ("token_type", "expires_in", "scope", "refresh_token")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "lists:read profiles:read",
        "refresh_token": APP.refresh_token,
    }
    assert read(installed, token["access_token"]).status_code == 200
    assert problem(read(installed, token["access_token"], "segments"))[:2] == (403, "permission_denied")
    assert problem(read(installed, "another"))[:2] == (401, "authentication_failed")


@pytest.mark.parametrize(
    ("options", "status", "error"),
    [
        ({"auth": (APP.client_id, "wrong")}, 401, "invalid_client"),
        ({"auth": None}, 401, "invalid_client"),
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"refresh_token": "another"}, 400, "invalid_grant"),
        ({"refresh_token": ""}, 400, "invalid_grant"),
    ],
)
def test_who_does_not_belong_gets_no_token(installed, options, status, error):
    """Client, grant and refresh token must all be right, and the error says which is not."""
    answer = sign_in(installed, **options)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_other_ways_of_asking_are_refused(installed):
    """The endpoint takes a form by POST, and a header that is no Base64 is no client."""
    url, auth = f"{installed.url}/oauth/token", (APP.client_id, APP.client_secret)
    answer = requests.get(url, auth=auth, timeout=PATIENCE)
    assert (answer.status_code, answer.headers.get("allow")) == (405, "POST")
    form = {"grant_type": "refresh_token", "refresh_token": APP.refresh_token}
    assert requests.post(url, json=form, auth=auth, timeout=PATIENCE).json()["error"] == "unsupported_grant_type"
    assert requests.post(url, data=form, headers={"Authorization": "Basic ü"}, timeout=PATIENCE).status_code == 401


def test_a_token_ends_when_its_time_has_come(installed):
    """By the account's clock, which can be moved."""
    token = sign_in(installed).json()["access_token"]
    installed.control.advance(seconds=3590)
    assert read(installed, token).status_code == 200
    installed.control.advance(seconds=20)
    assert problem(read(installed, token))[:2] == (401, "authentication_failed")


def test_a_rotated_refresh_token_is_good_once(make_sandbox):
    """The next one comes with the answer, and the old one is refused."""
    sandbox = make_sandbox(profiles=1, events=0, oauth=OAuthApp("app-1", "secret", "first", rotates=True))
    first = sign_in(sandbox, "first", auth=("app-1", "secret")).json()
    assert sign_in(sandbox, "first", auth=("app-1", "secret")).json()["error"] == "invalid_grant"
    second = sign_in(sandbox, first["refresh_token"], auth=("app-1", "secret")).json()
    assert len({"first", first["refresh_token"], second["refresh_token"]}) == 3
    assert read(sandbox, first["access_token"]).status_code == 200


def test_tokens_can_be_ended_while_a_client_runs(installed):
    """Access tokens alone, as if their time had come, or all, as if the app was uninstalled."""
    url = f"{installed.url}/sandbox/tokens"
    token = sign_in(installed).json()["access_token"]
    assert requests.post(url, json={"end": "access"}, timeout=PATIENCE).status_code == 204
    assert read(installed, token).status_code == 401
    token = sign_in(installed).json()["access_token"]
    assert requests.post(url, json={"end": "all"}, timeout=PATIENCE).status_code == 204
    assert read(installed, token).status_code == 401
    assert sign_in(installed).json()["error"] == "invalid_grant"
    assert requests.post(url, json={"end": "some"}, timeout=PATIENCE).status_code == 400


def test_an_account_without_an_app_knows_no_tokens(make_sandbox):
    """There the endpoint is no path, a bearer no key, and no token can be ended."""
    sandbox = make_sandbox(profiles=1, events=0)
    assert problem(sign_in(sandbox))[:2] == (404, "not_found")
    assert read(sandbox, "anything").status_code == 401
    with pytest.raises(InvalidChange, match="no OAuth app"):
        sandbox.control.end_tokens()


def test_signing_in_is_recorded_without_its_secrets(installed):
    """A test can count requests for tokens; the pages show no secret, and nothing that was pushed."""
    sign_in(installed)
    (logged,) = installed.requests
    assert (logged.method, logged.path, logged.status, logged.operation) == ("POST", "/oauth/token", 200, "oauth_token")
    assert APP.refresh_token not in repr(logged)
    page = requests.get(f"{installed.url}/", timeout=PATIENCE).text
    assert "Nothing was written yet." in page
    assert "POST /oauth/token" in page


def test_the_command_has_options_for_it():
    """An app with its tokens' life and rotation."""
    command = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0", "--profiles", "1", "--events", "0"]
    options = ["--oauth-app", "app-1:secret:first", "--token-seconds", "60", "--rotate-refresh-tokens"]
    with warm.Popen([*command, *options], stdout=warm.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[4]
            form = {"grant_type": "refresh_token", "refresh_token": "first"}
            token = requests.post(f"{url}/oauth/token", data=form, auth=("app-1", "secret"), timeout=PATIENCE).json()
        finally:
            process.terminate()
    assert token["expires_in"] == 60
    assert token["refresh_token"] != "first"


def test_faults_meet_the_endpoint_too():
    """A client must bear an endpoint that is busy."""
    with serve(profiles=1, events=0, oauth=APP, faults="503=1") as sandbox:
        assert sign_in(sandbox).status_code == 503
