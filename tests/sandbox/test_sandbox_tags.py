from __future__ import annotations

import pytest
from support.calls import problem

KINDS = ("list", "segment", "campaign", "flow")


def ids(rows):
    return {row["id"] for row in rows}


@pytest.mark.parametrize("kind", KINDS)
def test_tags_lead_both_ways(read, reading, kind):
    """What carries a tag is what the tag says it is put on; some things carry several, some none."""
    rows = getattr(reading.store, f"{kind}s").rows.values()
    expected = {(row["id"], tag_id) for row in rows for tag_id in row["tag_ids"]}
    tags = read.rows("tags")
    from_tags = {(row["id"], tag["id"]) for tag in tags for row in read.rows(f"tags/{tag['id']}/relationships/{kind}s")}
    assert from_tags == expected
    found = {(row["id"], tag["id"]) for row in rows for tag in read.rows(f"{kind}s/{row['id']}/tags")}
    named = {(row["id"], tag["id"]) for row in rows for tag in read.rows(f"{kind}s/{row['id']}/relationships/tags")}
    assert found == named == expected
    assert {len(row["tag_ids"]) for row in rows} >= {0, 1, 2}


@pytest.mark.parametrize("kind", ["list", "segment", "flow"])
def test_tags_are_included(read, reading, kind):
    """Each page of a collection includes its tags once, and one resource includes its own."""
    rows = getattr(reading.store, f"{kind}s").rows
    for page in read.pages(f"{kind}s", include="tags"):
        shown = {row["id"]: [tag["id"] for tag in row["relationships"]["tags"]["data"]] for row in page["data"]}
        assert shown == {row_id: rows[row_id]["tag_ids"] for row_id in shown}
        named = [tag_id for tag_ids in shown.values() for tag_id in tag_ids]
        assert [tag["id"] for tag in page["included"]] == list(dict.fromkeys(named))
    tagged = next(row for row in rows.values() if row["tag_ids"])
    assert ids(read.get(f"{kind}s/{tagged['id']}", include="tags").json()["included"]) == set(tagged["tag_ids"])


def test_tags_have_groups(read, reading):
    """A tag includes its group, and a group leads to its tags; nothing carries two tags of an exclusive group."""
    page = read.get("tags", include="tag-group", sort="name").json()
    names = [row["attributes"]["name"] for row in page["data"]]
    assert names == sorted(names)
    groups = {entry["id"]: entry["attributes"] for entry in page["included"]}
    assert groups.keys() == ids(read.rows("tag-groups")) == reading.store.tag_groups.rows.keys()
    owner = {row["id"]: row["relationships"]["tag-group"]["data"]["id"] for row in page["data"]}
    for group_id, attributes in groups.items():
        tags = ids(read.rows(f"tag-groups/{group_id}/tags"))
        assert tags == {tag for tag, group in owner.items() if group == group_id}
        assert read.get(f"tag-groups/{group_id}").json()["data"]["attributes"] == attributes
        for kind in KINDS:
            carried = [set(row["tag_ids"]) & tags for row in getattr(reading.store, f"{kind}s").rows.values()]
            assert not attributes["exclusive"] or max(map(len, carried)) <= 1
    assert sorted(attributes["default"] for attributes in groups.values()) == [False, True]
    one = page["data"][0]
    assert read.get(f"tags/{one['id']}", include="tag-group").json()["data"] == one


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("tags", "equals(name,'VIP')", 1),
        ("tags", "starts-with(name,'Europe')", 1),
        ("tags", "contains(name,'東')", 1),
        ("tag-groups", "equals(exclusive,true)", 1),
        ("tag-groups", "equals(default,false),ends-with(name,'ket')", 1),
        ("tag-groups", "contains(name,'nothing')", 0),
    ],
)
def test_tags_and_groups_by_name(read, path, text, count):
    """Tags are found by their name, groups also by what they are."""
    assert len(read.rows(path, filter=text)) == count


def test_templates_of_every_editor(read, reading):
    """Templates come ten a page, whole or in parts, and are found by name, id and time."""
    rows = read.rows("templates", sort="created", page__size=3)
    stored = reading.store.templates.rows
    assert ids(rows) == stored.keys()
    created = [row["attributes"]["created"] for row in rows]
    assert created == sorted(created)
    assert len({row["attributes"]["editor_type"] for row in rows}) == 4
    middle = created[5]
    for text, expected in (
        ("equals(name,'Welcome')", [row for row in stored.values() if row["name"] == "Welcome"]),
        ("contains(name,'Newsletter')", [row for row in stored.values() if "Newsletter" in row["name"]]),
        (f"any(id,['{rows[0]['id']}','{rows[1]['id']}'])", rows[:2]),
        (f"less-or-equal(created,{middle})", rows[:6]),
    ):
        assert ids(read.rows("templates", filter=text)) == ids(expected)
    sparse = read.get(f"templates/{rows[0]['id']}", fields__template="name").json()["data"]["attributes"]
    assert sparse == {"name": rows[0]["attributes"]["name"]}


def test_the_definition_of_a_template(read):
    """Templates have a definition through additional fields alone, and only those made by dragging have one at all."""
    assert all("definition" not in row["attributes"] for row in read.rows("templates"))
    shown = [row["attributes"] for row in read.rows("templates", additional_fields__template="definition")]
    for attributes in shown:
        assert (attributes["definition"] is not None) == attributes["editor_type"].endswith("DRAGGABLE")
    template = read.rows("templates")[0]
    one = read.get(f"templates/{template['id']}", additional_fields__template="definition").json()["data"]
    assert "definition" in one["attributes"]


@pytest.mark.parametrize(
    "path",
    [
        *("tags/NOPE", "tag-groups/NOPE", "tag-groups/NOPE/tags", "templates/NOPE"),
        *(f"tags/NOPE/relationships/{kind}s" for kind in KINDS),
        *(f"{kind}s/NOPE/{path}" for kind in KINDS for path in ("tags", "relationships/tags")),
    ],
)
def test_unknown_tags_and_templates_are_not_found(read, path):
    """Ids that are not in the account are 404s, also as parents."""
    assert problem(read.get(path)) == (404, "not_found", {"pointer": "/data/"})
