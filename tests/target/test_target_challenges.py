"""A proxy or firewall that answers in Klaviyo's place."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from target_support import Command, records, schema_of


@pytest.mark.parametrize("action", ["upsert_profile", "track_event", "subscribe"])
def test_a_403_that_is_not_klaviyos_is_nobodys_setting(target: Command, action: str) -> None:
    """It may pass: exit code 1, so that an orchestrator tries again; nothing is rejected, and no scope is asked for."""

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(403)
            self.send_header("content-length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run = target(
            [
                schema_of("s"),
                *records("s", [{"email": "ada@example.com", "metric": "Waved"}]),
                {"type": "STATE", "value": {"at": 1}},
            ],
            api_url=f"http://127.0.0.1:{server.server_port}",
            streams={"s": {"action": action}},
        )
        server.shutdown()
    assert run.code == 1
    assert "a proxy or firewall answered 403" in run.stderr
    assert "scope" not in run.stderr
    assert run.states == run.rejected == []
