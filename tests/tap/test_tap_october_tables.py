"""Tables of collections that revision 2026-10-15 is the first to have, read from an account that lacks some of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tap_support import config, discovered, run_tap, select

from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account.table import Table

TABLES = ("billing_usage", "brands", "text_messaging_senders", "translations")


def test_what_the_account_or_the_key_lacks_stops_nothing(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """A brand without a voice has no row of it; a scope that is missing is named, and the other tables are read."""
    scopes = ("accounts:read", "brands:read", "translations:read", "usage:read")
    account = make_sandbox(profiles=0, events=0, limits=False, scopes=frozenset(scopes))
    account.store.resources["brand-voice"] = Table()
    run = run_tap(tmp_path, config(account), catalog=select(discovered(), dict.fromkeys(TABLES)))
    assert run.code == 1
    kinds = {row["brand_asset_type"] for row in run.rows("brands")}
    assert kinds == {f"brand-{kind}" for kind in ("button", "color", "logo", "social-group", "email-default")}
    assert [bool(run.rows(table)) for table in TABLES] == [True, True, False, True]
    assert "incomplete: text_messaging_senders skipped" in run.errors
    assert "these are needed: sender-config:read" in run.errors
    assert "was deleted" not in run.errors
