"""The account as a table of its own, beside the tables that have its id in their columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tap_support import config, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox


@pytest.mark.parametrize("wanted", [{"account_id"}, None])
def test_the_account_is_read_once_for_all(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, wanted: set[str] | None
) -> None:
    """Whether all of its columns are wanted or its id alone, what a V1 table has of it comes from the same call."""
    sandbox = make_sandbox(profiles=2, events=0, limits=False)
    catalog = select(discovered(), {"accounts": wanted, "esp_metrics": None})
    run = run_tap(tmp_path, config(sandbox), catalog=catalog)
    assert run.code == 0, run.errors
    (account,) = run.rows("accounts")
    assert {row["esp_integration_id"] for row in run.rows("esp_metrics")} == {account["account_id"]}
    assert [asked.path for asked in sandbox.requests].count("/api/accounts") == 1
