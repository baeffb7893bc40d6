"""The tap as an OAuth app."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.oauth_app import REFRESH, SECRET, SETTINGS, sandbox_app
from tap_support import Run, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_sandbox(profiles=5, events=0, oauth=sandbox_app(rotates=True), limits=False)


def read_lists(folder: Path, account: RunningSandbox, **settings: Any) -> Run:
    config = {**SETTINGS, "api_url": account.url, **settings}
    catalog = select(discovered(), {"lists": None})
    return run_tap(folder, config, catalog=catalog, environment={"LOGLEVEL": "DEBUG"})


def test_nightly_runs_go_on_with_a_config_that_nobody_edits(account: RunningSandbox, tmp_path: Path) -> None:
    """Klaviyo rotates the refresh token: the second night begins with the first one's, from a file of the owner's."""
    path = tmp_path / "token.json"
    runs = [read_lists(tmp_path, account, refresh_token_path=str(path)) for _ in range(2)]
    assert [run.code for run in runs] == [0, 0]
    assert len(runs[1].rows("lists")) == len(account.store.lists.rows)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads((tmp_path / "config.json").read_text())["refresh_token"] == REFRESH
    kept = json.loads(path.read_text())["refresh_token"]
    for run in runs:
        assert run.said("WARNING", "ERROR", "CRITICAL") == []
        for secret in (SECRET, REFRESH, kept):
            assert secret not in run.errors + json.dumps(run.messages)


def test_without_the_file_the_next_night_says_what_to_do(account: RunningSandbox, tmp_path: Path) -> None:
    """The first run is whole and warns; the second has a token that was used up, and ends with exit code 2."""
    first, second = (read_lists(tmp_path, account) for _ in range(2))
    assert first.code == 0
    (warning,) = first.said("WARNING")
    assert "set refresh_token_path" in warning
    assert second.code == 2
    (said,) = second.said("ERROR", "CRITICAL")
    assert "Authorise the app again" in said
    assert REFRESH not in first.errors + second.errors
