"""The sandbox judges its clients: what it lists as a breach of manners, and what it does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from support.calls import KEY, REVISION, Caller
from support.other_client import OtherClient
from support.patience import PATIENCE
from support.threads import run_at_once

from klaviyo_sandbox.http.quotas import SECOND
from klaviyo_sandbox.manners.judge import KINDS, Judge, JudgedRequest
from klaviyo_sandbox.manners.writes import doubles_when_repeated
from klaviyo_sandbox.server import RunningSandbox, serve

pytestmark = pytest.mark.klaviyo_breaches(reason="they are what is tested")
HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION, "Content-Type": "application/json"}
Make = Callable[..., RunningSandbox]


def kinds(sandbox: RunningSandbox) -> list[str]:
    return [breach.kind for breach in sandbox.control.breaches()]


@pytest.fixture
def standing(make_sandbox: Make) -> RunningSandbox:
    """An account in the middle of a second, which ends when a test says so."""
    return make_sandbox(profiles=5, events=5, clock=lambda: 1_800_000_000.5)


@pytest.fixture
def ask(standing: RunningSandbox) -> Iterator[Caller]:
    """One client, which asks on one connection."""
    caller = Caller(standing.url)
    yield caller
    caller.close()


# Before Retry-After is over -------------------------------------------------------------------------------------------


def test_a_request_before_retry_after_is_over_is_a_breach(standing: RunningSandbox, ask: Caller) -> None:
    """It says what was asked, when, by whom, and how much too early."""
    assert [ask.get("accounts").status_code for _ in range(2)] == [200, 429]
    assert standing.control.breaches() == []
    ask.get("accounts")
    (breach,) = standing.control.breaches()
    assert (breach.kind, breach.operation, breach.method, breach.path) == (
        "early",
        "get_accounts",
        "GET",
        "/api/accounts",
    )
    assert breach.at == 1_800_000_000.5
    assert "0.989 s before" in breach.reason
    assert breach.client.startswith("python-requests/")
    assert KEY not in str(breach)


def test_who_waits_is_well_behaved(standing: RunningSandbox, ask: Caller) -> None:
    """As long as it was told, or a little longer; other operations are asked meanwhile."""
    assert [ask.get("accounts").status_code for _ in range(2)] == [200, 429]
    assert ask.get("lists").status_code == 200
    standing.control.advance(seconds=1)
    assert ask.get("accounts").status_code == 200
    assert standing.control.breaches() == []


def test_each_request_on_a_connection_of_its_own_is_judged_alike(standing: RunningSandbox) -> None:
    """Without a session: a connection that was closed before is no other request under way."""
    for _ in range(5):
        requests.get(f"{standing.url}/api/accounts", headers=HEADERS, timeout=PATIENCE)
    assert kinds(standing) == ["early"] * 3


def test_requests_that_were_on_their_way_are_no_breach(standing: RunningSandbox) -> None:
    """Of ten threads with a connection each, nine may have set out before the 429 came; no tenth one can."""
    callers = [Caller(standing.url) for _ in range(10)]
    for caller in callers:
        assert caller.get("lists").status_code == 200
    for caller in callers:
        caller.get("accounts")
    # The first was let through, the second refused, and eight were on their way: as a ninth could have been.
    assert kinds(standing) == []
    callers[0].get("accounts")
    assert kinds(standing) == []
    callers[1].get("accounts")
    assert kinds(standing) == ["early"]
    for caller in callers:
        caller.close()


def test_who_turns_out_to_have_more_connections_is_excused_afterwards(standing: RunningSandbox) -> None:
    """The first requests of many threads may all come on the connection that is free again."""
    callers = [Caller(standing.url) for _ in range(3)]
    for _ in range(4):
        callers[0].get("accounts")
    assert kinds(standing) == ["early", "early"]
    for caller in callers[1:]:
        caller.get("lists")
    assert kinds(standing) == []
    assert standing.control.current.sandbox.judge.count == 0
    callers[0].get("accounts")
    assert kinds(standing) == ["early"]
    for caller in callers:
        caller.close()


def test_threads_that_begin_at_once_and_are_refused_are_no_breach(standing: RunningSandbox) -> None:
    """The first one's 429 reaches nobody who has asked already."""
    barrier = threading.Barrier(8)

    def ask_once() -> None:
        with requests.Session() as session:
            session.get(f"{standing.url}/api/lists", headers=HEADERS, timeout=PATIENCE)
            barrier.wait()
            session.get(f"{standing.url}/api/accounts", headers=HEADERS, timeout=PATIENCE)
            barrier.wait()

    run_at_once(8, ask_once)
    assert standing.control.breaches() == []


def test_how_many_may_be_under_way_can_be_given(make_sandbox: Make) -> None:
    """Then no connections are counted."""
    sandbox = make_sandbox(profiles=1, events=0, clock=lambda: 1_800_000_000.5, in_flight=4)
    caller = Caller(sandbox.url)
    for _ in range(2 + 4):
        caller.get("accounts")
    assert kinds(sandbox) == ["early"]
    caller.close()


def test_refusals_in_a_pause_make_it_longer_and_excuse_nobody_more(make_sandbox: Make) -> None:
    """Pauses of which one begins in the other are one: a hot loop is seen however many connections it has."""
    sandbox = make_sandbox(profiles=1, events=0, faults="429=1", limits=False, clock=lambda: 1_800_000_000.5)
    with requests.Session() as one, requests.Session() as other:
        for session in (one, other) * 10:
            session.get(f"{sandbox.url}/api/lists", headers=HEADERS, timeout=PATIENCE)
    assert kinds(sandbox) == ["early"] * 18


def test_clients_are_judged_each_by_itself(standing: RunningSandbox) -> None:
    """A 429 to one is unknown to another, which has another key or calls itself something else."""
    others = [{"Authorization": "Klaviyo-API-Key pk_other"}, {"User-Agent": "somebody"}]
    for other in ({}, {}, *others):
        requests.get(f"{standing.url}/api/accounts", headers=HEADERS | other, timeout=PATIENCE)
    assert standing.control.breaches() == []


@pytest.mark.parametrize("speed", [0.01, 1.0, 100.0, 10_000.0])
def test_time_that_is_scaled_is_the_account_s(make_sandbox: Make, speed: float) -> None:
    """Whatever the speed, a pause is over when its seconds have passed for the account, and not before."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(
        profiles=1, events=0, faults="429=1,storm=1", limits=False, clock=lambda: now[0], speed=speed
    )
    caller = Caller(sandbox.url)
    pause = int(caller.get("lists").headers["Retry-After"])
    now[0] += pause / speed
    sandbox.control.change(faults="")
    assert caller.get("lists").status_code == 200
    assert sandbox.control.breaches() == []
    sandbox.control.change(faults="429=1")
    pause = int(caller.get("lists").headers["Retry-After"])
    now[0] += 0.9 * pause / speed
    caller.get("lists")
    assert kinds(sandbox) == ["early"]
    caller.close()


def test_a_pause_is_judged_by_what_arrives_in_it() -> None:
    """Another operation, a 429 that names no time, and a pause that begins when the last is over are others."""

    def breaches(*exchanges: tuple[float, str, int, int | None], in_flight: int = 1) -> list[float]:
        """When the breaches were, where each of these is when, for what, and answered how and with which pause."""
        judge = Judge(in_flight=in_flight)
        for moment, operation, status, pause in exchanges:
            one = request(operation)
            judge.arrive(one, moment)
            judge.complete(one, moment)
            judge.answer(one, status, pause, moment)
            judge.finish(one)
        return [breach.at for breach in judge.breaches()]

    refused = (10.0, "get_lists", 429, 5)
    assert breaches(refused, (15.0, "get_lists", 200, None)) == []
    assert breaches(refused, (11.0, "get_flows", 200, None)) == []
    early = [(11.0, "get_lists", 200, None), (12.0, "get_lists", 200, None)]
    assert breaches(refused, *early, in_flight=3) == []
    assert breaches(refused, *early, in_flight=2) == [12.0]
    longer = [(12.0, "get_lists", 429, 5), (16.0, "get_lists", 429, 5), (18.0, "get_lists", 200, None)]
    assert breaches(refused, *longer, in_flight=2) == [16.0, 18.0]
    nameless = [(15.0, "get_lists", 429, None), (15.1, "get_lists", 429, 1), (16.2, "get_lists", 200, None)]
    assert breaches(refused, *nameless) == []
    again = [(16.0, "get_lists", 429, 5), (17.0, "get_lists", 200, None), (18.0, "get_lists", 200, None)]
    assert breaches(refused, (11.0, "get_lists", 200, None), *again, in_flight=2) == [18.0]


# More than the budget -------------------------------------------------------------------------------------------------


def test_more_than_the_announced_budget_after_a_429_is_a_breach(standing: RunningSandbox, ask: Caller) -> None:
    """Who was refused once knows the budget, and has no reason to find its end by being refused again."""
    assert [ask.get("accounts").status_code for _ in range(2)] == [200, 429]
    standing.control.advance(seconds=1)
    assert [ask.get("accounts").status_code for _ in range(2)] == [200, 429]
    assert kinds(standing) == ["over_budget"]
    assert "number 2 in 1 s that allow 1" in standing.control.breaches()[0].reason


def test_the_budget_before_a_first_429_may_be_tried_out(standing: RunningSandbox, ask: Caller) -> None:
    """It may be announced, but nobody need read that."""
    assert [ask.get("tags").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert standing.control.breaches() == []


def test_the_whole_budget_may_be_spent_after_a_429(standing: RunningSandbox, ask: Caller) -> None:
    """Second by second, until the minute is full."""
    assert [ask.get("tags").status_code for _ in range(4)] == [200, 200, 200, 429]
    for _ in range(10):
        standing.control.advance(seconds=1)
        assert [ask.get("tags").status_code for _ in range(3)] == [200, 200, 200]
    assert standing.control.breaches() == []


def test_requests_that_came_late_are_not_over_the_budget(standing: RunningSandbox, ask: Caller) -> None:
    """In a window that began while nobody paused, one may be left of the last: as many as are under way at once."""
    assert [ask.get("tags").status_code for _ in range(4)] == [200, 200, 200, 429]
    standing.control.advance(seconds=3)
    for _ in range(4):
        ask.get("tags")
    assert standing.control.breaches() == []


def test_what_another_client_spends_is_not_held_against_one(standing: RunningSandbox, ask: Caller) -> None:
    """A 429 long before one's own budget is spent is nobody's breach."""
    OtherClient(standing.control.current.quotas, SECOND, times=5, every=2)
    for _ in range(4):
        ask.get("tags")
        standing.control.advance(seconds=2)
    assert {one.status for one in standing.requests} == {200, 429}
    assert standing.control.breaches() == []


def test_without_limits_nothing_is_over_them(make_sandbox: Make) -> None:
    """A fault's 429 is a pause, and announces no budget."""
    sandbox = make_sandbox(profiles=1, events=0, faults="429=1", limits=False, clock=lambda: 1_800_000_000.5)
    caller = Caller(sandbox.url)
    caller.get("tags")
    sandbox.control.change(faults="")
    sandbox.control.advance(seconds=5)
    for _ in range(20):
        assert caller.get("tags").status_code == 200
    assert sandbox.control.breaches() == []
    caller.close()


# Writes that double ---------------------------------------------------------------------------------------------------

LIST = {"data": {"type": "list", "attributes": {"name": "New"}}}
PROFILE = {"data": {"type": "profile", "attributes": {"email": "a@example.com"}}}
METRIC = {"data": {"type": "metric", "attributes": {"name": "Opened Door"}}}


def event(**attributes: Any) -> dict[str, Any]:
    return {
        "data": {"type": "event", "attributes": {"properties": {}, "metric": METRIC, "profile": PROFILE, **attributes}}
    }


def events(**attributes: Any) -> dict[str, Any]:
    one = {"data": [{"type": "event", "attributes": {"properties": {}, "metric": METRIC, **attributes}}]}
    entry = {"type": "event-bulk-create", "attributes": {"profile": PROFILE, "events": one}}
    return {"data": {"type": "event-bulk-create-job", "attributes": {"events-bulk-create": {"data": [entry]}}}}


def post(url: str, path: str, body: object) -> int | None:
    """The status of the answer; None when there was no whole one."""
    try:
        return requests.post(f"{url}/api/{path}", json=body, headers=HEADERS, timeout=PATIENCE).status_code
    except requests.RequestException:
        return None


@pytest.mark.parametrize("fault", ["reset", "truncate", "503"])
@pytest.mark.parametrize(("path", "body"), [("lists", LIST), ("events", event()), ("event-bulk-create-jobs", events())])
def test_a_write_that_doubles_is_not_sent_again_blindly(
    make_sandbox: Make, fault: str, path: str, body: dict[str, Any]
) -> None:
    """An answer that broke off, none at all, or a 5xx leaves open whether it was done."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, faults=f"{fault}=1")
    assert post(sandbox.url, path, body) in (None, 503)
    sandbox.control.change(faults="")
    post(sandbox.url, path, body)
    assert kinds(sandbox) == ["repeated_write"]
    post(sandbox.url, path, body)
    assert kinds(sandbox) == ["repeated_write"], "the second was answered"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("events", event(unique_id="1")),
        ("events", event(time="2026-01-01T00:00:00Z")),
        ("event-bulk-create-jobs", events(unique_id="1")),
        ("profile-import", PROFILE),
        ("profiles", PROFILE),
    ],
)
def test_a_write_that_is_done_once_however_often_may_be_repeated(
    make_sandbox: Make, path: str, body: dict[str, Any]
) -> None:
    """Upserts, events that carry what makes them one, and what is refused the second time."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, faults="reset=1")
    assert post(sandbox.url, path, body) is None
    sandbox.control.change(faults="")
    post(sandbox.url, path, body)
    assert sandbox.control.breaches() == []


def test_a_write_may_be_repeated_after_a_look(make_sandbox: Make) -> None:
    """Who has read the lists knows whether the one it made is there."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, faults="reset=1")
    post(sandbox.url, "lists", LIST)
    sandbox.control.change(faults="")
    requests.get(f"{sandbox.url}/api/lists", headers=HEADERS, timeout=PATIENCE)
    assert post(sandbox.url, "lists", LIST) == 201
    assert sandbox.control.breaches() == []


@pytest.mark.parametrize("faults", ["429=1", ""])
def test_a_write_that_was_answered_may_be_sent_again(make_sandbox: Make, faults: str) -> None:
    """A 429 says that it was not done; two lists of one name may be wanted."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, faults=faults)
    post(sandbox.url, "lists", LIST)
    sandbox.control.change(faults="")
    sandbox.control.advance(seconds=5)
    post(sandbox.url, "lists", LIST)
    assert sandbox.control.breaches() == []


def test_a_client_that_does_not_wait_for_the_answer_has_lost_it(make_sandbox: Make) -> None:
    """It gave up while the account was still at work."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, faults="stall=1,stall_seconds=36000")
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{sandbox.url}/api/lists", json=LIST, headers=HEADERS, timeout=(PATIENCE, 0.05))
    sandbox.control.change(faults="")
    post(sandbox.url, "lists", LIST)
    assert kinds(sandbox) == ["repeated_write"]


@pytest.mark.parametrize(
    ("operation", "document", "doubles"),
    [
        ("create_list", LIST, True),
        ("create_event", event(unique_id=""), True),
        ("bulk_create_events", events(time="2026-01-01T00:00:00Z"), False),
        ("create_or_update_profile", {"data": {"meta": {"patch_properties": {"append": {"colours": "red"}}}}}, True),
        ("create_or_update_profile", {"data": {"meta": {"patch_properties": {"append": {}}}}}, False),
        ("bulk_import_profiles", {"data": [{"meta": {"patch_properties": {"append": {"colours": "red"}}}}]}, True),
        ("bulk_unsubscribe_profiles", {"data": {"relationships": {"list": {}}}}, True),
        ("bulk_unsubscribe_profiles", {"data": {"attributes": {}}}, False),
        (
            "bulk_create_events",
            {"data": {"attributes": {"events-bulk-create": {"data": [1, {"attributes": 2}]}}}},
            False,
        ),
        ("create_event", [], True),
        ("query_metric_aggregates", {}, False),
    ],
)
def test_what_doubles_is_known_by_operation_and_body(operation: str, document: object, doubles: bool) -> None:
    """A list that leaves an unsubscription is unsubscribed from everything the second time."""
    assert doubles_when_repeated(operation, json.dumps(document).encode()) is doubles


def test_a_body_that_cannot_be_read_doubles_nothing() -> None:
    """It is refused each time."""
    assert not doubles_when_repeated("create_event", b"{")


# Keys and other origins -----------------------------------------------------------------------------------------------


def test_a_key_in_a_request_to_another_origin_is_a_breach(standing: RunningSandbox, ask: Caller) -> None:
    """Wherever a link or a redirect led: the key was for one origin."""
    ask.get("lists")
    requests.get(f"{standing.url}/api/lists", headers=HEADERS | {"Host": "elsewhere.example"}, timeout=PATIENCE)
    assert kinds(standing) == ["other_origin"]
    assert "elsewhere.example" in standing.control.breaches()[0].reason
    bare = {"Host": "elsewhere.example", "revision": REVISION}
    requests.get(f"{standing.url}/api/lists", headers=bare, timeout=PATIENCE)
    assert kinds(standing) == ["other_origin"]


# Nothing but repetition -----------------------------------------------------------------------------------------------


def test_requests_that_only_repeat_the_one_before_are_a_breach(make_sandbox: Make) -> None:
    """From a number on, which can be set; another request in between begins it anew."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, max_repeats=3)
    caller = Caller(sandbox.url)
    for _ in range(4):
        caller.get("lists")
    caller.get("tags")
    for _ in range(4):
        caller.get("lists")
    assert sandbox.control.breaches() == []
    caller.get("lists")
    assert kinds(sandbox) == ["repetition"]
    caller.close()


def test_reads_by_post_repeat_each_other_by_their_bodies(make_sandbox: Make) -> None:
    """The same address with another question is no repetition."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, max_repeats=1)
    for name in "aab":
        post(sandbox.url, "metric-aggregates", {"data": name})
    assert sandbox.control.breaches() == []
    for name in "bb":
        post(sandbox.url, "metric-aggregates", {"data": name})
    assert kinds(sandbox) == ["repetition"]


def test_who_was_not_answered_may_ask_again(make_sandbox: Make) -> None:
    """What was lost, or answered by what stands before the account, tells nothing."""
    sandbox = make_sandbox(profiles=3, events=0, limits=False, max_repeats=1, faults="503=1")
    caller = Caller(sandbox.url)
    for _ in range(5):
        caller.get("lists")
    assert sandbox.control.breaches() == []
    caller.close()


# What is told of them -------------------------------------------------------------------------------------------------


def test_they_are_told_over_http(standing: RunningSandbox, ask: Caller) -> None:
    """Their number, and the first thousand of them; a reset begins anew."""
    for _ in range(4):
        ask.get("accounts")
    told = requests.get(f"{standing.url}/sandbox/breaches", timeout=PATIENCE).json()
    assert told["count"] == 2
    assert [one["kind"] for one in told["breaches"]] == ["early", "early"]
    assert set(told["breaches"][0]) == {"kind", "reason", "operation", "method", "path", "at", "client"}
    standing.control.reset()
    assert requests.get(f"{standing.url}/sandbox/breaches", timeout=PATIENCE).json() == {"count": 0, "breaches": []}


def test_all_are_counted_and_the_first_thousand_kept() -> None:
    """A hot loop does not fill the memory."""
    judge = Judge(max_repeats=0)
    for _ in range(1_502):
        one = request()
        judge.arrive(one, 1.0)
        judge.complete(one, 1.0)
        judge.answer(one, 200, None, 1.0)
        judge.finish(one)
    assert (judge.count, len(judge.breaches())) == (1_501, 1_000)


def test_kinds_can_be_allowed(make_sandbox: Make) -> None:
    """Who expects them of a client need not see them; unknown kinds are refused."""
    sandbox = make_sandbox(profiles=3, events=0, clock=lambda: 1_800_000_000.5, allowed_breaches=["early"])
    caller = Caller(sandbox.url)
    for _ in range(4):
        caller.get("accounts")
    assert sandbox.control.breaches() == []
    caller.close()
    with pytest.raises(ValueError, match=KINDS[0]), serve(profiles=1, events=0, allowed_breaches=["late"]):
        pass


def request(operation: str = "get_lists") -> JudgedRequest:
    """One of always the same client, for the same."""
    who = ("pk", "somebody")
    return JudgedRequest(who, "GET", "/api/lists", "", "here", has_key=True, connection=None, operation=operation)
