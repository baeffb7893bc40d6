"""Batches: rows to units, units to requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from target_klaviyo.delivery.action import Row, Unit
from target_klaviyo.delivery.batches import conflict_free_groups, encode_json, ordered_groups, split_by_size, unit_size
from target_klaviyo.model.identifiers import identifiers_of
from target_klaviyo.model.records import ListRef, SourceRecord


def row(meta: dict[str, Any] | None = None, **attributes: Any) -> Row:
    payload = {"type": "profile", "attributes": attributes, **({"meta": meta} if meta else {})}
    return Row(SourceRecord("s", attributes), payload, encode_json(payload))


def unit(size: int) -> Unit:
    return Unit((), {}, b"x" * size)


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 10), st.integers(80, 200))
def test_no_chunk_passes_a_limit_and_nothing_moves(sizes: list[int], items: int, max_bytes: int) -> None:
    """Every request stays within count and bytes, and the units keep their order."""
    units = [unit(size) for size in sizes]
    chunks = list(split_by_size(units, unit_size, max_count=items, max_bytes=max_bytes))
    assert [one for chunk in chunks for one in chunk] == units
    for chunk in chunks:
        assert 0 < len(chunk) <= items
        assert sum(len(one.body) + 1 for one in chunk) <= max_bytes


def test_chunks_are_as_large_as_they_may_be() -> None:
    """A limit that is met exactly does not cost a request."""
    assert [len(chunk) for chunk in split_by_size([unit(9)] * 25, unit_size, max_count=10)] == [10, 10, 5]
    assert [len(chunk) for chunk in split_by_size([unit(9)] * 4, unit_size, max_count=10, max_bytes=20)] == [2, 2]


def test_the_same_person_twice_is_one_unit_in_which_the_later_wins() -> None:
    """Two records about one profile are sent once, merged in order, and both belong to the unit."""
    first = row(email="ada@example.com", first_name="A", properties={"a": 1, "b": 1}, location={"city": "X"})
    second = row(email="ADA@example.com", first_name="Ada", properties={"b": 2})
    [[merged]] = conflict_free_groups([first, second])
    assert merged.rows == (first, second)
    assert merged.payload["attributes"] == {
        "email": "ADA@example.com",
        "first_name": "Ada",
        "properties": {"a": 1, "b": 2},
        "location": {"city": "X"},
    }
    assert first.payload["attributes"]["properties"] == {"a": 1, "b": 1}


def test_people_who_share_a_weaker_identifier_are_sent_one_after_the_other() -> None:
    """A shared external id does not merge two e-mail addresses: Klaviyo judges, in order."""
    rows = [row(email="a@example.com", external_id="1"), row(email="b@example.com", external_id="1")]
    assert [len(group) for group in conflict_free_groups(rows)] == [1, 1]


def test_one_address_with_two_numbers_is_two_units_in_order() -> None:
    """Merged, the earlier number would never be sent; nor would a row that knows less be merged into one with more."""
    people = [{"phone_number": "+14155550100"}, {"phone_number": "+14155550101"}, {}, {"external_id": "1"}]
    rows = [row(email="a@example.com", **more) for more in people]
    groups = list(conflict_free_groups(rows))
    assert [unit.rows for group in groups for unit in group] == [(one,) for one in rows]
    assert [len(group) for group in groups] == [1, 1, 1, 1]


def test_rows_that_wait_for_each_other_hold_nobody_else_up() -> None:
    """Fifty people with two numbers each take two requests, not a hundred."""
    rows = [row(email=f"{i}@x.org", phone_number=f"+1415555{i}{n}00") for i in range(10, 60) for n in (1, 2)]
    assert [len(group) for group in conflict_free_groups(rows)] == [50, 50]


def test_what_is_said_of_somebody_about_two_lists_keeps_its_order() -> None:
    """Others need not wait for it."""
    one, two = ListRef(name="A"), ListRef(name="B")
    rows = [
        replace(row(email=email), list=ref)
        for email, ref in [("a", one), ("b", one), ("a", two), ("c", two), ("a", one), ("b", one)]
    ]
    indexes = [[rows.index(one) for one in group] for group in ordered_groups(rows, lambda payload: payload)]
    assert indexes == [[0, 1, 3, 5], [2], [4]]


def test_patches_are_never_merged() -> None:
    """Appending twice is two appends."""
    patch = {"patch_properties": {"append": {"tags": "x"}}}
    assert len(list(conflict_free_groups([row(patch, email="a@example.com"), row(patch, email="a@example.com")]))) == 2


def test_what_would_grow_too_large_is_not_merged() -> None:
    """A merged profile stays within the limit of one profile."""
    rows = [row(email="a@example.com", properties={str(i): "x" * 50}) for i in range(2)]
    assert len(list(conflict_free_groups(rows, max_item_bytes=120))) == 2


people = st.fixed_dictionaries(
    {},
    optional={
        "email": st.sampled_from(["a@example.com", "b@example.com", "c@example.com"]),
        "external_id": st.sampled_from(["1", "2", "3"]),
        "phone_number": st.sampled_from(["+14155550100", "+14155550101"]),
    },
).filter(bool)


@given(st.lists(people, max_size=15))
def test_every_row_is_in_one_unit_and_no_identifier_twice_in_a_group(records: list[dict[str, str]]) -> None:
    """Nothing is lost or doubled, and one request never asks two things of one identifier."""
    rows = [row(**record) for record in records]
    groups = list(conflict_free_groups(rows))
    assert sorted(map(id, rows)) == sorted(id(one) for group in groups for unit in group for one in unit.rows)
    for group in groups:
        seen = [identifier for unit in group for identifier in identifiers_of(unit.payload).items()]
        assert len(seen) == len(set(seen))
