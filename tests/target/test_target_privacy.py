"""What may be read by anybody who reads a log: no key, no e-mail address, no phone number, whatever goes wrong."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from support.commands import run_command
from support.fast_clock import fast_command
from target_support import KEY, records

from klaviyo_sandbox import RunningSandbox

# Waiting between attempts would cost minutes; everything else is as in a user's process.
IMPATIENT = fast_command("target_klaviyo", speed=100)
EMAILS = (
    "ada.moss@example.com",
    "o'brien+tag@example.com",
    "Upper.Case@Example.com",
    "zo\u00eb.dahl@example.com",
    "br{ac}e=s&more@example.com",
    "\u00df" * 15 + ".weiss@example.com",
    "not-an-address@",
)
PHONES = (
    "+12025550101",
    "+1 (202) 555-0102",
    "202.555.0103",
    "+120255501",
    "2025550104",
    "+12025550105",
    "(202) 555 0106",
)
# Any part of them that names somebody, in small letters; too long for a port, an address or a time to hold it.
SECRETS = (
    *(KEY, "ada.moss", "brien", "upper.case", "dahl", "zo\u00eb", "br{ac}", "s&more", "\u00df\u00df", "weiss"),
    *("not-an-address", "example.com", "555010", "555-010", "555.010", "555 010", "20255501"),
)
PEOPLE = [
    *({"email": email} for email in EMAILS),
    *({"phone_number": phone} for phone in PHONES),
    *({"email": email, "phone_number": phone} for email, phone in zip(EMAILS, PHONES, strict=True)),
]
STREAMS: Mapping[str, Mapping[str, Any]] = {
    "upserted": {"action": "upsert_profile"},
    "updated": {"action": "upsert_profile", "update_only": True},
    "left": {"action": "list_members", "list": "ABCDEF", "mode": "remove"},
    "opted_out": {"action": "unsubscribe", "list": "ABCDEF"},
    "opted_in": {"action": "subscribe"},
    "suppressed": {"action": "suppress"},
    "deleted": {"action": "delete_profile", "allow_deletion": True},
    "did": {"action": "track_event", "mapping": {"metric": {"value": "Viewed"}}},
}
STRINGS = {name: {"type": "string"} for name in ("email", "phone_number")}


class Indiscreet(BaseHTTPRequestHandler):
    """Answers with all that it was told, in one of several ways."""

    protocol_version = "HTTP/1.1"
    way = ""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        said = f"{unquote(self.path)} {self.path} {body} {body.encode('ascii', 'replace').decode()}"
        if re.fullmatch(r"/api/lists/\w+(\?.*)?", self.path):  # else nothing would go on from here
            self._send(200, {"data": {"type": "list", "id": "ABCDEF", "attributes": {"name": "x"}}})
        elif self.path.startswith("/api/lists?"):
            self._send(200, {"data": []})
        elif self.way.isdigit():
            self._send(int(self.way), {"errors": [_error(said)]})
        elif self.way == "html":
            self._send(400, f"<html>{said}</html>")
        elif self.way == "no JSON":
            self._send(200, said)
        elif self.way == "redirect":
            self._send(302, "", Location=f"http://elsewhere.example.net{self.path}")
        elif self.way == "next":
            self._send(200, {"data": [], "links": {"next": f"http://elsewhere.example.net{self.path}"}})
        elif self.way == "reset":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{")
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif self.way == "import errors":
            self._job(said)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server's names

    def _job(self, said: str) -> None:
        if "/import-errors" in self.path:
            rows = [
                {
                    "type": "import-error",
                    "id": str(at),
                    "attributes": {**_error(f"{row} {said}"), "original_payload": row},
                }
                for at, row in enumerate(PEOPLE)
            ]
            self._send(200, {"data": rows, "links": {"next": None}})
            return
        if "profile-bulk-import-jobs" not in self.path:
            self._send(400, {"errors": [_error(said)]})
            return
        count = {"status": "complete", "total_count": len(PEOPLE), "failed_count": len(PEOPLE)}
        attributes = {**count, "created_at": "2026-01-01T00:00:00+00:00"}
        status = 202 if self.command == "POST" else 200
        self._send(status, {"data": {"type": "profile-bulk-import-job", "id": "j", "attributes": attributes}})

    def _send(self, status: int, document: Any, **headers: str) -> None:
        body = (document if isinstance(document, str) else json.dumps(document)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing, here."""


def _error(said: str) -> dict[str, Any]:
    return {"id": "1", "code": "invalid", "title": f"No: {said}", "detail": f"Invalid: {said}", "source": {}}


@pytest.fixture
def indiscreet() -> Iterator[Callable[[str], str]]:
    """The address of a server that is indiscreet in this way."""
    servers = []

    def start(way: str) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Indiscreet,), {"way": way}))
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def run(
    folder: Path,
    url: str,
    streams: Sequence[str],
    level: str = "DEBUG",
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> tuple[int, str]:
    """The exit code, and all that the target said."""
    entries = {name: STREAMS[name] for name in streams}
    config = {"api_key": KEY, "api_url": url, "streams": entries, "rejects_path": "rejects.jsonl", **settings}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    messages: list[Mapping[str, Any]] = []
    for name in streams:
        messages.append({"type": "SCHEMA", "stream": name, "schema": {"properties": STRINGS}})
        messages += records(name, PEOPLE)
    done = run_command(
        [*IMPATIENT, "--config", "config.json"],
        [*messages, {"type": "STATE", "value": {"at": 1}}],
        folder=folder,
        environment={"LOGLEVEL": level, "TARGET_KLAVIYO_LOGLEVEL": level, **(environment or {})},
    )
    return done.returncode, done.stdout + done.stderr


def assert_discreet(said: str) -> None:
    small = unquote(said).lower() + said.lower()
    found = {secret: re.findall(f".*{re.escape(secret)}.*", small)[:1] for secret in SECRETS if secret.lower() in small}
    assert found == {}


WAYS = ("400", "403", "404", "409", "503", "html", "no JSON", "redirect", "next", "reset", "import errors")


@pytest.mark.parametrize("way", WAYS)
def test_an_indiscreet_answer_reaches_no_log(indiscreet: Callable[[str], str], tmp_path: Path, way: str) -> None:
    """Klaviyo, or a proxy, repeats all that it was told: every action is still silent about it, at DEBUG too."""
    url = indiscreet(way)
    names = list(STREAMS) if way in ("400", "409", "html") else ["upserted", "left", "opted_out", "did"]
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(lambda name: run(tmp_path / name, url, [name]), names)
        for _, said in runs:
            assert "| DEBUG" in said
            assert_discreet(said)
    for path in tmp_path.glob("*/rejects.jsonl"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


# The SDK's structured log on the root, and another one of a single logger, as an operator may configure them.
LOG_CONFIG = """
version: 1
disable_existing_loggers: false
formatters: {structured: {(): singer_sdk.logging.StructuredFormatter}}
handlers:
  all: {class: logging.StreamHandler, formatter: structured, stream: "ext://sys.stderr"}
  wire: {class: logging.FileHandler, formatter: structured, filename: wire.log}
root: {level: DEBUG, handlers: [all]}
loggers:
  singer-klaviyo: {level: DEBUG, handlers: [wire]}
  klaviyo_client: {level: DEBUG, handlers: [wire]}
  urllib3: {level: DEBUG, handlers: [wire]}
"""


@pytest.mark.parametrize("way", ["reset", "400"])
def test_the_structured_log_holds_nobody(indiscreet: Callable[[str], str], tmp_path: Path, way: str) -> None:
    """Neither the causes of an error nor a logger with a handler of its own say who; metrics keep their fields."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logging.yml").write_text(LOG_CONFIG)
    environment = {"SINGER_SDK_LOG_CONFIG": "logging.yml"}
    _, said = run(tmp_path / "run", indiscreet(way), ["left", "upserted"], environment=environment)
    wire = (tmp_path / "run" / "wire.log").read_text()
    assert "urllib3" in wire
    assert_discreet(said + wire)
    if way == "reset":
        assert '"cause"' in wire


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_a_real_accounts_refusals_reach_no_log(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, level: str
) -> None:
    """Conflicts, bad phones and addresses, over a network that breaks: only the file of rejects says whose they are."""
    account = make_sandbox(
        profiles=0, events=0, limits=False, job_seconds=0.05, faults="503=0.1,reset=0.1,truncate=0.1"
    )
    streams = ("upserted", "updated", "opted_in", "did", "suppressed", "deleted")
    code, said = run(tmp_path / "run", account.url, streams, level, default_region="US")
    assert code == 0, said
    assert_discreet(said)
    path = tmp_path / "run" / "rejects.jsonl"
    assert "not-an-address@" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
