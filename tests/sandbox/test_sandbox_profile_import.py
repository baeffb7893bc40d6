from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from support.calls import KEY, MEDIA_TYPE, REVISION, Caller, problem
from support.patience import PATIENCE


def body(attributes, **more):
    return {"data": {"type": "profile", "attributes": attributes, **more}}


def upsert(call, attributes, **more):
    return call.post("profile-import", body(attributes, **more))


def test_created_then_updated_and_read_back(call):
    """A new profile is a 201, the same one again a 200 with the same id, and both can be read at once."""
    created = upsert(call, {"email": "New.Person@example.com", "properties": {"a": 1}})
    assert created.status_code == 201
    profile = created.json()["data"]
    updated = upsert(call, {"email": "new.person@EXAMPLE.com", "first_name": "Zoë", "properties": {"b": [2]}})
    assert updated.status_code == 200
    stored = call.get(f"profiles/{profile['id']}").json()["data"]["attributes"]
    assert (updated.json()["data"]["id"], stored["first_name"]) == (profile["id"], "Zoë")
    assert stored["email"] == "new.person@example.com"
    assert stored["properties"] == {"a": 1, "b": [2]}
    rows = call.get("profiles", filter='equals(email,"New.Person@example.com")').json()["data"]
    assert [row["id"] for row in rows] == [profile["id"]]


def test_an_update_moves_the_profile_to_now(call, writing):
    """`updated` becomes the present second, so that a read of what changed finds the profile."""
    old = min(writing.store.profiles.rows.values(), key=lambda row: row["updated"])
    upsert(call, {"title": "Dr."}, id=old["id"])
    last = call.get("profiles", sort="-updated", page__size=1).json()["data"][0]
    assert last["id"] == old["id"]
    assert last["attributes"]["updated"] > "2026-06-01"
    assert last["attributes"]["created"] == old["created"]


def test_null_clears_and_absence_leaves(call):
    """A null empties a field, a field that is not sent stays; location and properties are merged."""
    first = {"email": "a@example.com", "phone_number": "+14155550111", "location": {"city": "Bern", "zip": "3000"}}
    upsert(call, {**first, "title": "Dr.", "properties": {"x": 1, "y": 2}})
    upsert(call, {"email": "a@example.com", "title": None, "location": {"zip": None}, "properties": {"y": None}})
    stored = call.get("profiles", filter='equals(email,"a@example.com")').json()["data"][0]["attributes"]
    assert stored["title"] is None
    assert stored["phone_number"] == "+14155550111"
    assert stored["location"] == {"city": "Bern", "zip": None}
    assert stored["properties"] == {"x": 1, "y": None}


def test_an_identifier_that_was_given_up_finds_nobody(call):
    """After a profile changed its address the old one is free, and the new one is taken."""
    profile_id = upsert(call, {"email": "old@example.com"}).json()["data"]["id"]
    assert upsert(call, {"email": "new@example.com"}, id=profile_id).status_code == 200
    assert upsert(call, {"email": "old@example.com"}).status_code == 201
    assert upsert(call, {"email": "new@example.com"}).json()["data"]["id"] == profile_id


def test_identifiers_of_two_profiles_conflict(call):
    """When the identifiers belong to different people it is a 409 that names the other, and nothing changes."""
    upsert(call, {"email": "a@example.com"})
    other = upsert(call, {"external_id": "b", "title": "Dr."}).json()["data"]["id"]
    refused = upsert(call, {"email": "a@example.com", "external_id": "b", "title": "Mx."})
    assert problem(refused) == (409, "duplicate_profile", {"pointer": "/data/attributes"})
    assert refused.json()["errors"][0]["meta"] == {"duplicate_profile_id": other}
    assert call.get(f"profiles/{other}").json()["data"]["attributes"]["title"] == "Dr."


def test_an_unknown_id_is_not_created(call):
    """An id that the account does not know is a 404."""
    assert upsert(call, {"email": "a@example.com"}, id="01NOBODY").status_code == 404


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"email": "not an address"}, "/data/attributes/email"),
        ({"email": "a@b"}, "/data/attributes/email"),
        ({"email": "a..b@example.com"}, "/data/attributes/email"),
        ({"email": "bad", "external_id": "1"}, "/data/attributes/email"),
        ({"phone_number": "555-0100"}, "/data/attributes/phone_number"),
        ({"phone_number": "+1415555010"}, "/data/attributes/phone_number"),
        ({"first_name": "Nobody"}, "/data/attributes"),
        ({"email": None}, "/data/attributes"),
    ],
)
def test_identifiers_must_be_sound(call, attributes, pointer):
    """A malformed address or number and a profile without identifier are 400s that point at the field."""
    assert problem(upsert(call, attributes)) == (400, "invalid", {"pointer": pointer})


def test_a_bad_number_beside_a_good_address_is_dropped(call):
    """Klaviyo takes such a profile without its number, and says so in a header."""
    answer = upsert(call, {"email": "a@example.com", "phone_number": "12"})
    assert answer.status_code == 201
    assert answer.headers["X-Klaviyo-Partial-Failure"] == "phone_number"
    assert answer.json()["data"]["attributes"]["phone_number"] is None
    assert "X-Klaviyo-Partial-Failure" not in upsert(call, {"email": "b@example.com"}).headers


def test_properties_can_be_patched(call):
    """append adds to a list once, unappend takes from it, unset removes one or several."""
    upsert(call, {"email": "a@example.com", "properties": {"tags": ["x", "y"], "one": 1, "gone": True, "too": 2}})
    patch = {"append": {"tags": ["y", "z"], "one": 2, "new": "n"}, "unappend": {"tags": "x"}, "unset": ["gone", "too"]}
    answer = upsert(call, {"email": "a@example.com"}, meta={"patch_properties": patch})
    assert answer.json()["data"]["attributes"]["properties"] == {"tags": ["y", "z"], "one": [1, 2], "new": ["n"]}
    answer = upsert(call, {"email": "a@example.com"}, meta={"patch_properties": {"unset": "one"}})
    assert "one" not in answer.json()["data"]["attributes"]["properties"]


def test_second_addresses_can_be_patched(call):
    """An address that was appended finds the profile until it is unappended."""
    profile_id = upsert(call, {"email": "a@example.com"}).json()["data"]["id"]
    patch = {"append": {"email": "Second@example.com"}}
    upsert(call, {"email": "a@example.com"}, meta={"patch_identifiers": patch})
    assert upsert(call, {"email": "second@example.com"}, id=profile_id).status_code == 200
    upsert(call, {"email": "a@example.com"}, id=profile_id)
    patch = {"unappend": {"email": "Second@example.com"}}
    upsert(call, {"email": "a@example.com"}, meta={"patch_identifiers": patch})
    assert upsert(call, {"email": "second@example.com"}).status_code == 201


@pytest.mark.parametrize("address", [5, "bad", ["b@example.com", None]])
def test_second_addresses_must_be_sound(call, address):
    """What is no address is pointed at, also beside a phone number that is dropped."""
    for identifiers in ({"email": "a@example.com"}, {"email": "a@example.com", "phone_number": "12"}):
        answer = upsert(call, identifiers, meta={"patch_identifiers": {"append": {"email": address}}})
        assert problem(answer) == (400, "invalid", {"pointer": "/data/meta/patch_identifiers/append"})


def test_second_addresses_of_somebody_else_are_a_conflict(call):
    """An address that another profile has stays with that one."""
    other = upsert(call, {"email": "b@example.com"}).json()["data"]["id"]
    patch = {"append": {"email": "B@example.com"}}
    answer = upsert(call, {"email": "a@example.com"}, meta={"patch_identifiers": patch})
    assert problem(answer)[:2] == (409, "duplicate_profile")
    assert answer.json()["errors"][0]["meta"] == {"duplicate_profile_id": other}


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ([], "/data"),
        ({}, "/data"),
        ({"data": {"type": "profile"}}, "/data/attributes"),
        ({"data": {"type": "list", "attributes": {"email": "a@example.com"}}}, "/data/type"),
        (body({"email": 5}), "/data/attributes/email"),
        (body({"email": "a@example.com", "anonymous_id": "x"}), "/data/attributes/anonymous_id"),
        (body({"email": "a@example.com", "a/b": "x"}), "/data/attributes/a~1b"),
        (body({"email": "a@example.com", "properties": []}), "/data/attributes/properties"),
        (body({"email": "a@example.com", "location": {"latitude": []}}), "/data/attributes/location/latitude"),
        (body({"email": "a@example.com"}, relationships={}), "/data/relationships"),
        (
            body({"email": "a@example.com"}, meta={"patch_identifiers": {"append": 1}}),
            "/data/meta/patch_identifiers/append",
        ),
    ],
)
def test_bodies_of_another_shape_are_refused(call, sent, pointer):
    """A wrong type, a missing and an unknown member are 400s with a JSON pointer."""
    assert problem(call.post("profile-import", sent)) == (400, "invalid", {"pointer": pointer})


def test_what_is_appended_twice_is_there_once_or_twice(call, writing):
    """A set or a list, as the account is set up: in single upserts and in bulk."""
    for kind, expected in (("set", ["x", "y"]), ("list", ["x", "y", "x", "y", "x"])):
        writing.control.change(append=kind)
        for value in (["x", "y"], "x", ["y", "x"]):
            answer = upsert(call, {"email": f"{kind}@example.com"}, meta={"patch_properties": {"append": {"t": value}}})
        assert answer.json()["data"]["attributes"]["properties"]["t"] == expected
    assert writing.control.settings["append"] == "list"


def test_a_body_must_be_json_of_the_right_type_and_size(call):
    """Another media type is a 415; what is no JSON, or larger than the limit, a 400."""
    sent = body({"email": "a@example.com"})
    assert call.post("profile-import", sent, **{"Content-Type": "text/plain"}).status_code == 415
    assert call.post("profile-import", sent, **{"Content-Type": "application/json"}).status_code == 201
    headers = {"Content-Type": MEDIA_TYPE}
    odd = b'{"data":{"type":"profile","attributes":{"email":"b@example.com","properties":{"x":%s}}}}'
    for data in (b"", b"{", b"\xff", odd % (b"[" * 100_000)):
        assert call.session.post(f"{call.url}/api/profile-import", data=data, headers=headers).status_code == 400, data
    large = body({"email": "a@example.com", "properties": {"x": "x" * 100_000}})
    assert problem(call.post("profile-import", large)) == (400, "invalid", {"pointer": "/data"})


def test_many_writers_at_once_create_one_profile(call, writing):
    """Threads that upsert the same person make one profile, and each is answered."""
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION, "Content-Type": MEDIA_TYPE}

    def one(number: int) -> int:
        sent = body({"email": f"person{number % 3}@example.com", "properties": {str(number): number}})
        url = f"{writing.url}/api/profile-import"
        return requests.post(url, json=sent, headers=headers, timeout=PATIENCE).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(60)))
    assert sorted(set(statuses)) == [200, 201]
    assert statuses.count(201) == 3
    stored = upsert(call, {"email": "person0@example.com"}).json()["data"]["attributes"]
    assert len(stored["properties"]) == 20


def test_a_refused_write_needs_the_scope(make_sandbox):
    """A key that may only read is not let to write."""
    sandbox = make_sandbox(scopes=["profiles:read"])
    caller = Caller(sandbox.url)
    assert upsert(caller, {"email": "a@example.com"}).status_code == 403
    caller.close()


@pytest.mark.parametrize(("kind", "expected"), [("set", ["a", "b"]), ("list", ["a", "b", "b", "a"])])
def test_what_one_request_appends_twice_is_there_once_or_twice(call, writing, kind, expected):
    """A list that is appended may repeat itself; a property that nothing was in begins with it."""
    writing.control.change(append=kind)
    patch = {"append": {"old": ["b", "b", "a"], "new": ["a", "b", "b", "a"]}}
    upsert(call, {"email": f"{kind}@example.com", "properties": {"old": ["a"]}})
    answer = upsert(call, {"email": f"{kind}@example.com"}, meta={"patch_properties": patch})
    properties = answer.json()["data"]["attributes"]["properties"]
    assert properties == {"old": expected, "new": ["a", "b"] if kind == "set" else ["a", "b", "b", "a"]}
