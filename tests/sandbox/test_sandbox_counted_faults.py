"""Faults that the next requests meet, and no others: `429x2` fails twice, then the account works."""

from __future__ import annotations

import contextlib

import pytest
import requests
from support.calls import Caller, outcome

from klaviyo_sandbox.http.control_fields import InvalidChange
from klaviyo_sandbox.http.fault_settings import KINDS, parse_faults

PROFILE = {"data": {"type": "profile", "attributes": {"email": "new.person@example.com"}}}
LIST = {"data": {"type": "list", "attributes": {"name": "Made while it failed"}}}


@pytest.fixture(scope="module")
def shared(make_shared_sandbox):
    """One account for all tests."""
    return make_shared_sandbox(profiles=25, events=30, limits=False)


@pytest.fixture
def account(shared):
    """As it was in the beginning."""
    shared.control.reset()
    return shared


@pytest.fixture
def call(account):
    """Calls `account`."""
    caller = Caller(account.url)
    yield caller
    caller.close()


def fail_then_work(account, caller, faults, count, path="profiles"):
    account.control.change(faults=faults)
    return [outcome(caller, path) for _ in range(count)]


impatient = pytest.mark.klaviyo_breaches("early", reason="it looks which requests are refused")


@impatient
@pytest.mark.parametrize(
    ("faults", "outcomes"),
    [
        ("429x2", [429, 429, 200, 200]),
        ("503x1", [503, 200]),
        ("500x1,502x1,504x1", [500, 502, 504, 200]),
        ("503x1, 429x2 ,503x1", [503, 429, 429, 503, 200]),
        ("resetx2", ["ConnectionError", "ConnectionError", 200]),
        ("truncatex1", ["ChunkedEncodingError", 200]),
        ("challengex1", [403, 200]),
        ("401x1,409x1,418x1", [401, 409, 418, 200]),
    ],
)
def test_the_next_requests_fail_and_the_others_work(account, call, faults, outcomes):
    """As many as the text says, in its order, whatever they ask for."""
    assert fail_then_work(account, call, faults, len(outcomes)) == outcomes
    assert [request.fault is None for request in account.requests] == [status == 200 for status in outcomes]


@impatient
def test_one_operation_fails_and_the_others_work(account, call):
    """Several counts of one operation follow each other, and then comes what it refuses for good."""
    account.control.change(faults="refuse=get_events:502x2+get_events:429x1+get_events:404+get_lists:resetx1")
    assert [outcome(call, "events") for _ in range(5)] == [502, 502, 429, 404, 404]
    assert [outcome(call, "profiles") for _ in range(2)] == [200, 200]
    assert [outcome(call, "lists") for _ in range(2)] == ["ConnectionError", 200]


def test_a_counted_429_says_when_to_come_back(account, call):
    """After a second, or what `retry_after` says; a 503 says so only then."""
    answers = []
    for faults in ("429x1", "429x1,retry_after=7", "503x1", "503x1,retry_after=3"):
        account.control.change(faults=faults)
        account.control.advance(seconds=10)
        answers.append(call.get("profiles").headers.get("Retry-After"))
    assert answers == ["1", "7", None, "3"]


def test_settings_tell_what_is_left(account, call):
    """So a test can see whether its client asked again; what is told can be sent back as it is."""
    given = "refuse=get_events:502x2+get_tags:404,503x2,storm=3,seed=4"
    account.control.change(faults=given)
    assert parse_faults(account.control.settings["faults"]) == parse_faults(given)
    outcome(call), outcome(call, "events")
    left = account.control.settings["faults"]
    assert parse_faults(left) == parse_faults("refuse=get_events:502x1+get_tags:404,503x1,storm=3,seed=4")
    account.control.change(faults="503x1")
    assert "503x1" in requests.get(account.url, timeout=60).text
    outcome(call)
    assert account.control.settings["faults"] == ""
    assert "503x" not in requests.get(account.url, timeout=60).text.partition("Latest requests")[0]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("503x1,retry_after=2", ""),
        ("503x1,carried_out=1,seed=3", ""),
        ("503x1,429=0,storm=3", ""),
        ("refuse=get_profiles:503x1,retry_after=2", ""),
        ("503x1,retry_after=2,other_app=0.3", "other_app=0.3"),
        ("503x1,seed=4,refuse=get_tags:404", "refuse=get_tags:404"),
        ("503x1,expired=0.5,seed=4", "expired=0.5,seed=4"),
        ("503x1,500x1,retry_after=2", "500x1,retry_after=2"),
    ],
)
def test_what_only_says_how_a_fault_is_does_not_stay_without_one(account, call, given, left):
    """So that nothing left means what it says: no request will meet anything more."""
    account.control.change(faults=given)
    assert outcome(call) == 503
    assert account.control.settings["faults"] == left


def test_a_change_of_something_else_leaves_them(account, call):
    """Only new faults take the place of old ones, also of those that are not used up."""
    account.control.change(faults="503x3")
    account.control.change(latency=0)
    assert [outcome(call), outcome(call)] == [503, 503]
    account.control.change(faults="500x1")
    assert [outcome(call), outcome(call)] == [500, 200]


def test_a_reset_brings_back_those_of_the_beginning(make_sandbox):
    """As every other setting."""
    sandbox = make_sandbox(profiles=1, events=0, faults="503x1")
    caller = Caller(sandbox.url)
    assert [outcome(caller), outcome(caller)] == [503, 200]
    sandbox.control.reset()
    assert [outcome(caller), outcome(caller)] == [503, 200]
    caller.close()


@impatient
def test_random_faults_come_after_the_counted_ones(account, call):
    """And are the same as without them: they are drawn from when they begin."""
    alone = fail_then_work(account, call, "503=0.5,seed=5", 12)
    assert fail_then_work(account, call, "500x2,503=0.5,seed=5", 14) == [500, 500, *alone]


@pytest.mark.parametrize(
    ("faults", "is_done"),
    [
        *((f"{kind}x1", False) for kind in ("429", "500", "502", "503", "504", "reset")),
        ("truncatex1", True),
        *((f"{kind}x1,carried_out=1", True) for kind in ("500", "502", "503", "504", "reset", "truncate")),
        ("429x1,carried_out=1", False),
        ("truncatex1,carried_out=0", False),
    ],
)
@pytest.mark.klaviyo_breaches("early", reason="it looks what was done")
def test_a_write_that_fails_is_not_done_unless_the_faults_say_so(account, call, faults, is_done):
    """`carried_out=1` does what is asked and loses the answer: what a retry must not do twice."""
    account.control.change(faults=faults)
    with contextlib.suppress(requests.RequestException):
        call.post("profile-import", PROFILE)
    assert (
        PROFILE["data"]["attributes"]["email"] in [row["email"] for row in account.store.profiles.rows.values()]
    ) is is_done


@pytest.mark.klaviyo_breaches("repeated_write", reason="it repeats one")
def test_a_repeated_write_is_found_out(account, call):
    """The list is there twice, and the breach is listed."""
    account.control.change(faults="504x1,carried_out=1")
    assert [call.post("lists", LIST).status_code for _ in range(2)] == [504, 201]
    names = [row["name"] for row in account.store.lists.rows.values()]
    assert names.count("Made while it failed") == 2
    assert [breach.kind for breach in account.control.breaches()] == ["repeated_write"]


def test_a_fault_of_pages_waits_for_a_page(account, call):
    """A write, or a first page, cannot meet an expired cursor: the count is for one that can."""
    account.control.change(faults="expiredx1")
    call.post("profile-import", PROFILE)
    first = call.get("profiles", page__size=20).json()
    assert call.session.get(first["links"]["next"]).status_code == 400
    again = call.get("profiles", page__size=20).json()
    assert call.session.get(again["links"]["next"]).status_code == 200


@pytest.mark.parametrize(
    ("kind", "media_type"), [("500", "application/vnd.api+json"), ("502", "text/html"), ("504", "text/html")]
)
def test_other_statuses_can_be_random(account, call, kind, media_type):
    """500 is the account's own, 502 and 504 come from a proxy; each in its words."""
    account.control.change(faults=f"{kind}=1")
    answer = call.get("profiles")
    assert (answer.status_code, answer.headers["Content-Type"], kind in answer.text) == (int(kind), media_type, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("429x0", "429x0 fails no request; the number must be from 1 on"),
        ("429x", "unknown name '429x'"),
        ("429x2=0.5", "429x2 takes no value"),
        ("429=2", "429 must be a number from 0 to 1, not '2' (429x2: the next 2 requests)"),
        ("503", "503 must be a number from 0 to 1, not '' (503x1: the next request)"),
        ("stormx2", "unknown name 'stormx2'"),
        ("200x1", "unknown name '200x1'"),
        ("refuse=get_lists:503x0", "503x0 fails no request"),
        ("refuse=get_lists:stormx1", "refuse names operations as get_lists"),
        ("refuse=get_tables:503x1", "refuse names 'get_tables', and no such operation is served"),
        ("refuse=get_lists:503+get_lists:404", "refuse names get_lists twice"),
        ("503x1,carried_out=2", "carried_out must be a number from 0 to 1, not '2'"),
        ("429x1,retry_after=0", "retry_after must be a whole number from 1 on, not '0'"),
        ("429x1,retry_after=1.5", "retry_after must be a whole number"),
    ],
)
def test_what_cannot_be_meant_is_refused(account, text, reason):
    """In one line, and the faults that are in force stay."""
    account.control.change(faults="503x1")
    with pytest.raises(InvalidChange, match=r"^faults: ") as refused:
        account.control.change(faults=text)
    assert reason in str(refused.value)
    assert account.control.settings["faults"] == "503x1"
    answer = requests.patch(f"{account.url}/sandbox/settings", json={"faults": text}, timeout=60)
    assert (answer.status_code, reason in answer.json()["error"]) == (400, True)


def test_every_kind_can_be_counted():
    """`huge` and `trickle` as well as the others."""
    assert [entry.kind for entry in parse_faults(",".join(f"{kind}x1" for kind in KINDS)).counted] == list(KINDS)
