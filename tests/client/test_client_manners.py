"""Whoever is asked to slow down does: judged by what arrived at the server, for every way of asking."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.fast_clock import fast_clock
from support.manners import breaches
from support.oauth_app import client_app, sandbox_app
from support.other_client import OtherClient
from support.patience import until
from support.threads import run_at_once

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.retries import Patience
from klaviyo_client.queries import answers
from klaviyo_sandbox.http.quotas import MINUTE, SECOND
from klaviyo_sandbox.http.request_log import Asked
from klaviyo_sandbox.server import RunningSandbox

Make = Callable[..., RunningSandbox]
# A minute of the account in less than a second of ours.
QUICK = 100.0
NOBODY = "0" * 26


def page(client: KlaviyoClient) -> None:
    """As the tap reads: a turn first, then the page."""
    turn = client.turn("get_profiles", {})
    client.raw_page("get_profiles", path={}, query={}, turn=turn)


def reduced_page(client: KlaviyoClient) -> None:
    client.page("get_profiles", query={"additional-fields[profile]": "predictive_analytics"})


def look_up(client: KlaviyoClient) -> None:
    with contextlib.suppress(errors.NotFound):
        client.call("get_list", path={"id": "ABC123"})


def query(client: KlaviyoClient) -> None:
    """A read by POST, of a metric that is not there."""
    asked = {"metric_id": "ABC123", "measurements": ["count"], "filter": []}
    with contextlib.suppress(errors.Refused):
        list(answers(client, "query_metric_aggregates", asked))


def post(client: KlaviyoClient) -> None:
    client.call("create_list", body={"data": {"type": "list", "attributes": {"name": "New"}}})


def poll(client: KlaviyoClient) -> None:
    with contextlib.suppress(errors.NotFound):
        client.call("get_bulk_import_profiles_job", path={"job_id": NOBODY})


WAYS: Mapping[str, tuple[str, Callable[[KlaviyoClient], None]]] = {
    "page": ("get_profiles", page),
    "reduced page": ("get_profiles", reduced_page),
    "look-up": ("get_list", look_up),
    "query": ("query_metric_aggregates", query),
    "POST": ("create_list", post),
    "job poll": ("get_bulk_import_profiles_job", poll),
}


def measured(make: Make, way: str, concurrency: int, pause: int, speed: float) -> list[Asked]:
    """What arrives when many threads ask in one way and another client spends the same budget meanwhile.

    Args:
        make: starts the sandbox.
        way: of ``WAYS``.
        concurrency: how many threads.
        pause: the Retry-After that they meet: 1, of the second's window, or some 10, of the minute's.
        speed: of the account and of the client.
    """
    name, ask = WAYS[way]
    began, start = time.time(), 1_780_000_020 + (MINUTE - pause if pause > 1 else 0)
    sandbox = make(profiles=30, events=0, speed=speed, clock=lambda: start + time.time() - began)
    OtherClient(sandbox.control.life.quotas, SECOND if pause == 1 else MINUTE, 3 if pause == 1 else 1)
    client = KlaviyoClient("pk_test", sandbox.url, clock=fast_clock(speed), patience=Patience(seconds=600 * speed))
    rounds = max(1, 40 // concurrency)
    run_at_once(concurrency, lambda: [ask(client) for _ in range(rounds)])
    log = [asked for asked in sandbox.requests if asked.operation == name]
    assert len(log) == sum(spent.requests for spent in client.spent().values())
    return log


@pytest.mark.parametrize("pause", [1, 10])
@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_asking_hammers_an_account(make_sandbox: Make, way: str, concurrency: int, pause: int) -> None:
    """No request comes before the Retry-After of the last 429 is over, and each that comes is in our own count."""
    log = measured(make_sandbox, way, concurrency, pause, QUICK)
    assert [asked for asked in log if asked.status == 429]
    assert breaches(log, concurrency - 1) == []


@pytest.mark.exhaustive
def test_no_way_of_asking_hammers_an_account_in_real_seconds(make_sandbox: Make) -> None:
    """The same on the clock that Klaviyo has; accounts side by side, for almost all of it is waiting."""
    cases = [(way, concurrency, pause) for way in WAYS for concurrency in (1, 64) for pause in (1, 10)]
    cases = [case for case in cases if case[:2] != ("query", 64)]  # which takes a minute and a half

    with ThreadPoolExecutor(len(cases)) as side_by_side:
        logs = list(side_by_side.map(lambda case: measured(make_sandbox, *case, 1.0), cases))

    for (way, concurrency, pause), log in zip(cases, logs, strict=True):
        refused = sum(asked.status == 429 for asked in log)
        print(f"{way}, {concurrency} at once, Retry-After {pause}: {len(log)} requests, {refused} refused")
        assert refused
        assert breaches(log, concurrency - 1) == [], (way, concurrency, pause)


@pytest.mark.parametrize("concurrency", [1, 64])
def test_the_token_endpoint_is_not_hammered(make_sandbox: Make, concurrency: int) -> None:
    """It names a pause: one request follows when that is over, however many threads wait for a token."""
    storm = "429=1,storm=4"
    sandbox = make_sandbox(profiles=3, events=0, speed=QUICK, oauth=sandbox_app(), faults=storm, limits=False)
    patience = Patience(seconds=600 * QUICK, attempts=20)
    client = KlaviyoClient(app=client_app(), api_url=sandbox.url, clock=fast_clock(QUICK), patience=patience)
    calm = threading.Thread(
        target=lambda: (until(lambda: len(sandbox.requests) >= 6), sandbox.control.change(faults=""))
    )
    calm.start()
    run_at_once(concurrency, lambda: client.call("get_accounts"))
    calm.join()
    signing = [asked for asked in sandbox.requests if asked.operation == "oauth_token"]
    assert len(signing) == client.spent()["oauth_token"].requests >= 6
    assert breaches(signing) == []
    assert sum(found.requests for found in client.spent().values()) == len(sandbox.requests)


def test_a_judge_sees_a_client_that_does_not_wait() -> None:
    """What came within a pause is a breach, but for as many requests as could be under way when it was told."""

    def asked(at: float, status: int = 200, pause: int | None = None, seconds: float = 0.1) -> Asked:
        return Asked("GET", "/api/lists", {}, status, None, at, seconds, "get_lists", 0, pause)

    refused = asked(10.0, 429, 5)
    assert breaches([asked(9.0), refused, asked(15.2), asked(10.05)]) == []
    assert breaches([refused, asked(11.1), asked(12.1)], 2) == []
    assert [round(breach.at) for breach in breaches([refused, asked(11.1), asked(12.1)], 1)] == [12]
    # Those that are refused meanwhile make it longer, and it stays one pause.
    longer = [refused, asked(12.1, 429, 5), asked(16.1, 429, 5), asked(18.1)]
    assert len(breaches(longer, 1)) == 2
    # Another operation, a 429 that names no time, and a new pause are judged by themselves.
    other = Asked("GET", "/api/flows", {}, 200, None, 11.0, 0.1, "get_flows")
    assert breaches([refused, other, asked(15.2, 429), asked(15.4, 429, 1), asked(16.5), asked(16.6)], 0) == []
