"""The client keeps to every Retry-After: judged by what arrived at the server, for each kind of request."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.fast_clock import fast_clock
from support.oauth_app import client_app, sandbox_app
from support.other_client import OtherClient
from support.patience import until
from support.threads import run_at_once

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_client.queries import query_pages
from klaviyo_sandbox.http.quotas import MINUTE, SECOND
from klaviyo_sandbox.http.request_log import LoggedRequest
from klaviyo_sandbox.manners.judge import Breach
from klaviyo_sandbox.server import RunningSandbox

Make = Callable[..., RunningSandbox]
# A minute of the account in less than a second of ours.
QUICK = 100.0
UNUSED_ID = "0" * 26


def page(client: KlaviyoClient) -> None:
    """As the tap reads: a permit first, then the page."""
    permit = client.acquire("get_profiles", {})
    client.raw_page("get_profiles", path={}, query={}, permit=permit)


def reduced_page(client: KlaviyoClient) -> None:
    client.page("get_profiles", query={"additional-fields[profile]": "predictive_analytics"})


def look_up(client: KlaviyoClient) -> None:
    with contextlib.suppress(errors.NotFound):
        client.call("get_list", path={"id": "ABC123"})


def read_by_post(client: KlaviyoClient) -> None:
    """A read by POST, of a metric that is not there."""
    attributes = {"metric_id": "ABC123", "measurements": ["count"], "filter": []}
    with contextlib.suppress(errors.Refused):
        list(query_pages(client, "query_metric_aggregates", attributes))


def post(client: KlaviyoClient) -> None:
    client.call("create_list", body={"data": {"type": "list", "attributes": {"name": "New"}}})


def poll(client: KlaviyoClient) -> None:
    with contextlib.suppress(errors.NotFound):
        client.call("get_bulk_import_profiles_job", path={"job_id": UNUSED_ID})


KINDS: Mapping[str, tuple[str, Callable[[KlaviyoClient], None]]] = {
    "page": ("get_profiles", page),
    "reduced page": ("get_profiles", reduced_page),
    "look-up": ("get_list", look_up),
    "query": ("query_metric_aggregates", read_by_post),
    "POST": ("create_list", post),
    "job poll": ("get_bulk_import_profiles_job", poll),
}


def run_beside_another(
    make: Make, kind: str, concurrency: int, pause: int, speed: float
) -> tuple[list[LoggedRequest], list[Breach]]:
    """What arrives when many threads send one kind of request, and another client uses the same limit meanwhile.

    Besides, the breaches of manners that the sandbox has found.

    Args:
        make: starts the sandbox.
        kind: of ``KINDS``.
        concurrency: how many threads.
        pause: the Retry-After that they get: 1, of the second's window, or some 10, of the minute's.
        speed: of the account and of the client.
    """
    name, send = KINDS[kind]
    began, start = time.time(), 1_780_000_020 + (MINUTE - pause if pause > 1 else 0)
    sandbox = make(profiles=30, events=0, speed=speed, clock=lambda: start + time.time() - began, in_flight=concurrency)
    OtherClient(sandbox.control.current.quotas, SECOND if pause == 1 else MINUTE, 3 if pause == 1 else 1)
    client = KlaviyoClient(
        "pk_test", sandbox.url, clock=fast_clock(speed), retry_policy=RetryPolicy(timeout=600 * speed)
    )
    rounds = max(1, 40 // concurrency)
    run_at_once(concurrency, lambda: [send(client) for _ in range(rounds)])
    log = [request for request in sandbox.requests if request.operation == name]
    assert len(log) == sum(usage.requests for usage in client.usage().values())
    return log, sandbox.control.breaches()


@pytest.mark.parametrize("pause", [1, 10])
@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_request_hammers_an_account(make_sandbox: Make, kind: str, concurrency: int, pause: int) -> None:
    """No request comes before the Retry-After of the last 429 is over, and each that comes is in our own count."""
    log, breaches = run_beside_another(make_sandbox, kind, concurrency, pause, QUICK)
    assert [request for request in log if request.status == 429]
    assert breaches == []


@pytest.mark.exhaustive
def test_no_kind_of_request_hammers_an_account_in_real_seconds(make_sandbox: Make) -> None:
    """The same on the clock that Klaviyo has; accounts side by side, for almost all of it is waiting."""
    cases = [(kind, concurrency, pause) for kind in KINDS for concurrency in (1, 64) for pause in (1, 10)]
    cases = [case for case in cases if case[:2] != ("query", 64)]  # which takes a minute and a half

    with ThreadPoolExecutor(len(cases)) as side_by_side:
        seen = list(side_by_side.map(lambda case: run_beside_another(make_sandbox, *case, 1.0), cases))

    for (kind, concurrency, pause), (log, breaches) in zip(cases, seen, strict=True):
        refused = sum(request.status == 429 for request in log)
        print(f"{kind}, {concurrency} at once, Retry-After {pause}: {len(log)} requests, {refused} refused")
        assert refused
        assert breaches == [], (kind, concurrency, pause)


@pytest.mark.parametrize("concurrency", [1, 64])
def test_the_token_endpoint_is_not_hammered(make_sandbox: Make, concurrency: int) -> None:
    """It names a pause: one request follows when that is over, however many threads wait for a token."""
    sandbox = make_sandbox(
        profiles=3, events=0, speed=QUICK, oauth=sandbox_app(), faults="429=1", limits=False, in_flight=1
    )
    retry_policy = RetryPolicy(timeout=600 * QUICK, attempts=20)
    client = KlaviyoClient(app=client_app(), api_url=sandbox.url, clock=fast_clock(QUICK), retry_policy=retry_policy)
    calm = threading.Thread(
        target=lambda: (until(lambda: len(sandbox.requests) >= 6), sandbox.control.change(faults=""))
    )
    calm.start()
    run_at_once(concurrency, lambda: client.call("get_accounts"))
    calm.join()
    signing = [request for request in sandbox.requests if request.operation == "oauth_token"]
    assert len(signing) == client.usage()["oauth_token"].requests >= 6
    assert sandbox.control.breaches() == []
    assert sum(usage.requests for usage in client.usage().values()) == len(sandbox.requests)
