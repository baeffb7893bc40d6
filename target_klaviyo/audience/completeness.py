"""The decision whether a list may be made equal to a stream. Pure.

Did the whole audience come, and are the removals within their cap? Every reason against it is told, not only the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from target_klaviyo.audience import reasons
from target_klaviyo.audience.feed import AudienceFeed, Members
from target_klaviyo.audience.reasons import Obstacle, Reason
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import Options

# Without a setting: a tenth of the list, and never more than this.
_SHARE, _COUNT = 0.1, 1_000
# Without a setting: of the records that came, the larger of both may name nobody.
_NAMELESS_SHARE, _NAMELESS_COUNT = 0.01, 5


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

    def beside(self, reason: Reason) -> Decision:
        """The decision where something beside the feed and the list keeps people on it, too."""
        return replace(self, reasons=(*self.reasons, reason)) if self.absent else self


def decide(feed: AudienceFeed, members: Members, rules: Rules, manifest: int | None = None) -> Decision:
    """Decide whether to remove those who are on the list and not in the stream.

    Args:
        feed: what the stream has shown.
        members: id -> identifiers of those who are on the list.
        rules: what the settings say.
        manifest: the audience's size as the control stream gives it.
    """
    absent = feed.absent(members)
    found = [] if rules.owned else [reasons.not_owned(len(absent), len(members))]
    if absent:
        is_emptied = manifest == 0 and rules.allow_empty and not feed.nameless
        if not feed.distinct and not is_emptied:
            found.append(reasons.empty(feed, manifest))
        found += (gap for gap in _gaps(feed, rules, manifest) if feed.distinct or gap.obstacle in _OF_NOBODY)
        if not rules.max_removals.allows(len(absent), len(members)):
            found.append(reasons.over_cap(len(absent), len(members), rules.max_removals))
    gaps = _gaps(feed, replace(rules, assumed=False), manifest)
    return Decision(absent, tuple(found), tuple(gaps))


# What is to be said even where nobody came.
_OF_NOBODY = (Obstacle.NAMELESS, Obstacle.UNREADABLE, Obstacle.NO_SIZE)


def _gaps(feed: AudienceFeed, rules: Rules, manifest: int | None) -> Iterator[Reason]:
    """Why the feed is not known to be whole; nothing when it is."""
    most = rules.most_nameless(feed.records)
    if feed.nameless > most:
        yield reasons.too_many_nameless(feed, most)
    disagreement = reasons.disagreement(feed, rules.size_field)
    if disagreement is not None:
        yield disagreement
    expected = manifest if manifest is not None or disagreement is not None else feed.size
    if expected is not None:
        # Those who cannot be named are in the size or not, as the query has it.
        if expected not in (feed.distinct, feed.distinct + feed.nameless):
            yield reasons.wrong_size(feed, expected, rules.size_field if manifest is None else "expected_count")
        return
    if feed.unattributed:
        yield reasons.unreadable(feed)
    if disagreement is None and not rules.assumed and not feed.version_ended:
        yield reasons.UNPROVEN
