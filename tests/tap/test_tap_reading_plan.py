"""Which stream reads a collection, and when: by its catalog's order and by what its tables need first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap_klaviyo.model import Collection
from tap_klaviyo.streams.reading_plan import reading_plan

A, B, C = (Collection(name, "get_profiles", "profile") for name in "abc")
# Streams share collections, each in the order in which the collections are declared.
ORDERED = st.lists(st.sampled_from((A, B, C)), unique_by=lambda entry: entry.name).map(
    lambda entries: sorted(entries, key=lambda entry: entry.name)
)


def test_the_first_stream_leads_what_stands_before_in_anothers_order() -> None:
    """A collection that a later stream needs before a shared one is read before that, by the leader of the shared."""
    plan = reading_plan({"first": [B], "second": [A, B], "third": [C]})
    assert plan == {"first": [(A, ["second"]), (B, ["first", "second"])], "second": [], "third": [(C, ["third"])]}


@given(st.dictionaries(st.text("xyz", min_size=1), ORDERED))
def test_each_collection_is_read_once_and_in_each_streams_order(streams: dict[str, list[Collection]]) -> None:
    """Nothing is read twice or left out, and a stream's rows come in the order of its own collections."""
    planned = [entry for led in reading_plan(streams).values() for entry in led]
    order = [collection.name for collection, _ in planned]
    assert sorted(order) == sorted({collection.name for own in streams.values() for collection in own})
    for name, own in streams.items():
        places = [order.index(collection.name) for collection in own]
        assert places == sorted(places)
        assert all(name in readers for collection, readers in planned if collection in own)
