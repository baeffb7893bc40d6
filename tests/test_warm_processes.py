"""Processes that are forks of one that has imported the plugins are as good as new ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import warm

# What a program can know of how it was started.
TELLS = """
import json, os, sys
told = [sys.argv, os.getcwd(), os.environ.get("WARM"), sys.stdin.read(), __name__, sys.stdout.isatty()]
print(json.dumps(told))
print("b\u00e4d", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_sees_what_it_would_see(tmp_path: Path, code: int) -> None:
    """Arguments, folder, environment, streams and exit code are those of a process that begins from nothing."""
    command = [sys.executable, "-c", TELLS, str(code)]
    given: Any = {"input": "in\nput", "text": True, "capture_output": True, "cwd": tmp_path, "env": {"WARM": "1"}}
    cold, made = (way.run(command, check=False, **given) for way in (subprocess, warm))
    assert (made.returncode, made.stdout, made.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert made.returncode == code
    assert json.loads(made.stdout)[2:4] == ["1", "in\nput"]


def test_what_one_spoils_the_next_does_not_see() -> None:
    """A test may replace whatever it likes."""
    spoil = "import tap_klaviyo.streams.run; tap_klaviyo.streams.run.STATE_SECONDS = -1"
    assert warm.run([sys.executable, "-c", spoil]).returncode == 0
    look = "import tap_klaviyo.streams.run; print(tap_klaviyo.streams.run.STATE_SECONDS)"
    assert float(warm.run([sys.executable, "-c", look], capture_output=True, check=True).stdout) > 0


def test_an_error_ends_it_as_it_does() -> None:
    """With a traceback and exit code 1."""
    done = warm.run([sys.executable, "-c", "1 / 0"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    with pytest.raises(subprocess.CalledProcessError):
        done.check_returncode()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_signals_reach_it(number: signal.Signals) -> None:
    """It is told apart from who waits for it, and its end by a signal is told."""
    program = "import sys; print('here', flush=True); sys.stdin.read()"
    with warm.Popen(
        [sys.executable, "-c", program], stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0)
        process.send_signal(number)
        assert process.wait(60) == -number
    assert process.poll() == -number


def test_more_than_a_pipe_holds_goes_in_and_out() -> None:
    """Reading and writing go on at once, and whoever ends without reading is no error."""
    many = "x" * 1_000_000
    echo = "import sys; text = sys.stdin.read(); print(text, end=''); print(text, end='', file=sys.stderr)"
    done = warm.run([sys.executable, "-c", echo], input=many, text=True, capture_output=True)
    assert (done.stdout, done.stderr) == (many, many)
    assert warm.run([sys.executable, "-c", "pass"], input=many, text=True, capture_output=True).returncode == 0
