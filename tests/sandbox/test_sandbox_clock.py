"""An account whose seconds are shorter than ours: all that lasts in it is on one scale."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import requests
from support import warm
from support.calls import Caller

from klaviyo_sandbox import serve
from klaviyo_sandbox.http.clock import Clock
from klaviyo_sandbox.http.oauth import OAuthApp

JOB = {
    "data": {
        "type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": [{"type": "profile", "attributes": {"email": "soon@example.com"}}]}},
    }
}


class Hand:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def caller(make_sandbox, hand):
    """Calls an account in which 64 seconds pass in one of the hand's: binary fractions are exact."""
    client = Caller(make_sandbox(clock=hand, speed=64, job_seconds=60.0).url)
    yield client
    client.close()


def test_a_clock_at_a_speed_goes_on_from_where_it_is():
    """It begins with the time of the clock that it follows; whatever changes its speed or moves it, no time is lost."""
    hand = Hand()
    clock = Clock(hand, 100)
    assert clock() == 1_800_000_000
    hand.now += 2
    assert clock() == 1_800_000_200
    for speed in (1, 0.5, 1000):
        before = clock()
        clock.set_speed(speed)
        assert (clock(), clock.speed) == (before, speed)
        clock.advance(7)
        hand.now += 2
        assert clock() == before + 7 + 2 * speed


def test_a_clock_never_runs_backwards_while_its_speed_changes():
    """Whoever reads it in another thread meanwhile sees no time twice as old as before."""
    clock, ends, seen = Clock(time.time), threading.Event(), []

    def read() -> None:
        while not ends.is_set():
            seen.append(clock())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        clock.set_speed((1000, 0.01)[number % 2])
    ends.set()
    reader.join()
    assert seen == sorted(seen)


@pytest.mark.klaviyo_breaches("early", reason="it looks when a limit is over")
def test_limits_are_over_so_many_times_as_fast(caller, hand):
    """``Retry-After`` tells the account's seconds, in whole ones; after that part of ours there is room again."""
    answers = [caller.get("tags") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    hand.now += 63 / 64 / 64
    assert caller.get("tags").status_code == 429
    hand.now += 1 / 64 / 64
    assert caller.get("tags").status_code == 200


def test_a_minute_passes_in_its_part_of_one(caller, hand):
    """The steady limit, too, is full again then."""
    for _ in range(15):
        assert caller.get("accounts").ok
        hand.now += 1 / 64
    # That was a quarter of the account's minute.
    answer = caller.get("accounts")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "45")
    hand.now += 45 / 64
    assert caller.get("accounts").ok


def test_jobs_end_so_many_times_as_fast(caller, hand):
    """A job of a minute takes 60/64 of a second at 64."""
    job = caller.post("profile-bulk-import-jobs", JOB).json()["data"]["id"]

    def status() -> str:
        return caller.get(f"profile-bulk-import-jobs/{job}").json()["data"]["attributes"]["status"]

    hand.now += 59 / 64
    assert status() != "complete"
    hand.now += 1 / 64
    assert status() == "complete"


def test_tokens_end_so_many_times_as_fast(make_sandbox, hand):
    """A token of an hour holds for 36 s at a hundred; its answer tells the account's seconds."""
    sandbox = make_sandbox(clock=hand, speed=100, limits=False, oauth=OAuthApp("app-1", "secret", "first"))
    form = {"grant_type": "refresh_token", "refresh_token": "first"}
    token = requests.post(f"{sandbox.url}/oauth/token", data=form, auth=("app-1", "secret"), timeout=60).json()
    headers = {"Authorization": f"Bearer {token['access_token']}", "revision": "2026-07-15"}
    statuses = []
    for passing in (0.0, 35.9, 0.2):
        hand.now += passing
        statuses.append(requests.get(f"{sandbox.url}/api/lists", headers=headers, timeout=60).status_code)
    assert (token["expires_in"], statuses) == (3600, [200, 200, 401])


@pytest.mark.parametrize("slow", [{"latency": 3600}, {"faults": "stall=1,stall_seconds=3600"}])
def test_an_hour_of_latency_need_not_be_waited_for(make_sandbox, slow):
    """Latency and stalls are the account's seconds, and so is what the record of requests says that they took."""
    sandbox = make_sandbox(speed=10_000, limits=False, **slow)
    caller = Caller(sandbox.url)
    assert caller.get("lists").ok
    caller.close()
    if "latency" in slow:
        assert sandbox.requests[-1].seconds > 3599


def test_the_speed_is_changed_while_a_client_runs(make_sandbox, hand):
    """In Python and over HTTP, from now on and without a leap; what is left out keeps it."""
    sandbox = make_sandbox(clock=hand)
    control, url = sandbox.control, f"{sandbox.url}/sandbox/settings"
    began = control.now
    assert control.change(speed=60)["speed"] == 60
    assert control.now == began
    hand.now += 1
    assert (control.now - began).total_seconds() == 60
    assert requests.patch(url, json={"speed": 0.5}, timeout=60).json()["speed"] == 0.5
    hand.now += 2
    assert (control.now - began).total_seconds() == 61
    assert requests.patch(url, json={"latency": 0}, timeout=60).json()["speed"] == 0.5


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan"), 10_001])
def test_time_neither_stands_nor_ends(speed):
    """A speed that could not be meant is refused before anything listens."""
    with pytest.raises(ValueError, match="speed"), serve(profiles=1, events=0, speed=speed):
        pass


def test_the_command_has_an_option_for_it():
    """As with the other settings, the running account tells what was asked for."""
    command = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0", "--profiles", "1", "--events", "0"]
    with warm.Popen([*command, "--speed", "250"], stdout=warm.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[4]
            assert requests.get(f"{url}/sandbox/settings", timeout=60).json()["speed"] == 250
        finally:
            process.terminate()
