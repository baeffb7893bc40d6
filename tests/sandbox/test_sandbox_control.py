"""Changing an account while a client runs."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from support.calls import KEY, REVISION
from support.patience import PATIENCE

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotFound
from klaviyo_sandbox import serve
from klaviyo_sandbox.http.control import Control
from klaviyo_sandbox.http.control_app import ControlApp
from klaviyo_sandbox.http.control_fields import SETTINGS, InvalidChange, NotThere
from klaviyo_sandbox.http.fault_settings import FaultChooser

HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}


@pytest.fixture
def running():
    """A small account whose limits hold, in a second that does not end."""
    standing = time.time()
    with serve(profiles=20, events=50, clock=lambda: standing) as sandbox:
        yield sandbox


def read(sandbox, path, **options):
    return requests.get(f"{sandbox.url}/api/{path}", headers=HEADERS, timeout=PATIENCE, **options)


def call_control(sandbox, method, path, body=None, **options):
    return requests.request(method, f"{sandbox.url}/sandbox/{path}", json=body, timeout=PATIENCE, **options)


def test_settings_can_be_read_and_changed(running):
    """What is left out stays; the answer is all there is."""
    before = call_control(running, "GET", "settings").json()
    assert before == {
        "faults": "",
        "latency": 0.0,
        "limits": True,
        "scopes": None,
        "job_seconds": 0.2,
        "job_end": "complete",
        "repeats": "request",
        "pointers": "all",
        "append": "set",
        "quiet_suppressions": False,
        "other_revisions": "warn",
        "conversions": "first",
        "speed": 1.0,
    }
    changes = {"faults": "503=0.5,seed=3", "limits": False, "job_end": "never", "scopes": "lists:read"}
    assert call_control(running, "PATCH", "settings", changes).json() == {**before, **changes}
    assert call_control(running, "PATCH", "settings", {"faults": "", "scopes": None}).json() == {
        **before,
        "limits": False,
        "job_end": "never",
    }


@pytest.mark.klaviyo_breaches("early", reason="it looks which requests are refused")
def test_faults_come_and_go(running):
    """A client meets them from the next request on, the same ones each time they are asked for, until they are off."""

    def statuses():
        return [read(running, "lists").status_code for _ in range(12)]

    call_control(running, "PATCH", "settings", {"limits": False, "faults": "429=0.3,503=0.3,seed=5"})
    first = statuses()
    assert {429, 503, 200} == set(first)
    call_control(running, "PATCH", "settings", {"faults": "429=0.3,503=0.3,seed=5"})
    assert statuses() == first
    call_control(running, "PATCH", "settings", {"faults": ""})
    assert set(statuses()) == {200}


@pytest.mark.klaviyo_breaches("early", reason="it looks whether limits hold")
def test_latency_limits_and_scopes_change_at_once(running):
    """Each of them is met by the next request."""
    call_control(running, "PATCH", "settings", {"latency": 0.2})
    began = time.monotonic()
    read(running, "lists")
    # At least: no machine is too slow for that.
    assert time.monotonic() - began >= 0.2
    running.control.change(latency=0, scopes="lists:read")
    assert read(running, "profiles").status_code == 403
    running.control.change(scopes=None)
    assert [read(running, "tags").status_code for _ in range(5)][3:] == [429, 429]
    running.control.change(limits=False)
    assert read(running, "tags").status_code == 200


def test_a_job_ends_and_a_budget_comes_back_when_the_clock_is_advanced():
    """Nobody has to wait a minute for a test of what happens after one."""
    standing = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    with serve(profiles=5, events=0, clock=lambda: standing, job_seconds=3600) as sandbox:
        jobs = {
            "data": {
                "type": "profile-bulk-import-job",
                "attributes": {
                    "profiles": {"data": [{"type": "profile", "attributes": {"email": "late@example.com"}}]}
                },
            }
        }
        job = requests.post(
            f"{sandbox.url}/api/profile-bulk-import-jobs", json=jobs, headers=HEADERS, timeout=PATIENCE
        ).json()["data"]["id"]

        def status():
            return read(sandbox, f"profile-bulk-import-jobs/{job}").json()["data"]["attributes"]["status"]

        assert status() != "complete"
        while read(sandbox, "tags").ok:
            pass
        assert call_control(sandbox, "POST", "clock", {"seconds": 60}).json() == {"now": "2026-06-01T00:01:00+00:00"}
        assert read(sandbox, "tags").ok
        assert status() != "complete"
        answer = call_control(sandbox, "POST", "clock", {"time": "2026-06-01T01:00:00Z"})
        assert answer.json() == call_control(sandbox, "GET", "clock").json() == {"now": "2026-06-01T01:00:00+00:00"}
        assert status() == "complete"


@pytest.mark.parametrize("path", ["flows", "lists", "segments", "campaigns", "tags", "templates"])
def test_what_is_deleted_is_gone_from_the_api(running, path):
    """It is in no list and a 404, and deleting it again is one, too."""
    running.control.change(limits=False)
    query = {"filter": "equals(messages.channel,'email')"} if path == "campaigns" else {}
    row_id = read(running, path, params=query).json()["data"][0]["id"]
    assert call_control(running, "DELETE", f"{path}/{row_id}").status_code == 204
    assert read(running, f"{path}/{row_id}").status_code == 404
    assert row_id not in [row["id"] for row in read(running, path, params=query).json()["data"]]
    again = call_control(running, "DELETE", f"{path}/{row_id}")
    assert (again.status_code, row_id in again.json()["error"]) == (404, True)


def test_a_list_may_vanish_while_a_client_reads_it(running):
    """The client finds a 404 in the middle of it, as with a real account."""
    running.control.change(limits=False)
    client = KlaviyoClient(KEY, running.url)
    members = max(running.store.list_members, key=lambda list_id: len(running.store.list_members[list_id]))
    pages = client.pages("get_profiles_for_list", path={"id": members}, query={"page[size]": "2"})
    assert len(next(pages).data) == 2
    running.control.delete("lists", members)
    with pytest.raises(NotFound):
        list(pages)


@pytest.mark.parametrize("days", [-400, 30])
def test_events_come_late_and_early(running, days):
    """They are read like all others: behind any bookmark, or ahead of now."""
    profile, metric = next(iter(running.store.profiles.rows)), next(iter(running.store.metrics.rows))
    body = {"count": 3, "seconds": days * 86_400, "profile_id": profile, "metric_id": metric, "properties": {"a": 1}}
    answer = call_control(running, "POST", "events", body)
    ids = answer.json()["ids"]
    assert (answer.status_code, len(set(ids))) == (201, 3)
    events = [read(running, f"events/{row_id}", params={"include": "profile,metric"}).json() for row_id in ids]
    for event in events:
        assert event["data"]["attributes"]["event_properties"] == {"a": 1}
        assert {(one["type"], one["id"]) for one in event["included"]} == {("profile", profile), ("metric", metric)}
        when = datetime.fromisoformat(event["data"]["attributes"]["datetime"])
        assert abs(when - running.store.now() - timedelta(days=days)) < timedelta(seconds=1)


def test_events_of_anybody_are_drawn_from_the_seed():
    """Two accounts of one seed get the same events, also those whose rows are worked out."""
    for procedural in (False, True):
        drawn = []
        for _ in range(2):
            with serve(profiles=50, events=100, seed=4, procedural=procedural) as sandbox:
                sandbox.control.add_events(5, time="2026-01-01T00:00:00Z")
                rows = sandbox.store.events.in_memory if procedural else sandbox.store.events.rows
                drawn.append(
                    [(row["id"], row["profile_id"]) for row in rows.values() if row["datetime"][:10] == "2026-01-01"]
                )
        assert drawn[0] == drawn[1]
        assert len({profile for _, profile in drawn[0]}) > 1


def _ask(running, list_id, **whom):
    """Subscribe somebody to a list."""
    consent = {"email": {"marketing": {"consent": "SUBSCRIBED"}}}
    known = {"id": whom.pop("id")} if "id" in whom else {}
    profile = {"type": "profile", **known, "attributes": {"subscriptions": consent, **whom}}
    body = {
        "type": "profile-subscription-bulk-create-job",
        "attributes": {"profiles": {"data": [profile]}, "custom_source": "Kiosk"},
        "relationships": {"list": {"data": {"type": "list", "id": list_id}}},
    }
    path = f"{running.url}/api/profile-subscription-bulk-create-jobs"
    assert requests.post(path, headers=HEADERS, json={"data": body}, timeout=PATIENCE).status_code == 202


def test_a_double_opt_in_is_confirmed_from_outside(running):
    """As by the link in Klaviyo's message: the person is on the list, with consent that says so."""
    store = running.store
    first, second = [row["id"] for row in store.lists.rows.values()][:2]
    for list_id in (first, second):
        store.lists.rows[list_id]["opt_in_process"] = "double_opt_in"
        _ask(running, list_id, email="Ada@Example.com")
    assert store.find_profile_id("email", "ada@example.com") is None
    answer = call_control(running, "POST", "confirmations", {"email": "ada@example.COM", "list_id": first})
    assert answer.status_code == 204
    profile_id = store.find_profile_id("email", "ada@example.com")
    assert [profile_id in store.list_members[list_id] for list_id in (first, second)] == [True, False]
    marketing = store.profiles.get(profile_id)["subscriptions"]["email"]["marketing"]
    shown = marketing["consent"], marketing["double_optin"], marketing["method_detail"]
    assert shown == ("SUBSCRIBED", True, "Kiosk")
    running.control.confirm("ada@example.com")
    assert profile_id in store.list_members[second]
    assert call_control(running, "POST", "confirmations", {"email": "ada@example.com"}).status_code == 404


def test_somebody_who_is_gone_is_confirmed_by_the_address(running):
    """Before the confirmation a profile may be deleted or merged, and the id that was sent is nobody's."""
    store = running.store
    list_id, profile = next(iter(store.lists.rows)), next(iter(store.profiles.rows.values()))
    address = profile["email"]
    store.lists.rows[list_id]["opt_in_process"] = "double_opt_in"
    _ask(running, list_id, id=profile["id"])
    store.profiles.drop(profile["id"])
    running.control.confirm(address)
    assert store.find_profile_id("email", address) in store.list_members[list_id]


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("PATCH", "settings", {"latency": -1}, "latency"),
        ("PATCH", "settings", {"latency": "slow"}, "latency"),
        ("PATCH", "settings", {"pace": 5}, "known: faults, latency"),
        ("PATCH", "settings", {"speed": 0, "latency": 2}, "speed"),
        ("PATCH", "settings", {"speed": 20_000}, "speed"),
        ("POST", "reset", {"speed": 5}, "'speed' was unexpected"),
        ("PATCH", "settings", {"job_end": "badly"}, "job_end"),
        ("PATCH", "settings", {"faults": "418=1", "latency": 2}, "unknown name '418'"),
        ("PATCH", "settings", {"scopes": "everything", "latency": 2}, "unknown scopes: everything"),
        ("PATCH", "settings", {"quiet_suppressions": "yes"}, "quiet_suppressions"),
        ("POST", "suppressions", {"reason": "HARD_BOUNCE"}, "profile_id: must be given"),
        ("POST", "suppressions", {"profile_id": "X", "reason": "BORED"}, "reason"),
        ("POST", "confirmations", {"list_id": "X"}, "email: must be given"),
        ("POST", "confirmations", {"email": 5}, "email"),
        ("POST", "clock", {}, "either seconds or time"),
        ("POST", "clock", {"seconds": -5}, "seconds"),
        ("POST", "clock", {"time": "soon"}, "time: must be a moment"),
        ("POST", "clock", {"time": "2001-01-01T00:00:00Z"}, "must not be past"),
        ("POST", "clock", {"seconds": 1, "time": "2101-01-01T00:00:00Z"}, "either seconds or time"),
        ("POST", "clock", {"time": "9000-01-01T00:00:00Z"}, "time: must be before the year 9000"),
        ("POST", "events", {"seconds": 0, "count": 0}, "count"),
        ("POST", "events", {"seconds": 0, "day": 1}, "known: seconds, time, count"),
        ("POST", "events", {"time": "1989-12-31T23:59:59Z"}, "time: The time must be after the year 1990"),
        ("POST", "events", {"seconds": 400 * 86_400}, "seconds: The time must be after the year 1990"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(running, method, path, body, reason):
    """A 400 names the field and what it may be."""
    before = running.control.settings, len(running.store.events)
    answer = call_control(running, method, path, body)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    assert (running.control.settings, len(running.store.events)) == before


def test_there_is_nothing_else(running):
    """Unknown paths, wrong methods and bodies that are no objects are refused as such."""
    assert call_control(running, "GET", "wishes").status_code == 404
    assert call_control(running, "POST", "events", {"seconds": 0, "metric_id": "NOBODY"}).status_code == 404
    answer = call_control(running, "PUT", "settings", {})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PATCH")
    assert call_control(running, "DELETE", "profiles/X").json() == {
        "error": "only campaigns, flows, lists, segments, tags, templates can be deleted"
    }
    for body in (b"", b"[]", b"{", b"[" * 100_000, json.dumps({"faults": "x" * 2_000_000}).encode()):
        answer = requests.patch(
            f"{running.url}/sandbox/settings", body, headers={"content-type": "application/json"}, timeout=PATIENCE
        )
        assert (answer.status_code, answer.json()) == (400, {"error": "the body must be a JSON object"})


def test_odd_values_are_no_settings(running):
    """NaN and the like are in no range, and half of a surrogate pair names nothing; properties of events may be odd."""
    before = running.control.settings

    def send(method, path, body):
        headers = {"content-type": "application/json"}
        return requests.request(method, f"{running.url}/sandbox/{path}", data=body, headers=headers, timeout=PATIENCE)

    for body in (b'{"latency": NaN}', b'{"latency": 1e999}', b'{"\\ud800": 1}', b'{"faults": "\\ud800"}'):
        answer = send("PATCH", "settings", body)
        assert answer.status_code == 400, body
        assert answer.json()["error"]
    for status, body in (
        (400, b'{"seconds": NaN}'),
        (404, b'{"seconds": 0, "profile_id": "\\ud800"}'),
        (400, b'{"seconds": 0, "time": "\\ud800"}'),
        (400, b'{"seconds": 0, "count": 1e400}'),
        (400, b'{"seconds": 0, "count": %d}' % 10**400),
    ):
        assert send("POST", "events", body).status_code == status, body
    assert running.control.settings == before
    made = send("POST", "events", b'{"seconds": 0, "properties": {"\\ud800": NaN, "n": %d}}' % 2**70)
    [event_id] = made.json()["ids"]
    properties = running.store.events.rows[event_id]["event_properties"]
    assert (list(properties), properties["n"]) == (["\ud800", "n"], 2**70)


def test_a_whole_number_may_be_written_as_a_float(running):
    """JSON knows no difference, and neither does the schema of `count`."""
    assert len(call_control(running, "POST", "events", {"count": 2.0, "seconds": 0}).json()["ids"]) == 2


def test_the_clock_may_be_advanced_again_and_again_but_not_past_what_dates_hold(running):
    """It stops before the last year that jobs and windows could still be counted in, and goes on from where it is."""
    assert running.control.advance(time="8999-12-30T00:00:00Z").year == 8999
    answer = call_control(running, "POST", "clock", {"seconds": 3 * 86_400})
    assert (answer.status_code, answer.json()["error"][:8]) == (400, "seconds:")
    assert read(running, "tags").ok
    assert call_control(running, "POST", "clock", {"seconds": 60}).json()["now"].startswith("8999-12-30T00:01:")


@pytest.mark.parametrize(
    "origin", ["http://rebound.example:{port}", "http://[x", "http://127.0.0.1.example:{port}", "null"]
)
def test_no_name_that_was_pointed_at_this_machine_changes_an_account(running, origin):
    """A foreign page can make its own name lead here, so that Origin and Host agree; only addresses are trusted."""
    port = running.url.rpartition(":")[2]
    origin = origin.format(port=port)
    headers = {"origin": origin, "host": origin.removeprefix("http://")}
    assert call_control(running, "PATCH", "settings", {"latency": 1}, headers=headers).status_code == 403
    assert running.control.settings["latency"] == 0
    own = {"origin": f"http://localhost:{port}", "host": f"localhost:{port}"}
    assert call_control(running, "PATCH", "settings", {"latency": 0}, headers=own).ok


def test_no_page_of_another_origin_changes_an_account(running):
    """A form's content type is refused, and so is a foreign origin; the account's own pages may."""
    url = f"{running.url}/sandbox/settings"
    body = json.dumps({"latency": 1})
    plain = requests.patch(url, body, headers={"content-type": "text/plain"}, timeout=PATIENCE)
    assert (plain.status_code, "application/json" in plain.json()["error"]) == (400, True)
    assert (
        call_control(
            running, "PATCH", "settings", {"latency": 1}, headers={"origin": "http://evil.example"}
        ).status_code
        == 403
    )
    assert call_control(running, "DELETE", "lists/X", headers={"origin": "null"}).status_code == 403
    assert running.control.settings["latency"] == 0
    assert call_control(running, "PATCH", "settings", {"latency": 0}, headers={"origin": running.url}).ok


def test_control_is_no_request_to_klaviyo(monkeypatch):
    """It meets no fault, waits for nothing and is not recorded; a stalled client does not hold it up."""
    begun, choose = threading.Event(), FaultChooser.choose
    monkeypatch.setattr(FaultChooser, "choose", lambda chooser, now: begun.set() or choose(chooser, now))
    # Who waited for the stall or the latency would wait in vain.
    with serve(profiles=3, events=0, faults="stall=1,stall_seconds=36000", latency=36000) as sandbox:
        host, port = sandbox.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as stalled:
            stalled.sendall(b"GET /api/tags HTTP/1.1\r\nHost: x\r\n\r\n")
            assert begun.wait(PATIENCE)
            assert call_control(sandbox, "PATCH", "settings", {"faults": "", "latency": 0}).ok
            assert read(sandbox, "lists").ok
        assert [one.path for one in sandbox.requests] == ["/api/lists"]


def test_python_and_http_are_one(running):
    """What one changes, the other tells; errors have the same words."""
    running.control.change(latency=0.01)
    assert call_control(running, "GET", "settings").json()["latency"] == 0.01
    with pytest.raises(InvalidChange, match="known: faults"):
        running.control.change(colour="blue")
    with pytest.raises(NotThere, match="there is no flow X"):
        running.control.delete("flows", "X")


def test_the_page_has_every_request_with_its_call_in_python():
    """Each row of the table names what there is, and together they name all of it."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox" / "options.md").read_text()
    rows = [re.split(r"\s*\|\s*", line)[1:] for line in page.splitlines() if re.match(r"\| `[A-Z]+ /sandbox/", line)]
    calls = [re.search(r"`control\.(\w+)", row[2])[1] for row in rows]
    assert set(calls) == {name for name in vars(Control) if not name.startswith("_")}
    asked = {tuple(re.search(r"`([A-Z]+) /sandbox/(\w+)", row[0]).groups()) for row in rows}
    served = ControlApp(SimpleNamespace())._handlers
    assert asked - {("DELETE", "flows")} == {(method, name) for name in served for method in served[name]}
    (settings,) = (row[1] for row in rows if "`PATCH " in row[0])
    assert set(re.findall(r"`(\w+)`", settings)) == set(SETTINGS)
