"""When a list may lose people: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_klaviyo.audience.completeness import AudienceFeed, RemovalVerdict, count_present, decide, parse_max_removals
from target_klaviyo.model.amounts import Limit

MEMBERS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.lists(st.tuples(st.just("email"), st.integers(0, 30).map(str)), max_size=2).map(tuple),
    max_size=20,
)


@given(
    members=MEMBERS,
    seen=st.lists(st.one_of(st.none(), st.integers(0, 30).map(str)), max_size=30),
    sizes=st.lists(st.one_of(st.none(), st.integers(-1, 30)), min_size=1, max_size=2),
    count=st.one_of(st.none(), st.integers(0, 20)),
    share=st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.5, 1.0])),
    manifest=st.one_of(st.none(), st.integers(0, 30)),
    assumed=st.booleans(),
    allow_empty=st.booleans(),
)
def test_nobody_who_came_is_removed_and_never_too_many(
    members: dict[str, tuple[tuple[str, str], ...]],
    seen: list[str | None],
    sizes: list[int | None],
    count: int | None,
    share: float | None,
    manifest: int | None,
    assumed: bool,
    allow_empty: bool,
) -> None:
    """Whatever the feed and the settings: removals are within the cap, of people who did not come, with a proof."""
    feed, limit = AudienceFeed(), Limit(count, share)
    for index, name in enumerate(seen):
        feed.add([("email", name)] if name is not None else [], sizes[index % len(sizes)])
    decision = decide(feed, members, limit, manifest=manifest, assumed=assumed, allow_empty=allow_empty)
    if decision.verdict is not RemovalVerdict.REMOVE:
        assert decision.verdict is RemovalVerdict.NOTHING_TO_REMOVE or decision.reason
        return
    came = {("email", name) for name in seen if name is not None}
    assert None not in seen
    assert all(came.isdisjoint(members[member]) for member in decision.absent)
    assert len(decision.absent) <= (len(members) if count is None else count)
    assert len(decision.absent) <= len(members) * (1.0 if share is None else share)
    stated = {size for size in sizes[: len(seen)] if size is not None}
    expected = manifest if manifest is not None else next(iter(stated), None)
    assert (expected == len(came)) if expected is not None else assumed
    assert came or (manifest == 0 and allow_empty)


@pytest.mark.parametrize(
    ("text", "members", "most"),
    [(None, 500, 50), (None, 50_000, 1_000), (25, 500, 25), ("5%", 500, 25), ("100, 5%", 500, 25), ("10,50%", 500, 10),
     ("0", 500, 0), ("100%", 500, 500), ("0.5%", 1000, 5)],
)  # fmt: skip
def test_a_cap_is_a_count_or_a_share_or_the_smaller_of_both(text: str | int | None, members: int, most: int) -> None:
    """By default a tenth of the list, and never more than a thousand."""
    limit = parse_max_removals(text)
    assert limit.of(members) == most
    assert limit.allows(most, members)
    assert not limit.allows(most + 1, members)


@pytest.mark.parametrize("text", ["many", "5 people", "-1", "101%", "", "1.5", "5%%"])
def test_a_cap_that_is_none_is_an_error(text: str) -> None:
    """A typo must not take the cap away."""
    with pytest.raises(ValueError, match="max_removals"):
        parse_max_removals(text)


@pytest.mark.parametrize(("records", "count"), [([False], 1), ([True], 0), ([True, False], 1), ([False, True], 1)])
def test_a_member_stays_by_a_record_that_was_not_refused(records: list[bool], count: int) -> None:
    """In whichever order they come, one good record (not refused) is enough to be sent again."""
    feed = AudienceFeed()
    for refused in records:
        feed.add([("email", "a@example.com")], None, refused=refused)
    members = {"01A": [("email", "a@example.com")], "01B": [("email", "b@example.com")]}

    assert count_present(feed, members) == count
