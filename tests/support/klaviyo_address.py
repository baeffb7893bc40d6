"""Klaviyo's own address on this machine: programs that know no other reach a sandbox under it, as through a proxy.

The proxy is named by the variables that every HTTP library reads, and signs as ``a.klaviyo.com`` with a certificate
that only the programs started with these variables trust. It refuses any other host, whatever a program wants there.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOST = "a.klaviyo.com"
# For Python programs whose libraries do not read the variables by themselves: those that trust what certifi names
# (sessions of requests that are handed a prepared request), and those that know no proxy (urllib3).
_SITECUSTOMIZE = """
import contextlib
import os

with contextlib.suppress(ImportError):
    import certifi

    certifi.where = lambda: os.environ["SSL_CERT_FILE"]
with contextlib.suppress(ImportError):
    import urllib3

    urllib3.PoolManager = lambda **options: urllib3.ProxyManager(os.environ["HTTPS_PROXY"], **options)
"""


@contextlib.contextmanager
def klaviyo_address(url: str, trustme: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Variables of the environment with which a program finds the sandbox at ``url`` where it looks for Klaviyo.

    Args:
        url: the sandbox's origin.
        trustme: the folder of the programs of an environment with trustme, which makes certificates.
        folder: an empty one for the certificate.
    """
    subprocess.run([trustme / "python", "-m", "trustme", "--quiet", "-d", folder, "-i", HOST], check=True)
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = _Proxy(urlsplit(url).netloc, context)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    proxy, certificate = f"http://127.0.0.1:{server.server_address[1]}", str(folder / "client.pem")
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
    kept = {name: value for name, value in os.environ.items() if name.upper() not in names}
    try:
        yield {
            **kept,
            "HTTPS_PROXY": proxy,
            "HTTP_PROXY": proxy,
            "SSL_CERT_FILE": certificate,
            "REQUESTS_CA_BUNDLE": certificate,
            "PYTHONPATH": str(folder),
        }
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sandbox: str, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.sandbox = sandbox
        self.context = context

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of the test's business."""


class _Tunnel(BaseHTTPRequestHandler):
    """A connection of a client: its CONNECT, then the requests inside."""

    protocol_version = "HTTP/1.1"
    server: _Proxy
    upstream: http.client.HTTPConnection | None = None

    def do_CONNECT(self) -> None:
        if self.path != f"{HOST}:443":
            self.send_error(403)
            return
        self.send_response_only(200)
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = socketserver._SocketWriter(self.connection)
        self.close_connection = False  # also where the CONNECT was of HTTP/1.0
        self.upstream = http.client.HTTPConnection(self.server.sandbox)

    def _pass_on(self) -> None:
        if self.upstream is None:
            self.send_error(403)
            return
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self.upstream.putheader(name, value)
        self.upstream.putheader("x-forwarded-proto", "https")
        self.upstream.endheaders(self.rfile.read(int(self.headers.get("content-length", 0))))
        answer = self.upstream.getresponse()
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the library's names

    def finish(self) -> None:
        super().finish()
        if self.upstream is not None:
            self.upstream.close()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        pass
