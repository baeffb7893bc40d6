"""Injects faults: some requests meet what an overloaded account, a proxy or the network would do to them.

A new kind of fault needs its name in ``KINDS`` (``fault_settings.py``), a method of ``FaultMiddleware`` that answers
with it (listed in its ``_answer_with``), the status that the request log shows of it (``_serve_or_record``), a line in
the help of ``--faults`` (``options.py``), a row in ``docs/sandbox/options.md``, a test in ``test_sandbox_faults.py``.
If faults of one kind differ from each other, ``Fault`` has an attribute for that and ``FaultChooser.choose`` draws it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

from klaviyo_sandbox.http import fault_answers
from klaviyo_sandbox.http.access import asked_revision
from klaviyo_sandbox.http.asgi import (
    App,
    Message,
    Receive,
    Send,
    WholeRequest,
    WholeResponse,
    get_response,
    read_request,
    send_response,
)
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.fault_pages import LateRows, Place, lead_back, parse_collection, place_of
from klaviyo_sandbox.http.fault_settings import Fault, FaultChooser, Faults
from klaviyo_sandbox.http.request_log import client_name
from klaviyo_sandbox.spec.exchange import encode_json

RecordUnserved = Callable[[str, str, str | None, Mapping[str, str], int, str, int | None, str], object]
FindOperation = Callable[[str, str, str | None], str | None]

# The key, in the ASGI scope of a request that meets a fault, whose value is the fault's kind.
SCOPE_KEY = "klaviyo_sandbox.fault"

# Only reads of collections can meet these.
_OF_PAGES = ("expired", "disorder", "repeat")
# Closing a socket that lingers for no time sends RST in place of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)
# In how many pieces a body trickles; bytes of a huge answer that are sent at once.
_DROPS, _PIECE = 20, 1 << 20


class FaultMiddleware:
    """An ASGI application that stands before the account's and spoils some of its answers.

    Args:
        app: the account's.
        faults: how often which fault is met.
        seed: of the random numbers that choose them.
        record: called with each request that never reaches the account: method, path, query, status (0: no answer),
            kind of fault, seconds that the client is asked to wait, name of the client.
        clock: the account's.
        find_operation: gives the id of the operation of a method, path and revision; None where there is none.

    Attributes:
        faults: the present ones.
    """

    def __init__(
        self,
        app: App,
        faults: Faults,
        seed: int,
        record: RecordUnserved,
        clock: Clock | None = None,
        find_operation: FindOperation = lambda _method, _path, _revision: None,
    ) -> None:
        self._app = app
        self._seed = seed
        self._record = record
        self._clock = clock or Clock(time.time)
        self._find_operation = find_operation
        # These two outlive a change of faults: rows would be lost, and an expired cursor would be good again. It is
        # when a page is asked for anew that leads to it.
        self._late_rows = LateRows()
        self._expired: set[Place] = set()
        self._answer_with: Mapping[str, Callable[[WholeRequest, Fault], Awaitable[None]]] = {
            "429": self._refuse,
            "500": self._refuse,
            "502": self._refuse,
            "503": self._refuse,
            "504": self._refuse,
            "reset": self._reset,
            "stall": self._stall,
            "truncate": self._truncate,
            "challenge": self._refuse,
            "expired": self._refuse,
            "refuse": self._refuse,
            "disorder": self._spoil_page,
            "repeat": self._spoil_page,
            "trickle": self._trickle,
            "huge": self._inflate,
        }
        self.change(faults)

    def change(self, faults: Faults) -> None:
        """Inject these faults from now on; the random numbers begin anew."""
        self.faults = faults
        self._chooser = FaultChooser(faults, self._seed)

    @property
    def text(self) -> str:
        """The faults that requests can still meet, as ``parse_faults`` reads them."""
        return self._chooser.text

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or not."""
        fault = self._choose(scope) if scope["type"] == "http" else None
        if fault is None and not self._must_see_page(scope):
            await self._app(scope, receive, send)
            return
        # A request is read to its end first: the connection must stay usable, and its client may go meanwhile.
        request = await read_request(scope, receive, send)
        if fault is None:
            await send_response(await self._serve(request), send)
            return
        scope[SCOPE_KEY] = fault.kind
        await self._answer_with[fault.kind](request, fault)

    def _choose(self, scope: Message) -> Fault | None:
        """The fault that a request meets; None when it meets none, or one that only others can meet."""
        place = _place(scope)
        is_read = scope["method"] == "GET"
        is_further_page = is_read and any(name == "page[cursor]" for name, _ in place[1])

        def can_meet(kind: str) -> bool:
            return kind not in _OF_PAGES or (is_further_page if kind == "expired" else is_read)

        named = self._choose_named(scope, can_meet)
        if named is not None and named.kind != "expired":
            return named
        fault = named or self._chooser.choose(self._clock())
        if is_further_page and (place in self._expired or (fault is not None and fault.kind == "expired")):
            self._expired.add(place)
            return Fault("expired")
        return fault if fault is None or can_meet(fault.kind) else None

    def _choose_named(self, scope: Message, can_meet: Callable[[str], bool]) -> Fault | None:
        """The fault that is no matter of chance: a counted one, or that of an operation which refuses for good."""
        if not (self.faults.counted or self.faults.refuse):
            return None
        operation = self._find_operation(scope["method"], scope["path"], _revision(scope))
        status = self.faults.refuse.get(operation or "")
        refusal = None if status is None else Fault("refuse", status=status)
        return self._chooser.choose_counted(operation, can_meet) or refusal

    def _must_see_page(self, scope: Message) -> bool:
        is_read = scope["type"] == "http" and scope["method"] == "GET"
        return is_read and bool(self._expired or self._late_rows)

    async def _refuse(self, request: WholeRequest, fault: Fault) -> None:
        """Send something in place of the account's answer."""
        await self._serve_or_record(request, fault)
        await send_response(fault_answers.refusal(fault, _revision(request.scope)), request.send)

    async def _reset(self, request: WholeRequest, fault: Fault) -> None:
        """Abort the connection without an answer."""
        await self._serve_or_record(request, fault)
        await _close_connection(request.send, request.receive, reset=True)

    async def _stall(self, request: WholeRequest, _fault: Fault) -> None:
        """Let the account answer, but late."""
        await self._clock.sleep(self.faults.stall_seconds)
        await send_response(await self._serve(request), request.send)

    async def _truncate(self, request: WholeRequest, fault: Fault) -> None:
        """Send the beginning of an answer and close the connection; without a body to cut, it is a reset."""
        response = await self._serve_or_record(request, fault) or fault_answers.refusal(fault, _revision(request.scope))
        if response.body:
            await send_response(response, request.send, length=int(len(response.body) * fault.fraction))
        await _close_connection(request.send, request.receive, reset=not response.body)

    async def _spoil_page(self, request: WholeRequest, fault: Fault) -> None:
        """Send a page whose rows are not quite in order, or whose link leads back to it."""
        await send_response(await self._serve(request, fault), request.send)

    async def _trickle(self, request: WholeRequest, _fault: Fault) -> None:
        """Send an answer piece by piece."""
        response = await self._serve(request)
        size = max(1, -(-len(response.body) // _DROPS))
        await fault_answers.start(response, request.send)
        for start in range(0, len(response.body), size):
            await self._clock.sleep(self.faults.trickle_seconds / _DROPS)
            await fault_answers.send_piece(response.body[start : start + size], request.send)
        await fault_answers.end(request.send)

    async def _inflate(self, request: WholeRequest, _fault: Fault) -> None:
        """Send an answer with many megabytes more, which mean nothing."""
        response = await self._serve(request)
        head, size = response.body, int(self.faults.huge_megabytes * 1_000_000)
        if not head:
            await send_response(response, request.send)
            return
        await fault_answers.start(response, request.send, length=len(head) + size)
        # Before its last bracket: blanks are no part of what a document says, and still have to be read.
        await fault_answers.send_piece(head[:-1], request.send)
        for start in range(0, size, _PIECE):
            await fault_answers.send_piece(b" " * min(_PIECE, size - start), request.send)
        await fault_answers.send_piece(head[-1:], request.send)
        await fault_answers.end(request.send)

    async def _serve_or_record(self, request: WholeRequest, fault: Fault) -> WholeResponse | None:
        """The account's answer when the request reaches the account; otherwise record the request, and None."""
        if fault.reaches_account:
            return await self._serve(request)
        scope = request.scope
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        status = fault_answers.status(fault)
        asked = scope["method"], scope["path"], _revision(scope)
        self._record(*asked, query, status, fault.kind, fault.retry_after, client_name(Headers(scope=scope)))
        return None

    async def _serve(self, request: WholeRequest, fault: Fault | None = None) -> WholeResponse:
        """The account's answer, with rows that come late, spoiled by a fault of its page if there is one."""
        response = await get_response(self._app, request)
        must_see = fault is not None or self._must_see_page(request.scope)
        document = parse_collection(response.body) if must_see and response.status == 200 else None
        if document is None:
            return response
        if (following := (document.get("links") or {}).get("next")) is not None:
            self._expired.discard(place_of(following))
        place, kind = _place(request.scope), fault.kind if fault else ""
        was_taken = self._late_rows.take_again(document)
        if kind == "disorder" and not was_taken:
            self._late_rows.take(document, fault.fraction if fault else 0.0)
        elif kind == "repeat":
            lead_back(document, _address(request.scope))
        if place in self._late_rows:
            self._late_rows.insert(document, place)
        elif not kind and not was_taken:
            return response
        return fault_answers.with_body(response, encode_json(document))


def _place(scope: Message) -> Place:
    return place_of(_address(scope))


def _revision(scope: Message) -> str | None:
    return asked_revision(Headers(scope=scope))


def _address(scope: Message) -> str:
    """Path and query of a request, as they were sent."""
    return f"{scope['path']}?{scope['query_string'].decode('latin-1')}"


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
