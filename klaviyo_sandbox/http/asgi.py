"""Types of ASGI applications, and requests and responses that are held whole instead of being streamed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class WholeRequest:
    """A request whose body was read to its end."""

    scope: Message
    body: bytes
    receive: Receive
    send: Send


@dataclass(frozen=True)
class WholeResponse:
    """A response that an application gave, not yet sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def read_request(scope: Message, receive: Receive, send: Send) -> WholeRequest:
    """Read the body of a request to its end."""
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return WholeRequest(scope, b"".join(parts), receive, send)


async def pass_on(app: App, request: WholeRequest) -> None:
    """Let an application answer a request whose body was read already."""
    await app(request.scope, _replay(request.body), request.send)


async def get_response(app: App, request: WholeRequest) -> WholeResponse:
    """Let an application answer a request, and return the response instead of sending it."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app(request.scope, _replay(request.body), send)
    content = b"".join(message.get("body", b"") for message in messages[1:])
    return WholeResponse(messages[0]["status"], list(messages[0]["headers"]), content)


async def send_response(response: WholeResponse, send: Send, *, length: int | None = None) -> None:
    """Send a response; with ``length`` only so many bytes of its body, as if more were to follow."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body[:length], "more_body": length is not None})


def _replay(body: bytes) -> Receive:
    """A ``receive`` that gives a body that was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
