"""The control endpoint: JSON under ``/sandbox/``, with no key, limit, fault or record.

GET    /sandbox/settings          what can be changed, as it is
PATCH  /sandbox/settings          {"faults": "429=0.1", "latency": 0.4, "limits": false, ...}
GET    /sandbox/clock             {"now": ...}
POST   /sandbox/clock             {"seconds": 60} or {"time": "2026-12-01T00:00:00Z"}
POST   /sandbox/events            {"count": 3, "seconds": -86400, "profile_id"?, "metric_id"?, "properties"?}
POST   /sandbox/reset             {}
POST   /sandbox/tokens            {"end": "access"} or {"end": "all"}
DELETE /sandbox/flows/ID          and campaigns, lists, segments, tags, templates
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from klaviyo_sandbox.http.control import CLOCK, EVENTS, SETTINGS, TOKENS, Control, Gone, Wrong, checked
from klaviyo_sandbox.http.faults import Message, Receive, Send
from klaviyo_sandbox.writes.bodies import parsed

ROOT = "/sandbox/"
# Longer ones are nobody's settings.
_MOST_BYTES = 1_000_000

Handler = Callable[[Mapping[str, Any]], Response]


class ControlApp:
    """An ASGI application that passes on to the account what is not for the control endpoint.

    Args:
        control: does what is asked.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._handlers: Mapping[str, Mapping[str, Handler]] = {
            "settings": {"GET": lambda _: JSONResponse(control.settings), "PATCH": self._change},
            "clock": {"GET": lambda _: self._now(), "POST": self._advance},
            "events": {"POST": self._add_events},
            "tokens": {"POST": self._end_tokens},
            "reset": {"POST": self._reset},
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(ROOT):
            await self._control.life.faulty(scope, receive, send)
            return
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, web: Request) -> Response:
        name, _, rest = web.url.path.removeprefix(ROOT).partition("/")
        handlers = {"DELETE": lambda _: self._delete(name, rest)} if rest else self._handlers.get(name)
        if handlers is None:
            return _refused(404, f"there is no {ROOT}{name}; there are {', '.join(self._handlers)}")
        if web.method not in handlers:
            return JSONResponse({"error": f"only {', '.join(handlers)}"}, 405, {"allow": ", ".join(handlers)})
        if (origin := web.headers.get("origin")) and not _is_own(origin, web.headers.get("host")):
            return _refused(403, "a page of another origin must not change this account")
        try:
            return handlers[web.method](await _given(web) if web.method in ("POST", "PATCH") else {})
        except Wrong as wrong:
            return _refused(400, str(wrong))
        except Gone as gone:
            return _refused(404, str(gone))

    # Names are arguments next, so they are looked at here, too.

    def _change(self, given: Mapping[str, Any]) -> Response:
        return JSONResponse(self._control.change(**checked(given, SETTINGS)))

    def _now(self) -> Response:
        return JSONResponse({"now": self._control.now.isoformat()})

    def _advance(self, given: Mapping[str, Any]) -> Response:
        self._control.advance(**checked(given, CLOCK))
        return self._now()

    def _add_events(self, given: Mapping[str, Any]) -> Response:
        return JSONResponse({"ids": self._control.add_events(**checked(given, EVENTS))}, 201)

    def _end_tokens(self, given: Mapping[str, Any]) -> Response:
        self._control.end_tokens(**checked(given, TOKENS))
        return Response(status_code=204)

    def _reset(self, given: Mapping[str, Any]) -> Response:
        checked(given, {})
        self._control.reset()
        return Response(status_code=204)

    def _delete(self, kind: str, row_id: str) -> Response:
        self._control.delete(kind, row_id)
        return Response(status_code=204)


async def _given(web: Request) -> Mapping[str, Any]:
    # A browser asks first before it sends this type to another origin, and is not answered.
    if web.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Wrong("the content type must be application/json")
    body = await web.body()
    try:
        found = parsed(body) if len(body) <= _MOST_BYTES else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Wrong("the body must be a JSON object")
    return found


def _is_own(origin: str, host: str | None) -> bool:
    """Whether a page of this address asks; a name is no proof, for anybody can let theirs lead to this machine."""
    try:
        parts = urlsplit(origin)
        if parts.hostname != "localhost":
            ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return parts.netloc == host


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
