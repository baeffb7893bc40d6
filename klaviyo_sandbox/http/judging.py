"""Tells the judge of a client's manners what arrives at the account, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import parse_qsl

from klaviyo_sandbox.http.access import asked_revision
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.asgi import App, Message, Receive, Send
from klaviyo_sandbox.http.quotas import budget_of
from klaviyo_sandbox.manners.judge import Judge, JudgedRequest
from klaviyo_sandbox.spec import facts

_OAUTH = ("basic", "bearer")


class JudgeMiddleware:
    """An ASGI application that stands before the account's and its faults, and lets every request through.

    Args:
        app: the account's.
        sandbox: its judge is told of every request; it knows operations and budgets.
        clock: the account's.
    """

    def __init__(self, app: App, sandbox: Sandbox, clock: Callable[[], float]) -> None:
        self._app = app
        self._judge = sandbox.judge
        self._sandbox = sandbox
        self._clock = clock
        self._operation_id = lru_cache(1_000)(sandbox.operation_id)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _Sending(self._judge, self._clock, self._describe(scope, send), send)
        self._judge.arrive(sending.request, self._clock())
        if scope["method"] == "POST":
            receive, sending.request.body = await _read_ahead(receive)
        self._judge.complete(sending.request, self._clock())
        await self._app(scope, receive, sending.send)

    def _describe(self, scope: Message, send: Send) -> JudgedRequest:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        credential = headers.get(b"authorization", "")
        # An app's tokens change from one hour to the next.
        who = "an OAuth app" if credential.partition(" ")[0].lower() in _OAUTH else credential
        method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
        revision = asked_revision({"revision": headers.get(b"revision", "")})
        operation = self._operation_id(method, path, revision)
        specified = facts.load().operations.get(operation or "")
        budget = None
        if specified is not None and self._sandbox.quotas is not None:
            name, bounds = budget_of(specified, dict(parse_qsl(query, keep_blank_values=True)))
            budget = name, bounds.windows()
        return JudgedRequest(
            (who, headers.get(b"user-agent", "")),
            method,
            path,
            query,
            headers.get(b"host", "").lower(),
            bool(credential),
            # The server's own object; another server has none.
            getattr(getattr(send, "__self__", None), "transport", None),
            # A 429 is about an endpoint, whichever revision was asked for, and so is what a write does.
            operation if specified is None else specified.endpoint,
            budget,
        )


class _Sending:
    """Sends one answer, and tells the judge.

    Attributes:
        transport: the connection, under the name that the server's own object has for it.
    """

    def __init__(self, judge: Judge, clock: Callable[[], float], request: JudgedRequest, send: Send) -> None:
        self._judge = judge
        self._clock = clock
        self._send = send
        self.request = request
        self.transport = request.connection

    async def send(self, message: Message) -> None:
        # A client that has gone is told nothing.
        if self.transport is None or not self.transport.is_closing():
            if message["type"] == "http.response.start":
                retry_after = dict(message["headers"]).get(b"retry-after", b"")
                seconds = int(retry_after) if retry_after.isdigit() else None
                self._judge.answer(self.request, message["status"], seconds, self._clock())
            elif not message.get("more_body", False):
                self._judge.finish(self.request)
        await self._send(message)


async def _read_ahead(receive: Receive) -> tuple[Receive, bytes]:
    """Read a body to its end: what receives the same messages again and those that follow, and the body."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    waiting = iter(messages)

    async def receive_again() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return receive_again, b"".join(message.get("body", b"") for message in messages)
