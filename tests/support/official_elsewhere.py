"""An edition of the vendor's SDK in an environment of its own, which knows nothing of what the tests have installed."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from klaviyo_sandbox import RunningSandbox
from support.calls import KEY
from support.environments import programs
from support.patience import PATIENCE

_PROGRAM = Path(__file__).with_name("official_program.py")


class SdkRefused(Exception):
    """The SDK could not make, send or understand a call; the message says what it raised."""


class SdkElsewhere:
    """A process that calls accounts with an edition of the SDK.

    Args:
        requirement: the edition, such as "klaviyo-api==24.0.0".

    Raises:
        RegistryOutOfReach: it was never installed, and there is no network.
    """

    def __init__(self, requirement: str) -> None:
        name = requirement.replace("==", "-").replace(".", "-")
        python = programs(name, f"{requirement}\n") / "python"
        # Isolated: no folder of ours is where it looks for modules.
        self._process = subprocess.Popen(
            [python, "-I", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def client(self, sandbox: RunningSandbox) -> Any:
        """What ``official_client`` gives, for this edition: groups of the SDK, which have its operations."""
        return _Client(self, sandbox.url)

    def call(self, host: str, group: str, operation: str, arguments: Any, query: dict[str, Any]) -> dict[str, Any]:
        """The answer as a dictionary, times as points in time.

        Raises:
            SdkRefused: the SDK raised something.
        """
        names = {"host": host, "key": KEY, "group": group, "operation": operation}
        asked = {**names, "arguments": arguments, "query": query}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline(), object_hook=_with_times)
        if "error" in told:
            raise SdkRefused(told["error"])
        answer: dict[str, Any] = told["answer"]
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE)


class _Client:
    def __init__(self, sdk: SdkElsewhere, host: str) -> None:
        self._sdk = sdk
        self._host = host

    def __getattr__(self, group: str) -> _Group:
        return _Group(self._sdk, self._host, group)


class _Group:
    def __init__(self, sdk: SdkElsewhere, host: str, name: str) -> None:
        self._sdk = sdk
        self._host = host
        self._name = name

    def __getattr__(self, operation: str) -> Any:
        return lambda *arguments, **query: self._sdk.call(self._host, self._name, operation, arguments, query)


def _with_times(value: dict[str, Any]) -> Any:
    return datetime.fromisoformat(value["$time"]) if value.keys() == {"$time"} else value
