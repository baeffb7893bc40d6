"""Fixtures of the tests of `klaviyo-audience`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from audience_support import SPEED, Audience

from klaviyo_sandbox import RunningSandbox


@pytest.fixture
def audience(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> Audience:
    """The command, set up for a small account that answers at once."""
    account = make_sandbox(profiles=20, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    return Audience(tmp_path, account)
