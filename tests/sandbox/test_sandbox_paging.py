from __future__ import annotations

import base64
import json

import pytest
from support.calls import cursor_of, problem

from klaviyo_sandbox.spec.facts import load

# Where each read with a page size is found; `group` becomes the id of a list or segment with members.
PAGED = {
    "get_profiles": "profiles",
    "get_lists": "lists",
    "get_segments": "segments",
    "get_events": "events",
    "get_profiles_for_list": "lists/{list}/profiles",
    "get_profile_ids_for_list": "lists/{list}/relationships/profiles",
    "get_profiles_for_segment": "segments/{segment}/profiles",
    "get_profile_ids_for_segment": "segments/{segment}/relationships/profiles",
    "get_bulk_import_profiles_jobs": "profile-bulk-import-jobs",
}


@pytest.fixture(scope="module")
def paths(reading):
    store = reading.store
    largest = {
        "list": max(store.list_members, key=lambda name: len(store.list_members[name])),
        "segment": max(store.segment_members, key=lambda name: len(store.segment_members[name])),
    }
    return {name: path.format(**largest) for name, path in PAGED.items()}


SORTED = [(name, sort) for name in PAGED for sort in load().operations[name].choices("sort")]


@pytest.mark.parametrize(("operation", "sort"), SORTED)
def test_every_sort_visits_every_row_once_in_order(read, paths, operation, sort):
    """Whatever the order, small pages together hold each row once, in that order."""
    size = 7
    rows = read.rows(paths[operation], sort=sort, page__size=size)
    once = read.rows(paths[operation], page__size=load().operations[operation].page_size.maximum)
    assert len(rows) == len({row["id"] for row in rows})
    assert {row["id"] for row in rows} == {row["id"] for row in once}
    field = sort.removeprefix("-")
    if rows and all(isinstance(row.get("attributes", {}).get(field), str | int) for row in rows):
        values = [(row["attributes"][field], row["id"]) for row in rows]
        assert values == sorted(values, reverse=sort.startswith("-"))


@pytest.mark.parametrize("operation", ["get_profiles", "get_events"])
def test_the_default_order_is_by_id(read, paths, operation):
    """Without a sort rows come by id."""
    ids = [row["id"] for row in read.rows(paths[operation], page__size=50)]
    assert ids == sorted(ids)


@pytest.mark.parametrize("operation", PAGED)
def test_page_sizes_outside_the_bounds_are_refused(read, paths, operation):
    """A page size below the minimum, above the maximum or not a number is a 400 that names page_size."""
    size = load().operations[operation].page_size
    for wrong in (size.minimum - 1, size.maximum + 1, "many", "", "1.5", "-1", "٣", "9" * 5000):
        assert problem(read.get(paths[operation], page__size=wrong)) == (400, "invalid", {"parameter": "page_size"})
    assert read.get(paths[operation], page__size=size.maximum).status_code == 200


def test_pages_hold_the_default_number_of_rows(read):
    """Profiles come by 20, lists by 10 and metrics all at once, as the specification says."""
    assert [len(page["data"]) for page in read.pages("lists")] == [10, 2]
    assert len(read.get("profiles").json()["data"]) == 20
    metrics = read.get("metrics").json()
    assert len(metrics["data"]) > 20
    assert (metrics["links"]["next"], metrics["links"]["prev"]) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "!!", "bm9wZQ", "https://example.com"),
        base64.urlsafe_b64encode(json.dumps(["up", "a", "b"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(["next", 1, "b"]).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps({"next": 1}).encode()).decode(),
    ],
)
def test_a_cursor_of_ones_own_making_is_refused(read, text):
    """Only cursors that the account gave are taken."""
    response = read.get("profiles", page__cursor=text)
    assert response.status_code == 400
    assert response.json()["errors"][0]["detail"] == "Invalid cursor provided."


def test_next_repeats_the_whole_query(read):
    """The next link holds every parameter of the request, and a cursor that is safe to hand on bare."""
    query = {"page__size": 5, "sort": "-created", "filter": "greater-than(created,2024-01-01T00:00:00+02:00)"}
    first = read.get("profiles", **query).json()
    cursor = cursor_of(first["links"]["next"])
    followed = read.session.get(first["links"]["next"]).json()
    assert followed["data"] == read.get("profiles", **query, page__cursor=cursor).json()["data"]
    assert first["links"]["prev"] is None


@pytest.mark.parametrize("sort", ["created", "-created"])
def test_prev_leads_back(read, sort):
    """From any page the prev link gives the page before it."""
    pages = list(read.pages("profiles", page__size=20, sort=sort))
    back = [pages[-1]["data"]]
    link = pages[-1]["links"]["prev"]
    while link:
        page = read.session.get(link).json()
        back.append(page["data"])
        link = page["links"].get("prev")
    assert back[::-1] == [page["data"] for page in pages]


@pytest.mark.parametrize("sort", ["updated", "-created", "id"])
def test_rows_that_come_meanwhile_do_not_shift_the_pages(call, writing, sort):
    """Every row that was there from the start is visited once although others are inserted between the pages."""
    before = set(writing.store.profiles.rows)
    seen = []
    for number, page in enumerate(call.pages("profiles", page__size=7, sort=sort)):
        seen += [row["id"] for row in page["data"]]
        if number < 20:
            attributes = {"email": f"late{number}@example.com"}
            call.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
