from __future__ import annotations

import pytest
from support.calls import problem


def references(ids):
    return {"data": [{"type": "profile", "id": profile_id} for profile_id in ids]}


def new_list(name, **more):
    return {"data": {"type": "list", "attributes": {"name": name, **more}}}


@pytest.fixture
def list_id(call):
    return call.post("lists", new_list("Fresh")).json()["data"]["id"]


def test_a_list_is_created_and_read_back(call):
    """A new list is a 201, is found by its id and name, and is empty."""
    created = call.post("lists", new_list("Größe M", opt_in_process="double_opt_in"))
    assert created.status_code == 201
    row = created.json()["data"]
    assert row["attributes"]["opt_in_process"] == "double_opt_in"
    assert call.get(f"lists/{row['id']}").json()["data"]["attributes"] == row["attributes"]
    assert [row_read["id"] for row_read in call.rows("lists", filter='equals(name,["Größe M"])')] == [row["id"]]
    assert call.get(f"lists/{row['id']}/profiles").json()["data"] == []


def test_names_may_repeat(call):
    """Two lists may have the same name; they are two lists."""
    first, second = (call.post("lists", new_list("Twice")).json()["data"]["id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({}, "/data/attributes/name"),
        ({"name": None}, "/data/attributes/name"),
        ({"name": " "}, "/data/attributes/name"),
        ({"name": "A", "opt_in_process": "maybe"}, "/data/attributes/opt_in_process"),
        ({"name": "A", "created": "2026-01-01T00:00:00Z"}, "/data/attributes/created"),
    ],
)
def test_a_list_needs_a_name_and_nothing_unknown(call, attributes, pointer):
    """A list without a name, or with members that cannot be written, is a 400."""
    body = {"data": {"type": "list", "attributes": attributes}}
    assert problem(call.post("lists", body)) == (400, "invalid", {"pointer": pointer})


def test_members_are_added_and_removed(call, writing, list_id):
    """Adding and removing are 204s without a body, may be repeated, and show at once."""
    ids = list(writing.store.profiles.rows)[:5]
    path = f"lists/{list_id}/relationships/profiles"
    for _ in range(2):
        added = call.post(path, references(ids))
        assert (added.status_code, added.content) == (204, b"")
    assert {row["id"] for row in call.rows(path, page__size=2)} == set(ids)
    joined = {row["attributes"]["joined_group_at"] for row in call.rows(f"lists/{list_id}/profiles")}
    assert min(joined) > "2026-06-01"
    for _ in range(2):
        assert call.delete(path, references(ids[:3])).status_code == 204
    assert {row["id"] for row in call.rows(path)} == set(ids[3:])


@pytest.mark.parametrize("change", ["post", "delete"])
def test_one_unknown_profile_fails_the_whole_call(call, writing, list_id, change):
    """The 400 names the unknown ids, and no member is added or removed."""
    known = next(iter(writing.store.profiles.rows))
    path = f"lists/{list_id}/relationships/profiles"
    refused = getattr(call, change)(path, references([known, "01NOBODY"]))
    assert problem(refused) == (400, "invalid", {"pointer": "/data/"})
    assert refused.json()["errors"][0]["detail"] == "Invalid profile IDs: {'01NOBODY'}"
    assert call.rows(path) == []


def test_an_unknown_list_has_no_members(call, writing):
    """Changing the members of a list that is not there is a 404."""
    known = next(iter(writing.store.profiles.rows))
    path = "lists/NOPE00/relationships/profiles"
    for change in (call.post, call.delete):
        assert problem(change(path, references([known]))) == (404, "not_found", {"pointer": "/data/"})


def test_only_so_many_at_once(call, list_id):
    """More than 1,000 profiles in one call are refused."""
    body = references([f"01X{number}" for number in range(1001)])
    assert problem(call.post(f"lists/{list_id}/relationships/profiles", body)) == (
        400,
        "invalid",
        {"pointer": "/data/"},
    )
