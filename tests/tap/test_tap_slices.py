"""Slices of a collection, what a page holds of its neighbours, and the bookmark."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.api.operations import operation
from tap_klaviyo.model import Collection, Slice
from tap_klaviyo.reading.slices import SETTLE, BookmarkTracker, can_be_cut, conditions, plan_slices
from tap_klaviyo.rows.slice_rows import own_rows
from tap_klaviyo.rows.values import bookmark_text
from tap_klaviyo.tables import BY_DEFAULT, TABLES

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
COLLECTIONS = {table.collection.name: table.collection for table in TABLES}


def sent(name: str, part: Slice) -> tuple[str, ...]:
    collection = COLLECTIONS[name]
    return conditions(part, collection, operation(collection.operation))


def bound(name: str, since: datetime | None, now: datetime = NOW) -> tuple[str, ...]:
    """The filter conditions of a run that starts at this bookmark."""
    slices = plan_slices(COLLECTIONS[name], since=since, now=now, parents=[{"id": "A"}])
    return sent(name, replace(slices[0], conditions=()))


def test_each_operator_set_has_its_bound() -> None:
    """`>=` as it is, only `>` one tick earlier, nothing where Klaviyo cannot filter or there is no bookmark."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert bound("events", since) == ("greater-or-equal(datetime,2026-01-01T00:00:00Z)",)
    assert bound("profiles", since) == ("greater-than(updated,2025-12-31T23:59:59Z)",)
    assert bound("list_profiles", since) == ("greater-or-equal(joined_group_at,2026-01-01T00:00:00Z)",)
    assert bound("metrics", since) == ()
    assert bound("lists", since) == ("greater-than(updated,2025-12-31T23:59:59Z)",)
    assert bound("campaigns", since) == ("greater-or-equal(updated_at,2026-01-01T00:00:00Z)",)
    assert bound("flows", since) == ("greater-or-equal(updated,2026-01-01T00:00:00Z)",)
    assert bound("events", None) == ()


def test_each_operator_set_has_its_window() -> None:
    """A slice between two moments: what cannot be said exactly is said too widely; the slice's own come first."""
    part = Slice(conditions=("own",), start=datetime(2026, 1, 1, tzinfo=UTC), stop=datetime(2026, 2, 1, tzinfo=UTC))
    assert sent("events", part) == (
        "own",
        "greater-or-equal(datetime,2026-01-01T00:00:00Z)",
        "less-than(datetime,2026-02-01T00:00:00Z)",
    )
    assert sent("profiles", part) == (
        "own",
        "greater-than(updated,2025-12-31T23:59:59Z)",
        "less-than(updated,2026-02-01T00:00:00Z)",
    )
    op = operation("get_events")
    inclusive = replace(op, filters={"datetime": {"single": ["greater-or-equal", "less-or-equal"]}})
    assert conditions(part, COLLECTIONS["events"], inclusive) == (
        "own",
        "greater-or-equal(datetime,2026-01-01T00:00:00Z)",
        "less-or-equal(datetime,2026-02-01T00:00:00Z)",
    )
    assert sent("metrics", part) == ("own",)


def test_a_parent_is_in_the_path_or_in_the_filter() -> None:
    """One slice for each parent; a filter names it, quoted, before all that is else to hold."""
    parents = [{"id": "10OFF"}, {"id": 'A"B'}]
    codes = Collection("codes", "get_coupon_codes_for_coupon", "coupon-code", parent="coupons")
    assert [(part.path, part.conditions) for part in plan_slices(codes, since=None, now=NOW, parents=parents)] == [
        ({"id": "10OFF"}, ()),
        ({"id": 'A"B'}, ()),
    ]
    named = replace(codes, parent_filter="coupon.id", filter_sets=({"status": "USED"},))
    assert [
        (part.path, part.conditions, part.parent) for part in plan_slices(named, since=None, now=NOW, parents=parents)
    ] == [
        ({}, ('any(coupon.id,["10OFF"])', 'equals(status,"USED")'), parents[0]),
        ({}, ('any(coupon.id,["A\\"B"])', 'equals(status,"USED")'), parents[1]),
    ]


@pytest.mark.parametrize("name", ["events", "profiles"])
def test_no_bound_is_in_the_future(name: str) -> None:
    """Klaviyo answers 400 to such a bound, as to one of the last seconds."""
    assert bound(name, NOW + timedelta(days=400)) == bound(name, NOW - SETTLE)


def test_what_has_an_order_of_time_and_both_ends_can_be_cut() -> None:
    """Lists and segments have no upper end, metrics and tags no time at all."""
    cut = {name for name, collection in COLLECTIONS.items() if can_be_cut(collection, operation(collection.operation))}
    by_default = {table.collection.name for table in TABLES if table.name in BY_DEFAULT}
    assert cut & by_default == {"events", "profiles", "list_profiles", "segment_profiles", "campaigns", "flows"}
    assert {"lists", "segments", "metrics", "tags"} <= COLLECTIONS.keys() - cut
    events, op = COLLECTIONS["events"], operation("get_events")
    assert not can_be_cut(events, replace(op, sort=()))
    assert not can_be_cut(events, replace(op, filters={"datetime": {"single": ["less-than"]}}))


def test_a_collection_of_parents_has_a_slice_for_each() -> None:
    """The parent goes with the slice; without parents there is nothing to read."""
    collection = COLLECTIONS["list_profiles"]
    slices = plan_slices(collection, since=None, now=NOW, parents=[{"id": "A"}, {"id": "B"}])
    assert [(part.path, part.parent) for part in slices] == [({"id": "A"}, {"id": "A"}), ({"id": "B"}, {"id": "B"})]
    assert plan_slices(collection, since=None, now=NOW) == []


def test_a_collection_with_filter_sets_has_a_slice_for_each() -> None:
    """Campaigns by channel and archive, which the slice remembers, each from the bookmark on."""
    slices = plan_slices(COLLECTIONS["campaigns"], since=datetime(2026, 1, 1, tzinfo=UTC), now=NOW)
    assert [(part.filter_set["messages.channel"], part.filter_set["archived"]) for part in slices] == [
        (channel, archived) for channel in ("email", "sms", "mobile_push") for archived in (False, True)
    ]
    assert sent("campaigns", slices[1]) == (
        'equals(messages.channel,"email")',
        "equals(archived,true)",
        "greater-or-equal(updated_at,2026-01-01T00:00:00Z)",
    )


def test_a_plan_is_open_towards_the_future() -> None:
    """What is changed while we read, or dated ahead, is not lost; and nothing ends where the first slice starts."""
    for name in ("events", "campaigns"):
        for part in plan_slices(COLLECTIONS[name], since=datetime(2026, 1, 1, tzinfo=UTC), now=NOW):
            assert (part.start, part.stop, part.inner) == (datetime(2026, 1, 1, tzinfo=UTC), None, False)


def test_conditions_of_the_user_stand_beside_the_bound() -> None:
    """One slice for each set of them."""
    extra_conditions = [('equals(metric_id,["A"])',), ('equals(metric_id,["B"])',)]
    slices = plan_slices(
        COLLECTIONS["events"], since=datetime(2026, 1, 1, tzinfo=UTC), now=NOW, extra_conditions=extra_conditions
    )
    bound_ = "greater-or-equal(datetime,2026-01-01T00:00:00Z)"
    assert [sent("events", part) for part in slices] == [(*own, bound_) for own in extra_conditions]


# What a page of a slice holds of its neighbours -----------------------------------------------------------------------


def moments(*seconds: float | None) -> list[str | None]:
    return [None if second is None else bookmark_text(NOW + timedelta(seconds=second)) for second in seconds]


def test_a_slice_owns_what_is_between_its_ends() -> None:
    """Its start, not its stop; rows without a time belong to every slice that holds them."""
    part = Slice(start=NOW, stop=NOW + timedelta(seconds=10), inner=True)
    assert own_rows(part, moments(-1, -0.5, 0, 0.5, 9.999999, 10, 10.5)) == [2, 3, 4]
    assert own_rows(part, moments(-1, -0.5)) == []
    assert own_rows(part, moments(10, 11)) == []
    assert own_rows(part, moments(None, -1, 10, None)) == [0, 3]
    assert own_rows(part, []) == []


def test_a_row_inside_its_slice_is_its_own_whatever_its_place() -> None:
    """Klaviyo has been seen to break the order it was asked for: nothing hides behind a row of a neighbour's."""
    part = Slice(start=NOW, stop=NOW + timedelta(seconds=10), inner=True)
    assert own_rows(part, moments(12, 3, -1, 4, 12, 5, -2)) == [1, 3, 5]
    assert own_rows(Slice(), moments(12, 3, 4, 5), bookmark_text(NOW + timedelta(seconds=5))) == [1, 2]
    assert own_rows(Slice(), moments(5, 12, 4, 5), bookmark_text(NOW + timedelta(seconds=5))) == [2]


def test_the_first_slice_keeps_the_rows_of_the_tick_before_it() -> None:
    """Nobody else reads them, and `>` cannot leave them out."""
    assert own_rows(Slice(start=NOW), moments(-0.5, 0, 1)) == range(3)


def test_a_slice_that_was_cut_owns_what_is_before_the_cut() -> None:
    """Whichever comes first, the cut or its end; an open one has the cut only."""
    cut = bookmark_text(NOW + timedelta(seconds=5))
    times = moments(4, 4.999999, 5, 5.000001, 7)
    assert own_rows(Slice(), times, cut) == [0, 1]
    assert own_rows(Slice(stop=NOW + timedelta(seconds=7)), times, cut) == [0, 1]
    assert own_rows(Slice(stop=NOW + timedelta(seconds=4)), times, cut) == []


@given(st.lists(st.integers(-8, 8), max_size=20).map(sorted), st.lists(st.integers(-5, 5), unique=True, max_size=5))
def test_neighbours_share_no_row_and_lose_none(halves: list[int], ends: list[int]) -> None:
    """Whatever of their neighbours' rows their pages hold."""
    times = moments(*(half / 2 for half in halves))
    bounds = [None, *(NOW + timedelta(seconds=end) for end in sorted(ends)), None]
    found = []
    for start, stop in pairwise(bounds):
        found += own_rows(Slice(start=start, stop=stop, inner=start is not None), times)
    assert found == list(range(len(times)))


# Bookmarks -----------------------------------------------------------------------------------------------------------


# Few moments, so that rows of one moment fall on both sides of a page's end; some lie ahead of now.
SECONDS = st.integers(-15, 40).map(lambda second: NOW - timedelta(seconds=second))
ROWS = st.lists(
    st.builds(
        lambda moment, us: moment + timedelta(microseconds=us), SECONDS, st.sampled_from((0, 0, 0, 1, 500_000, 999_999))
    ),
    min_size=1,
    max_size=40,
).map(sorted)


def read_again(name: str, since: datetime | None, rows: list[datetime]) -> set[int]:
    """Positions of the rows that Klaviyo would send for the lower bound that a run an hour later plans."""
    terms = bound(name, since, NOW + timedelta(hours=1))
    if not terms:
        return set(range(len(rows)))
    (condition,) = terms
    match = re.fullmatch(r"(greater-than|greater-or-equal)\(\w+,(.+)\)", condition)
    assert match
    exclusive, limit = match[1] == "greater-than", datetime.fromisoformat(match[2])
    return {index for index, moment in enumerate(rows) if moment > limit or (moment == limit and not exclusive)}


@pytest.mark.parametrize("name", ["profiles", "events"])
@given(rows=ROWS, size=st.integers(1, 5), stop=st.integers(0, 50))
def test_a_kill_at_any_page_misses_no_row(name: str, rows: list[datetime], size: int, stop: int) -> None:
    """What was written before it and what the planned bound reads after it are all rows, for `>` and for `>=`."""
    tracker = BookmarkTracker(now=lambda: NOW, ordered=True)
    state = None
    written: set[int] = set()
    for start in range(0, len(rows), size)[:stop]:
        state = tracker.after_page(moment.isoformat() for moment in rows[start : start + size]) or state
        written |= set(range(start, min(start + size, len(rows))))
    since = datetime.fromisoformat(state) if state else None
    assert written | read_again(name, since, rows) == set(range(len(rows)))
    assert since is None or since <= NOW - SETTLE


@given(rows=ROWS, late=ROWS)
def test_what_is_still_being_written_down_is_read_by_the_next_run(rows: list[datetime], late: list[datetime]) -> None:
    """A whole run moves the bookmark to the settled past only, so rows of the last seconds may come late."""
    tracker = BookmarkTracker(now=lambda: NOW, ordered=True)
    tracker.after_page(moment.isoformat() for moment in rows)
    end = tracker.at_end()
    assert end
    settling = [moment for moment in late if moment >= NOW - SETTLE]
    for name in ("profiles", "events"):
        assert read_again(name, datetime.fromisoformat(end), settling) == set(range(len(settling)))


@given(values=st.lists(SECONDS, min_size=2, max_size=30), size=st.integers(1, 4))
def test_bookmarks_never_go_back(values: list[datetime], size: int) -> None:
    """In whatever order pages come, they only grow; once the order was broken, one holds only at the end."""
    tracker = BookmarkTracker(now=lambda: NOW, ordered=True)
    bookmarks = []
    broken = False
    for start in range(0, len(values), size):
        page = values[start : start + size]
        bookmark = tracker.after_page(moment.isoformat() for moment in page)
        broken = broken or values[: start + size] != sorted(values[: start + size])
        assert (bookmark is None) == broken
        bookmarks += [bookmark] if bookmark else []
    assert bookmarks == sorted(bookmarks)
    assert tracker.at_end() == min(max(values), NOW - SETTLE).isoformat()


def test_rows_of_the_future_move_no_bookmark_past_the_run() -> None:
    """Events may be dated ahead; they are emitted, and read again until their time has come."""
    tracker = BookmarkTracker(now=lambda: NOW, ordered=True)
    assert tracker.after_page([(NOW + timedelta(days=30)).isoformat()]) == (NOW - SETTLE).isoformat()


def test_without_rows_there_is_no_bookmark() -> None:
    """Nor after a row that has none."""
    tracker = BookmarkTracker(now=lambda: NOW, ordered=True)
    assert tracker.after_page([None]) is None
    assert tracker.at_end() is None


def test_a_read_of_several_slices_has_its_bookmark_at_the_end() -> None:
    """How far one slice was read says nothing of the next."""
    tracker = BookmarkTracker(now=lambda: NOW, ordered=False)
    assert tracker.after_page([(NOW - timedelta(days=1)).isoformat()]) is None
    assert tracker.at_end() == (NOW - timedelta(days=1)).isoformat()
