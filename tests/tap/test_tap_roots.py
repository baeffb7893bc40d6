"""Rows that are no straight projection of a resource."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup, Root, Table, each
from tap_klaviyo.rows.paths import parse_source
from tap_klaviyo.rows.projection import Projection
from tap_klaviyo.rows.roots import expand, no_lookup, required_roots, roots_behind

COLLECTION = Collection("things", "get_lists", "list")
LOOKUP = Lookup("more", "get_list", owner_kind="thing", owner_path="/id", match_path="/id", extract=lambda _: {})
TABLE = Table(
    "parts",
    COLLECTION,
    key=("thing_id", "part"),
    roots=(
        each("part", "/attributes/parts"),
        Root("double", ("part#",), lambda part: part * 2),
        LOOKUP,
        Root("size", ("more#/size",), lambda size: size),
    ),
)
SCHEMA = {
    "properties": {
        "thing_id": {"type": "string", "x-klaviyo-path": "/id"},
        "part": {"type": "string", "x-klaviyo-path": "part#"},
        "double": {"type": ["string", "null"], "x-klaviyo-path": "double#"},
        "size": {"type": ["integer", "null"], "x-klaviyo-path": "size#"},
    }
}


def rows(parts: Any, *columns: str, looked_up: Any = None) -> list[dict[str, Any]]:
    """What the table makes of one thing with these parts."""
    page = Page([{"id": "T", "attributes": {"parts": parts}}])
    before = copy.deepcopy(page)
    projection = Projection(TABLE, SCHEMA, columns or tuple(SCHEMA["properties"]))
    values = looked_up or {}
    table_rows = projection.rows(page.data, page, {}, lambda lookup, _rows, _page: values.get(lookup.name, {}))
    assert page == before
    return table_rows


def test_a_list_becomes_a_row_for_each_element() -> None:
    """Each with what is made of it, and what a call brought for its owner."""
    assert rows(["a", "b"], looked_up={"more": {"T": {"size": 3}}}) == [
        {"thing_id": "T", "part": "a", "double": "aa", "size": 3},
        {"thing_id": "T", "part": "b", "double": "bb", "size": 3},
    ]
    assert rows(["a"], looked_up={"more": {"T": None}})[0]["size"] is None


@pytest.mark.parametrize("nothing", [None, [], {}, "text", 5])
def test_what_is_no_list_gives_no_row(nothing: Any) -> None:
    """Klaviyo writes null for an empty list now and then."""
    assert rows(nothing) == []


@given(parts=st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_a_key_comes_once(parts: list[str]) -> None:
    """A list may name one thing twice; a target that upserts must not get it twice."""
    assert sorted(row["part"] for row in rows(parts, "thing_id", "part")) == sorted(set(parts))


def test_rows_without_a_key_are_left_out_and_counted() -> None:
    """They could be neither inserted nor found again; somebody is told."""
    projection = Projection(TABLE, SCHEMA, ("thing_id", "part"))
    page = Page([{"id": "T", "attributes": {"parts": ["a", None]}}])
    assert [row["part"] for row in projection.rows(page.data, page)] == ["a"]
    assert list(projection.warnings()) == [": 1 rows were left out because a column of their key was null"]


def test_nothing_is_made_of_nothing() -> None:
    """A root all of whose needs are null is null, and its function is not asked."""
    roots = (Root("sum", ("/attributes/a", "/attributes/b"), lambda a, b: (a or 0) + (b or 0)),)
    resources = [{"id": "T", "attributes": attributes} for attributes in ({}, {"a": None}, {"b": 2}, {"a": 1, "b": 2})]
    rows = expand(roots, resources, Page(resources), {}, no_lookup)
    assert [row["sum"] for row in rows] == [None, None, 2, 3]


def test_only_roots_that_are_read_are_made() -> None:
    """A lookup costs calls; what makes rows is always needed."""
    assert [root.name for root in required_roots(TABLE, [parse_source("/id")])] == ["part"]
    assert [root.name for root in required_roots(TABLE, [parse_source("size#")])] == ["part", "more", "size"]
    assert Projection(TABLE, SCHEMA, ("thing_id", "part", "double")).lookups == ()
    assert Projection(TABLE, SCHEMA, ("thing_id", "size")).lookups == (LOOKUP,)


def test_a_column_tells_what_it_is_made_of() -> None:
    """So that a missing scope can name the columns that it empties."""
    assert roots_behind(TABLE, parse_source("size#")) == {"size", "more", "own"}
    assert roots_behind(TABLE, parse_source("double#")) == {"double", "part", "own"}


def test_an_unknown_root_is_refused() -> None:
    """A slip in a schema file fails at start-up, not as a column of nulls."""
    with pytest.raises(ValueError, match="parts has no root called other"):
        required_roots(TABLE, [parse_source("other#/id")])


def test_included_resources_multiply_what_they_hold() -> None:
    """A chain of lists: every part of every included resource; one that was not sent is passed over."""
    roots = (each("box", "included:boxes#"), each("part", "box#/attributes/parts"))
    resource = {
        "id": "T",
        "relationships": {"boxes": {"data": [{"type": "box", "id": name} for name in ("1", "gone", "2")]}},
    }
    included = {("box", name): {"id": name, "attributes": {"parts": [name, name * 2]}} for name in ("1", "2")}
    page = Page([resource], included)
    found = [(values["box"]["id"], values["part"]) for values in expand(roots, [resource], page, {}, no_lookup)]
    assert found == [("1", "1"), ("1", "11"), ("2", "2"), ("2", "22")]
