"""The decision whether a list may be made equal to a stream. Pure.

Did the whole audience come, and are the removals within their cap? Every reason against it is told, not only the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from target_klaviyo.audience.feed import NO_SIZE, AudienceFeed, Members
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import Options

# Without a setting: a tenth of the list, and never more than this.
_SHARE, _COUNT = 0.1, 1_000
# Without a setting: of the records that came, the larger of both may name nobody.
_NAMELESS_SHARE, _NAMELESS_COUNT = 0.01, 5

_PROOFS = (
    "set size_field to a column with the audience's size (count(*) over ()), send a record of audience_manifest, "
    "or vouch for the source with assume_complete: true"
)

# What a first mirror finds on a list that was filled otherwise.
EXPLAINED_STRANGERS = (
    "such is a list that a form, an import or a person has filled until now; a mirror takes them off, whoever put them "
    "there (owns_list says that it may), and with a list of its own they stay where they are"
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


def _parse_limit(name: str, text: str | int, example: str) -> Limit:
    try:
        return Limit.parse(*str(text).split(","))
    except ValueError as error:
        wanted = f"a number such as {example}, a percentage such as 5%, or both: {example}, 5%"
        raise ValueError(f"{name} must be {wanted}") from error


def parse_max_removals(text: str | int | None) -> Limit:
    """What ``max_removals`` says: a count, a percentage, or both (``"500, 5%"``), of which the smaller counts.

    Raises:
        ValueError: it says neither.
    """
    return Limit(_COUNT, _SHARE) if text is None else _parse_limit("max_removals", text, "500")


def parse_max_unidentified(text: str | int | None) -> Limit | None:
    """What ``max_unidentified`` says, as ``max_removals`` does; None: what holds without a setting.

    Raises:
        ValueError: it says neither.
    """
    return None if text is None else _parse_limit("max_unidentified", text, "5")


@dataclass(frozen=True)
class Rules:
    """What a stream's settings say of its mirror.

    Attributes:
        max_removals: how many of the members may be removed.
        max_unidentified: how many of the records may name nobody; None for what holds without a setting.
        assumed: whether the user vouches that whatever comes is the whole audience.
        allow_empty: whether a manifest that says 0 may empty the list.
        owned: whether people may be removed whom somebody else has put on the list.
        size_field: the column with the audience's size.
    """

    max_removals: Limit = field(default_factory=Limit)
    max_unidentified: Limit | None = None
    assumed: bool = False
    allow_empty: bool = False
    owned: bool = True
    size_field: str | None = None

    @classmethod
    def parse(cls, options: Options) -> Rules:
        """The rules of a stream's options.

        Raises:
            ValueError: a limit is none.
        """
        return cls(
            parse_max_removals(options.get("max_removals")),
            parse_max_unidentified(options.get("max_unidentified")),
            assumed=options["assume_complete"],
            allow_empty=options["allow_empty"],
            owned=options["owns_list"],
            size_field=options.get("size_field"),
        )

    def most_nameless(self, records: int) -> int:
        """How many of so many records may name nobody."""
        if self.max_unidentified is not None:
            return self.max_unidentified.of(records)
        return max(_NAMELESS_COUNT, int(records * _NAMELESS_SHARE))


@dataclass(frozen=True)
class Decision:
    """What is done about those who are on the list and not in the stream, and why.

    Attributes:
        absent: the ids of those people.
        reasons: why none of them is removed, all of it; empty when they are, or when there is nobody.
        gaps: why the feed itself does not show that it was whole, whatever the user vouches for; empty when it does.
    """

    absent: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    gaps: tuple[Reason, ...] = ()

    @property
    def removes(self) -> bool:
        """Whether those who are absent are removed."""
        return bool(self.absent) and not self.reasons

    @property
    def is_over_cap(self) -> bool:
        """Whether the cap alone is what keeps them from being removed."""
        return [reason.obstacle for reason in self.reasons] == [Obstacle.OVER_CAP]

    def beside_one_over_cap(self) -> Decision:
        """The decision in a run of which another list is over its cap."""
        if not self.absent or self.is_over_cap:
            return self
        text = "another list of this run is over its cap, which is a sign that something is wrong"
        return replace(self, reasons=(*self.reasons, Reason(Obstacle.OTHER_OVER_CAP, text)))


def decide(feed: AudienceFeed, members: Members, rules: Rules, manifest: int | None = None) -> Decision:
    """Decide whether to remove those who are on the list and not in the stream.

    Args:
        feed: what the stream has shown.
        members: id -> identifiers of those who are on the list.
        rules: what the settings say.
        manifest: the audience's size as the control stream gives it.
    """
    absent = feed.absent(members)
    gaps = tuple(_gaps(feed, replace(rules, assumed=False), manifest))
    reasons = [] if rules.owned else [_not_owned(len(absent), len(members))]
    if absent:
        is_emptied = manifest == 0 and rules.allow_empty and not feed.nameless
        if not feed.distinct and not is_emptied:
            reasons.append(_empty(feed, manifest))
        reasons += (gap for gap in _gaps(feed, rules, manifest) if feed.distinct or gap.obstacle in _OF_NOBODY)
        if not rules.max_removals.allows(len(absent), len(members)):
            reasons.append(_over_cap(len(absent), len(members), rules.max_removals))
    return Decision(absent, tuple(reasons), gaps)


# What is to be said even where nobody came.
_OF_NOBODY = (Obstacle.NAMELESS, Obstacle.UNREADABLE, Obstacle.NO_SIZE)


def _gaps(feed: AudienceFeed, rules: Rules, manifest: int | None) -> Iterator[Reason]:
    """Why the feed is not known to be whole; nothing when it is."""
    most = rules.most_nameless(feed.records)
    if feed.nameless > most:
        text = f"{feed.nameless:,} of its {feed.records:,} records do not say whom they are about"
        advice = f"at most {most:,} may, since their people may be on the list: mend them, or set max_unidentified"
        yield Reason(Obstacle.NAMELESS, text, advice)
    disagreement = _disagreement(feed, rules)
    if disagreement is not None:
        yield disagreement
    expected = manifest if manifest is not None or disagreement is not None else feed.size
    if expected is not None:
        # Those who cannot be named are in the size or not, as the query has it.
        if expected not in (feed.distinct, feed.distinct + feed.nameless):
            yield _wrong_size(feed, expected, rules, is_manifest=manifest is not None)
        return
    if feed.unattributed:
        text = f"{feed.unattributed:,} records or lines could not be read, or name no list"
        yield Reason(Obstacle.UNREADABLE, text, "mend them, or let size_field or audience_manifest say how many come")
    if disagreement is None and not rules.assumed and not feed.version_ended:
        yield Reason(Obstacle.UNPROVEN, "nothing says how many people were to come", _PROOFS)


def _disagreement(feed: AudienceFeed, rules: Rules) -> Reason | None:
    """Why the records give no size although they should."""
    column = f"the column {rules.size_field!r}" if rules.size_field else "the size"
    if feed.sizes == {NO_SIZE}:
        text = f"{column} is missing from its records, or holds no whole number"
        return Reason(Obstacle.NO_SIZE, text, "size_field must name a column with the audience's size")
    if len(feed.sizes) <= 1:
        return None
    given = sorted(size for size in feed.sizes if size is not None and size != NO_SIZE)
    sizes = [*(f"{size:,}" for size in given[:5]), *(["..."] if len(given) > 5 else [])]
    if feed.sizes & {None, NO_SIZE}:
        sizes.append("none")
    text = f"its records do not agree about the size of the audience ({column}: {', '.join(sizes)})"
    return Reason(Obstacle.SIZES_DISAGREE, text, "let one query give all rows and their count(*) over ()")


def _wrong_size(feed: AudienceFeed, expected: int, rules: Rules, *, is_manifest: bool) -> Reason:
    text = f"{people(feed.distinct)} came, and {expected:,} were to come"
    if feed.nameless:
        text += f"; {feed.nameless:,} records name nobody"
    if feed.repeated:
        text += f"; {feed.repeated:,} more records were about people seen before"
    source = "expected_count" if is_manifest else rules.size_field or "the size"
    if feed.repeated and expected == feed.records:
        advice = (
            f"{source} counts rows, and a mirror needs people, since a row that comes twice can hide one that is lost: "
            "give each person one row"
        )
    else:
        advice = "run again with the whole audience, or mend what counts it: one for each person, not for each row"
    return Reason(Obstacle.WRONG_SIZE, text, advice)


def _empty(feed: AudienceFeed, manifest: int | None) -> Reason:
    if feed.nameless:
        return Reason(Obstacle.EMPTY, "nobody came whom its records name", "give them identifiers")
    if manifest == 0:
        return Reason(Obstacle.EMPTY, "nobody came, and allow_empty is not set", "set allow_empty: true if it is meant")
    advice = "if it is meant, send a record of it with expected_count 0, and set allow_empty: true"
    return Reason(Obstacle.EMPTY, "nobody came, and audience_manifest does not say 0", advice)


def _not_owned(absent: int, members: int) -> Reason:
    text = "owns_list must be true for mode: mirror, which also removes people whom a form or a person has added"
    if absent:
        text += f" ({strangers_of(absent, members)})"
    advice = "set owns_list: true if this stream alone says who is on the list, or mirror to a list of its own"
    return Reason(Obstacle.NOT_OWNED, text, advice)


def _over_cap(absent: int, members: int, limit: Limit) -> Reason:
    most = limit.of(members)
    text = f"{absent:,} of {members:,} members would be removed, and max_removals allows {most:,}"
    advice = f"see who they are, and if they are to go, set max_removals: {absent} for one run"
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
