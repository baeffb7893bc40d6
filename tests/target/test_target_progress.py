"""How far a run is."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest
from support import warm
from support.commands import run_command, singer_lines
from support.patience import until
from support.terminals import Terminal
from target_support import Command, Time, records, schema_of

from klaviyo_client.http.usage import Usage
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.reporting.progress import Progress


def test_a_line_tells_what_came_and_how_fast(caplog: pytest.LogCaptureFixture) -> None:
    """The records a second are those since the line before."""
    clock = Time()
    came = iter([30_000, 36_000, 36_000])
    progress = Progress(lambda: next(came), lambda: "5 delivered", clock=clock.clock.monotonic)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            clock.sleep(30)
            progress.show()
        progress.show()
    assert caplog.messages == [
        "30,000 records read, 1,000 a second; 5 delivered",
        "36,000 records read, 200 a second; 5 delivered",
        "36,000 records read, 0 a second; 5 delivered",
    ]


def test_a_line_tells_the_budget_and_the_time_that_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """The operation whose limit is nearest, since the line before; and an estimate where the size is known."""
    clock = Time()
    usage = iter([{"a": Usage(30, 150), "b": Usage(30, 750)}, {"a": Usage(30, 150), "b": Usage(330, 750)}])
    left = iter([12_000, None])
    progress = Progress(
        lambda: 3_000,
        lambda: "none",
        usage=lambda: next(usage),
        expected=lambda: next(left),
        clock=clock.clock.monotonic,
    )
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            clock.sleep(30)
            progress.show()
    assert caplog.messages == [
        "3,000 records read, 100 a second; none; 20% of the limit of a used; 12,000 to come, in about 2 minutes",
        "3,000 records read, 0 a second; none; 44% of the limit of b used",
    ]


def test_it_speaks_while_it_is_entered(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, whatever else is waited for, and never afterwards; it can be entered again."""
    monkeypatch.setattr(Progress, "SECONDS", 0.01)
    progress = Progress(lambda: 1, lambda: "none")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            before = len(caplog.messages)
            threads = set(threading.enumerate())
            with progress:
                until(lambda wanted=before + 2: len(caplog.messages) >= wanted)
            # Nobody is left who could say it.
            assert set(threading.enumerate()) <= threads


def saying(name: str, seconds: float) -> list[str]:
    """The command with another patience than a user's."""
    code = (
        f"from target_klaviyo.reporting.progress import Progress; Progress.{name} = {seconds}\n"
        "from target_klaviyo.__main__ import main; main()"
    )
    return [sys.executable, "-c", code, "--config", "config.json"]


PEOPLE = [schema_of("profiles"), *records("profiles", [{"email": f"p{index}@example.com"} for index in range(40)])]
LINES = singer_lines(PEOPLE)


def test_a_short_run_says_nothing_of_it(target: Command) -> None:
    """Nobody needs to know how far something is that is over."""
    (target.folder / "config.json").write_text(json.dumps(target.config))
    # No machine is so slow that this run is a long one.
    command = saying("SECONDS", 36_000)
    done = run_command(command, PEOPLE, folder=target.folder)
    assert done.returncode == 0, done.stderr
    assert "done: 40 delivered" in done.stderr
    assert "records read" not in done.stderr


def test_a_run_that_waits_for_klaviyo_says_how_far_it_is(target: Command, account: RunningSandbox) -> None:
    """While a job is waited for, input has ended and nothing else happens; no address is in the line."""
    account.control.change(speed=1, job_seconds=3600)
    (target.folder / "config.json").write_text(json.dumps(target.config))
    wanted = "40 records read, 0 a second; 0 delivered, 0 accepted, 0 rejected"
    lines = []
    with warm.Popen(saying("SECONDS", 0.1), stdin=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder) as run:
        assert run.stdin is not None
        assert run.stderr is not None
        run.stdin.write(LINES)
        run.stdin.close()
        for line in run.stderr:
            lines.append(line)
            if wanted in line and account.store.job_seconds:
                account.store.job_seconds = 0
                account.control.advance(seconds=3600)
    assert run.returncode == 0
    assert any(wanted in line for line in lines)
    assert "@" not in "".join(line for line in lines if "records read" in line)


def test_a_terminal_gets_a_bar(target: Command, account: RunningSandbox) -> None:
    """In place of the lines; it gives way to what is logged, and is gone at the end."""
    account.control.change(speed=1, job_seconds=3600)
    (target.folder / "config.json").write_text(json.dumps(target.config))
    render_bar = "\r\x1b[2K40 records read, "
    with (
        Terminal() as terminal,
        warm.Popen(
            saying("REDRAW", 0.1),
            stdin=warm.PIPE,
            stdout=warm.PIPE,
            stderr=terminal.other_end,
            text=True,
            cwd=target.folder,
        ) as run,
    ):
        assert run.stdin is not None
        run.stdin.write(LINES)
        run.stdin.close()
        until(lambda: render_bar in terminal.text)
        account.control.advance(seconds=3600)
    assert run.returncode == 0
    shown = [line.split("\r\x1b[2K")[-1] for line in terminal.text.split("\n")]
    assert not [line for line in shown if "records read" in line]
    assert any("done: 40 delivered" in line for line in shown)
