"""A whole run of the target beside another client of the account."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.other_client import OtherClient
from target_support import Command, records, schema_of

from klaviyo_sandbox.http.quotas import MINUTE, SECOND
from klaviyo_sandbox.server import RunningSandbox

SPEED = 100.0


@pytest.mark.parametrize("window", [SECOND, MINUTE])
@pytest.mark.parametrize(
    "options", [{"action": "upsert_profile"}, {"action": "delete_profile", "allow_deletion": True}]
)
def test_a_run_beside_another_client_hammers_nobody(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, options: dict[str, object], window: int
) -> None:
    """Uploads, polls of their jobs, look-ups: none comes within a pause, and each is in the report."""
    sandbox = make_sandbox(profiles=100, events=0, speed=SPEED, in_flight=64)
    OtherClient(sandbox.control.current.quotas, window, times=5, every=2)
    settings = {
        "api_key": "pk_test",
        "api_url": sandbox.url,
        "report_path": "report.json",
        "streams": {"people": options},
    }
    rows = [{"email": f"p{number}@example.com"} for number in range(40)]
    run = Command(tmp_path, settings, SPEED)([schema_of("people"), *records("people", rows)])
    assert run.code == 0, run.stderr
    log = list(sandbox.requests)
    assert [asked for asked in log if asked.status == 429]
    assert sandbox.control.breaches() == []
    report = json.loads((tmp_path / "report.json").read_text())
    assert sum(found["requests"] for found in report["requests"]) == len(log)
