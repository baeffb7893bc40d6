"""What is kept of requests, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. ``operation`` is None when the request met no operation."""

    operation: str | None
    method: str
    path: str
    query: Mapping[str, str]
    request_headers: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Asked:
    """What was asked of the sandbox, the status it answered with (0: none), and the fault that came between, if any.

    Attributes:
        at: when it was answered, by the account's clock, in seconds since 1970.
        seconds: how long that took, the configured latency included, by the same clock.
        operation: its id, None when the request met none.
        items: how many rows a write brought; 0 when it was refused, and for reads.
        retry_after: whole seconds that the answer asked to wait; None when it named no time.
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
