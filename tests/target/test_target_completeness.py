"""When a list may lose people: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_klaviyo.audience.completeness import Decision, Rules, decide, parse_max_removals, parse_max_unidentified
from target_klaviyo.audience.feed import NO_SIZE, AudienceFeed, can_name
from target_klaviyo.audience.reasons import ANOTHER_OVER_CAP, TOO_MANY_REJECTS, Obstacle
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
    most_nameless=st.one_of(st.none(), st.integers(0, 6)),
    owned=st.booleans(),
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
    most_nameless: int | None,
    owned: bool,
) -> None:
    """Whatever the feed and the settings: removals are within the cap, of people who did not come, with a proof."""
    feed = AudienceFeed()
    max_unidentified = None if most_nameless is None else Limit(most_nameless)
    rules = Rules(Limit(count, share), max_unidentified, assumed=assumed, allow_empty=allow_empty, owned=owned)
    for index, name in enumerate(seen):
        size = sizes[index % len(sizes)]
        if name is None:
            feed.add_nameless([], size)
        else:
            feed.add([("email", name)], size)
    decision = decide(feed, members, rules, manifest)
    if not decision.removes:
        assert not decision.absent or decision.reasons
        assert all(reason.text for reason in decision.reasons)
        return
    came = {("email", name) for name in seen if name is not None}
    assert owned
    nameless = seen.count(None)
    assert nameless <= (5 if most_nameless is None else most_nameless)
    assert all(came.isdisjoint(members[member]) for member in decision.absent)
    assert len(decision.absent) <= (len(members) if count is None else count)
    assert len(decision.absent) <= len(members) * (1.0 if share is None else share)
    stated = {size for size in sizes[: len(seen)] if size is not None}
    expected = manifest if manifest is not None else next(iter(stated), None)
    assert (expected in (len(came), len(came) + nameless)) if expected is not None else assumed
    assert came or (manifest == 0 and allow_empty and not nameless)


def all_reasons(feed: AudienceFeed, members: int, rules: Rules, manifest: int | None = None) -> list[Obstacle]:
    """What keeps so many strangers on the list; each reason has its advice."""
    on_list = {f"01{number}": [("email", f"on{number}@example.com")] for number in range(members)}
    decision = decide(feed, on_list, rules, manifest)
    assert all(reason.advice for reason in decision.reasons)
    return [reason.obstacle for reason in decision.reasons]


def feed_of(named: int, nameless: int = 0, *, sizes: tuple[int | None, ...] = (None,), lost: int = 0) -> AudienceFeed:
    feed = AudienceFeed()
    for number in range(named + nameless):
        size = sizes[number % len(sizes)]
        if number < named:
            feed.add([("email", f"p{number}@example.com")], size)
        else:
            feed.add_nameless([], size)
    feed.unattributed = lost
    return feed


CAPPED = Rules(Limit(0), owned=False, size_field="size")


@pytest.mark.parametrize(
    ("feed", "manifest", "reasons"),
    [
        (feed_of(40, 11, lost=2), None, "not_owned nameless unreadable unproven over_cap"),
        (feed_of(40, 11, sizes=(51, 52)), None, "not_owned nameless sizes_disagree over_cap"),
        (feed_of(40, 11, sizes=(51, 52)), 60, "not_owned nameless sizes_disagree wrong_size over_cap"),
        (feed_of(40, 11, sizes=(50,)), None, "not_owned nameless wrong_size over_cap"),
        (feed_of(40, 11, sizes=(51, NO_SIZE)), None, "not_owned nameless sizes_disagree over_cap"),
        (feed_of(40, 11, sizes=(NO_SIZE,)), None, "not_owned nameless no_size over_cap"),
        (feed_of(0, 11, lost=1), None, "not_owned empty nameless unreadable over_cap"),
        (feed_of(0), 0, "not_owned empty over_cap"),
        (feed_of(40, sizes=(40,), lost=7), None, "not_owned over_cap"),
    ],
)
def test_every_reason_is_told_at_once(feed: AudienceFeed, manifest: int | None, reasons: str) -> None:
    """Whoever mends what is told need not find the next reason by another run."""
    assert all_reasons(feed, 5, CAPPED, manifest) == [Obstacle(name) for name in reasons.split()]


@pytest.mark.parametrize(
    ("named", "nameless", "setting", "is_enough"),
    [
        (46, 5, None, True), (45, 6, None, False), (990, 10, None, True), (989, 11, None, False),
        (46, 1, 0, False), (46, 2, "2", True), (46, 3, "2", False), (98, 2, "2%", True), (97, 3, "2%", False),
        (90, 10, "20, 10%", True), (98, 2, "1, 10%", False), (1, 1, "100%", True),
    ],
)  # fmt: skip
def test_so_many_may_name_nobody(named: int, nameless: int, setting: str | int | None, is_enough: bool) -> None:
    """By default five records or one in a hundred, whichever is more; of a number and a share the smaller counts."""
    rules = Rules(max_unidentified=parse_max_unidentified(setting), assumed=True)
    assert all_reasons(feed_of(named, nameless), 3, rules) == ([] if is_enough else [Obstacle.NAMELESS])


@pytest.mark.parametrize(("size", "is_whole"), [(46, True), (48, True), (47, False), (49, False), (45, False)])
def test_a_size_counts_those_who_cannot_be_named_or_does_not(size: int, is_whole: bool) -> None:
    """As the query has it: all of them or none. Anything between would hide people who are lost."""
    reasons = all_reasons(feed_of(46, 2, sizes=(size,)), 3, Rules(size_field="size"))
    assert reasons == ([] if is_whole else [Obstacle.WRONG_SIZE])


def test_rows_are_no_people() -> None:
    """As many rows as were to come do not prove that all came: one that came twice may hide one that is lost."""
    feed = feed_of(4, sizes=(5,))
    feed.add([("email", "p0@example.com")], 5)
    decision = decide(feed, {"01": [("email", "x@example.com")]}, Rules(size_field="size"))
    [reason] = decision.reasons
    assert reason.obstacle is Obstacle.WRONG_SIZE
    assert "4 people came, and 5 were to come; 1 more records were about people seen before" in reason.text
    assert "size counts rows" in reason.advice


def test_nobody_on_the_list_needs_no_reason() -> None:
    """Where nobody would be removed, only a setting without which no run begins is told."""
    assert all_reasons(feed_of(3, 9), 0, Rules()) == []
    assert all_reasons(feed_of(3, 9), 0, Rules(owned=False)) == [Obstacle.NOT_OWNED]


def test_what_is_beside_a_feed_stops_whom_there_is_to_stop() -> None:
    """Each keeps its own reasons beside that; where nobody is absent there is nothing to stop."""
    decision = Decision(("01",)).beside(ANOTHER_OVER_CAP).beside(TOO_MANY_REJECTS)
    assert [reason.obstacle for reason in decision.reasons] == [Obstacle.OTHER_OVER_CAP, Obstacle.TOO_MANY_REJECTS]
    assert Decision(()).beside(TOO_MANY_REJECTS).reasons == ()


@pytest.mark.parametrize(
    ("identifiers", "is_somebody"),
    [
        ({}, False), ({"email": "N/A"}, False), ({"phone_number": "N/A"}, False), ({"phone_number": "123"}, False),
        ({"email": "N/A", "phone_number": "+12025550123"}, True), ({"email": "ada@example.com"}, True),
        ({"email": "N/A", "external_id": "C1"}, True), ({"id": "01A"}, True),
    ],
)  # fmt: skip
def test_what_cannot_be_anybodys_names_nobody(identifiers: dict[str, str], is_somebody: bool) -> None:
    """Whose record it is that has ``N/A`` for an address, cannot be known."""
    assert can_name(identifiers) is is_somebody


def test_whoever_goes_by_an_odd_address_stays() -> None:
    """Klaviyo may have somebody under what we take for no address."""
    feed = AudienceFeed()
    feed.add_nameless([("email", "odd address")], None)
    assert feed.absent({"01": [("email", "odd address")], "02": [("email", "b@example.com")]}) == ("02",)


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


@pytest.mark.parametrize("text", ["some", "-1", "101%", "", "1.5"])
def test_a_number_of_nameless_records_that_is_none_is_an_error(text: str) -> None:
    """A typo must not let more people be removed."""
    with pytest.raises(ValueError, match="max_unidentified"):
        parse_max_unidentified(text)


@pytest.mark.parametrize(("taken", "count"), [([True], 1), ([False], 0), ([False, True], 1), ([True, False], 1)])
def test_a_member_stays_by_a_record_that_was_taken(taken: list[bool], count: int) -> None:
    """In whichever order they come, one good record is enough to be sent again."""
    feed = AudienceFeed()
    for is_taken in taken:
        person = feed.add([("email", "a@example.com")], None)
        if is_taken:
            feed.take(person)
    members = {"01A": [("email", "a@example.com")], "01B": [("email", "b@example.com")]}

    assert feed.count_present(members) == count
