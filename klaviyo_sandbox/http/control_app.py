"""The control endpoint: JSON under ``/sandbox/``, which needs no key, has no limit or fault, and is not recorded.

GET    /sandbox/settings          all settings with their present values
PATCH  /sandbox/settings          {"faults": "429=0.1", "latency": 0.4, "limits": false, ...}
GET    /sandbox/clock             {"now": ...}
POST   /sandbox/clock             {"seconds": 60} or {"time": "2026-12-01T00:00:00Z"}
POST   /sandbox/events            {"count": 3, "seconds": -86400, "profile_id"?, "metric_id"?, "properties"?}
POST   /sandbox/suppressions      {"profile_id": ..., "reason": "HARD_BOUNCE"}
POST   /sandbox/confirmations     {"email": ..., "list_id"?}
POST   /sandbox/reset             {} or nothing
GET    /sandbox/breaches          {"count": 2, "breaches": [{"kind", "reason", "operation", "method", "path", ...}]}
POST   /sandbox/tokens            {"end": "access"} or {"end": "all"}
DELETE /sandbox/flows/ID          and campaigns, lists, segments, tags, templates
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from klaviyo_sandbox.http.asgi import Message, Receive, Send
from klaviyo_sandbox.http.control import Control
from klaviyo_sandbox.http.control_fields import (
    CLOCK,
    CONFIRMATION,
    EVENTS,
    SETTINGS,
    SUPPRESSION,
    TOKENS,
    InvalidChange,
    NotThere,
    check_fields,
)
from klaviyo_sandbox.writes.bodies import parse_json

ROOT = "/sandbox/"
# What takes no fields, and so needs no body either.
_BODILESS = frozenset({"reset"})
# No settings are longer.
_MAX_BYTES = 1_000_000

Handler = Callable[[Mapping[str, Any]], Response]


class ControlApp:
    """An ASGI application that answers at the control endpoint and passes every other request on to the account.

    Args:
        control: makes the changes.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._handlers: Mapping[str, Mapping[str, Handler]] = {
            "settings": {"GET": lambda _: JSONResponse(control.settings), "PATCH": self._change},
            "clock": {"GET": lambda _: self._show_clock(), "POST": self._advance},
            "events": {"POST": self._add_events},
            "suppressions": {"POST": self._suppress},
            "confirmations": {"POST": self._confirm},
            "tokens": {"POST": self._end_tokens},
            "reset": {"POST": self._reset},
            "breaches": {"GET": lambda _: self._show_breaches()},
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(ROOT):
            await self._control.current.app(scope, receive, send)
            return
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, web: Request) -> Response:
        name, _, rest = web.url.path.removeprefix(ROOT).partition("/")
        handlers = {"DELETE": lambda _: self._delete(name, rest)} if rest else self._handlers.get(name)
        if handlers is None:
            return _error(404, f"there is no {ROOT}{name}; there are {', '.join(self._handlers)}")
        if web.method not in handlers:
            return JSONResponse({"error": f"only {', '.join(handlers)}"}, 405, {"allow": ", ".join(handlers)})
        if (origin := web.headers.get("origin")) and not _is_same_origin(origin, web.headers.get("host")):
            return _error(403, "a page of another origin must not change this account")
        try:
            has_fields = web.method in ("POST", "PATCH")
            return handlers[web.method](await _read_fields(web, name in _BODILESS) if has_fields else {})
        except InvalidChange as error:
            return _error(400, str(error))
        except NotThere as error:
            return _error(404, str(error))

    # Names of fields become names of arguments, so they are checked here, too.

    def _change(self, fields: Mapping[str, Any]) -> Response:
        return JSONResponse(self._control.change(**check_fields(fields, SETTINGS)))

    def _show_clock(self) -> Response:
        return JSONResponse({"now": self._control.now.isoformat()})

    def _advance(self, fields: Mapping[str, Any]) -> Response:
        self._control.advance(**check_fields(fields, CLOCK))
        return self._show_clock()

    def _add_events(self, fields: Mapping[str, Any]) -> Response:
        return JSONResponse({"ids": self._control.add_events(**check_fields(fields, EVENTS))}, 201)

    def _suppress(self, fields: Mapping[str, Any]) -> Response:
        missing = SUPPRESSION.keys() - check_fields(fields, SUPPRESSION).keys()
        if missing:
            raise InvalidChange(f"{min(missing)}: must be given")
        self._control.suppress(**fields)
        return Response(status_code=204)

    def _confirm(self, fields: Mapping[str, Any]) -> Response:
        if "email" not in check_fields(fields, CONFIRMATION):
            raise InvalidChange("email: must be given")
        self._control.confirm(**fields)
        return Response(status_code=204)

    def _end_tokens(self, fields: Mapping[str, Any]) -> Response:
        self._control.end_tokens(**check_fields(fields, TOKENS))
        return Response(status_code=204)

    def _show_breaches(self) -> Response:
        judge = self._control.current.sandbox.judge
        return JSONResponse({"count": judge.count, "breaches": [asdict(breach) for breach in judge.breaches()]})

    def _reset(self, fields: Mapping[str, Any]) -> Response:
        check_fields(fields, {})
        self._control.reset()
        return Response(status_code=204)

    def _delete(self, kind: str, row_id: str) -> Response:
        self._control.delete(kind, row_id)
        return Response(status_code=204)


async def _read_fields(web: Request, may_be_empty: bool) -> Mapping[str, Any]:
    body = await web.body()
    if may_be_empty and not body:
        return {}
    # A browser sends a preflight request before it sends this type to another origin, and gets no permission.
    if web.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidChange("the content type must be application/json")
    try:
        fields = parse_json(body) if len(body) <= _MAX_BYTES else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidChange("the body must be a JSON object")
    return fields


def _is_same_origin(origin: str, host: str | None) -> bool:
    """Whether the page that asks comes from this sandbox: ``localhost`` or an IP address that is the host asked.

    A host name is no proof, because anybody can let a name of theirs lead to this machine.
    """
    try:
        parts = urlsplit(origin)
        if parts.hostname != "localhost":
            ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return parts.netloc == host


def _error(status: int, reason: str) -> Response:
    # It may repeat half of a surrogate pair.
    return JSONResponse({"error": reason.encode("utf-8", "replace").decode()}, status)
