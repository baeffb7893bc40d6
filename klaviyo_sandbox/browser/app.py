"""ASGI middleware in front of the API: it answers a browser's requests for pages, and for the files that pages load.

Such a request is not one to Klaviyo: it meets no fault, key or limit, and is not logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from klaviyo_sandbox.browser import details, html, live, overview, pushes
from klaviyo_sandbox.browser.model import Link, View
from klaviyo_sandbox.http.app import Sandbox
from klaviyo_sandbox.http.asgi import App, Message, Receive, Send

_KINDS = ("profiles", "lists", "segments", "metrics", "events", "jobs", "campaigns", "flows", "pushes")
_STATIC = Path(__file__).parent / "static"
_STATIC_TYPES = {
    "page.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class PageResponse:
    """An answer to a browser."""

    status: int
    media_type: str
    body: bytes


class PageMiddleware:
    """Answers requests for pages, and passes all others on.

    Args:
        app: the application that gets the other requests.
        sandbox: gives the sandbox that the pages show.
    """

    def __init__(self, app: App, sandbox: Callable[[], Sandbox]) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not _is_for_browser(scope):
            await self._app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD"):
            query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            response = respond(self._sandbox(), scope["path"], query)
        else:
            response = PageResponse(405, "text/plain; charset=utf-8", b"Pages can only be read.\n")
        headers = {**_HEADERS, "content-type": response.media_type, "content-length": str(len(response.body))}
        if response.status == 405:
            headers["allow"] = "GET, HEAD"
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})


def respond(sandbox: Sandbox, path: str, query: Mapping[str, str]) -> PageResponse:
    """The page or file at a path; a page with status 404 when there is none."""
    kind, _, rest = path.strip("/").partition("/")
    if kind == "sandbox":
        return _live_update(sandbox, query) if rest == "live" else _static_file(rest.removeprefix("static/"))
    view: View | None
    if not kind:
        view = overview.overview(sandbox)
    elif kind == "pushes":
        view = pushes.page(sandbox, rest, query) if rest else pushes.index(sandbox)
    elif rest:
        view = details.detail(sandbox, kind, rest, query)
    elif kind in ("profiles", "events"):
        view = (overview.profiles if kind == "profiles" else overview.events)(sandbox, query)
    else:
        view = overview.all_of_kind(sandbox, kind) if kind in _KINDS else None
    return _html_response(200, view) if view else _not_found()


def _is_for_browser(scope: Message) -> bool:
    path: str = scope["path"]
    if path.startswith("/api/"):
        return False
    kind, _, rest = path[1:].partition("/")
    if kind == "sandbox":
        return rest == "live" or rest.startswith("static/")
    if not kind or kind in _KINDS:
        return True
    # At an unknown path a browser gets a page with status 404; any other client gets Klaviyo's own error document.
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _live_update(sandbox: Sandbox, query: Mapping[str, str]) -> PageResponse:
    """New rows of the live strip as HTML in a JSON document: requests after the query's ``after``, and the rest."""
    text = query.get("after", "")
    cursor = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    new_requests = live.requests_after(cursor, sandbox.requests, sandbox.request_count)
    document = {
        "cursor": sandbox.request_count,
        "requests": html.render_rows(live.requests(new_requests)),
        "breaches": html.render_rows(live.breaches(sandbox.judge)),
        "chart": html.render_charts(live.charts(sandbox.traffic, sandbox.quotas, sandbox.store.clock())),
        "budget": html.render_rows(live.budgets(sandbox.quotas)),
    }
    return PageResponse(200, "application/json", json.dumps(document).encode())


def _static_file(name: str) -> PageResponse:
    if name not in _STATIC_TYPES:
        return _not_found()
    return PageResponse(200, _STATIC_TYPES[name], (_STATIC / name).read_bytes())


def _not_found() -> PageResponse:
    view = View("Not found", (), "There is no such page, or what it was about is gone.", [Link("Overview", "/")])
    return _html_response(404, view)


def _html_response(status: int, view: View) -> PageResponse:
    return PageResponse(status, "text/html; charset=utf-8", html.render_page(view).encode())
