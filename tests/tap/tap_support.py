"""Runs the tap as its users do, and reads what it wrote."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import warm
from support.catalogs import discovered, select  # noqa: F401 - tests of the tap take both from here
from support.commands import run_command
from support.fast_clock import AT_ONCE, fast_command
from support.patience import PATIENCE

from klaviyo_sandbox.server import RunningSandbox

KEY = "pk_tap_tests"


@dataclass(frozen=True)
class Run:
    """One finished run of the tap."""

    code: int
    messages: list[dict[str, Any]]
    errors: str

    def rows(self, stream: str) -> list[dict[str, Any]]:
        return [m["record"] for m in self.messages if m["type"] == "RECORD" and m["stream"] == stream]

    @property
    def streams(self) -> set[str]:
        return {m["stream"] for m in self.messages if m["type"] == "RECORD"}

    @property
    def state(self) -> dict[str, Any]:
        states: list[dict[str, Any]] = [m["value"] for m in self.messages if m["type"] == "STATE"]
        return states[-1]

    @property
    def kinds(self) -> Counter[tuple[str, str | None]]:
        return Counter((m["type"], m.get("stream")) for m in self.messages)

    def said(self, *levels: str) -> list[str]:
        return [line for line in self.errors.splitlines() if any(f"| {level}" in line for level in levels)]


def config(sandbox: RunningSandbox, **settings: Any) -> dict[str, Any]:
    return {"api_key": KEY, "api_url": sandbox.url, "rate_limit_share": 1.0, **settings}


def run_tap(
    folder: Path,
    settings: dict[str, Any] | str | None,
    *arguments: str,
    catalog: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    speed: float = AT_ONCE,
) -> Run:
    """Run the tap in a process of its own, with files in ``folder``; it waits neither for limits nor to try again."""
    command = fast_command("tap_klaviyo", speed)
    for name, value in (("config", settings), ("catalog", catalog), ("state", state)):
        if isinstance(value, str):
            command += [f"--{name}", value]
        elif value is not None:
            path = folder / f"{name}.json"
            path.write_text(json.dumps(value))
            command += [f"--{name}", str(path)]
    done = run_command([*command, *arguments], environment=environment)
    return Run(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


def two_at_a_time(runs: Iterable[Callable[[], Run]]) -> list[Run]:
    """Runs that do not disturb each other; most of each is the start of a process."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda run: run(), runs))


def run_tap_until(
    folder: Path,
    settings: dict[str, Any],
    catalog: dict[str, Any],
    reached: Callable[[dict[str, Any]], bool],
    act: Callable[[warm.Popen], None],
    state: dict[str, Any] | None = None,
) -> Run:
    """Run the tap, do something when a message is reached, and let it come to its end."""
    for name, value in (("config", settings), ("catalog", catalog), ("state", state or {})):
        (folder / f"{name}.json").write_text(json.dumps(value))
    # Not a pipe: nobody would read it while stdout is read to its end.
    with (folder / "errors.log").open("w") as errors:
        process = warm.Popen(
            [
                *(sys.executable, "-m", "tap_klaviyo", "--config", "config.json"),
                *("--catalog", "catalog.json", "--state", "state.json"),
            ],
            cwd=folder,
            stdout=warm.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout as lines:
        messages = []
        for line in lines:
            messages.append(json.loads(line))
            if reached(messages[-1]):
                act(process)
                break
        messages += map(json.loads, lines)
    return Run(process.wait(PATIENCE), messages, (folder / "errors.log").read_text())
