"""Finds the requests of a client that came although it had been asked to wait, in the log of a server. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

# The server's clock and the client's are two, which need not run at the same pace to the last digit.
_SLACK = 0.001


class LoggedRequest(Protocol):
    """What is known of a request, as the sandbox's log has it.

    Attributes:
        operation: what was asked for; None for what is no operation, which is not judged.
        status: of the answer.
        at: when it was answered, in seconds.
        seconds: how long that took.
        retry_after: seconds that the answer asked to wait.
    """

    @property
    def operation(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def retry_after(self) -> int | None: ...


@dataclass(frozen=True)
class Breach:
    """A request that came although the client had been told to wait.

    Attributes:
        operation: what was asked for.
        at: when it came.
        until: when it might have come.
    """

    operation: str
    at: float
    until: float


def breaches(log: Iterable[LoggedRequest], under_way: int = 0) -> list[Breach]:
    """The requests that came for an operation before the Retry-After of a 429 to it was over.

    Those that were under way when the 429 was sent are none. Of a request nobody can see when it set out, but a client
    has no more of them under way than threads: more than those within one pause have set out in it, however slow the
    machine is. Pauses of which one begins in the other are one.

    Args:
        log: the requests, in any order.
        under_way: how many others the client may have had under way: one less than its threads.
    """
    by_operation: dict[str, list[LoggedRequest]] = {}
    for request in log:
        if request.operation is not None:
            by_operation.setdefault(request.operation, []).append(request)
    return [
        breach
        for name, requests in by_operation.items()
        for breach in _breaches_of_operation(name, requests, under_way)
    ]


def _breaches_of_operation(operation: str, requests: Sequence[LoggedRequest], under_way: int) -> Iterator[Breach]:
    # Of what happens in one moment, requests come before the answer that closes.
    moments = [(request.at - request.seconds, 0.0) for request in requests]
    moments += [
        (request.at, request.retry_after * (1 - _SLACK))
        for request in requests
        if request.status == 429 and request.retry_after
    ]
    until, left = float("-inf"), under_way
    for moment, pause in sorted(moments):
        if pause:
            left = left if moment < until else under_way
            until = max(until, moment + pause)
        elif moment < until:
            if not left:
                yield Breach(operation, moment, until)
            left = max(0, left - 1)
