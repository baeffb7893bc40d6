"""Faults on request: some requests meet what an overloaded account, a proxy or the network would do to them.

The dice are thrown as requests arrive, so the same seed and order of requests give the same faults.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from klaviyo_sandbox.spec import errors

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Note = Callable[[str, str, Mapping[str, str], int, str, int | None], object]
Pause = Callable[[float], Awaitable[object]]

KINDS = ("429", "503", "reset", "stall", "truncate")
# In the scope of a request that meets a fault: its kind.
MARK = "klaviyo_sandbox.fault"

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
        seed: another seed throws the dice otherwise; None leaves it to the account's.
        text: what it was read from.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    storm: int = 1
    stall_seconds: float = 10.0
    seed: int | None = None
    text: str = field(default="", compare=False)


def parse(text: str) -> Faults:
    """What a text such as ``429=0.02,storm=5,503=0.01,stall=0.001,stall_seconds=30`` asks for.

    The names are those of ``KINDS`` and of the attributes of ``Faults``.

    Raises:
        ValueError: it is no such text.
    """
    given: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in (*KINDS, "storm", "stall_seconds", "seed"):
            raise ValueError(f"faults: unknown name {name!r} (known: {', '.join(KINDS)}, storm, stall_seconds, seed)")
        if name in given:
            raise ValueError(f"faults: {name} is given twice")
        given[name] = _number(name, value)
    rates = {kind: given[kind] for kind in KINDS if kind in given}
    if sum(rates.values()) > 1 + 1e-9:
        raise ValueError("faults: the rates add up to more than 1")
    seed = int(given["seed"]) if "seed" in given else None
    return Faults(rates, int(given.get("storm", 1)), given.get("stall_seconds", 10.0), seed, text)


def _number(name: str, text: str) -> float:
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
    """What one request meets.

    Attributes:
        kind: one of ``KINDS``.
        carried_out: whether the account does what is asked before the answer is lost.
        retry_after: seconds, where the answer names them.
        html: whether a 503 is a proxy's page instead of a JSON:API document.
        part: how much of a truncated body is sent, from 0 to 1.
    """

    kind: str
    carried_out: bool = False
    retry_after: int | None = None
    html: bool = False
    part: float = 0.0


class Dice:
    """Decides request by request. ``seed`` holds unless the faults have one of their own."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._rng = random.Random(f"{seed if faults.seed is None else faults.seed} faults")
        self._storm = 0

    def throw(self) -> Fault | None:
        """The fault of the next request, None when it is spared."""
        if self._storm:
            self._storm -= 1
            return Fault("429", retry_after=1)
        if not self._faults.rates:
            return None
        rng, rates = self._rng, self._faults.rates
        spared = max(0.0, 1 - sum(rates.values()))
        (kind,) = rng.choices([None, *rates], [spared, *rates.values()])
        if kind is None:
            return None
        if kind == "429":
            self._storm = self._faults.storm - 1
            return Fault("429", retry_after=rng.randint(1, 2))
        retry_after = rng.choice((None, 1)) if kind == "503" else None
        return Fault(kind, rng.random() < 0.5, retry_after, rng.random() < 0.5, rng.random())


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Faulty:
    """An ASGI application that stands before the account's and spoils some of its answers.

    Args:
        app: the account's.
        faults: how often.
        seed: of the dice.
        note: told of each request that never reaches the account: method, path, query, status (0: no answer), kind,
            seconds that it is asked to wait.
        pause: waits for so many of the account's seconds.

    Attributes:
        faults: how often, at present.
    """

    def __init__(self, app: App, faults: Faults, seed: int, note: Note, pause: Pause = asyncio.sleep) -> None:
        self._app = app
        self._seed = seed
        self._note = note
        self._pause = pause
        self.change(faults)

    def change(self, faults: Faults) -> None:
        """Spoil answers like this from now on; the dice begin anew."""
        self.faults = faults
        self._dice = Dice(faults, self._seed)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or not."""
        fault = self._dice.throw() if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        scope[MARK] = fault.kind
        # A request is read to its end first: the connection is to stay usable, or its client may go meanwhile.
        body = await _body(receive)
        if fault.kind == "stall":
            await self._pause(self.faults.stall_seconds)
            await self._app(scope, _again(body), send)
            return
        answer = await self._answer(scope, body, fault)
        if fault.kind in ("429", "503"):
            await _send(answer, send, answer.body)
        # What has no body cannot be cut short.
        elif fault.kind == "reset" or not answer.body:
            await _break(send, receive, reset=True)
        else:
            await _send(answer, send, answer.body[: int(len(answer.body) * fault.part)], more=True)
            await _break(send, receive, reset=False)

    async def _answer(self, scope: Message, body: bytes, fault: Fault) -> _Answer:
        """The account's own answer, where a truncated one needs it; otherwise that of an account out of order."""
        found = await _served(self._app, scope, body) if fault.carried_out else None
        if found is None:
            status = {"429": 429, "reset": 0}.get(fault.kind, 503)
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            self._note(scope["method"], scope["path"], query, status, fault.kind, fault.retry_after)
        if found is None or fault.kind == "503":
            return _refusal(fault)
        return found


def _refusal(fault: Fault) -> _Answer:
    """A 429, or a 503 as the account or a proxy before it gives."""
    refusal = errors.throttled(fault.retry_after or 1) if fault.kind == "429" else errors.unavailable()
    media, body = b"application/vnd.api+json", json.dumps(refusal.document()).encode()
    if fault.html and fault.kind != "429":
        media, body = b"text/html", _HTML
    headers = [(b"content-type", media), (b"content-length", str(len(body)).encode())]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    return _Answer(refusal.status, headers, body)


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes) -> Receive:
    """A request's body, as the account is to receive it."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _served(app: App, scope: Message, body: bytes) -> _Answer:
    """What the account answers, kept here."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, _again(body), send)
    return _Answer(sent[0]["status"], list(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:]))


async def _send(answer: _Answer, send: Send, body: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _break(send: Any, receive: Receive, *, reset: bool) -> None:
    """Close the connection: at once, unread (RST), or after what was sent is out (FIN)."""
    # ASGI has no word for this; uvicorn's `send` is a method of what holds the connection.
    transport = send.__self__.transport
    # A client that is gone already has taken its socket along.
    if reset and not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    else:
        transport.close()
    # An application that returns before the server knows is taken for a broken one.
    while (await receive())["type"] != "http.disconnect":
        pass
