"""Events from Singer lines to the sandbox's account."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import run_command, singer_lines
from support.patience import until
from target_support import KEY, SPEED, Command, records

from klaviyo_sandbox import RunningSandbox

SCHEMA = {
    "type": "SCHEMA",
    "stream": "events",
    "key_properties": [],
    "schema": {
        "type": "object",
        "properties": {
            "email": {"type": ["string", "null"]},
            "metric": {"type": ["string", "null"]},
            "time": {"type": ["string", "null"]},
            "value": {"type": ["number", "null"]},
            "n": {"type": ["integer", "null"]},
        },
    },
}
STATE = {"type": "STATE", "value": {"at": 1}}


def event(number: int, **more: Any) -> dict[str, Any]:
    made = {"email": f"p{number % 7}@example.com", "metric": "Viewed Lamp", "n": number}
    return {**made, "time": f"2026-05-01T10:{number % 60:02d}:00Z", **more}


def held(account: RunningSandbox) -> list[dict[str, Any]]:
    """The properties of the events that the account has."""
    return [dict(row["event_properties"]) for row in account.store.events.rows.values()]


def test_events_arrive_once_each(target: Command, account: RunningSandbox) -> None:
    """Every record is an event of its person, and a second run adds none."""
    lines = [SCHEMA, *records("events", map(event, range(40))), STATE]
    for _ in range(2):
        done = target(lines)
        assert done.code == 0, done.stderr
        assert done.states == [{"at": 1}]
    assert sorted(found["n"] for found in held(account)) == list(range(40))
    assert {found["pushed_by"] for found in held(account)} == {"target-klaviyo"}


def test_repeats_that_klaviyo_judges_over_all_history_are_kept_once(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Where a bulk is refused for what is there already, its events go one by one, and the new ones arrive."""
    account = make_sandbox(profiles=5, events=0, limits=False, repeats="history", speed=SPEED)
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    target([SCHEMA, *records("events", map(event, range(20)))])
    done = target([SCHEMA, *records("events", map(event, range(10, 30))), STATE])
    assert done.code == 0, done.stderr
    assert done.states == [{"at": 1}]
    assert sorted(found["n"] for found in held(account)) == list(range(30))


def test_bad_events_are_rejected_alone(target: Command, account: RunningSandbox) -> None:
    """One bad row never sinks the others, and each is on file with its reason."""
    bad = [event(90, metric=None), event(91, email="nobody"), event(92, time="1980-01-01"), event(93, metric="x" * 128)]
    done = target([SCHEMA, *records("events", [event(1), *bad, event(2)]), STATE])
    assert done.code == 0
    assert done.states == [{"at": 1}]
    assert [line["code"] for line in done.rejected] == ["invalid_field", "invalid_email", "invalid_time", "limit"]
    assert sorted(found["n"] for found in held(account)) == [1, 2]


@pytest.mark.parametrize("settings", [{"on_reject": "fail"}, {"max_rejects": 1}, {"max_rejects": "10%"}])
def test_too_many_rejects_fail_the_run(target: Command, account: RunningSandbox, settings: dict[str, Any]) -> None:
    """The settings decide the exit code; what was taken before is there, and vouched for as far as it goes."""
    lines = [SCHEMA, *records("events", [event(1)]), STATE, *records("events", [event(2, metric=None)] * 3)]
    done = target(lines, **settings)
    assert done.code == 1
    assert "max_rejects" in done.stderr
    assert done.rejected


def test_killed_and_run_again_each_event_is_there_once(account: RunningSandbox, tmp_path: Path) -> None:
    """Kill -9 at some moment, then the same lines again: nothing is missing and nothing is there twice."""
    config = {"api_key": KEY, "api_url": account.url, "batch_size_rows": 20}
    (tmp_path / "config.json").write_text(json.dumps(config))
    messages = [SCHEMA, *records("events", map(event, range(400))), STATE]
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(singer_lines(messages))
        process.stdin.flush()
        until(lambda: account.store.events.rows)
        process.send_signal(signal.SIGKILL)
    done = run_command(command, messages, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(found["n"] for found in held(account)) == list(range(400))
