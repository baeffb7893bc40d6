"""A request as the sandbox keeps it, and an exchange as observers get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. ``operation`` is the operation's id, None when the request met none."""

    operation: str | None
    method: str
    path: str
    query: Mapping[str, str]
    request_headers: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class LoggedRequest:
    """A request to the sandbox, without its body and headers.

    Attributes:
        status: of the answer; 0 when there was none.
        fault: the kind of fault that it met, None when it met none.
        at: when it was answered, by the account's clock, in seconds since 1970.
        seconds: how long that took, the configured latency included, by the same clock.
        operation: the operation's id, None when the request met none.
        items: how many rows a write brought; 0 when it was refused, and for reads.
        retry_after: whole seconds that the answer asked to wait; None when it named no time.
        client: its ``User-Agent``, the first 200 characters of it.
    """

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    fault: str | None = None
    at: float = 0.0
    seconds: float = 0.0
    operation: str | None = None
    items: int = 0
    retry_after: int | None = None
    client: str = ""


def client_name(headers: Mapping[str, str]) -> str:
    """What a request says of the program that makes it; headers are found by lower-case names."""
    return headers.get("user-agent", "")[:200]


@dataclass(frozen=True)
class Push:
    """A request that writes, with its body and its answer's; ``number`` is how many requests there were up to it."""

    number: int
    request: LoggedRequest
    body: bytes
    answer: bytes


class PushLog:
    """The latest pushes; the last one is kept whatever its size.

    Args:
        max_count: how many are kept.
        max_bytes: of all bodies and answers that are kept.
    """

    def __init__(self, max_count: int = 100, max_bytes: int = 20_000_000) -> None:
        self.max_count = max_count
        self._max_bytes = max_bytes
        self._pushes: dict[int, Push] = {}
        self._bytes = 0

    def keep(self, number: int, request: LoggedRequest, body: bytes, answer: bytes) -> None:
        """Keep a push, and forget the oldest ones beyond the bounds. The numbers rise."""
        self._pushes[number] = Push(number, request, body, answer)
        self._bytes += len(body) + len(answer)
        while len(self._pushes) > 1 and (len(self._pushes) > self.max_count or self._bytes > self._max_bytes):
            oldest = self._pushes.pop(next(iter(self._pushes)))
            self._bytes -= len(oldest.body) + len(oldest.answer)

    def get(self, number: int) -> Push | None:
        return self._pushes.get(number)
