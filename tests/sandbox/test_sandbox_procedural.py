from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta

import psutil
import pytest
import requests
from support.calls import KEY, REVISION, Caller
from support.patience import PATIENCE

from klaviyo_sandbox.__main__ import parser
from klaviyo_sandbox.account.procedural.account import MAX_SEEDED_ROWS, build_procedural
from klaviyo_sandbox.account.procedural.ids import event_id, event_number, number_in_profile_id, profile_id
from klaviyo_sandbox.account.procedural.timelines import Timeline
from klaviyo_sandbox.account.procedural.virtual_table import VirtualTable
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.store import Store

EVENTS, PROFILES = 10_000, 2000
ALL = {"include": "attributions,metric,profile"}
SPARSE = {"fields__event": "datetime,event_properties", "fields__metric": "name", "fields__profile": "email"}
MEMBERS = {"sort": "joined_group_at", "page__size": 100, "additional_fields__profile": "subscriptions"}


@pytest.fixture(scope="module")
def account(make_shared_sandbox):
    """A procedural account that is small enough to read whole."""
    return make_shared_sandbox(procedural=True, profiles=PROFILES, events=EVENTS, limits=False)


@pytest.fixture(scope="module")
def call(account):
    caller = Caller(account.url)
    yield caller
    caller.close()


@pytest.fixture(scope="module")
def huge():
    return build_procedural(1, 1_000_000, 100_000_000, time.time)


def rows_between(call, lower, upper, **query):
    """The rows from ``lower`` on and before ``upper``."""
    window = f"and(greater-or-equal(datetime,{lower.isoformat()}),less-than(datetime,{upper.isoformat()}))"
    return call.rows("events", filter=window, sort="datetime", page__size=1000, **query)


def test_any_partition_into_windows_finds_every_event_once_in_order(call):
    """Windows cut at random seconds, read in pages of odd sizes, hold each event exactly once, by time and then id."""
    rng = random.Random(3)
    cuts = sorted(START + timedelta(seconds=rng.randrange(730 * 86_400)) for _ in range(12))
    edges = [START, *cuts, END]
    rows = [row for low, high in itertools.pairwise(edges) for row in rows_between(call, low, high)]
    keys = [(row["attributes"]["datetime"], row["id"]) for row in rows]
    assert len(rows) == len({row["id"] for row in rows}) == EVENTS
    assert keys == sorted(keys)
    once = call.rows("events", sort="datetime", page__size=997)
    assert [row["id"] for row in once] == [row["id"] for row in rows]


def test_every_edge_of_a_filter_is_exact(call):
    """At the second of an event the four operators include or leave out just its own second."""
    middle = call.get("events", sort="datetime", page__size=1, filter="greater-than(datetime,2025-05-05T00:00:00Z)")
    when = middle.json()["data"][0]["attributes"]["datetime"]

    def count(operator, other):
        far = {"g": "less-than(datetime,2025-05-09T00:00:00Z)", "l": "greater-than(datetime,2025-05-01T00:00:00Z)"}
        text = f"and({operator}(datetime,{when}),{far[other]})"
        return len(call.rows("events", filter=text, sort="datetime", page__size=1000))

    same = count("greater-or-equal", "g") - count("greater-than", "g")
    assert same == count("less-or-equal", "l") - count("less-than", "l") >= 1


@pytest.mark.parametrize("sort", ["datetime", "-datetime", "timestamp"])
@pytest.mark.parametrize("query", [{}, ALL, {**ALL, **SPARSE}, {"include": "metric"}, SPARSE, {"include": "profile"}])
def test_a_printed_page_is_what_the_ordinary_way_gives(account, call, monkeypatch, sort, query):
    """For whatever is asked, pages made from templates equal as JSON those that are built row by row."""
    asked = {"sort": sort, "page__size": 1000, "filter": "less-than(datetime,2026-03-01T00:00:00Z)", **query}
    printed = call.get("events", **asked)
    monkeypatch.setattr(account.store, "page_renderer", None)
    built = call.get("events", **asked)
    assert printed.status_code == 200
    assert json.dumps(built.json(), ensure_ascii=False, separators=(",", ":")).encode() == printed.content


def test_printed_profiles_are_what_the_ordinary_way_gives(account, call, monkeypatch):
    """Profiles with subscriptions and sparse fields come out the same either way."""
    asked = {"sort": "updated", "page__size": 100, "additional_fields__profile": "subscriptions"}
    printed = [call.get("profiles", **asked, **more).json() for more in ({}, {"fields__profile": "email,updated"})]
    monkeypatch.setattr(account.store, "page_renderer", None)
    assert printed == [
        call.get("profiles", **asked, **more).json() for more in ({}, {"fields__profile": "email,updated"})
    ]


def test_events_look_like_seeded_ones(account, call):
    """Every metric has events of one to two kilobytes; a few percent are owed to a message of the five days before."""
    rows, related = [], {}
    for page in call.pages("events", sort="datetime", page__size=1000, **ALL):
        rows += page["data"]
        related.update({(entry["type"], entry["id"]): entry for entry in page["included"]})
    assert len({row["relationships"]["metric"]["data"]["id"] for row in rows}) == len(account.store.metrics)
    assert 900 < sum(len(json.dumps(row)) for row in rows) / len(rows) < 1900
    when = {row["id"]: datetime.fromisoformat(row["attributes"]["datetime"]) for row in rows}
    who = {row["id"]: row["relationships"]["profile"]["data"]["id"] for row in rows}
    owed = [row for row in rows if "attributions" in row["relationships"]]
    assert 0.005 < len(owed) / len(rows) < 0.08
    for row in owed:
        for entry in row["relationships"]["attributions"]["data"]:
            found = related["attribution", entry["id"]]["relationships"]
            cause = found["attributed-event"]["data"]["id"]
            assert timedelta(0) < when[row["id"]] - when[cause] <= timedelta(days=5)
            assert who[cause] == who[row["id"]]
            assert "campaign" in found or "flow" in found


def test_one_event_is_found_by_its_id(call):
    """``get_event`` gives the same event as the page it is on, 404 for an id of none, 400 for what is no id."""
    row = call.get("events", sort="datetime", page__size=1, **ALL).json()["data"][0]
    found = call.get(f"events/{row['id']}", **ALL).json()["data"]
    assert found["attributes"] == row["attributes"]
    for wrong, status in (("00000000000", 404), ("x", 400), ("ÄÖÜ", 400), (row["id"][:-1] + "é", 400)):
        assert call.get(f"events/{wrong}").status_code == status


def test_events_of_some_metrics_are_found(account, call):
    """``metric_id`` finds the events of one metric or several."""
    first, second = list(account.store.metrics.rows)[:2]
    every = Counter(
        row["relationships"]["metric"]["data"]["id"] for row in call.rows("events", page__size=1000, include="metric")
    )
    for text, ids in ((f'"{first}"', [first]), (f'["{first}","{second}"]', [first, second])):
        found = call.rows("events", filter=f"equals(metric_id,{text})", sort="datetime", page__size=1000)
        assert len(found) == sum(every[metric_id] for metric_id in ids)


@pytest.mark.parametrize("sort", ["updated", "-updated", "created", "id"])
def test_every_sort_of_profiles_visits_each_once_in_order(call, sort):
    """Whatever the order, all profiles come once, in that order, and none is updated before it is created."""
    rows = call.rows("profiles", sort=sort, page__size=100)
    field = sort.removeprefix("-")
    keys = [(row["attributes"].get(field, row["id"]), row["id"]) for row in rows]
    assert keys == sorted(keys, reverse=sort.startswith("-"))
    assert len({row["id"] for row in rows}) == PROFILES
    assert all(row["attributes"]["created"] < row["attributes"]["updated"] for row in rows)
    assert len({row["attributes"]["email"] for row in rows if row["attributes"]["email"]}) > PROFILES * 0.9


def test_profiles_are_split_exactly_by_what_is_exclusive(call):
    """``less-than`` and ``greater-than`` the same second leave out the profiles of that second and no others."""
    when = call.get("profiles", sort="updated", page__size=50).json()["data"][-1]["attributes"]["updated"]
    parts = [
        call.rows("profiles", filter=f"{operator}(updated,{when})", sort="updated", page__size=100)
        for operator in ("less-than", "greater-than")
    ]
    every = call.rows("profiles", sort="updated", page__size=100)
    assert sum(map(len, parts)) == sum(row["attributes"]["updated"] != when for row in every)


@pytest.mark.parametrize("kind", ["list", "segment"])
def test_groups_have_their_members_in_order(account, call, kind):
    """The first group holds a tenth of the profiles and the last none; members come by when they joined."""
    members = getattr(account.store, f"{kind}_members")
    first, *_, last = members
    rows = call.rows(f"{kind}s/{first}/profiles", **MEMBERS)
    joined = [(row["attributes"]["joined_group_at"], row["id"]) for row in rows]
    assert joined == sorted(joined)
    assert len({row["id"] for row in rows}) == len(members[first]) == PROFILES // 10
    assert call.rows(f"{kind}s/{last}/profiles", **MEMBERS) == []
    later = call.rows(f"{kind}s/{first}/profiles", **MEMBERS, filter=f"greater-than(joined_group_at,{joined[99][0]})")
    assert len(later) == sum(when > joined[99][0] for when, _ in joined)


def test_a_second_may_hold_hundreds_of_events(huge):
    """In the account of a hundred million some seconds hold 800 events, and a cursor finds its way through them."""
    keys = huge.events.sorted_keys("datetime")
    found = max(
        (Counter(keys[place][0] for place in range(at, at + 6000)).most_common(1)[0] for at in range(0, 600_000, 6000)),
        key=lambda pair: pair[1],
    )
    assert found[1] >= 800


def test_the_same_seed_gives_the_same_rows(huge):
    """A row depends on seed and number alone, not on what was asked before."""
    again = build_procedural(1, 1_000_000, 100_000_000, time.time)
    other = build_procedural(2, 1_000_000, 100_000_000, time.time)
    ids = [huge.events.sorted_keys("id")[place][1] for place in (0, 77_777_777, 99_999_999)]
    assert [dict(huge.events.rows[row_id]) for row_id in ids] == [
        dict(again.events.rows[row_id]) for row_id in ids[::-1]
    ][::-1]
    assert [other.events.sorted_keys("id")[place][1] for place in (0, 77_777_777)] != ids[:2]


def test_a_hundred_million_events_take_no_memory():
    """The command is ready without having made them, unasked, and pages from all over the account leave it small."""
    command = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0", "--no-limits"]
    with subprocess.Popen(
        [*command, "--events", "100_000_000", "--profiles", "1_000_000"], stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().split()[4]
        # Rows that were made take some gigabytes.
        assert psutil.Process(process.pid).memory_info().rss < 300e6
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        for month in range(24):
            lower = (START + timedelta(days=30 * month)).strftime("%Y-%m-%dT%H:%M:%SZ")
            query = {"filter": f"greater-than(datetime,{lower})", "sort": "datetime", "page[size]": "1000", **ALL}
            page = requests.get(f"{url}/api/events", params=query, headers=headers, timeout=PATIENCE).json()
            assert len(page["data"]) == 1000
        assert psutil.Process(process.pid).memory_info().rss < 300e6
        process.terminate()


@pytest.mark.parametrize(
    ("profiles", "asked", "virtual"),
    [
        (MAX_SEEDED_ROWS - 7, None, False),
        (MAX_SEEDED_ROWS - 6, None, True),
        (3, True, True),
        (MAX_SEEDED_ROWS - 6, False, False),
    ],
)
def test_an_account_is_procedural_when_it_is_large(make_sandbox, monkeypatch, profiles, asked, virtual):
    """Profiles and events together decide, unless the caller does; the help names the number."""
    monkeypatch.setattr("klaviyo_sandbox.account.build_cache.build", lambda *_: Store(time.time))
    account = make_sandbox(profiles=profiles, events=7, procedural=asked)
    assert isinstance(account.store.profiles, VirtualTable) is virtual
    assert f"above {MAX_SEEDED_ROWS} rows" in " ".join(parser().format_help().split())


@pytest.mark.parametrize("number", [0, 1, 1295, 1296, 99_999_999, 36**7 - 1])
def test_ids_lead_back_to_their_number(number):
    """What makes an id reads it, and refuses one that was tampered with."""
    text = event_id(number, 12_345)
    assert event_number(text, 12_345) == number
    assert event_number(text[:-1] + ("A" if text[-1] != "A" else "B"), 12_345) is None
    assert number_in_profile_id(profile_id(number, 1_700_000_000, 99)) == number
    assert profile_id(number, 1_700_000_000, 99) < profile_id(number + 1, 1_700_000_000, 99)


@pytest.mark.parametrize("count", [0, 1, 7, 1000, 3_000_000])
def test_time_never_goes_back(count):
    """Later ranks are never earlier, all lie in the hours given, and counting before a second inverts that."""
    timeline = Timeline(random.Random(5), 0, 1000, count)
    seconds = timeline.seconds(0, min(count, 20_000))
    assert seconds == sorted(seconds) == [timeline.second_at(rank) for rank in range(len(seconds))]
    assert all(0 <= second < 3_600_000 for second in seconds)
    for rank in range(0, len(seconds), 997):
        assert timeline.count_before(seconds[rank]) <= rank < timeline.count_before(seconds[rank] + 1)


@pytest.mark.parametrize(("profiles", "events"), [(0, 0), (0, 10), (1, 5), (3, 0), (17, 600)])
def test_tiny_accounts_are_whole(make_sandbox, profiles, events):
    """Accounts with next to nothing in them are served as others are."""
    caller = Caller(make_sandbox(procedural=True, profiles=profiles, events=events, limits=False).url)
    assert len(caller.rows("profiles", sort="updated", page__size=100)) == profiles
    assert len(caller.rows("events", sort="datetime", page__size=1000, **ALL)) == (events if profiles else 0)
    caller.close()
