"""Edges."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_client.operations import operation
from tap_klaviyo.slices import SETTLE, Edge, lower_bound, plan
from tap_klaviyo.tables import TABLES

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
COLLECTIONS = {table.collection.name: table.collection for table in TABLES}


def bound(name: str, since: datetime | None, now: datetime = NOW) -> tuple[str, ...]:
    collection = COLLECTIONS[name]
    return lower_bound(collection, operation(collection.operation), since, now)


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


@pytest.mark.parametrize("name", ["events", "profiles"])
def test_no_bound_is_in_the_future(name: str) -> None:
    """Klaviyo answers 400 to such a bound, as to one of the last seconds."""
    assert bound(name, NOW + timedelta(days=400)) == bound(name, NOW - SETTLE)


def test_a_collection_of_parents_has_a_slice_for_each() -> None:
    """The parent goes with the slice; without parents there is nothing to read."""
    collection = COLLECTIONS["list_profiles"]
    op = operation(collection.operation)
    parents = [{"id": "A"}, {"id": "B"}]
    slices = plan(collection, op, since=None, now=NOW, parents=parents)
    assert [(part.path, part.parent) for part in slices] == [({"id": "A"}, {"id": "A"}), ({"id": "B"}, {"id": "B"})]
    assert plan(collection, op, since=None, now=NOW) == []


def test_a_collection_with_passes_has_a_slice_for_each() -> None:
    """Campaigns by channel and archive, which the slice remembers, each from the bookmark on."""
    collection = COLLECTIONS["campaigns"]
    slices = plan(collection, operation(collection.operation), since=datetime(2026, 1, 1, tzinfo=UTC), now=NOW)
    assert [(part.constants["messages.channel"], part.constants["archived"]) for part in slices] == [
        (channel, archived) for channel in ("email", "sms", "mobile_push") for archived in (False, True)
    ]
    assert slices[1].conditions == (
        'equals(messages.channel,"email")',
        "equals(archived,true)",
        "greater-or-equal(updated_at,2026-01-01T00:00:00Z)",
    )


def test_conditions_of_the_user_stand_beside_the_bound() -> None:
    """One slice for each set of them."""
    collection = COLLECTIONS["events"]
    narrowed = [('equals(metric_id,["A"])',), ('equals(metric_id,["B"])',)]
    op = operation(collection.operation)
    slices = plan(collection, op, since=datetime(2026, 1, 1, tzinfo=UTC), now=NOW, narrowed=narrowed)
    bound_ = "greater-or-equal(datetime,2026-01-01T00:00:00Z)"
    assert [part.conditions for part in slices] == [(*own, bound_) for own in narrowed]


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
    conditions = bound(name, since, NOW + timedelta(hours=1))
    if not conditions:
        return set(range(len(rows)))
    (condition,) = conditions
    found = re.fullmatch(r"(greater-than|greater-or-equal)\(\w+,(.+)\)", condition)
    assert found
    exclusive, edge = found[1] == "greater-than", datetime.fromisoformat(found[2])
    return {at for at, moment in enumerate(rows) if moment > edge or (moment == edge and not exclusive)}


@pytest.mark.parametrize("name", ["profiles", "events"])
@given(rows=ROWS, size=st.integers(1, 5), stop=st.integers(0, 50))
def test_a_kill_at_any_page_misses_no_row(name: str, rows: list[datetime], size: int, stop: int) -> None:
    """What was written before it and what the planned bound reads after it are all rows, for `>` and for `>=`."""
    edge = Edge(now=NOW, ordered=True)
    state = None
    written: set[int] = set()
    for start in range(0, len(rows), size)[:stop]:
        state = edge.after_page(moment.isoformat() for moment in rows[start : start + size]) or state
        written |= set(range(start, min(start + size, len(rows))))
    since = datetime.fromisoformat(state) if state else None
    assert written | read_again(name, since, rows) == set(range(len(rows)))
    assert since is None or since <= NOW - SETTLE


@given(rows=ROWS, late=ROWS)
def test_what_is_still_being_written_down_is_read_by_the_next_run(rows: list[datetime], late: list[datetime]) -> None:
    """A whole run moves the bookmark to the settled past only, so rows of the last seconds may come late."""
    edge = Edge(now=NOW, ordered=True)
    edge.after_page(moment.isoformat() for moment in rows)
    end = edge.at_end()
    assert end
    settling = [moment for moment in late if moment >= NOW - SETTLE]
    for name in ("profiles", "events"):
        assert read_again(name, datetime.fromisoformat(end), settling) == set(range(len(settling)))


@given(values=st.lists(SECONDS, min_size=2, max_size=30), size=st.integers(1, 4))
def test_edges_never_go_back(values: list[datetime], size: int) -> None:
    """In whatever order pages come, edges only grow; once the order was broken, only the end is an edge."""
    edge = Edge(now=NOW, ordered=True)
    published = []
    broken = False
    for start in range(0, len(values), size):
        page = values[start : start + size]
        found = edge.after_page(moment.isoformat() for moment in page)
        broken = broken or values[: start + size] != sorted(values[: start + size])
        assert (found is None) == broken
        published += [found] if found else []
    assert published == sorted(published)
    assert edge.at_end() == min(max(values), NOW - SETTLE).isoformat()


def test_rows_of_the_future_move_no_bookmark_past_the_run() -> None:
    """Events may be dated ahead; they are emitted, and read again until their time has come."""
    edge = Edge(now=NOW, ordered=True)
    assert edge.after_page([(NOW + timedelta(days=30)).isoformat()]) == (NOW - SETTLE).isoformat()


def test_without_rows_there_is_no_edge() -> None:
    """And a row without a bookmark is no edge either."""
    edge = Edge(now=NOW, ordered=True)
    assert edge.after_page([None]) is None
    assert edge.at_end() is None
