"""An account that is made anew while it listens: nothing of what was is left."""

from __future__ import annotations

import threading

import pytest
import requests
from support.calls import Caller

from klaviyo_sandbox import serve
from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.build_cache import build_cached
from klaviyo_sandbox.http.oauth import OAuthApp

SMALL = {"profiles": 20, "events": 40}
PROFILE = {"data": {"type": "profile", "attributes": {"email": "new@example.com"}}}


@pytest.fixture(params=["python", "http"])
def reset(request):
    """Makes a sandbox's account anew."""

    def reset_account(sandbox) -> None:
        if request.param == "python":
            sandbox.control.reset()
        else:
            assert requests.post(f"{sandbox.url}/sandbox/reset", json={}, timeout=60).status_code == 204

    return reset_account


def contents(store):
    """All the rows of an account, by where they stand."""
    return {
        name: {row_id: dict(row) for row_id, row in table.rows.items()}
        for name, table in vars(store).items()
        if hasattr(table, "rows")
    } | {
        (name, group_id): dict(table.rows)
        for name in ("list_members", "segment_members", "resources")
        for group_id, table in getattr(store, name).items()
    }


def test_nothing_is_left_of_what_was_done(make_sandbox, reset):
    """Rows, requests, budgets, settings, time and tokens are those of the beginning, and it goes on at its address."""
    app = OAuthApp("app-1", "secret", "first", rotates=True)
    sandbox = make_sandbox(**SMALL, clock=lambda: 1_800_000_000.0, oauth=app)
    control, caller = sandbox.control, Caller(sandbox.url)
    before = contents(sandbox.store), control.settings, control.now
    form = {"grant_type": "refresh_token", "refresh_token": "first"}
    sign_in = {"url": f"{sandbox.url}/oauth/token", "data": form, "auth": ("app-1", "secret"), "timeout": 60}
    token = requests.post(**sign_in).json()["access_token"]
    assert requests.post(**sign_in).status_code == 400

    assert caller.post("profiles", PROFILE).status_code == 201
    while caller.get("tags").ok:
        pass
    control.delete("lists", next(iter(sandbox.store.lists.rows)))
    control.add_events(3, seconds=-60)
    sandbox.store.age_gate = 16
    control.advance(seconds=3600)
    control.change(
        faults="503=1",
        latency=1,
        limits=False,
        scopes="lists:read",
        job_seconds=9,
        job_end="never",
        repeats="history",
        pointers="none",
        quiet_suppressions=True,
        speed=10,
    )

    reset(sandbox)
    assert list(sandbox.requests) == []
    assert (contents(sandbox.store), control.settings, control.now) == before
    assert sandbox.store.age_gate == 0
    assert caller.get("tags").ok
    headers = {"Authorization": f"Bearer {token}", "revision": "2026-07-15"}
    assert requests.get(f"{sandbox.url}/api/lists", headers=headers, timeout=60).status_code == 401
    assert requests.post(**sign_in).ok
    assert [request.path for request in sandbox.requests] == ["/api/tags", "/api/lists", "/oauth/token"]
    caller.close()


def test_what_is_drawn_afterwards_is_drawn_again(make_sandbox, reset):
    """Faults and events of anybody follow from the seed, as they did the first time."""
    sandbox = make_sandbox(**SMALL, limits=False, faults="503=0.5,seed=3")
    caller, seen = Caller(sandbox.url), []
    for _ in range(2):
        statuses = [caller.get("lists").status_code for _ in range(12)]
        drawn = sandbox.control.add_events(2, time="2026-01-01T00:00:00Z")
        seen.append((statuses, [dict(sandbox.store.events.rows[row_id]) for row_id in drawn]))
        reset(sandbox)
    caller.close()
    assert seen[0] == seen[1]


def test_a_request_that_is_still_being_answered_stays_in_the_account_that_was(make_sandbox, reset):
    """It is answered, and neither changes the new account nor is among its requests."""
    sandbox = make_sandbox(**SMALL, limits=False)
    sandbox.control.change(latency=1)
    arrived, former = threading.Event(), sandbox.requests
    clock = sandbox.control.current.clock
    sleep = clock.sleep

    async def announced_sleep(seconds: float) -> None:
        arrived.set()
        await sleep(seconds)

    clock.sleep = announced_sleep
    caller, answers = Caller(sandbox.url), []
    writer = threading.Thread(target=lambda: answers.append(caller.post("profiles", PROFILE)))
    writer.start()
    assert arrived.wait(60)
    reset(sandbox)
    writer.join(60)
    assert [answer.status_code for answer in answers] == [201]
    assert list(sandbox.requests) == []
    assert [request.operation for request in former] == ["create_profile"]
    assert sandbox.store.find_profile_id("email", "new@example.com") is None
    caller.close()


@pytest.mark.parametrize("procedural", [False, True])
def test_what_was_kept_is_gone_from_the_disk(tmp_path, procedural, reset):
    """What is written afterwards is kept as ever."""
    later = {"data": {"type": "profile", "attributes": {"email": "later@example.com"}}}
    kind = {**SMALL, "procedural": procedural, "limits": False, "data": tmp_path}
    with serve(**kind) as sandbox:
        caller = Caller(sandbox.url)
        assert caller.post("profiles", PROFILE).status_code == 201
        reset(sandbox)
        assert caller.post("profiles", later).status_code == 201
        caller.close()
    with serve(**kind) as again:
        are_kept = [
            again.store.find_profile_id("email", f"{name}@example.com") is not None for name in ("new", "later")
        ]
    assert are_kept == [False, True]


def test_a_copy_of_an_account_is_the_account():
    """Accounts of the same numbers are build_cached from one that was made once; they are equal, and share no row."""
    built, one, other = build(3, 20, 40, lambda: 0.0), *(build_cached(3, 20, 40, lambda: 0.0) for _ in range(2))
    assert contents(built) == contents(one) == contents(other)
    assert built.attributions == one.attributions
    assert built.identifiers == one.identifiers
    assert built.relations.keys() == one.relations.keys()
    assert vars(built).keys() == vars(one).keys()
    row = next(iter(one.profiles.rows.values()))
    row["location"]["city"] = "Elsewhere"
    assert other.profiles.rows[row["id"]]["location"]["city"] != "Elsewhere"
    assert one.lock is not other.lock


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"content-type": "text/plain"}])
def test_a_reset_needs_no_body_and_no_content_type(make_sandbox, headers):
    """As `curl -X POST` sends it. A page of another origin is refused all the same, and so is any field."""
    sandbox = make_sandbox(**SMALL)
    url = f"{sandbox.url}/sandbox/reset"
    sandbox.control.change(latency=0.001)
    elsewhere = requests.post(url, headers={**headers, "origin": "https://example.com"}, timeout=60)
    assert elsewhere.status_code == 403
    for data in (b"{", b'{"hard": true}'):
        assert requests.post(url, data=data, headers=headers, timeout=60).status_code == 400
    assert sandbox.control.settings["latency"] == 0.001
    assert requests.post(url, headers=headers, timeout=60).status_code == 204
    assert sandbox.control.settings["latency"] == 0.0
