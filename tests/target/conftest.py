"""Fixtures of the target's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from target_support import KEY, SPEED, Command

from klaviyo_sandbox import RunningSandbox


@pytest.fixture
def account(make_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """A small account that answers at once."""
    return make_sandbox(profiles=20, events=0, limits=False, job_seconds=0.05, speed=SPEED)


@pytest.fixture
def target(tmp_path: Path, account: RunningSandbox) -> Command:
    """The command, set up for the account."""
    return Command(tmp_path, {"api_key": KEY, "api_url": account.url})
