"""The one retry place, over a real socket."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
import requests_mock

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.retries import RetryPolicy

RESET = 0
EMPTY = b'{"data": []}'
REFUSAL = b'{"errors":[{"id":"e","code":"c","title":"t","detail":"d"}]}'
CHALLENGE = b"<!DOCTYPE html><html><title>Just a moment...</title></html>"


@dataclass(frozen=True)
class Reply:
    """One scripted answer. Status RESET breaks the connection after the request was read."""

    status: int = 200
    body: bytes = EMPTY
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """Answers with a script, the last entry again and again, and remembers what it saw."""

    def __init__(self, script: list[Reply]) -> None:
        self.script = script
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Any] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.bodies.append(json.loads(body) if body else None)
                outer.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                reply = outer.script[min(len(outer.seen), len(outer.script)) - 1]
                if reply.status == RESET:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = answer  # noqa: N815 - the standard library's names

            def log_message(self, *arguments: object) -> None:
                pass

            def handle_error(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Waits(list[float]):
    """Seconds that a client would have waited."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.append(seconds)
        self.now += seconds


@contextlib.contextmanager
def scripted(*script: Reply, retry_policy: RetryPolicy | None = None) -> Iterator[tuple[KlaviyoClient, Server, Waits]]:
    waits = Waits()
    with Server(list(script)) as server:
        yield (
            KlaviyoClient(
                api_key="pk_test",
                api_url=server.url,
                clock=Clock(lambda: waits.now, waits.sleep),
                retry_policy=retry_policy or RetryPolicy(attempts=4),
            ),
            server,
            waits,
        )


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 524, RESET])
def test_a_read_is_tried_again(status: int) -> None:
    """What may pass by itself costs a wait and a second request, and no error."""
    with scripted(Reply(status), Reply()) as (client, server, waits):
        assert client.page("get_lists").data == []
        assert len(server.seen) == 2
        assert sum(waits) > 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    """The same request would be refused again."""
    with scripted(Reply(status, REFUSAL)) as (client, server, _), pytest.raises(errors.Refused):
        client.page("get_lists")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "body", [CHALLENGE, b"", b"[]", b"{}", b'{"message":"Forbidden"}', b'{"errors":[]}', b"Access denied \xff"]
)
def test_a_403_that_is_not_klaviyos_is_tried_again(body: bytes) -> None:
    """It says nothing about the key; it did not reach Klaviyo, so that a write is sent again, too; and it may last."""
    challenge = Reply(403, body, {"content-type": "text/html"})
    with scripted(challenge, challenge, Reply()) as (client, server, waits):
        assert client.page("get_lists").data == []
        assert (len(server.seen), len(waits)) == (3, 2)
    with scripted(challenge, Reply(201)) as (client, server, _):
        client.call("create_list", body={})
        assert len(server.seen) == 2
    with scripted(challenge) as (client, server, _):
        with pytest.raises(errors.Blocked, match="proxy or firewall") as caught:
            client.page("get_lists")
        assert len(server.seen) == 4
        assert not caught.value.may_have_succeeded
        assert "scope" not in str(caught.value)


def test_a_challenge_that_names_its_time_is_waited_for() -> None:
    """As with a 503."""
    challenge = Reply(403, CHALLENGE, {"retry-after": "7"})
    with scripted(challenge, Reply()) as (client, _, waits):
        client.page("get_lists")
    assert waits == [7]


def test_attempts_are_bounded() -> None:
    """After the last attempt the error says what came."""
    with scripted(Reply(503)) as (client, server, waits), pytest.raises(errors.ServerFault, match="503"):
        client.page("get_lists")
    assert len(server.seen) == 4
    assert waits == sorted(waits)


def test_retry_after_is_obeyed_or_not_waited_for() -> None:
    """Klaviyo's own number of seconds is kept whole; a call that has no time for it ends, and sends nothing sooner."""
    script = (Reply(429, headers={"retry-after": "7"}), Reply(429, headers={"retry-after": "9999"}), Reply())
    with scripted(*script, retry_policy=RetryPolicy(timeout=50, max_wait=30)) as (client, server, waits):
        with pytest.raises(errors.Throttled, match="for 9999 s"):
            client.page("get_lists")
        with pytest.raises(errors.Throttled):
            client.acquire("get_lists", {})
        assert waits == [7]
        assert len(server.seen) == 2
        waits.now += 9999
        client.page("get_lists")


def test_a_pause_longer_than_our_own_is_waited_out() -> None:
    """`max_wait` bounds the waits that we choose, not those that Klaviyo asks for."""
    with scripted(Reply(429, headers={"retry-after": "300"}), Reply()) as (client, _, waits):
        client.page("get_lists")
    assert waits == [300]


@pytest.mark.parametrize(("status", "seconds"), [(429, ["7.0"]), (503, ["7.0"])])
def test_the_log_says_how_long_a_wait_is(status: int, seconds: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """A wait is logged before it begins, with its true length, and once."""
    with scripted(Reply(status, headers={"retry-after": "7"}), Reply()) as (client, _, waits):
        client.page("get_lists")
    assert re.findall(r"trying again in ([\d.]+) s", caplog.text) == seconds
    assert sum(waits) == 7


def test_the_log_has_the_rate_limiters_wait_too(caplog: pytest.LogCaptureFixture) -> None:
    """After a fault of half a second the minute may have no room: the logged waits add up to the real ones."""
    with scripted(Reply(), Reply(), Reply(503), Reply()) as (client, _, waits):
        for _ in range(3):
            client.page("get_tags")
    logged = [float(seconds) for seconds in re.findall(r"trying again in ([\d.]+) s", caplog.text)]
    assert sum(logged) == pytest.approx(sum(waits[-len(logged) :]), abs=0.1)


@pytest.mark.parametrize("status", [300, 304, 306])
def test_what_is_neither_done_nor_refused_is_no_success(status: int) -> None:
    """A write that a proxy answered so was not done, and no success may be reported for it."""
    with scripted(Reply(status, b"")) as (client, server, _):
        with pytest.raises(errors.BadRequest, match="api_url"):
            client.call("bulk_create_events", body={})
        with pytest.raises(errors.BadRequest, match="api_url"):
            client.page("get_lists")
        assert len(server.seen) == 2


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"data": {}}'])
def test_a_success_without_what_was_made_is_no_usable_answer(body: bytes) -> None:
    """The error names the operation that gave no id."""
    with scripted(Reply(202, body)) as (client, _, _):
        reply = client.call("bulk_import_profiles", body={})
        with pytest.raises(errors.BadDocument, match="bulk_import_profiles"):
            _ = reply.resource


def test_a_503_that_names_a_time_closes_the_operation_for_every_thread() -> None:
    """The next call does not have to meet a 503 of its own."""
    with scripted(Reply(503, headers={"retry-after": "7"}), Reply(), retry_policy=RetryPolicy(attempts=1)) as (
        client,
        _,
        waits,
    ):
        with pytest.raises(errors.ServerFault):
            client.page("get_lists")
        client.page("get_lists")
    assert sum(waits) == 7


def test_each_hop_of_a_redirect_is_a_request() -> None:
    """It waits for the limits and is counted, for the server counts it."""
    hop = Reply(302, headers={"location": "/api/tags"})
    with scripted(hop, hop, Reply()) as (client, server, waits):
        client.page("get_tags")
        assert len(server.seen) == client.usage()["get_tags"].requests == 3
    assert sum(waits) >= 1  # two a second


def test_a_429_after_a_redirect_closes_the_operation() -> None:
    """The operation's own address is not requested sooner, either."""
    script = (Reply(302, headers={"location": "/api/x"}), Reply(429, headers={"retry-after": "7"}), Reply())
    with scripted(*script) as (client, server, waits):
        client.page("get_lists")
        assert len(server.seen) == client.usage()["get_lists"].requests == 3
    assert sum(waits) == 7


@pytest.mark.parametrize(("status", "waited"), [(429, 14), (503, 14), (RESET, None)])
def test_a_permit_lets_one_request_out_only(status: int, waited: float | None) -> None:
    """A repetition waits for the rate limits, or for Retry-After, and is counted like any other request."""
    fault = Reply(status, headers={"retry-after": "7"})
    with scripted(fault, fault, Reply()) as (client, server, waits):
        permit = client.acquire("get_lists", {})
        client.raw_page("get_lists", path={}, query={}, permit=permit)
    assert len(server.seen) == client.usage()["get_lists"].requests == 3
    assert waited is None or sum(waits) == waited


def test_a_fault_of_the_server_may_name_its_time_too() -> None:
    """Retry-After counts with a 503 as with a 429."""
    with scripted(Reply(503, headers={"retry-after": "11"}), Reply()) as (client, _, waits):
        client.page("get_lists")
    assert waits == [11]


def test_a_429_that_names_no_time_is_waited_for_longer_and_longer() -> None:
    """Without Retry-After the waits grow from try to try, as after any other fault."""
    with scripted(Reply(429), retry_policy=RetryPolicy(timeout=20)) as (client, server, waits):
        with pytest.raises(errors.Throttled):
            client.page("get_lists")
        assert 5 <= len(server.seen) <= 8
        assert sum(waits) >= 20


def test_only_time_ends_a_storm_of_429() -> None:
    """Others use the account's limits up: that is no fault of the request, however often it is refused."""
    storm = [Reply(429, headers={"retry-after": "1"})] * 10
    with scripted(*storm, Reply(), retry_policy=RetryPolicy(attempts=2)) as (client, _, waits):
        assert client.page("get_lists").data == []
        assert sum(waits) >= 10
    with scripted(*storm, Reply(503), retry_policy=RetryPolicy(attempts=2)) as (client, server, _):
        with pytest.raises(errors.ServerFault):
            client.page("get_lists")
        assert len(server.seen) == 12


def test_time_is_bounded() -> None:
    """No attempt is begun after the time that a call may take, however many attempts were left."""
    with scripted(Reply(503), retry_policy=RetryPolicy(attempts=50, timeout=0)) as (client, server, _):
        with pytest.raises(errors.ServerFault):
            client.page("get_lists")
        assert len(server.seen) == 1


def test_limits_that_an_answer_announces_are_kept_from_then_on() -> None:
    """An account with less than the specification says gets no more requests than its own answers allow."""
    with scripted(Reply(headers={"ratelimit-limit": "2, 2;w=1, 3;w=60"})) as (client, _, waits):
        for _ in range(4):
            client.page("get_lists")
    # Nine tenths of them: one a second, and 2.7 a minute, which are three in 66.7 seconds.
    assert waits == pytest.approx([1, 1, 64.667], abs=0.001)


def test_a_429_stops_its_own_operation_only() -> None:
    """Klaviyo counts each operation by itself, so the others go on."""
    script = (Reply(429, headers={"retry-after": "7"}), Reply())
    with scripted(*script, retry_policy=RetryPolicy(timeout=0)) as (client, _, waits):
        with pytest.raises(errors.Throttled):
            client.page("get_lists")
        client.page("get_metrics")
        assert waits == []
        client.page("get_lists")
        assert waits == [7]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 524, RESET])
def test_a_write_that_may_be_done_is_not_sent_twice(status: int) -> None:
    """Unless doing it twice is the same as once."""
    body = {"data": {"type": "list", "attributes": {"name": "x"}}}
    with scripted(Reply(status), Reply(201)) as (client, server, _), pytest.raises(errors.Unavailable) as caught:
        client.call("create_list", body=body)
    assert len(server.seen) == 1
    assert caught.value.may_have_succeeded

    with scripted(Reply(status), Reply(201)) as (client, server, _):
        client.call("bulk_import_profiles", body=body, idempotent=True)
    assert len(server.seen) == 2


def test_a_write_that_is_certainly_not_done_is_sent_again() -> None:
    """A 429 was not carried out, whatever the operation."""
    with scripted(Reply(429, headers={"retry-after": "1"}), Reply(201)) as (client, server, _):
        client.call("create_list", body={"data": {}})
    assert len(server.seen) == 2


def test_an_unreachable_host_is_reported_without_the_url_of_the_request() -> None:
    """Nobody listens: no request was sent, so even a write may be tried again; the filter's address stays out."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        waits = Waits()
        client = KlaviyoClient(
            api_key="pk_test",
            api_url=url,
            clock=Clock(lambda: waits.now, waits.sleep),
            retry_policy=RetryPolicy(attempts=3),
        )
        # Bound until then, so that nobody else listens there meanwhile.
        with pytest.raises(errors.ConnectionFault, match="cannot be reached") as caught:
            client.call("create_list", query={"filter": 'equals(email,"ada@example.com")'}, body={})
    assert not caught.value.may_have_succeeded
    assert len(waits) == 2
    assert "ada@" not in str(caught.value)


def test_a_truncated_answer_is_read_again() -> None:
    """Half a page is no page."""
    whole = json.dumps({"data": [{"type": "list", "id": "L"}]}).encode()
    script = (
        Reply(body=whole[:9], headers={"content-length": str(len(whole))}),
        Reply(body=whole[:9]),
        Reply(body=whole),
    )
    with scripted(*script) as (client, server, _):
        assert client.page("get_lists").data == [{"type": "list", "id": "L"}]
    assert len(server.seen) == 3


def test_the_key_never_follows_a_redirect_to_another_origin() -> None:
    """The other server sees no request at all."""
    with Server([Reply()]) as elsewhere:
        script = Reply(302, headers={"location": f"{elsewhere.url}/api/lists"})
        with scripted(script) as (client, _, _), pytest.raises(errors.UntrustedOrigin):
            client.page("get_lists")
        assert elsewhere.seen == []


def test_the_key_never_follows_an_address_with_two_readings() -> None:
    """`http://them\\@us/` is our host to one parser and theirs to another: no redirect and no next link goes there."""
    with Server([Reply()]) as elsewhere, scripted(Reply(302)) as (client, server, _):
        forged = f"{elsewhere.url}\\@{client.api_url.removeprefix('http://')}/api/lists"
        server.script = [Reply(302, headers={"location": forged})]
        with pytest.raises(errors.UntrustedOrigin):
            client.page("get_lists")
        with pytest.raises(errors.UntrustedOrigin):
            client.next_page("get_lists", forged)
        server.script = [Reply(body=json.dumps({"data": [], "links": {"next": forged}}).encode())]
        with pytest.raises(errors.UntrustedOrigin):
            list(client.pages("get_lists"))
        assert elsewhere.seen == []


@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:99999/", "mailto:x", "//"])
def test_a_broken_redirect_is_refused(location: str) -> None:
    """An address that cannot be read is one of our errors, at once, not one of a library's."""
    with scripted(Reply(302, headers={"location": location})) as (client, server, _):
        with pytest.raises((errors.UntrustedOrigin, errors.BadRequest)):
            client.page("get_lists")
        assert len(server.seen) <= 4


def test_redirects_in_a_circle_end() -> None:
    """A read follows a few redirects and then says what to look at."""
    with scripted(Reply(302, headers={"location": "/api/lists"})) as (client, server, _):
        with pytest.raises(errors.BadRequest, match="check api_url"):
            client.page("get_lists")
        assert len(server.seen) == 4


def test_a_redirect_at_home_is_followed_for_a_read_only() -> None:
    """A read goes where it is sent, a write is not repeated elsewhere."""
    with scripted(Reply(301, headers={"location": "/api/lists/"}), Reply()) as (client, server, _):
        client.page("get_lists", query={"page[size]": "10"})
    assert [path for _, path, _ in server.seen] == ["/api/lists?page%5Bsize%5D=10", "/api/lists/?page%5Bsize%5D=10"]

    with scripted(Reply(307, headers={"location": "/api/x"})) as (client, server, _), pytest.raises(errors.BadRequest):
        client.call("create_list", body={}, idempotent=True)
    assert len(server.seen) == 1


def test_a_netrc_cannot_replace_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`requests` would let an entry for the host win over a plain header."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted(Reply()) as (client, server, _):
        client.page("get_lists")
    assert server.seen[0][2]["authorization"] == "Klaviyo-API-Key pk_test"


def test_a_following_page_keeps_the_stricter_limits() -> None:
    """The next link repeats the query, and with it the reduced limit: 10 a second instead of 75."""
    name = "additional-fields[profile]"
    with scripted(Reply()) as (client, _, waits):
        for _ in range(6):
            client.page("get_profiles", query={name: "predictive_analytics"})
            client.next_page(
                "get_profiles", f"{client.api_url}/api/profiles?{name}=predictive_analytics&page[cursor]=x"
            )
    assert sum(waits) >= 1


def test_answers_that_are_no_documents() -> None:
    """HTML from a proxy is a fault that may pass; an empty 202 is a success without a document."""
    with requests_mock.Mocker() as mocked:
        waits = Waits()
        client = KlaviyoClient(
            api_key="pk_test", clock=Clock(lambda: waits.now, waits.sleep), retry_policy=RetryPolicy(attempts=2)
        )
        mocked.get("https://a.klaviyo.com/api/lists", text="<html>")
        with pytest.raises(errors.BadDocument):
            client.page("get_lists")
        headers = {"X-Klaviyo-Partial-Failure": "phone_number"}
        mocked.post("https://a.klaviyo.com/api/events", status_code=202, headers=headers)
        reply = client.call("create_event", body={})
        assert (reply.status, reply.document, reply.partial_failure) == (202, None, "phone_number")
        assert mocked.call_count == 3
