"""Families of resources that are only read: which of their rows belong together, and which have none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.calls import Caller

from klaviyo_sandbox import serve


def test_a_form_has_the_versions_that_name_it(read, reading):
    """From both sides, and one form has none."""
    versions = {
        form["id"]: [row["id"] for row in read.rows(f"forms/{form['id']}/form-versions")] for form in read.rows("forms")
    }
    assert [] in versions.values()
    assert max(map(len, versions.values())) > 1
    for form_id, found in versions.items():
        assert found == [row["id"] for row in read.rows(f"forms/{form_id}/relationships/form-versions")]
        for version_id in found:
            assert read.get(f"form-versions/{version_id}/form").json()["data"]["id"] == form_id
    assert read.get("forms/NONE/form-versions").status_code == 404


def test_only_a_form_itself_has_its_definition(read):
    """The list has none; each version is in it."""
    (form, *_) = read.rows("forms")
    assert "definition" not in form["attributes"]
    one = read.get(f"forms/{form['id']}").json()["data"]["attributes"]["definition"]["versions"]
    assert sorted(str(version["id"]) for version in one) == sorted(
        row["id"] for row in read.rows(f"forms/{form['id']}/form-versions")
    )


def test_people_have_devices_and_conversations(read):
    """With the person as an include, from the list of all, and from the device; most people have none."""
    people = read.pages("profiles", include="push-tokens,conversations", page__size=100)
    tokens, talks = set(), set()
    for page in people:
        for row in page["data"]:
            for name, found in (("push-tokens", tokens), ("conversations", talks)):
                found |= {(row["id"], entry["id"]) for entry in row["relationships"][name]["data"]}
    assert tokens
    assert talks
    listed = read.rows("push-tokens", include="profile")
    assert {(row["relationships"]["profile"]["data"]["id"], row["id"]) for row in listed} == tokens
    owner, token = min(tokens)
    assert read.get(f"push-tokens/{token}/profile").json()["data"]["id"] == owner
    assert {row["id"] for row in read.rows(f"profiles/{owner}/push-tokens")} == {
        row["id"] for row in read.rows("push-tokens", filter=f'equals(profile.id,"{owner}")')
    }
    owner, talk = min(talks)
    assert talk in {row["id"] for row in read.rows(f"profiles/{owner}/conversations")}


def test_links_lead_to_what_they_name(read):
    """Also where the path is not the type with an s."""
    for path in ("template-universal-content", "web-feeds", "images", "reviews", "tracking-settings", "webhooks"):
        (row, *_) = read.rows(path)
        address = row["links"]["self"].partition("/api/")[2].rstrip("/")
        assert read.get(address).json()["data"]["id"] == row["id"]


@pytest.fixture(scope="module")
def large() -> Iterator[Caller]:
    with serve(profiles=5_000, events=2_000, procedural=True, limits=False) as sandbox:
        caller = Caller(sandbox.url)
        yield caller
        caller.close()


def test_a_procedural_account_has_them_too(large):
    """Its people are computed when they are asked for, and some of them have devices."""
    tokens = large.rows("push-tokens", include="profile", page__size=100)
    owner = tokens[0]["relationships"]["profile"]["data"]["id"]
    assert large.get(f"profiles/{owner}").json()["data"]["id"] == owner
    assert large.rows("reviews", page__size=100)
