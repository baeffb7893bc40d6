"""Faults of pages and answers: what a plain client sees of them, and that no row is lost by any."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from urllib.parse import urlsplit

import pytest
import requests
from support.calls import Caller
from support.patience import PATIENCE

from klaviyo_sandbox.http.fault_pages import LateRows, place_of


@pytest.fixture
def start_with_faults(make_sandbox):
    """A function that starts a small account with faults, and gives it and a caller of it."""
    callers = []

    def make(text, **arguments):
        sandbox = make_sandbox(**{"profiles": 45, "events": 90, "limits": False, "faults": text, **arguments})
        callers.append(Caller(sandbox.url))
        return sandbox, callers[-1]

    yield make
    for caller in callers:
        caller.close()


def test_a_challenge_is_a_page_for_a_browser(start_with_faults):
    """403, HTML, no word of Klaviyo's; what was asked is not done."""
    sandbox, caller = start_with_faults("challenge=1")
    for _ in range(6):
        body = {"data": {"type": "profile", "attributes": {"email": "new.person@example.com"}}}
        answer = caller.post("profile-import", body)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["cf-mitigated"] == "challenge"
        assert "Just a moment" in answer.text
    assert len(sandbox.store.profiles.rows) == 45
    assert {(request.status, request.fault) for request in sandbox.requests} == {(403, "challenge")}


def test_a_cursor_that_has_expired_stays_so(start_with_faults):
    """400 in Klaviyo's words, also when the fault is off, until a page leads to it anew; first pages are whole."""
    sandbox, caller = start_with_faults("expired=1")
    first = caller.get("profiles")
    assert first.status_code == 200
    link = first.json()["links"]["next"]
    for faults in ("expired=1", ""):
        sandbox.control.change(faults=faults)
        answer = caller.session.get(link)
        assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (400, "Invalid cursor provided.")
    assert caller.get("profiles").json()["links"]["next"] == link
    assert caller.session.get(link).status_code == 200


@pytest.mark.parametrize("include", [{}, {"include": "profile,metric"}])
def test_a_page_is_slightly_out_of_order(start_with_faults, include):
    """A row stands a few places too late, on the next page where there is one, with what it is related to."""
    _, plain = start_with_faults("")
    _, caller = start_with_faults("disorder=1")
    asked = {"sort": "datetime", "page__size": 10, **include}
    ordered, disordered = list(plain.pages("events", **asked)), list(caller.pages("events", **asked))
    places = {row["id"]: place for place, row in enumerate(row for page in ordered for row in page["data"])}
    rows = [row for page in disordered for row in page["data"]]
    assert Counter(row["id"] for row in rows) == Counter(places.keys())
    late = [places[row["id"]] for row in rows]
    assert late != sorted(late)
    assert max(abs(place - index) for index, place in enumerate(late)) <= 4
    # What is late stands on another page than something that is later.
    edges = itertools.pairwise(disordered)
    assert any(_times(before)[-1] > min(_times(after)) for before, after in edges)
    for page in disordered if include else ():
        included = {(entry["type"], entry["id"]) for entry in page["included"]}
        assert len(included) == len(page["included"])
        for row in page["data"]:
            named = [relation["data"] for relation in row["relationships"].values() if "data" in relation]
            assert {(entry["type"], entry["id"]) for entry in named if isinstance(entry, dict)} <= included


def _times(page):
    return [row["attributes"]["datetime"] for row in page["data"]]


def test_a_row_that_is_late_comes_although_the_fault_is_off(start_with_faults):
    """And again when its page is asked for again."""
    sandbox, caller = start_with_faults("disorder=1")
    first = caller.get("profiles").json()
    sandbox.control.change(faults="")
    link = first["links"]["next"]
    second, again = caller.session.get(link).json(), caller.session.get(link).json()
    assert second == again
    rows = [*first["data"], *second["data"], *caller.session.get(second["links"]["next"]).json()["data"]]
    assert len({row["id"] for row in rows}) == len(rows) == 45


@pytest.mark.parametrize("faults_afterwards", ["", "repeat=0.3", "disorder=0.5", "disorder=1"])
def test_a_row_that_was_late_comes_once_to_who_reads_anew(start_with_faults, faults_afterwards):
    """Its page is read again, with other luck or after the fault: it stands on one of the two pages, not on both."""
    sandbox, caller = start_with_faults("disorder=1")
    list(caller.pages("profiles", page__size=10))
    sandbox.control.change(faults=faults_afterwards)
    for _ in range(3):
        link, pages = f"{sandbox.url}/api/profiles?page[size]=10", {}
        while link:
            page = caller.session.get(link).json()
            # A link that leads to its own page brings the same rows again: the page counts once.
            pages[place_of(link)] = {row["id"] for row in page["data"]}
            link = page["links"]["next"]
        assert sum(len(ids) for ids in pages.values()) == len(set().union(*pages.values())) == 45


def test_a_cursor_repeats(start_with_faults):
    """The link to the next page leads to the page itself; who asks again may get on."""
    _, caller = start_with_faults("repeat=1")
    first = caller.get("profiles", page__size=20).json()
    again = caller.session.get(first["links"]["next"]).json()
    assert again["data"] == first["data"]
    assert place_of(again["links"]["next"]) == place_of(first["links"]["next"])
    assert urlsplit(first["links"]["next"]).netloc == urlsplit(caller.url).netloc
    _, patient = start_with_faults("repeat=0.5,seed=4")
    ids = [row["id"] for row in patient.rows("profiles", page__size=20)]
    assert len(set(ids)) == 45 < len(ids)


def test_an_operation_refuses_for_good(start_with_faults):
    """With the status that is asked for, JSON, every time; the others go on."""
    sandbox, caller = start_with_faults("refuse=get_lists+get_tags:403+create_or_update_profile:503")
    body = {"data": {"type": "profile", "attributes": {"email": "new.person@example.com"}}}
    for _ in range(3):
        answers = [caller.get("lists"), caller.get("tags"), caller.post("profile-import", body)]
        assert [answer.status_code for answer in answers] == [500, 403, 503]
        assert [answer.json()["errors"][0]["status"] for answer in answers] == [500, 403, 503]
        assert caller.get("metrics").status_code == 200
    assert len(sandbox.store.profiles.rows) == 45
    assert Counter(request.fault for request in sandbox.requests) == {"refuse": 9, None: 3}


def test_an_answer_trickles(start_with_faults):
    """In pieces with pauses between them, and whole in the end."""
    waits = []
    sandbox, caller = start_with_faults("trickle=1,trickle_seconds=12")
    clock = sandbox.control.current.clock

    async def sleep(seconds):
        waits.append(seconds)

    clock.sleep = sleep
    answer = caller.get("profiles")
    assert len(answer.json()["data"]) == 20
    assert len(waits) == 20
    assert sum(waits) == pytest.approx(12)


def test_an_answer_is_huge(start_with_faults):
    """As many megabytes more as were asked for, and says what it would have said."""
    _, plain = start_with_faults("")
    _, caller = start_with_faults("huge=1,huge_megabytes=3")
    answer = caller.get("profiles")
    assert int(answer.headers["Content-Length"]) == len(answer.content) > 3_000_000
    assert answer.json()["data"][0]["id"] == plain.get("profiles").json()["data"][0]["id"]


def test_another_app_spends_the_budget(make_sandbox):
    """A 429 comes before the budget that was announced is spent; the header of what remains tells of it."""
    standing = [1_000_000.0]
    sandbox = make_sandbox(profiles=3, events=0, faults="other_app=0.5", clock=lambda: standing[0])
    caller = Caller(sandbox.url)
    through = []
    for _ in range(20):
        answers = []
        while not answers or answers[-1].ok:
            answers.append(caller.get("tags"))
        through.append(len(answers) - 1)
        assert all(answer.headers["RateLimit-Limit"] == "3, 3;w=1, 60;w=60" for answer in answers[:-1])
        remaining = [int(answer.headers["RateLimit-Remaining"]) for answer in answers[:-1]]
        assert remaining == list(range(len(answers) - 2, -1, -1))
        standing[0] += 1
    assert set(through) == {1, 2}
    sandbox.control.change(faults="")
    standing[0] += 60
    assert [caller.get("tags").status_code for _ in range(4)] == [200, 200, 200, 429]
    caller.close()


def test_faults_of_pages_meet_reads_of_pages_only(start_with_faults):
    """A write, and the read of one resource, is answered as ever."""
    _, caller = start_with_faults("disorder=0.5,repeat=0.5")
    body = {"data": {"type": "profile", "attributes": {"email": "new.person@example.com"}}}
    made = caller.post("profile-import", body)
    assert made.status_code == 201
    assert caller.get(f"profiles/{made.json()['data']['id']}").json()["data"]["id"] == made.json()["data"]["id"]


def test_a_page_of_two_rows_is_left_alone():
    """There is no row that could come a few places late."""
    page = {"data": [{"id": "a"}, {"id": "b"}], "links": {"next": "http://x/api/tags?page%5Bcursor%5D=c"}}
    late_rows, before = LateRows(), json.dumps(page)
    late_rows.take(page, 0.7)
    assert json.dumps(page) == before
    assert place_of("/api/tags?page[cursor]=c") not in late_rows


def test_every_fault_at_once_loses_nothing(start_with_faults):
    """A client that asks again, and begins again after an expired cursor, has every row in the end."""
    kinds = ("503", "reset", "truncate", "challenge", "expired", "disorder", "repeat", "trickle", "huge")
    rates = ",".join(f"{kind}=0.03" for kind in kinds)
    sandbox, caller = start_with_faults(f"{rates},429=0.03,trickle_seconds=0.01,huge_megabytes=0.1,seed=8")
    held = {}
    link = first = f"{caller.url}/api/profiles?page%5Bsize%5D=10&sort=updated"
    while link is not None:
        try:
            answer = caller.session.get(link)
        except requests.RequestException:
            continue
        if answer.status_code == 400:
            link = first
        elif answer.status_code == 200:
            held.update({row["id"]: row for row in answer.json()["data"]})
            link = answer.json()["links"].get("next")
    assert held.keys() == set(sandbox.store.profiles.rows)


def test_the_page_shows_faults_in_force_and_met(start_with_faults):
    """What requests can meet, and by each request that met something what it was."""
    sandbox, caller = start_with_faults("challenge=1,storm=3")
    caller.get("lists")
    page = requests.get(f"{sandbox.url}/", timeout=PATIENCE).text
    assert "faults: challenge=1,storm=3" in page
    assert "403 challenge" in page
    requests.patch(f"{sandbox.url}/sandbox/settings", json={"faults": "refuse=get_lists:418"}, timeout=PATIENCE)
    assert caller.get("lists").status_code == 418
    page = requests.get(f"{sandbox.url}/", timeout=PATIENCE).text
    assert "faults: refuse=get_lists:418" in page
    assert "418 refuse" in page
    refused = requests.patch(f"{sandbox.url}/sandbox/settings", json={"faults": "refuse=nothing"}, timeout=PATIENCE)
    assert "no such operation" in refused.json()["error"]
