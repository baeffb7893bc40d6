"""Stands before the account's application and answers what a browser asks for: the pages, and what they are made with.

Whatever it answers is no request to Klaviyo: it meets no fault, key or limit, and is recorded nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.faults import App, Message, Receive, Send
from klaviyo_sandbox.page import details, html, live, overview
from klaviyo_sandbox.page.model import Link, View

_KINDS = ("profiles", "lists", "segments", "metrics", "events", "jobs", "campaigns", "flows")
_STATIC = Path(__file__).parent / "static"
_STATIC_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Shown:
    """One answer to a browser."""

    status: int
    media_type: str
    body: bytes


class Front:
    """An ASGI application that passes on what is not for a browser.

    Args:
        app: takes everything else.
        sandbox: gives what the pages show.
    """

    def __init__(self, app: App, sandbox: Callable[[], Sandbox]) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not _is_for_a_browser(scope):
            await self._app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            shown = answer(self._sandbox(), scope["path"], query)
        else:
            shown = Shown(405, "text/plain; charset=utf-8", b"Pages can only be read.\n")
        headers = {**_HEADERS, "content-type": shown.media_type, "content-length": str(len(shown.body))}
        if shown.status == 405:
            headers["allow"] = "GET, HEAD"
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": shown.status, "headers": sent})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else shown.body})


def answer(sandbox: Sandbox, path: str, query: Mapping[str, str]) -> Shown:
    """What is at an address of the pages; a page that says so when there is nothing."""
    head, _, rest = path.strip("/").partition("/")
    if head == "sandbox":
        return _live(sandbox, query) if rest == "live" else _static(rest.removeprefix("static/"))
    view: View | None
    if not head:
        view = overview.overview(sandbox)
    elif rest:
        view = details.detail(sandbox, head, rest, query)
    elif head in ("profiles", "events"):
        view = (overview.profiles if head == "profiles" else overview.events)(sandbox, query)
    else:
        view = overview.index(sandbox, head) if head in _KINDS else None
    return _page(200, view) if view else _not_found()


def _is_for_a_browser(scope: Message) -> bool:
    path: str = scope["path"]
    if path.startswith("/api/"):
        return False
    head, _, rest = path[1:].partition("/")
    if head == "sandbox":
        return rest == "live" or rest.startswith("static/")
    if not head or head in _KINDS:
        return True
    # A browser that is lost is told so by a page, anybody else by Klaviyo's own document.
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _live(sandbox: Sandbox, query: Mapping[str, str]) -> Shown:
    """What is new in the strip, as rows that the server has made."""
    text = query.get("after", "")
    cursor = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    new = live.since(sandbox.requests, sandbox.asked, cursor)
    document = {
        "cursor": sandbox.asked,
        "requests": html.render_rows(live.requests(new)),
        "budget": html.render_rows(live.budgets(sandbox.quotas)),
    }
    return Shown(200, "application/json", json.dumps(document).encode())


def _static(name: str) -> Shown:
    if name not in _STATIC_TYPES:
        return _not_found()
    return Shown(200, _STATIC_TYPES[name], (_STATIC / name).read_bytes())


def _not_found() -> Shown:
    view = View("Not found", (), "There is no such page, or what it was about is gone.", [Link("Overview", "/")])
    return _page(404, view)


def _page(status: int, view: View) -> Shown:
    return Shown(status, "text/html; charset=utf-8", html.render_page(view).encode())
