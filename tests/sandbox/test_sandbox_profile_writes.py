"""Profiles that are created, updated and deleted one at a time."""

from __future__ import annotations

import pytest
from support.calls import problem

DELETIONS = "data-privacy-deletion-jobs"


def body(attributes, **more):
    return {"data": {"type": "profile", "attributes": attributes, **more}}


def deletion(attributes, **more):
    profile = {"data": {"type": "profile", "attributes": attributes, **more}}
    return {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}}


@pytest.fixture
def profile_id(call):
    """A profile with an address and a title."""
    return call.post("profiles", body({"email": "a@example.com", "title": "Dr."})).json()["data"]["id"]


def change(call, profile_id, attributes, **more):
    return call.send("PATCH", f"profiles/{profile_id}", body(attributes, id=profile_id, **more))


def test_a_profile_is_created_once(call):
    """A 201 with the profile; a second one is a 409 that names the first, and changes nothing."""
    created = call.post("profiles", body({"email": "a@example.com", "title": "Dr.", "properties": {"n": 1}}))
    assert created.status_code == 201
    assert created.json()["data"]["attributes"]["properties"] == {"n": 1}
    refused = call.post("profiles", body({"email": "A@Example.com", "title": "Mx."}))
    assert problem(refused) == (409, "duplicate_profile", {"pointer": "/data/attributes"})
    (error,) = refused.json()["errors"]
    assert (error["title"], error["detail"]) == (
        "Conflict.",
        "A profile already exists with one of these identifiers.",
    )
    assert (error["status"], error["links"]) == (409, {})
    assert error["meta"] == {"duplicate_profile_id": created.json()["data"]["id"]}
    assert call.get(f"profiles/{created.json()['data']['id']}").json()["data"]["attributes"]["title"] == "Dr."


@pytest.mark.parametrize("path", ["profiles", "profile-import"])
def test_a_bad_phone_number_is_dropped_beside_an_address(call, path):
    """The profile is made without it, and a header says so; alone it is a 400."""
    created = call.post(path, body({"email": "a@example.com", "phone_number": "12"}))
    assert (created.status_code, created.headers["X-Klaviyo-Partial-Failure"]) == (201, "phone_number")
    assert created.json()["data"]["attributes"]["phone_number"] is None
    refused = call.post(path, body({"phone_number": "12"}))
    assert problem(refused) == (400, "invalid", {"pointer": "/data/attributes/phone_number"})
    assert refused.json()["errors"][0]["detail"] == (
        "Invalid phone number format (Example of a valid format: +12345678901)"
    )


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"title": "Dr."}, "/data/attributes"),
        ({"email": "bad"}, "/data/attributes/email"),
        ({"email": "a@example.com", "anonymous_id": "x"}, "/data/attributes/anonymous_id"),
    ],
)
def test_what_cannot_be_created(call, attributes, pointer):
    """Nobody, a bad address, and a field that profiles do not have."""
    assert problem(call.post("profiles", body(attributes))) == (400, "invalid", {"pointer": pointer})


def test_a_profile_is_updated_by_its_id(call, profile_id):
    """A null clears a field, what is not given stays, identifiers may change, and `meta` patches properties."""
    meta = {"patch_properties": {"append": {"sizes": 1}}}
    done = change(call, profile_id, {"title": None, "email": "b@example.com"}, meta=meta)
    assert done.status_code == 200
    attributes = done.json()["data"]["attributes"]
    assert (attributes["title"], attributes["email"], attributes["properties"]) == (
        None,
        "b@example.com",
        {"sizes": [1]},
    )
    rows = call.get("profiles", filter='any(email,["a@example.com","b@example.com"])').json()["data"]
    assert [row["id"] for row in rows] == [profile_id]
    answer = call.send(
        "PATCH", f"profiles/{profile_id}?additional-fields[profile]=subscriptions", body({}, id=profile_id)
    )
    assert "subscriptions" in answer.json()["data"]["attributes"]


def test_what_cannot_be_updated(call, profile_id):
    """Somebody unknown, another id in the body, somebody else's identifiers, and a bad phone number."""
    assert problem(change(call, "01NOBODY", {"title": "x"}))[:2] == (404, "not_found")
    other = call.post("profiles", body({"external_id": "b"})).json()["data"]["id"]
    refused = call.send("PATCH", f"profiles/{profile_id}", body({"title": "x"}, id=other))
    assert problem(refused) == (400, "invalid", {"pointer": "/data/id"})
    taken = change(call, profile_id, {"external_id": "b"})
    assert problem(taken)[:2] == (409, "duplicate_profile")
    assert taken.json()["errors"][0]["meta"] == {"duplicate_profile_id": other}
    assert problem(change(call, profile_id, {"phone_number": "12"}))[2] == {"pointer": "/data/attributes/phone_number"}
    assert call.get(f"profiles/{profile_id}").json()["data"]["attributes"]["title"] == "Dr."


@pytest.mark.parametrize("by", ["email", "phone_number", "id"])
def test_a_profile_is_deleted(call, writing, by):
    """It is gone from the account and its lists, its events stay, and its address is free again."""
    list_id = next(iter(writing.store.lists.rows))
    attributes = {"email": "a@example.com", "phone_number": "+12025550142"}
    profile_id = call.post("profiles", body(attributes)).json()["data"]["id"]
    call.post(f"lists/{list_id}/relationships/profiles", {"data": [{"type": "profile", "id": profile_id}]})
    event = {"properties": {}, "metric": {"data": {"type": "metric", "attributes": {"name": "Tried On"}}}}
    event["profile"] = {"data": {"type": "profile", "id": profile_id, "attributes": {}}}
    assert call.post("events", {"data": {"type": "event", "attributes": event}}).status_code == 202
    deletion_body = deletion({}, id=profile_id) if by == "id" else deletion({by: attributes[by]})
    done = call.post(DELETIONS, deletion_body)
    assert (done.status_code, done.content) == (202, b"")
    assert call.get(f"profiles/{profile_id}").status_code == 404
    assert profile_id not in [row["id"] for row in call.rows(f"lists/{list_id}/relationships/profiles")]
    page = call.get("events", filter=f'equals(profile_id,"{profile_id}")', include="profile").json()
    assert len(page["data"]) == 1
    assert page.get("included", []) == []
    assert call.post("profiles", body(attributes)).status_code == 201


def test_everybody_who_matches_is_deleted(call, writing, profile_id):
    """Two profiles with one phone number are both gone, and so is who has the address as a second one."""
    for name in ("b", "c"):
        call.post("profiles", body({"email": f"{name}@example.com"}))
    with writing.store.lock:
        for name in ("b", "c"):
            row = writing.store.profiles.rows[writing.store.find_profile_id("email", f"{name}@example.com")]
            writing.store.put_profile({**row, "phone_number": "+12025550142"})
    assert call.post(DELETIONS, deletion({"phone_number": "+12025550142"})).status_code == 202
    assert call.get("profiles", filter='any(email,["b@example.com","c@example.com"])').json()["data"] == []
    change(call, profile_id, {}, meta={"patch_identifiers": {"append": {"email": "second@example.com"}}})
    assert call.post(DELETIONS, deletion({"email": "Second@example.com"})).status_code == 202
    assert call.get(f"profiles/{profile_id}").status_code == 404


@pytest.mark.parametrize(
    ("attributes", "more", "pointer"),
    [
        ({}, {}, ""),
        ({"email": "a@example.com", "phone_number": "+12025550142"}, {}, ""),
        ({"email": "a@example.com"}, {"id": "X"}, ""),
        ({"email": "bad"}, {}, "/attributes/email"),
        ({"phone_number": "12"}, {}, "/attributes/phone_number"),
        ({"external_id": "b"}, {}, "/attributes/external_id"),
    ],
)
def test_a_deletion_takes_exactly_one_identifier(call, profile_id, attributes, more, pointer):
    """None, two, a bad one or one of another kind is a 400, and nobody is deleted."""
    refused = call.post(DELETIONS, deletion(attributes, **more))
    assert problem(refused) == (400, "invalid", {"pointer": f"/data/attributes/profile/data{pointer}"})
    assert call.get(f"profiles/{profile_id}").status_code == 200


@pytest.mark.parametrize(
    ("attributes", "more"),
    [({"email": "nobody@example.com"}, {}), ({"phone_number": "+12025550199"}, {}), ({}, {"id": "01NOBODY"})],
)
def test_nobody_to_delete_is_not_found(call, attributes, more):
    """As Klaviyo answers of somebody whom the account does not have, or no longer has."""
    refused = call.post(DELETIONS, deletion(attributes, **more))
    assert problem(refused) == (404, "not_found", {"pointer": "/data/"})
