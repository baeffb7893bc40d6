"""What Python itself prints of errors that nobody caught, and of warnings, is masked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SECRETS = "ada@example.com called +1 415 555 0100 with pk_0123abcdEF"
# The thing that has a secret in its text, whatever is done with it.
PRELUDE = f"""
import gc, logging, sys, threading, warnings, click
from klaviyo_client.plugin.command import run
from klaviyo_client.errors import ServerFault
SECRETS = {SECRETS!r}

class Finalized:
    def __del__(self):
        raise ValueError(SECRETS)

    def __repr__(self):
        return SECRETS

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError(SECRETS)

def fail(error=None):
    try:
        raise KeyError(SECRETS)
    except KeyError as cause:
        error = error or ValueError(SECRETS)
        error.add_note(SECRETS)
        raise error from cause

def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args, name=SECRETS)
    thread.start()
    thread.join()

def main(function):
    @click.command()
    def command():
        function()
    return run(lambda: command)
"""
UNCAUGHT = {
    "in a thread": "main(lambda: in_thread(fail))",
    "a group in a thread": "main(lambda: in_thread(fail, ExceptionGroup(SECRETS, [ValueError(SECRETS)])))",
    "in a thread, after the run": "main(int); in_thread(fail)",
    "that cannot be printed": "main(lambda: in_thread(fail, Unprintable()))",
    "in a finaliser": "main(lambda: (Finalized(), gc.collect()))",
    "in a finaliser of a thread": "main(lambda: in_thread(Finalized))",
    "after the run": "main(int); fail()",
    "after a run with hooks of its own": "main(lambda: setattr(sys, 'excepthook', sys.__excepthook__)); fail()",
    "an interrupt after the run": "main(int); fail(KeyboardInterrupt(SECRETS))",
    "at exit": "main(int); import atexit; atexit.register(fail)",
    "in a thread that nobody waits for": "main(int); threading.Thread(target=fail).start()",
}
WARNED = {
    "a warning": "main(lambda: warnings.warn(SECRETS))",
    "a warning of a thread": "main(lambda: in_thread(lambda: warnings.warn(SECRETS)))",
    "a warning after the run": "main(int); warnings.warn(SECRETS, UserWarning)",
    "a warning that is captured": (
        "logging.basicConfig(); main(lambda: (logging.captureWarnings(True), warnings.warn(SECRETS)))"
    ),
    "a warning in a named place": "main(lambda: warnings.warn_explicit(SECRETS, UserWarning, 'ada@example.com.py', 7))",
}
LOGGED = "import logging; logging.basicConfig(); "


def printed(tmp_path: Path, code: str) -> str:
    """What a process of the plugins prints that does this."""
    script = tmp_path / "script.py"
    script.write_text(f"{PRELUDE}\n{code}\n", encoding="utf-8")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert run.stdout == ""
    return run.stderr


@pytest.mark.parametrize("before", ["", LOGGED], ids=["no logging", "logging"])
@pytest.mark.parametrize("kind", [*UNCAUGHT, *WARNED])
def test_what_python_prints_is_masked(tmp_path: Path, before: str, kind: str) -> None:
    """Text, notes, causes, groups, names of threads; what it was, and where, is still said."""
    text = printed(tmp_path, before + {**UNCAUGHT, **WARNED}[kind])
    for secret in ("ada@", "555 0100", "pk_0123"):
        assert secret not in text
    assert "script.py" in text or "in a named place" in kind
    assert "Warning" in text if kind in WARNED else any(name in text for name in ("Error", "Group", "Un", "Keyboard"))
    if "cannot be printed" not in kind:
        assert "<email> called <phone> with <key>" in text


def test_a_thread_that_ends_itself_says_nothing(tmp_path: Path) -> None:
    """As Python has it."""
    assert printed(tmp_path, "main(lambda: in_thread(sys.exit, SECRETS))") == ""


@pytest.mark.parametrize("closed", ["sys.stderr.close()", "sys.stderr = None"])
def test_a_closed_stderr_shows_nothing(tmp_path: Path, closed: str) -> None:
    """Where it cannot be said, it is not said unmasked either."""
    text = printed(tmp_path, f"main(int); {closed}; in_thread(fail); warnings.warn(SECRETS); fail()")
    assert "ada@" not in text


def test_a_worker_masks_what_it_prints() -> None:
    """It is a process of its own, and shares our stderr."""
    worker = [sys.executable, "-m", "tap_klaviyo.workers.worker"]
    # A pickle that raises as it is read.
    job = b"cbuiltins\nint\n(V" + b"ada@example.com" + b"\ntR."
    run = subprocess.run(worker, input=job, capture_output=True, check=False)
    assert b"ValueError" in run.stderr
    assert b"ada@" not in run.stderr


@pytest.mark.parametrize(
    "function", ["fail", "lambda: fail(SystemError())", "lambda: fail(ServerFault('x', operation='y'))"]
)
def test_the_last_line_is_the_reason(tmp_path: Path, function: str) -> None:
    """What is to be ended before it is ended, also where the run fails."""
    ending = "run(lambda: click.command()(function), before_the_end=lambda: print('closed', file=sys.stderr))"
    first, *others = printed(tmp_path, f"function = {function}\nfunction.__name__ = 'main'\n{ending}").splitlines()
    assert first == "closed"
    assert len(others) == 1
