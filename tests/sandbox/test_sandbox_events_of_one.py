"""One person's events in a procedural account, which are found without a look at everybody's."""

from __future__ import annotations

import random
import time
from collections import defaultdict

import pytest
from support.calls import Caller, problem

from klaviyo_sandbox.account.procedural.account import build_procedural
from klaviyo_sandbox.account.procedural.events import ProceduralEvents
from klaviyo_sandbox.spec.filters import Clause

PROFILES, EVENTS = 600, 5_000
WINDOW = "greater-or-equal(datetime,2025-03-01T00:00:00Z),less-than(datetime,2026-02-01T00:00:00Z)"


@pytest.fixture(scope="module")
def account(make_shared_sandbox):
    """A procedural account that is small enough to read whole."""
    return make_shared_sandbox(procedural=True, profiles=PROFILES, events=EVENTS, limits=False)


@pytest.fixture(scope="module")
def call(account):
    caller = Caller(account.url)
    yield caller
    caller.close()


def events_by_person(call):
    found = defaultdict(list)
    for row in call.rows("events", sort="datetime", page__size=1000, fields__event="datetime"):
        found[row["relationships"]["profile"]["data"]["id"]].append(row["id"])
    return found


@pytest.fixture(scope="module")
def every(call):
    """Profile id -> ids of the profile's events, by time."""
    return events_by_person(call)


def ids(rows):
    return [row["id"] for row in rows]


def events_of(call, profile_id, *conditions, **query):
    text = ",".join([f'equals(profile_id,"{profile_id}")', *conditions])
    return call.rows("events", filter=f"and({text})" if conditions else text, **query)


def some_of(every, count=7):
    """People with many events, with few, and some between."""
    people = sorted(every, key=lambda person: (len(every[person]), person))
    return [people[0], people[-1], *random.Random(1).sample(people, count - 2)]


@pytest.mark.parametrize("sort", ["datetime", "-datetime", "timestamp", "-timestamp"])
def test_everybodys_events_are_theirs(call, every, sort):
    """In either direction and in pages of any size: those that reading the whole account finds."""
    assert sum(map(len, every.values())) == EVENTS
    for number, person in enumerate(some_of(every)):
        expected = every[person][::-1] if sort.startswith("-") else every[person]
        assert ids(events_of(call, person, sort=sort, page__size=(5, 20, 1000)[number % 3])) == expected


def test_without_a_sort_they_are_found_as_well(call, every):
    """By id, which is the order of the whole account there."""
    for person in some_of(every, 4):
        assert sorted(ids(events_of(call, person))) == sorted(every[person])


def test_a_window_and_a_metric_narrow_them_further(call, every):
    """Conditions go together as they do in a small account."""
    for person in some_of(every, 5):
        rows = events_of(call, person, sort="datetime", page__size=200, include="metric")
        within = [row for row in rows if "2025-03-01" <= row["attributes"]["datetime"] < "2026-02-01"]
        assert ids(events_of(call, person, WINDOW, sort="datetime")) == ids(within)
        metric = rows[0]["relationships"]["metric"]["data"]["id"]
        same = [row for row in rows if row["relationships"]["metric"]["data"]["id"] == metric]
        assert ids(events_of(call, person, f'equals(metric_id,"{metric}")', sort="datetime")) == ids(same)
        assert ids(events_of(call, person, "has(profile)", sort="datetime")) == ids(rows)


def test_a_page_leads_back_to_the_one_before(call, every):
    """Also where rows that are left out lie between."""
    person = max(every, key=lambda who: len(every[who]))
    text = f'equals(profile_id,"{person}")'
    first = call.get("events", filter=text, sort="datetime", page__size=4).json()
    second = call.session.get(first["links"]["next"]).json()
    assert ids(first["data"] + second["data"]) == every[person][:8]
    assert ids(call.session.get(second["links"]["prev"]).json()["data"]) == ids(first["data"])


def test_nobody_has_no_events(call, every, account):
    """Neither does who never did anything; both are an empty page."""
    idle = next(row_id for row_id in account.store.profiles.rows if row_id not in every)
    for person in (idle, "X", "01ARZ3NDEKTSV4RRFFQ69G5FAV", ""):
        answer = call.get("events", filter=f'equals(profile_id,"{person}")', sort="datetime")
        assert (answer.status_code, answer.json()["data"]) == (200, [])


def test_events_of_somebody_new_are_found(make_sandbox):
    """So are those that were written to the account, moved to another person, or dropped."""
    sandbox = make_sandbox(procedural=True, profiles=40, events=4500, limits=False)
    caller, store, rng = Caller(sandbox.url), sandbox.store, random.Random(4)
    people = list(store.profiles.rows)[1:5]
    every = events_by_person(caller)
    with store.lock:
        for person in people:
            sandbox.control.add_events(2, time="2025-09-09T09:09:09Z", profile_id=person)
            sandbox.control.add_events(1, seconds=-3600, profile_id=person)
            event_id = rng.choice(every[person])
            store.events.put({**store.events.rows[event_id], "profile_id": people[0]})
            store.events.drop(every[person][0])
    now = events_by_person(caller)
    assert now != every
    for person in people:
        for page_size in (3, 50):
            assert ids(events_of(caller, person, sort="datetime", page__size=page_size)) == now[person]
            assert ids(events_of(caller, person, sort="-datetime", page__size=page_size)) == now[person][::-1]
    caller.close()


def test_a_hundred_million_are_not_looked_at(monkeypatch):
    """A person's first page in the largest account draws some hundreds of thousands of them at most."""
    store = build_procedural(1, 1_000_000, 100_000_000, time.time)
    drawn, draw = [], ProceduralEvents._draw_chunk
    monkeypatch.setattr(ProceduralEvents, "_draw_chunk", lambda events, part: drawn.append(part) or draw(events, part))
    person = store.events.rows[store.events.sorted_keys("id")[70_000_000][1]]["profile_id"]
    clause = Clause("equals", "profile_id", person)
    rows = store.events.entries_at("datetime", range(100_000_000), [clause])
    assert [next(rows)[1]["profile_id"] for _ in range(5)] == [person] * 5
    assert len(drawn) < 200


@pytest.mark.parametrize(
    ("path", "text", "works"),
    [
        ("profiles", 'equals(subscriptions.email.marketing.suppression.reason,"HARD_BOUNCE")', "created, email, "),
        (
            "profiles",
            "greater-than(subscriptions.email.marketing.suppression.timestamp,2025-01-01T00:00:00Z)",
            "updated",
        ),
    ],
)
def test_what_cannot_be_searched_says_what_can(call, path, text, works):
    """And how large an account may be that can be searched by everything."""
    answer = call.get(path, filter=text)
    assert problem(answer)[::2] == (400, {"parameter": "filter"})
    detail = answer.json()["errors"][0]["detail"]
    assert "procedural" in detail
    assert works in detail
    assert "100,000 rows" in detail
    sort = call.get(path, sort="email").json()["errors"][0]["detail"]
    assert "created" in sort
    assert "100,000 rows" in sort


def test_a_member_of_a_segment_is_found_by_id(call, account):
    """Without a look at the others."""
    first = next(iter(account.store.segment_members))
    member, other = list(account.store.segment_members[first].rows)[3], next(iter(account.store.profiles.rows))
    for profile_id, expected in ((member, [member]), (other, [])):
        assert ids(call.rows(f"segments/{first}/profiles", filter=f'equals(profile_id,"{profile_id}")')) == expected


def test_members_of_a_list_are_found_by_when_they_joined_in_any_order(call, account):
    """Also where the request names no sort."""
    first = next(iter(account.store.list_members))
    members = call.rows(f"lists/{first}/profiles", sort="joined_group_at", page__size=100)
    middle = members[len(members) // 2]["attributes"]["joined_group_at"]
    later = [row["id"] for row in members if row["attributes"]["joined_group_at"] > middle]
    found = call.rows(f"lists/{first}/profiles", filter=f"greater-than(joined_group_at,{middle})", page__size=100)
    assert sorted(ids(found)) == sorted(later)
