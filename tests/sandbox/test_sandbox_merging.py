"""Profiles that are merged into others."""

from __future__ import annotations

import pytest
from support.calls import problem

SOURCES = "/data/relationships/profiles/data"


def merge(call, into, *sources):
    profiles = {"data": [{"type": "profile", "id": source} for source in sources]}
    return call.post(
        "profile-merge", {"data": {"type": "profile-merge", "id": into, "relationships": {"profiles": profiles}}}
    )


@pytest.fixture
def pair(call):
    """Two profiles: who stays, and who is merged."""
    people = (
        {"email": "stays@example.com", "title": "Dr.", "properties": {"a": 1}},
        {"email": "goes@example.com", "title": "Mx.", "external_id": "7", "properties": {"a": 2, "b": 3}},
    )
    bodies = [{"data": {"type": "profile", "attributes": attributes}} for attributes in people]
    return [call.post("profiles", body).json()["data"]["id"] for body in bodies]


def test_what_the_one_lacks_comes_from_the_other(call, pair):
    """A 201 with the one that stays; the other is gone, and to merge it again is a 404."""
    stays, goes = pair
    merged = merge(call, stays, goes)
    assert (merged.status_code, merged.json()["data"]["id"]) == (201, stays)
    held = call.get(f"profiles/{stays}").json()["data"]["attributes"]
    assert (held["email"], held["title"], held["external_id"]) == ("stays@example.com", "Dr.", "7")
    assert held["properties"] == {"a": 1, "b": 3}
    assert call.get(f"profiles/{goes}").status_code == 404
    assert merge(call, stays, goes).status_code == 404


def test_a_merge_that_cannot_be_is_refused(call, pair):
    """Two sources, none, or the profile itself are a 400; nobody's id a 404."""
    stays, goes = pair
    for sources in ((), (goes, stays)):
        assert problem(merge(call, stays, *sources)) == (400, "invalid", {"pointer": SOURCES})
    assert problem(merge(call, stays, stays)) == (400, "invalid", {"pointer": f"{SOURCES}/0/id"})
    assert merge(call, "NOBODY", goes).status_code == 404
