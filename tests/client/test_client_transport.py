"""The transport: what a server sends is bounded, and this machine is reached without proxies."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import requests
from support.patience import PATIENCE

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_client.http.transport import MAX_BYTES, Request, RequestsTransport, TransportError

# The server ends each connection: said, or the next request may be sent on one that is about to end.
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
Serve = Callable[[Iterable[bytes]], str]


class Server:
    """Answers each connection with the same pieces of bytes, whatever is asked, as long as they are taken."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    def start(self, pieces: Callable[[], Iterable[bytes]]) -> str:
        threading.Thread(target=self._serve, args=(pieces,), daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self, pieces: Callable[[], Iterable[bytes]]) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection, pieces), daemon=True).start()

    def _answer(self, connection: socket.socket, pieces: Callable[[], Iterable[bytes]]) -> None:
        with connection:
            try:
                self.requests.append(connection.recv(1 << 16))
                for piece in pieces():
                    connection.sendall(piece)
            except OSError:
                return

    def close(self) -> None:
        # A thread that accepts holds the socket open until something wakes it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server whose answers are bytes."""
    running = Server()
    yield running
    running.close()


def get(url: str) -> Request:
    return Request("GET", f"{url}/api/lists", {}, {}, authorization="Klaviyo-API-Key pk_test")


def whole(body: bytes, encoding: str) -> bytes:
    return HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(body)) + body


MEGABYTE = 1 << 20


def zeros(size: int, window: int) -> bytes:
    packer = zlib.compressobj(9, wbits=window)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


@pytest.mark.parametrize(("encoding", "window"), [("gzip", 31), ("deflate", 15)])
@pytest.mark.parametrize("form", ["length", "chunked", "until the end"])
def test_an_answer_that_unpacks_to_too_much_is_none(server: Server, encoding: str, window: int, form: str) -> None:
    """A megabyte of gzip may hold a gigabyte: reading ends where it is too much, however the answer is framed."""
    body = zeros(3 * MEGABYTE, window)
    head = HEAD + b"Content-Encoding: %s\r\n" % encoding.encode()
    answers = {
        "length": [head, b"Content-Length: %d\r\n\r\n" % len(body), body],
        "chunked": [head, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"],
        "until the end": [head, b"Connection: close\r\n\r\n", body],
    }
    url = server.start(lambda: answers[form])
    with pytest.raises(TransportError, match="larger than") as raised:
        RequestsTransport(timeout=PATIENCE, max_bytes=MEGABYTE).send(get(url))
    assert raised.value.may_have_succeeded


def test_an_answer_twice_packed_is_bounded_too(server: Server) -> None:
    """Layers of encoding multiply."""
    body = gzip.compress(zeros(MAX_BYTES + (1 << 21), 31))
    url = server.start(lambda: [whole(body, "gzip, gzip")])
    with pytest.raises(TransportError, match="larger than"):
        RequestsTransport(timeout=PATIENCE).send(get(url))


def test_what_comes_without_an_end_is_bounded(server: Server) -> None:
    """Without packing, and without a length."""
    url = server.start(lambda: itertools.chain([HEAD, b"\r\n"], itertools.repeat(bytes(MEGABYTE))))
    with pytest.raises(TransportError, match="larger than"):
        RequestsTransport(timeout=PATIENCE, max_bytes=MEGABYTE).send(get(url))


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_an_answer_that_says_its_size_is_bounded_and_whole(server: Server, encoding: str) -> None:
    """One of the largest size arrives, one of a byte more does not, and one that breaks off is none."""
    head, pack = (HEAD + b"Content-Encoding: gzip\r\n", gzip.compress) if encoding else (HEAD, bytes)
    largest = b"x" * MEGABYTE
    sent = [pack(largest), pack(largest + b"x"), pack(largest)[:-9], b""]
    said = [len(sent[0]), len(sent[1]), len(sent[0]), len(sent[0])]
    answers = iter([head + b"Content-Length: %d\r\n\r\n" % size + body for size, body in zip(said, sent, strict=True)])
    url = server.start(lambda: [next(answers)])
    transport = RequestsTransport(timeout=PATIENCE, max_bytes=MEGABYTE)
    assert transport.send(get(url)).body == largest
    with pytest.raises(TransportError, match="larger than"):
        transport.send(get(url))
    for _ in range(2):
        with pytest.raises(TransportError, match="broke"):
            transport.send(get(url))


def test_a_large_page_arrives_whole(server: Server) -> None:
    """Tens of megabytes are a page, packed or not."""
    body = b'{"data": [], "meta": "%s"}' % (b"x" * (20 << 20))
    answers = iter([whole(gzip.compress(body), "gzip"), whole(body, "identity")])
    url = server.start(lambda: [next(answers)])
    transport = RequestsTransport(timeout=PATIENCE)
    assert [transport.send(get(url)).body == body for _ in range(2)] == [True, True]


# What comes once, and what comes for ever after.
DRIPS = {
    "status": (b"", b"H"),
    "headers": (b"HTTP/1.1 200 OK\r\nX-Y: ", b"z"),
    "body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("part", DRIPS)
def test_an_answer_that_takes_too_long_is_none(server: Server, part: str) -> None:
    """One byte a second keeps every time-out from running out, in headers as in the body: a whole answer has one."""
    first, again = DRIPS[part]
    url = server.start(lambda: itertools.chain([first], itertools.repeat(again)))
    # Each look at the clock is half a time-out later; bytes come as fast as they are read.
    transport = RequestsTransport(timeout=PATIENCE, monotonic=itertools.count(0.0, PATIENCE / 2).__next__)
    with pytest.raises(TransportError, match="no whole answer within") as raised:
        transport.send(get(url))
    assert raised.value.may_have_succeeded


def test_each_answer_has_the_whole_time(server: Server) -> None:
    """A connection that is used again begins anew."""
    url = server.start(lambda: itertools.repeat(HEAD + b"Content-Length: 2\r\n\r\n{}", 20))
    transport = RequestsTransport(timeout=PATIENCE, monotonic=itertools.count(0.0, PATIENCE / 2).__next__)
    assert [transport.send(get(url)).body for _ in range(20)] == [b"{}"] * 20


def test_what_is_unbounded_is_a_connection_fault(server: Server) -> None:
    """Of the tree of errors, so that it is tried again as often as others, and then told in one line."""
    url = server.start(lambda: itertools.chain([HEAD, b"\r\n"], itertools.repeat(bytes(1 << 20))))
    client = KlaviyoClient(api_key="pk_test", api_url=url, retry_policy=RetryPolicy(attempts=2, first_wait=0))
    with pytest.raises(errors.ConnectionFault, match="get_lists: the answer is larger than"):
        client.page("get_lists")
    assert len(server.requests) == 2


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9"])
def test_no_proxy_sees_what_stays_on_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str, host: str
) -> None:
    """Neither the key nor anybody's data go to a proxy when the API is here, whatever the environment says."""
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, server.start(lambda: [HEAD, b'Content-Length: 12\r\n\r\n{"data": []}']))
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    with pytest.raises(TransportError):
        RequestsTransport(timeout=PATIENCE).send(get(f"http://{host}:{port}"))
    assert server.requests == []


def test_a_proxy_sees_what_leaves_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's proxy is still used for Klaviyo itself."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", server.start(lambda: [b"HTTP/1.1 403 No\r\n\r\n"]))
    with pytest.raises(TransportError):
        RequestsTransport(timeout=PATIENCE).send(get("https://a.klaviyo.com"))
    [request] = server.requests
    assert request.startswith(b"CONNECT a.klaviyo.com:443")
    assert b"pk_test" not in request


def test_the_environment_is_asked_once_for_an_origin(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies and certificates are those of the start: to look for them again takes a tenth of what a request does."""
    asked = []
    found = requests.Session.merge_environment_settings

    def ask(*arguments: Any) -> Any:
        asked.append(arguments[1])
        return found(*arguments)

    monkeypatch.setattr(requests.Session, "merge_environment_settings", ask)
    url = server.start(lambda: [whole(b"{}", "identity")])
    transport = RequestsTransport(timeout=PATIENCE)
    for _ in range(3):
        transport.send(get(url))
    transport.send(get(url.replace("127.0.0.1", "localhost")))
    assert len(server.requests) == 4
    assert len(asked) == 2


def test_no_cookie_is_kept(server: Server) -> None:
    """What one answer sets tells nothing to those who look at the next request."""
    head = HEAD + b"Set-Cookie: seen=1; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    url = server.start(lambda: [head])
    transport = RequestsTransport(timeout=PATIENCE)
    for _ in range(2):
        assert transport.send(get(url)).body == b"{}"
    assert [request.lower().count(b"\ncookie:") for request in server.requests] == [0, 0]


def test_a_request_says_what_requests_says(server: Server) -> None:
    """Packed answers are taken, connections are kept, and the query is spelled in full."""
    url = server.start(lambda: [whole(b"{}", "identity")])
    query = {"page[size]": "100", "filter": "equals(name,'a b&c')"}
    RequestsTransport(timeout=PATIENCE).send(Request("GET", f"{url}/api/lists", {"revision": "x"}, query, None, "key"))
    line, *headers = server.requests[0].decode().split("\r\n")
    assert line == "GET /api/lists?page%5Bsize%5D=100&filter=equals%28name%2C%27a+b%26c%27%29 HTTP/1.1"
    found = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers if header)}
    assert found["accept-encoding"].startswith("gzip, deflate")
    expected = {"connection": "keep-alive", "authorization": "key", "revision": "x", "accept": "*/*"}
    assert expected.items() <= found.items()
