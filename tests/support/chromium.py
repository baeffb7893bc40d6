"""Finds and starts a headless Chromium, and shows pages in it at any width.

It is spoken to in the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over a pair of pipes:
JSON documents, each with a zero byte behind it, on the browser's file descriptors 3 and 4.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.patience import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian: apt-get install chromium)")

_SECONDS = PATIENCE
_WITH_PIPES = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def command_line(profile: Path) -> list[str]:
    """What starts a browser that keeps its things in a folder and asks nothing of the network by itself."""
    assert CHROMIUM is not None
    return [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
        *("--disable-dev-shm-usage", f"--user-data-dir={profile}"),
    ]


class Browser:
    """One tab.

    Attributes:
        console: what the console said since the latest ``show``: errors, warnings and what scripts wrote.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._session: str | None = None
        self._numbers = itertools.count(1)
        self._read = b""
        self._events: list[dict[str, Any]] = []
        self.console: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def show(self, url: str, width: int, *, height: int = 900, dark: bool = False, script: bool = True) -> None:
        """Open an address in a window of that size, and wait until all of it is there."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call("Emulation.setScriptExecutionDisabled", value=not script)
        self.console.clear()
        self._events.clear()
        self._call("Page.navigate", url=url)
        self._until(lambda: any(event["method"] == "Page.loadEventFired" for event in self._events))

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; awaited if it is a promise."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        self._until(lambda: bool(self.ask(expression)))

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited {_SECONDS} s in vain; the console says {self.console}"
            self._receive(0.05)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            for answer in self._receive(1.0):
                if answer.get("id") == number:
                    assert "error" not in answer, (method, answer["error"])
                    return dict(answer["result"])
        raise AssertionError(f"the browser does not answer {method}")

    def _receive(self, seconds: float) -> list[dict[str, Any]]:
        """Take in what the browser says within so many seconds; the answers among it."""
        if select.select([self._answers], [], [], seconds)[0]:
            self._read += os.read(self._answers, 1 << 20)
        *whole, self._read = self._read.split(b"\0")
        messages = [json.loads(message) for message in whole]
        for event in messages:
            if "method" in event:
                self._events.append(event)
                self.console += _console_lines(event["method"], event["params"])
        return [message for message in messages if "id" in message]


def _console_lines(method: str, params: dict[str, Any]) -> list[str]:
    if method == "Runtime.consoleAPICalled":
        return [str([value.get("value") for value in params["args"]])]
    if method == "Runtime.exceptionThrown":
        return [json.dumps(params["exceptionDetails"])]
    return [f"{params['entry']['text']} {params['entry'].get('url', '')}"] if method == "Log.entryAdded" else []


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser until the block ends."""
    (theirs_in, requests), (answers, theirs_out) = os.pipe(), os.pipe()
    # High numbers: copying one to 3 or 4 must not lose another.
    passed = [fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (theirs_in, theirs_out)]
    command = [sys.executable, "-c", _WITH_PIPES, *map(str, passed), *command_line(profile), "--remote-debugging-pipe"]
    process = subprocess.Popen(command, pass_fds=passed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for number in (theirs_in, theirs_out, *passed):
            os.close(number)
        yield Browser(requests, answers)
    finally:
        os.close(requests)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)
