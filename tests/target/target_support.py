"""A target in a subprocess, and a client whose wire is a function."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from klaviyo_client.client import KlaviyoClient, Patience
from klaviyo_client.limits import Clock
from klaviyo_client.transport import Request, Response
from target_klaviyo.delivery import Session

KEY = "pk_0123456789abcdef"

PROFILE_SCHEMA = {
    "type": "SCHEMA",
    "stream": "profiles",
    "key_properties": [],
    "schema": {
        "type": "object",
        "properties": {
            "email": {"type": ["string", "null"]},
            "phone_number": {"type": ["string", "null"]},
            "external_id": {"type": ["string", "null"]},
            "first_name": {"type": ["string", "null"]},
            "seen_at": {"type": ["string", "null"], "format": "date-time"},
            "spent": {"type": ["number", "null"]},
        },
    },
}


def records(stream: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "RECORD", "stream": stream, "record": dict(row)} for row in rows]


def schema_of(stream: str) -> dict[str, Any]:
    return {**PROFILE_SCHEMA, "stream": stream}


@dataclass(frozen=True)
class Run:
    """How a target ended."""

    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def states(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def rejects(self) -> list[dict[str, Any]]:
        path = self.folder / "target-klaviyo-rejects.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def rejected(self) -> list[dict[str, Any]]:
        return [line for line in self.rejects if line["type"] in ("RECORD", "REJECTED")]

    def said(self, *levels: str) -> list[str]:
        """Log lines of these levels."""
        return [line for line in self.stderr.splitlines() if any(f"| {level} " in line for level in levels)]


@dataclass
class Command:
    """``python -m target_klaviyo`` in its own folder."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        messages: Iterable[Mapping[str, Any] | str] = (),
        arguments: Iterable[str] | None = None,
        env: Mapping[str, str] | None = None,
        **config: Any,
    ) -> Run:
        path = self.folder / "config.json"
        path.write_text(json.dumps({**self.config, **config}))
        lines = [line if isinstance(line, str) else json.dumps(line) for line in messages]
        done = subprocess.run(
            [sys.executable, "-m", "target_klaviyo", *(arguments or ("--config", str(path)))],
            input="".join(line + "\n" for line in lines),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            timeout=60,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, self.folder)


Wire = Callable[[Request], Response]


@dataclass
class Scripted:
    """A transport that answers by a function and remembers what it was asked."""

    answer: Wire
    asked: list[Request] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        return self.answer(request)


@dataclass
class Time:
    """A clock on which waiting takes no time."""

    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def scripted_session(answer: Wire) -> tuple[Session, Scripted]:
    """A session whose every request is answered by a function, on a clock that does not wait."""
    wire = Scripted(answer)
    client = KlaviyoClient("pk_x", clock=Time().clock, transport=wire, patience=Patience(attempts=2))
    return Session(client, job_timeout=60), wire


def respond(status: int, document: Any = None, **headers: str) -> Response:
    body = b"" if document is None else json.dumps(document).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def refused(status: int, *pointers: str | None) -> Response:
    errors = [
        {"id": "1", "code": "invalid", "title": "Invalid input.", "detail": "No.", "source": {"pointer": pointer}}
        for pointer in pointers
    ]
    return respond(status, {"errors": errors})
