"""Faults on request, as a plain client meets them over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import requests
from support.calls import KEY, REVISION, Caller, outcome
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.http.fault_settings import KINDS, FaultChooser, Faults, parse_faults
from klaviyo_sandbox.http.faults import SCOPE_KEY, FaultMiddleware

PROFILE = {"data": {"type": "profile", "attributes": {"email": "new.person@example.com"}}}


@pytest.fixture
def start_with_faults(make_sandbox):
    """A function that starts a small account with faults, and gives it and a caller of it."""
    callers = []

    def make(text, **arguments):
        sandbox = make_sandbox(profiles=20, events=50, limits=False, faults=text, **arguments)
        callers.append(Caller(sandbox.url))
        return sandbox, callers[-1]

    yield make
    for caller in callers:
        caller.close()


def test_a_429_says_when_to_come_back(start_with_faults):
    """In the shape of the account's own, with Retry-After."""
    _, caller = start_with_faults("429=1")
    answer = caller.get("profiles")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] in ("1", "2")
    assert answer.headers["Content-Type"] == "application/vnd.api+json"
    assert answer.json()["errors"][0]["code"] == "throttled"


@pytest.mark.klaviyo_breaches("early", reason="it looks how long a storm is")
def test_a_storm_lasts_seconds(start_with_faults):
    """Whoever goes on asking gets through it no sooner; whoever waits as long as the 429 says is through."""
    standing = [1_000_000.0]
    sandbox, caller = start_with_faults("429=0.2,storm=5,seed=3", clock=lambda: standing[0])
    while outcome(caller, "metrics") != 429:
        pass
    assert [outcome(caller, path) for path in ("metrics", "lists", "profiles") * 20] == [429] * 60
    standing[0] += 1.5
    assert caller.get("metrics").headers["Retry-After"] == "4"
    sandbox.control.change(faults=sandbox.control.settings["faults"].replace("0.2", "0.0"))
    assert outcome(caller, "metrics") == 200


def test_a_storm_is_over_when_it_said_so():
    """To the fraction of a second, and after it the next request is drawn for as any other."""
    chooser = FaultChooser(parse_faults("429=0.5,storm=2.5,seed=2"), 1)
    now = 0.0
    while chooser.choose(now) is None:
        now += 10
    assert [chooser.choose(now + after).retry_after for after in (0, 0.5, 1.6, 2.49)] == [3, 2, 1, 1]
    assert {chooser.choose(now + after) is None for after in range(3, 300, 3)} == {True, False}


def test_a_503_comes_from_the_account_or_from_a_proxy(start_with_faults):
    """As JSON or HTML, with or without Retry-After, on connections that stay usable."""
    _, caller = start_with_faults("503=1")
    seen = set()
    for _ in range(40):
        answer = caller.post("profile-import", PROFILE)
        assert answer.status_code == 503
        html = answer.headers["Content-Type"] == "text/html"
        assert "503" in answer.text if html else answer.json()["errors"][0]["status"] == 503
        seen.add((html, answer.headers.get("Retry-After")))
    assert seen == {(html, after) for html in (True, False) for after in (None, "1")}


def test_a_reset_comes_before_any_answer(start_with_faults):
    """The connection is aborted, and the next one is served or aborted in its turn."""
    sandbox, caller = start_with_faults("reset=0.5")
    seen = Counter(outcome(caller) for _ in range(30))
    assert seen.keys() == {200, "ConnectionError"}
    assert Counter(request.fault for request in sandbox.requests) == {None: seen[200], "reset": seen["ConnectionError"]}


def test_a_reset_is_a_reset(start_with_faults):
    """RST, which is another error than a connection that was closed in peace."""
    _, caller = start_with_faults("reset=1")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        caller.get("profiles")


@pytest.mark.parametrize("kind", ["reset", "truncate"])
def test_a_client_that_is_gone_already_is_no_trouble(kind):
    """Nothing is left to break then, and the sandbox has nothing to say about it."""
    closed = socket.create_server(("127.0.0.1", 0))
    closed.close()

    class Gone:
        """As uvicorn's own, once the client hung up."""

        transport = SimpleNamespace(
            is_closing=lambda: True, abort=lambda: None, close=lambda: None, get_extra_info=lambda _: closed
        )

        async def send(self, message):
            pass

    messages = iter([{"type": "http.request", "body": b""}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    asyncio.run(FaultMiddleware(app, parse_faults(f"{kind}=1"), 1, lambda *logged: None)(scope, receive, Gone().send))
    assert scope[SCOPE_KEY] == kind
    assert list(messages) == []  # it waited until the client was gone


def test_a_truncated_answer_announces_more_than_it_sends(start_with_faults):
    """Headers and Content-Length are those of the whole body; `requests` takes it for broken off."""
    _, caller = start_with_faults("truncate=1")
    for _ in range(10):
        answer = caller.session.get(f"{caller.url}/api/profiles", stream=True)
        length = int(answer.headers["Content-Length"])
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            assert len(answer.content) == length


def test_a_stalled_answer_comes_late_and_whole(start_with_faults):
    """After `stall_seconds`, and nothing is missing."""
    _, caller = start_with_faults("stall=1,stall_seconds=0.4")
    before = time.monotonic()
    answer = caller.get("profiles")
    # At least: no machine is too slow for that.
    assert time.monotonic() - before >= 0.4
    assert len(answer.json()["data"]) == 20


@pytest.mark.parametrize("kind", ["503", "reset", "truncate"])
def test_a_write_may_be_done_although_its_answer_is_lost(start_with_faults, kind):
    """Some of the writes that fail were carried out, some were not; `requests` of the sandbox tells which."""
    sandbox, caller = start_with_faults(f"{kind}=1")
    for number in range(12):
        body = {"data": {"type": "profile", "attributes": {"email": f"person{number}@example.com"}}}
        try:
            assert caller.post("profile-import", body).status_code == 503
        except requests.RequestException:
            assert kind != "503"
    emails = {row["email"] for row in sandbox.store.profiles.rows.values()}
    done = [f"person{number}@example.com" in emails for number in range(12)]
    assert [request.status in (200, 201) for request in sandbox.requests] == done
    assert {request.fault for request in sandbox.requests} == {kind}
    assert set(done) == {True, False}


def test_the_same_seed_gives_the_same_faults():
    """Order, kinds and details: of the account's seed, or of one that the text gives."""
    faults = parse_faults(",".join(f"{kind}=0.05" for kind in KINDS))

    def choose_faults(seed, config=faults):
        chooser = FaultChooser(config, seed)
        return [chooser.choose(0.0) for _ in range(300)]

    assert choose_faults(1) == choose_faults(1)
    assert choose_faults(1) != choose_faults(2)
    assert {fault.kind for fault in choose_faults(1) if fault} == set(KINDS)
    own = Faults(faults.rates, seed=5)
    assert choose_faults(1, own) == choose_faults(2, own)


@pytest.mark.klaviyo_breaches("early", reason="it looks which requests are refused")
def test_a_failure_can_be_replayed(start_with_faults):
    """Two accounts of one seed answer one row of requests alike."""
    text = "429=0.2,503=0.2,reset=0.1,truncate=0.1"
    first, second = (
        [outcome(caller) for _ in range(40)] for caller in (start_with_faults(text)[1], start_with_faults(text)[1])
    )
    assert first == second
    assert len(set(first)) == 5


def test_a_faulty_answer_is_no_exchange():
    """Who checks what the account answers is not shown what a fault made of it."""
    seen = []
    with serve(profiles=20, events=0, limits=False, faults="503=0.3,truncate=0.3", observer=seen.append) as sandbox:
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        for _ in range(30):
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{sandbox.url}/api/profiles", headers=headers, timeout=PATIENCE)
        assert {exchange.status for exchange in seen} == {200}
        assert len(seen) == sum(request.fault is None for request in sandbox.requests) < 30


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("503", "503 must be a number from 0 to 1, not ''"),
        ("503=often", "503 must be a number from 0 to 1, not 'often'"),
        ("reset=1.5", "reset must be a number from 0 to 1, not '1.5'"),
        ("reset=-0.1", "reset must be a number from 0 to 1"),
        ("truncate=nan", "truncate must be a number from 0 to 1"),
        ("429=0.6,503=0.6", "the rates add up to more than 1"),
        ("429=0.1,429=0.2", "429 is given twice"),
        (
            "418=0.1",
            f"unknown name '418' (known: {', '.join(KINDS)}, storm, stall_seconds, trickle_seconds, huge_megabytes, ",
        ),
        ("429=0.1,storm=-1", "storm must be a number from 0 on, not '-1'"),
        ("429=0.1,storm=nan", "storm must be a number from 0 on, not 'nan'"),
        ("other_app=1", "other_app must be a number from 0 to less than 1, not '1'"),
        ("huge=1,huge_megabytes=5000", "huge_megabytes must be a number from 0 to less than 4096, not '5000'"),
        ("429=1,seed=1.5", "seed must be a whole number from 0 on, not '1.5'"),
        ("refuse=get_lists:200", "refuse names operations as get_lists or get_lists:503 does, not 'get_lists:200'"),
        ("refuse=get_lists:429", "refuse names operations as get_lists or get_lists:503 does"),
        ("refuse=get_tables", "refuse names 'get_tables', and no such operation is served"),
        ("stall=0.1,stall_seconds=inf", "stall_seconds must be a number from 0 on, not 'inf'"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, reason):
    """With one line that says what is wrong."""
    with pytest.raises(ValueError, match=r"^faults: ") as refused:
        parse_faults(text)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_text_is_no_fault():
    """And spaces do not matter."""
    assert parse_faults("") == Faults()
    assert parse_faults(" 429 = 0.5 , storm=2") == Faults({"429": 0.5}, storm=2)
    assert parse_faults("refuse= get_lists + get_tags:403") == Faults(refuse={"get_lists": 500, "get_tags": 403})
