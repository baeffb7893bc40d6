"""The reasons for removing nobody from a mirrored list: what is in the way, and what to set or to mend. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from target_klaviyo.audience.feed import NO_SIZE, AudienceFeed
from target_klaviyo.model.amounts import Limit

# What a first mirror finds on a list that was filled otherwise.
EXPLAINED_STRANGERS = (
    "a form, an import or a person may have added them; a mirror removes them all the same (owns_list allows it); to "
    "keep them, mirror to a list of its own"
)


class Obstacle(StrEnum):
    """What keeps those who are on the list and not in the stream from being removed."""

    NOT_OWNED = "not_owned"
    EMPTY = "empty"
    NAMELESS = "nameless"
    NO_SIZE = "no_size"
    SIZES_DISAGREE = "sizes_disagree"
    WRONG_SIZE = "wrong_size"
    UNREADABLE = "unreadable"
    UNPROVEN = "unproven"
    OVER_CAP = "over_cap"
    OTHER_OVER_CAP = "other_over_cap"
    TOO_MANY_REJECTS = "too_many_rejects"


@dataclass(frozen=True)
class Reason:
    """One reason for removing nobody.

    Attributes:
        obstacle: what it is.
        text: the same for people, with its numbers; names nobody.
        advice: what to set or to mend; empty where nothing can be done for it.
    """

    obstacle: Obstacle
    text: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.advice}" if self.advice else self.text


UNPROVEN = Reason(
    Obstacle.UNPROVEN,
    "nothing proves that the whole audience came",
    "set size_field to a column with the audience's size (count(*) over ()), send a record of audience_manifest, or "
    "vouch for the source with assume_complete: true",
)
ANOTHER_OVER_CAP = Reason(
    Obstacle.OTHER_OVER_CAP, "another list of this run is over its cap, so something may be wrong"
)
TOO_MANY_REJECTS = Reason(
    Obstacle.TOO_MANY_REJECTS,
    "more records were rejected than on_reject and max_rejects allow",
    "fix them, or set max_rejects",
)


def too_many_nameless(feed: AudienceFeed, most: int) -> Reason:
    """More records name nobody than may."""
    text = f"{feed.nameless:,} of its {feed.records:,} records have no e-mail, phone or id"
    advice = f"at most {most:,} may, since their people may be on the list: fix them, or set max_unidentified"
    return Reason(Obstacle.NAMELESS, text, advice)


def unreadable(feed: AudienceFeed) -> Reason:
    """Nobody knows how many people were in what could not be read."""
    text = f"{feed.unattributed:,} records or lines could not be read, or name no list"
    return Reason(
        Obstacle.UNREADABLE, text, "fix them, or let size_field or audience_manifest give the number of people"
    )


def disagreement(feed: AudienceFeed, size_field: str | None) -> Reason | None:
    """Why the records give no size although they should."""
    column = f"the column {size_field!r}" if size_field else "the size"
    if feed.sizes == {NO_SIZE}:
        text = f"{column} is missing from its records, or is not a whole number"
        return Reason(Obstacle.NO_SIZE, text, "size_field must name a column with the audience's size")
    if len(feed.sizes) <= 1:
        return None
    given = sorted(size for size in feed.sizes if size is not None and size != NO_SIZE)
    sizes = [*(f"{size:,}" for size in given[:5]), *(["..."] if len(given) > 5 else [])]
    if feed.sizes & {None, NO_SIZE}:
        sizes.append("none")
    text = f"its records disagree about the size of the audience ({column}: {', '.join(sizes)})"
    return Reason(Obstacle.SIZES_DISAGREE, text, "use one query for all rows and their count(*) over ()")


def wrong_size(feed: AudienceFeed, expected: int, source: str | None) -> Reason:
    """Other people came than were to come. ``source``: what said how many were to come."""
    text = f"{people(feed.distinct)} came, and {expected:,} were to come"
    if feed.nameless:
        text += f"; {feed.nameless:,} records name nobody"
    if feed.repeated:
        text += f"; {feed.repeated:,} more records were about people seen before"
    if feed.repeated and expected == feed.records:
        advice = (
            f"{source or 'the size'} counts rows instead of people, and a duplicate row can hide a lost one: give "
            "each person one row"
        )
    else:
        advice = "run again with the whole audience, or fix the count: one for each person, not for each row"
    return Reason(Obstacle.WRONG_SIZE, text, advice)


def empty(feed: AudienceFeed, manifest: int | None) -> Reason:
    """Nobody came, and that is not meant to empty the list."""
    if feed.nameless:
        return Reason(Obstacle.EMPTY, "none of its records names a person", "give them identifiers")
    if manifest == 0:
        return Reason(
            Obstacle.EMPTY, "nobody came, and allow_empty is not set", "set allow_empty: true if that is intended"
        )
    advice = "if that is intended, send a record of it with expected_count 0, and set allow_empty: true"
    return Reason(Obstacle.EMPTY, "nobody came, and audience_manifest does not say 0", advice)


def not_owned(absent: int, members: int) -> Reason:
    """The list may hold people whom others have put there."""
    text = "owns_list must be true for mode: mirror, which also removes people added by a form or by hand"
    if absent:
        text += f" ({strangers_of(absent, members)})"
    advice = "set owns_list: true if this stream alone decides who is on the list, or mirror to a new list"
    return Reason(Obstacle.NOT_OWNED, text, advice)


def over_cap(absent: int, members: int, limit: Limit) -> Reason:
    """More would be removed than may."""
    most = limit.of(members)
    text = f"{absent:,} of {members:,} members would be removed, and max_removals allows {most:,}"
    advice = f"check the people, and to remove them set max_removals: {absent} for one run"
    if is_mostly_strange(absent, members):
        advice = f"{EXPLAINED_STRANGERS}; {advice}"
    return Reason(Obstacle.OVER_CAP, text, advice)


def is_mostly_strange(absent: int, members: int) -> bool:
    """Whether most of the members did not come, as where a list was filled otherwise before its first mirror."""
    return 2 * absent > members


def strangers_of(absent: int, members: int) -> str:
    """How many of the members did not come, in words.

    >>> strangers_of(48, 51)
    '48 of its 51 members are not in this stream'
    """
    return f"{absent:,} of its {members:,} members {'is' if absent == 1 else 'are'} not in this stream"


def people(count: int) -> str:
    """A number of people, in words.

    >>> people(1), people(1200)
    ('1 person', '1,200 people')
    """
    return f"{count:,} {'person' if count == 1 else 'people'}"
