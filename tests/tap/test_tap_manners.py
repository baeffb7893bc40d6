"""A whole run beside another client of the account."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.other_client import OtherClient
from tap_support import config, discovered, run_tap, select

from klaviyo_sandbox.http.quotas import MINUTE, SECOND
from klaviyo_sandbox.server import RunningSandbox

SPEED = 100.0


@pytest.mark.parametrize("window", [SECOND, MINUTE])
@pytest.mark.parametrize("concurrency", [1, 64])
def test_a_run_beside_another_client_hammers_nobody(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, concurrency: int, window: int
) -> None:
    """No request comes within a pause, every request is in the summary, and everything is read."""
    sandbox = make_sandbox(profiles=3000, events=5000, speed=SPEED, in_flight=concurrency)
    OtherClient(sandbox.control.current.quotas, window, times=6, every=7)
    run = run_tap(
        tmp_path,
        config(sandbox, concurrency=concurrency),
        catalog=select(discovered(), dict.fromkeys(("profiles", "events", "lists", "flows", "campaigns"))),
        speed=SPEED,
    )
    assert run.code == 0, run.errors
    log = list(sandbox.requests)
    assert [asked for asked in log if asked.status == 429]
    assert sandbox.control.breaches() == []
    summed = json.loads(run.errors.rpartition("SUMMARY: ")[2].splitlines()[0])
    assert summed["requests"] == len(log)
    assert len(run.rows("profiles")) == 3000
