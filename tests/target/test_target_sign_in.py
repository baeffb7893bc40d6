"""The target as an OAuth app."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.oauth_app import REFRESH, SECRET, SETTINGS, sandbox_app
from target_support import Command, records, schema_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS

ONE = [
    schema_of("profiles"),
    *records("profiles", [{"email": "ada@example.com"}]),
    {"type": "STATE", "value": {"at": 1}},
]


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_sandbox(profiles=3, events=0, limits=False, job_seconds=0.0, oauth=sandbox_app(rotates=True))


@pytest.fixture
def target(tmp_path: Path, account: RunningSandbox) -> Command:
    """The command, set up as the app, with a file for its refresh token."""
    return Command(tmp_path, {**SETTINGS, "api_url": account.url, "refresh_token_path": "token.json"}, speed=1)


def test_a_rehearsal_and_a_push_sign_in_one_after_the_other(account: RunningSandbox, target: Command) -> None:
    """A rehearsal sends nothing but for its access token, and leaves the new refresh token to the push."""
    environment = {"LOGLEVEL": "DEBUG"}
    rehearsal, push = (target(ONE, env=environment, dry_run=dry) for dry in (True, False))
    assert (rehearsal.code, push.code) == (0, 0)
    assert push.states == [{"at": 1}]
    assert "ada@example.com" in [row["email"] for row in account.store.profiles.rows.values()]
    kept = json.loads((target.folder / "token.json").read_text())["refresh_token"]
    for secret in (SECRET, REFRESH, kept):
        assert secret not in rehearsal.stderr + push.stderr


def test_an_app_is_told_its_scopes(account: RunningSandbox, target: Command) -> None:
    """`--check` believes what came with the access token, and asks nothing more."""
    run = target(arguments=["--config", str(target.folder / "config.json"), "--check"])
    assert (run.code, run.stdout) == (0, "")
    assert len([line for line in run.said("INFO") if line.endswith(": usable")]) == len(ACTIONS)
    assert [entry.path for entry in account.requests] == ["/oauth/token"]


def test_an_app_that_was_uninstalled_is_exit_2(account: RunningSandbox, target: Command) -> None:
    """Nothing is sent, no STATE is written, and the line says what to do."""
    account.control.end_tokens("all")
    run = target(ONE)
    assert (run.code, run.stdout) == (2, "")
    (said,) = run.said("ERROR", "CRITICAL")
    assert "Authorise the app again" in said
    assert REFRESH not in run.stderr


def test_a_key_beside_the_app_is_exit_2(target: Command) -> None:
    """Exactly one kind of credentials must be given."""
    run = target(ONE, api_key="pk_test")
    assert run.code == 2
    assert "keep the private key or the OAuth app" in run.stderr
