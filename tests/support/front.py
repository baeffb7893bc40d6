"""A server in front of a sandbox, as a proxy is: it passes requests on, but for those that a test answers itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# (status, headers, body) for a request's address, path and query; None where the sandbox is to answer it.
Answer = tuple[int, dict[str, str], bytes]
Answerer = Callable[[str], Answer | None]


def refusal(status: int, detail: str = "No.", **source: str) -> Answer:
    """Klaviyo's error document."""
    entry = {"id": "1", "status": status, "code": "invalid", "title": "Invalid", "detail": detail, "source": source}
    return status, {"content-type": "application/vnd.api+json"}, json.dumps({"errors": [entry]}).encode()


@contextlib.contextmanager
def front_of(url: str, answer: Answerer, *, behind: float = 0.0) -> Iterator[str]:
    """The address of a server that passes on what ``answer`` leaves to the sandbox at ``url``.

    Its clock is so many seconds behind ours.
    """
    host = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = answer(self.path) or self._pass_on()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _pass_on(self) -> Answer:
            connection = http.client.HTTPConnection(host)
            names = ("authorization", "revision", "accept")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            connection.request("GET", self.path, headers=headers)
            reply = connection.getresponse()
            body = reply.read().replace(host.encode(), str(self.headers["host"]).encode())
            connection.close()
            kept = {name: value for name, value in reply.getheaders() if name.lower() == "content-type"}
            return reply.status, kept, body

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(timestamp or time.time() - behind)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
