"""Injects faults: some requests meet what an overloaded account, a proxy or the network would do to them.

A new kind of fault needs its name in ``KINDS``, a method of ``FaultMiddleware`` that answers with it (listed in its
``_answer_with``), the status that the request log shows of it (``_serve_or_record``), an example in the help of
``--faults`` (``__main__.py``) and a test in ``test_sandbox_faults.py``.
If faults of one kind differ from each other, ``Fault`` has an attribute for that and ``FaultChooser.choose`` draws it.

Faults are drawn as requests arrive, so the same seed and order of requests give the same faults.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from klaviyo_sandbox.http.asgi import (
    App,
    Message,
    Receive,
    Send,
    WholeRequest,
    WholeResponse,
    get_response,
    pass_on,
    read_request,
    send_response,
)
from klaviyo_sandbox.spec import errors
from klaviyo_sandbox.spec.exchange import identifying_headers

RecordUnserved = Callable[[str, str, Mapping[str, str], int, str, int | None], object]
Sleep = Callable[[float], Awaitable[object]]

KINDS = ("429", "503", "reset", "stall", "truncate")
# The key, in the ASGI scope of a request that meets a fault, whose value is the fault's kind.
SCOPE_KEY = "klaviyo_sandbox.fault"

_HTML = b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n</body>\r\n</html>\r\n"
# Closing a socket that lingers for no time sends RST in place of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Faults:
    """How often requests meet which fault.

    Attributes:
        rates: kind -> the part of all requests that meets it, from 0 to 1.
        storm: how many requests in a row one 429 turns away.
        stall_seconds: how long an answer that stalls is kept back.
        seed: another seed draws other faults; None: the account's seed is used.
        text: the text that this was parsed from.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    storm: int = 1
    stall_seconds: float = 10.0
    seed: int | None = None
    text: str = field(default="", compare=False)


def parse_faults(text: str) -> Faults:
    """The faults that a text such as ``429=0.02,storm=5,503=0.01,stall=0.001,stall_seconds=30`` asks for.

    The names are those of ``KINDS`` and of the attributes of ``Faults``.

    Raises:
        ValueError: the text cannot be read.
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (side.strip() for side in part.partition("="))
        if name not in (*KINDS, "storm", "stall_seconds", "seed"):
            raise ValueError(f"faults: unknown name {name!r} (known: {', '.join(KINDS)}, storm, stall_seconds, seed)")
        if name in values:
            raise ValueError(f"faults: {name} is given twice")
        values[name] = _parse_number(name, value)
    rates = {kind: values[kind] for kind in KINDS if kind in values}
    if sum(rates.values()) > 1 + 1e-9:
        raise ValueError("faults: the rates add up to more than 1")
    seed = int(values["seed"]) if "seed" in values else None
    return Faults(rates, int(values.get("storm", 1)), values.get("stall_seconds", 10.0), seed, text)


def _parse_number(name: str, text: str) -> float:
    try:
        number = float(text) if name in (*KINDS, "stall_seconds") else int(text)
    except ValueError:
        number = math.nan
    if name in KINDS and not 0 <= number <= 1:
        raise ValueError(f"faults: {name} must be a number from 0 to 1, not {text!r}")
    if name == "storm" and not number >= 1:
        raise ValueError(f"faults: storm must be a whole number from 1 on, not {text!r}")
    if not 0 <= number < math.inf:
        raise ValueError(f"faults: {name} must be a number from 0 on, not {text!r}")
    return number


@dataclass(frozen=True)
class Fault:
    """The fault that one request meets.

    Attributes:
        kind: one of ``KINDS``.
        reaches_account: whether the account does what is asked before the answer is lost.
        retry_after: seconds, where the answer names them.
        html: whether a 503 is a proxy's page instead of a JSON:API document.
        fraction: how much of a truncated body is sent, from 0 to 1.
    """

    kind: str
    reaches_account: bool = False
    retry_after: int | None = None
    html: bool = False
    fraction: float = 0.0


class FaultChooser:
    """Chooses at random which fault a request meets.

    Args:
        faults: how often which fault is chosen.
        seed: of the random numbers, unless the faults have a seed of their own.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._rng = random.Random(f"{seed if faults.seed is None else faults.seed} faults")
        self._storm_left = 0

    def choose(self) -> Fault | None:
        """The fault of the next request; None when it meets none."""
        if self._storm_left:
            self._storm_left -= 1
            return Fault("429", retry_after=1)
        if not self._faults.rates:
            return None
        rng, rates = self._rng, self._faults.rates
        no_fault_rate = max(0.0, 1 - sum(rates.values()))
        (kind,) = rng.choices([None, *rates], [no_fault_rate, *rates.values()])
        if kind is None:
            return None
        if kind == "429":
            self._storm_left = self._faults.storm - 1
            return Fault("429", retry_after=rng.randint(1, 2))
        retry_after = rng.choice((None, 1)) if kind == "503" else None
        return Fault(kind, rng.random() < 0.5, retry_after, rng.random() < 0.5, rng.random())


class FaultMiddleware:
    """An ASGI application that stands before the account's and spoils some of its answers.

    Args:
        app: the account's.
        faults: how often which fault is met.
        seed: of the random numbers that choose them.
        record: called with each request that never reaches the account: method, path, query, status (0: no answer),
            kind of fault, seconds that the client is asked to wait.
        sleep: waits for so many of the account's seconds.

    Attributes:
        faults: the present ones.
    """

    def __init__(
        self, app: App, faults: Faults, seed: int, record: RecordUnserved, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._app = app
        self._seed = seed
        self._record = record
        self._sleep = sleep
        self._answer_with: Mapping[str, Callable[[WholeRequest, Fault], Awaitable[None]]] = {
            "429": self._refuse,
            "503": self._refuse,
            "reset": self._reset,
            "stall": self._stall,
            "truncate": self._truncate,
        }
        self.change(faults)

    def change(self, faults: Faults) -> None:
        """Inject these faults from now on; the random numbers begin anew."""
        self.faults = faults
        self._chooser = FaultChooser(faults, self._seed)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or not."""
        fault = self._chooser.choose() if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        scope[SCOPE_KEY] = fault.kind
        # A request is read to its end first: the connection must stay usable, and its client may go meanwhile.
        request = await read_request(scope, receive, send)
        await self._answer_with[fault.kind](request, fault)

    async def _refuse(self, request: WholeRequest, fault: Fault) -> None:
        """Send a 429 or 503 in place of the account's answer."""
        await self._serve_or_record(request, fault)
        await send_response(_refusal(fault), request.send)

    async def _reset(self, request: WholeRequest, fault: Fault) -> None:
        """Abort the connection without an answer."""
        await self._serve_or_record(request, fault)
        await _close_connection(request.send, request.receive, reset=True)

    async def _stall(self, request: WholeRequest, _fault: Fault) -> None:
        """Let the account answer, but late."""
        await self._sleep(self.faults.stall_seconds)
        await pass_on(self._app, request)

    async def _truncate(self, request: WholeRequest, fault: Fault) -> None:
        """Send the beginning of an answer and close the connection; without a body to cut, it is a reset."""
        response = await self._serve_or_record(request, fault) or _refusal(fault)
        if response.body:
            await send_response(response, request.send, length=int(len(response.body) * fault.fraction))
        await _close_connection(request.send, request.receive, reset=not response.body)

    async def _serve_or_record(self, request: WholeRequest, fault: Fault) -> WholeResponse | None:
        """The account's answer when the request reaches the account; otherwise record the request, and None."""
        if fault.reaches_account:
            return await get_response(self._app, request)
        scope = request.scope
        status = {"429": 429, "reset": 0}.get(fault.kind, 503)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        self._record(scope["method"], scope["path"], query, status, fault.kind, fault.retry_after)
        return None


def _refusal(fault: Fault) -> WholeResponse:
    """A 429, or a 503 as the account or a proxy before it gives."""
    refusal = errors.throttled(fault.retry_after or 1) if fault.kind == "429" else errors.unavailable()
    media_type, body = b"application/vnd.api+json", json.dumps(refusal.document()).encode()
    if fault.html and fault.kind != "429":
        media_type, body = b"text/html", _HTML
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    if media_type != b"text/html":
        headers += [(name.encode(), value.encode()) for name, value in identifying_headers().items()]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    return WholeResponse(refusal.status, headers, body)


async def _close_connection(send: Any, receive: Receive, *, reset: bool) -> None:
    """Close the connection: at once, unread (RST), or after what was sent is out (FIN)."""
    # ASGI has no word for this; uvicorn's `send` is a method of what holds the connection.
    transport = send.__self__.transport
    # A client that is gone already has taken its socket along.
    if reset and not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    else:
        transport.close()
    # Uvicorn takes an application that returns before the client is gone for a broken one.
    while (await receive())["type"] != "http.disconnect":
        pass
