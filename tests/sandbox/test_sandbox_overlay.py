from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.calls import Caller, problem

from klaviyo_sandbox.account.procedural.account import build_procedural
from klaviyo_sandbox.account.procedural.overlay import OverlayKeys
from klaviyo_sandbox.account.procedural.virtual_table import SortOrder, VirtualTable
from klaviyo_sandbox.account.rows import event_key, values_at
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.reads.paging import Order, find_page, parse_cursor
from klaviyo_sandbox.spec.filters import Clause

IDS = [f"R{number:02d}" for number in range(12)]
ALL = {"include": "attributions,metric,profile"}


def base_row(number):
    """Ids with gaps between them, and three rows to every second."""
    return {"id": f"R{number * 2:02d}", "at": f"{number // 3}", "name": f"n{number}"}


def virtual(count):
    orders = {
        "id": SortOrder(lambda place: (base_row(place)["id"],) * 2, lambda place: place),
        "at": SortOrder(lambda place: (base_row(place)["at"], base_row(place)["id"]), lambda place: place),
    }

    def find(row_id):
        return next((number for number in range(count) if base_row(number)["id"] == row_id), None)

    return VirtualTable(count, base_row, find, orders, ("at", "name"), {"name": lambda name: [int(name[1:])]})


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(IDS), st.integers(0, 3), st.integers(0, 9)),
        st.tuples(st.just("drop"), st.sampled_from(IDS)),
        st.tuples(st.just("ask"), st.sampled_from(["id", "at"])),
    ),
    max_size=25,
)


@given(st.integers(0, 6), steps)
def test_an_overlaid_table_behaves_as_a_plain_one(count, taken):
    """After any puts and drops, orders, windows, look-ups and counts are those of a table that holds the same rows."""
    plain, overlaid = Table(map(base_row, range(count))), virtual(count)
    for step in taken:
        if step[0] == "put":
            row = {"id": step[1], "at": str(step[2]), "name": f"n{step[3]}"}
            plain.put(row)
            overlaid.put(row)
        elif step[0] == "drop":
            plain.drop(step[1])
            overlaid.drop(step[1])
        else:
            assert list(overlaid.sorted_keys(step[1])) == list(plain.sorted_keys(step[1]))
    assert len(overlaid) == len(plain)
    assert dict(overlaid.rows) == dict(plain.rows)
    assert {row_id for row_id in IDS if row_id in overlaid} == set(plain.rows)
    names = [f"n{number}" for number in range(10)]
    assert sorted(overlaid.ids_with("name", names)) == sorted(plain.ids_with("name", names))
    for field in ("id", "at"):
        keys = plain.sorted_keys(field)
        assert list(overlaid.sorted_keys(field)) == list(keys)
        for start in range(len(keys) + 1):
            for stop in range(start, len(keys) + 1):
                for places in (range(start, stop), range(stop - 1, start - 1, -1)):
                    assert list(overlaid.rows_at(field, places)) == list(plain.rows_at(field, places))


@given(st.integers(0, 6), steps, st.booleans(), st.integers(1, 4), st.integers(0, 3))
def test_pages_of_an_overlaid_table_are_those_of_a_plain_one(count, taken, descending, size, lower):
    """Followed by their cursors, pages of any size and direction hold the same rows, whatever was written."""
    plain, overlaid = Table(map(base_row, range(count))), virtual(count)
    for step in taken:
        for table in (plain, overlaid):
            if step[0] == "put":
                table.put({"id": step[1], "at": str(step[2]), "name": f"n{step[3]}"})
            elif step[0] == "drop":
                table.drop(step[1])
    clauses = [Clause("greater-or-equal", "at", str(lower))]

    def walked(table):
        found, cursor = [], None
        while True:
            got = find_page(
                table,
                Order("at", descending=descending),
                clauses,
                lambda row, clause: clause.holds(values_at(row, clause.field)),
                lambda row: row,
                cursor,
                size,
            )
            found.append(got)
            if got.after is None:
                return found
            cursor = parse_cursor(got.after)

    assert walked(overlaid) == walked(plain)


@pytest.fixture
def account(make_sandbox):
    """A procedural account of the test's own."""
    return make_sandbox(procedural=True, profiles=3000, events=6000, limits=False, job_seconds=0.0)


@pytest.fixture
def call(account):
    caller = Caller(account.url)
    yield caller
    caller.close()


def profile_body(**attributes):
    return {"data": {"type": "profile", "attributes": attributes}}


def test_every_identifier_of_a_procedural_profile_finds_it():
    """Addresses and external ids lead back to their profile, in any letters, and what nobody has to nobody."""
    store = build_procedural(3, 1_100_000, 0, time.time)
    keys = store.profiles.sorted_keys("id")
    seen = set()
    for place in (*range(40), *range(1_050_000, 1_050_040)):
        row = store.profiles.rows[keys[place][1]]
        for name in ("email", "external_id"):
            if row[name]:
                seen.add(name)
                assert store.find_profile_id(name, row[name]) == row["id"]
                assert store.find_profile_ids(name, row[name]) == [row["id"]]
        if row["email"]:
            assert store.find_profile_id("email", row["email"].upper()) == row["id"]
            assert store.find_profile_id("email", f"0{row['email']}") is None
    assert seen == {"email", "external_id"}
    assert store.find_profile_id("external_id", "crm-9999999") is None
    assert store.find_profile_id("phone_number", "+12025550100") is None


def test_every_procedural_event_is_known_by_what_it_must_not_repeat(account):
    """An event that is there already is found by its key, though there is no index; one of another person is not."""
    store = account.store
    keys = store.events.sorted_keys("datetime")
    for place in range(0, 6000, 97):
        row = store.events.rows[keys[place][1]]
        person, metric, unique_id = event_key(row)
        assert store.has_event((person, metric, unique_id))
        assert not store.has_event((f"{person}X", metric, unique_id))


def test_a_profile_is_changed_where_it_is(account, call):
    """An upsert by a procedural profile's address changes that one; it is found by its new address and not the old."""
    total = len(account.store.profiles)
    row = next(row for row in call.rows("profiles", sort="created", page__size=100) if row["attributes"]["email"])
    old = row["attributes"]["email"]
    done = call.post("profile-import", profile_body(email=old.upper(), first_name="Ada"))
    assert (done.status_code, done.json()["data"]["id"]) == (200, row["id"])
    again = {"type": "profile", "id": row["id"], "attributes": {"email": "new@example.com"}}
    assert call.send("PATCH", f"profiles/{row['id']}", {"data": again}).status_code == 200

    def found(email):
        return [one["id"] for one in call.rows("profiles", filter=f'equals(email,"{email}")')]

    assert (found(old), found("new@example.com")) == ([], [row["id"]])
    assert call.post("profile-import", profile_body(email=old)).status_code == 201
    latest = call.get("profiles", sort="-updated", page__size=2).json()["data"]
    assert {one["attributes"]["email"] for one in latest} == {old, "new@example.com"}
    assert len(call.rows("profiles", sort="updated", page__size=100)) == total + 1


def test_a_deleted_profile_is_gone_everywhere(account, call):
    """Whoever is forgotten is in no page, on no list and in no look-up, and their events stay without them."""
    list_id = next(iter(account.store.list_members))
    members = len(account.store.list_members[list_id])
    row = next(row for row in call.rows(f"lists/{list_id}/profiles", page__size=100) if row["attributes"]["email"])
    events = call.rows("events", sort="datetime", page__size=1000, **ALL)
    body = {
        "data": {
            "type": "data-privacy-deletion-job",
            "attributes": {
                "profile": {"data": {"type": "profile", "attributes": {"email": row["attributes"]["email"]}}}
            },
        }
    }
    assert call.post("data-privacy-deletion-jobs", body).status_code == 202
    assert call.get(f"profiles/{row['id']}").status_code == 404
    assert row["id"] not in {one["id"] for one in call.rows("profiles", sort="updated", page__size=100)}
    left = call.rows(f"lists/{list_id}/profiles", page__size=100)
    assert (len(left), row["id"] in {one["id"] for one in left}) == (members - 1, False)
    assert [one["id"] for one in call.rows("events", sort="datetime", page__size=1000, **ALL)] == [
        one["id"] for one in events
    ]
    for page_ in call.pages("events", sort="datetime", page__size=1000, **ALL):
        assert row["id"] not in {one["id"] for one in page_["included"]}


def test_events_of_the_past_take_their_place(account, call):
    """An event that is written into the account's time stands between the others, and shows whose it is now."""
    store = account.store
    keys = store.events.sorted_keys("datetime")
    when, person = keys[3000][0], store.events.rows[keys[3000][1]]["profile_id"]
    attributes = {
        "properties": {"size": "M"},
        "time": when,
        "unique_id": "mine",
        "metric": {"data": {"type": "metric", "attributes": {"name": "Tried On"}}},
        "profile": {"data": {"type": "profile", "id": person, "attributes": {"first_name": "Changed"}}},
    }
    body = {"data": {"type": "event", "attributes": attributes}}
    assert call.post("events", body).status_code == call.post("events", body).status_code == 202
    pages = list(call.pages("events", sort="-datetime", page__size=1000, **ALL))
    rows = [row for page_ in pages for row in page_["data"]]
    found = [(row["attributes"]["datetime"], row["id"]) for row in rows]
    assert found == sorted(found, reverse=True)
    assert len(found) == len(set(found)) == 6001
    mine = [row for row in rows if (row["attributes"]["event_properties"] or {}).get("$event_id") == "mine"]
    assert [row["attributes"]["datetime"] for row in mine] == [when]
    shown = [one for page_ in pages for one in page_["included"] if one["id"] == person]
    assert {one["attributes"]["first_name"] for one in shown} == {"Changed"}


def test_members_join_and_leave(account, call):
    """Procedural members can be taken off a list and others put on it; counts and look-ups follow."""
    store = account.store
    list_id = next(iter(store.list_members))
    inside = store.list_members[list_id].sorted_keys("id")[5][1]
    outside = next(
        row_id for _, row_id in store.profiles.sorted_keys("id") if row_id not in store.list_members[list_id]
    )

    def change(method, who):
        body = {"data": [{"type": "profile", "id": who}]}
        return call.send(method, f"lists/{list_id}/relationships/profiles", body).status_code

    assert (change("DELETE", inside), change("POST", outside)) == (204, 204)
    ids = [row["id"] for row in call.rows(f"lists/{list_id}/profiles", sort="-joined_group_at", page__size=100)]
    assert (ids[0], inside in ids, len(ids)) == (outside, False, 300)
    assert change("POST", inside) == 204
    assert len(store.list_members[list_id]) == 301


def test_what_takes_a_look_at_too_many_rows_is_refused(make_sandbox):
    """A whole list of a hundred thousand cannot be suppressed by its name in a procedural account."""
    account = make_sandbox(procedural=True, profiles=1_000_000, events=0, limits=False)
    list_id = next(iter(account.store.list_members))
    data = {
        "type": "profile-suppression-bulk-create-job",
        "attributes": {},
        "relationships": {"list": {"data": {"type": "list", "id": list_id}}},
    }
    caller = Caller(account.url)
    assert problem(caller.post("profile-suppression-bulk-create-jobs", {"data": data}))[:2] == (400, "invalid")
    caller.close()


def test_a_hidden_row_of_an_order_that_is_asked_for_later_stays_hidden():
    """Orders that are first asked for after the writes know of them, as those do that were asked for before."""
    early, late = virtual(6), virtual(6)
    early.sorted_keys("at")
    for table in (early, late):
        table.drop("R04")
        table.put({"id": "R06", "at": "0", "name": "n9"})
    early.sorted_keys("at")
    assert list(early.sorted_keys("at")) == list(late.sorted_keys("at"))
    assert [key[1] for key in late.sorted_keys("at")] == ["R00", "R02", "R06", "R08", "R10"]


@pytest.mark.parametrize("seed", range(20))
def test_positions_of_the_base_and_of_the_whole_lead_to_each_other(seed):
    """Whatever was omitted and added: each key of the base is found, and a run of the whole names its part of it."""
    rng = random.Random(seed)
    base = [(f"{number:03d}", "") for number in range(0, 60, 2)]
    keys = OverlayKeys(base)
    omitted = rng.sample(base, rng.randrange(20))
    for key in omitted:
        keys.omit(key)
    for number in rng.sample(range(1, 61, 2), rng.randrange(1, 20)):
        keys.add((f"{number:03d}", ""))
    for number, key in enumerate(base):
        if key not in omitted:
            assert keys[keys.position_of_base(number)] == key
    low, high = sorted(rng.sample(range(len(keys)), 2))
    within = [number for number, key in enumerate(base) if keys[low] <= key <= keys[high]]
    assert list(keys.base_range(range(low, high + 1))) == within
    assert list(keys.base_range(range(high, low - 1, -1))) == within[::-1]
