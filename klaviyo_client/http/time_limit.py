"""A time limit of whole answers: each read of a socket has a time-out, but the reads of one answer may never end."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from typing import Any, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

PoolClasses = dict[str, type[HTTPConnectionPool]]


def pool_classes(seconds: float, monotonic: Callable[[], float]) -> PoolClasses:
    """Scheme -> pool whose connections give answers, headers included, that must be whole within so many seconds.

    Args:
        seconds: from when an answer is waited for; a read that is under way then still has the time of its own.
        monotonic: where the time comes from.
    """

    class Answer(http.client.HTTPResponse):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            reader = _Reader(self.fp.detach(), monotonic() + seconds, monotonic)
            self.fp = io.BufferedReader(reader)

    class Connection(HTTPConnection):
        response_class = Answer

    class SecureConnection(HTTPSConnection):
        response_class = Answer

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


class _Reader(io.RawIOBase):
    """Reads a socket as ``raw`` does, until a time on the clock."""

    def __init__(self, raw: io.RawIOBase, ends_at: float, monotonic: Callable[[], float]) -> None:
        self._raw = raw
        self._ends_at = ends_at
        self._monotonic = monotonic

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._monotonic() >= self._ends_at:
            raise TimeoutError
        return cast("int | None", self._raw.readinto(buffer))

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()
