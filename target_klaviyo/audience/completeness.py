"""The decision whether a list may be made equal to a stream. Pure.

Did the whole audience come, and are the removals within their cap?
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.identifiers import Identifier

# Without a setting: a tenth of the list, and never more than this.
_SHARE, _COUNT = 0.1, 1_000


class RemovalVerdict(StrEnum):
    """What is done about those who are on the list and not in the stream."""

    REMOVE = "remove"
    NOTHING_TO_REMOVE = "nothing to remove"
    NOT_WHOLE = "the feed is not known to be whole"
    EMPTY = "the stream is empty"
    OVER_CAP = "more removals than max_removals allows"


def parse_max_removals(text: str | int | None) -> Limit:
    """What ``max_removals`` says: a count, a percentage, or both (``"500, 5%"``), of which the smaller counts.

    Raises:
        ValueError: it says neither.
    """
    if text is None:
        return Limit(_COUNT, _SHARE)
    try:
        return Limit.parse(*str(text).split(","))
    except ValueError as error:
        wanted = "a number such as 500, a percentage such as 5%, or both: 500, 5%"
        raise ValueError(f"max_removals must be {wanted}") from error


@dataclass
class AudienceFeed:
    """What a stream has shown of an audience, record by record.

    Attributes:
        people: the identifiers of everybody who was in it, whether they could be sent or not.
        refused: the identifiers of those of whom every record was refused.
        distinct: how many people that were.
        repeated: how many records were about people who had come before.
        unknown: how many records named nobody.
        unattributed: records and lines that could not be read at all, or name no list. They matter unless the
            audience's size is given and was reached.
        sizes: what its records give as the audience's size; None of a record that gives none.
        version_ended: whether an ACTIVATE_VERSION came after records of its version, and no record after that.
    """

    people: set[Identifier] = field(default_factory=set)
    refused: set[Identifier] = field(default_factory=set)
    distinct: int = 0
    repeated: int = 0
    unknown: int = 0
    unattributed: int = 0
    sizes: set[int | None] = field(default_factory=set)
    version_ended: bool = False
    _version: int | None = None

    @property
    def size(self) -> int | None:
        """The audience's size, where all records give the same."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None

    def add(
        self,
        identifiers: Collection[Identifier],
        size: int | None,
        version: int | None = None,
        *,
        refused: bool = False,
    ) -> None:
        """Add a record about a person. ``size``: the audience's size that it gives, None when it gives none."""
        if refused:
            self.refused.update(identifier for identifier in identifiers if identifier not in self.people)
        else:
            self.refused.difference_update(identifiers)
        if not identifiers:
            self.unknown += 1
        elif self.people.isdisjoint(identifiers):
            self.distinct += 1
        else:
            self.repeated += 1
        self.people.update(identifiers)
        self.sizes.add(size)
        self._version = version
        self.version_ended = False

    def end_version(self, version: int | None) -> None:
        """Take an ACTIVATE_VERSION. One that comes before the first record of its version does not end it."""
        self.version_ended = version is not None and version == self._version and self.distinct > 0

    def why_incomplete(self, manifest: int | None, *, assumed: bool) -> str | None:
        """Why the feed is not known to be whole, None when it is.

        Args:
            manifest: the audience's size as the control stream gives it.
            assumed: whether the user vouches for it.
        """
        if self.unknown:
            return f"{self.unknown:,} of its records do not say whom they are about"
        sizes = self.sizes - {None}
        if len(sizes) > 1 or (sizes and None in self.sizes):
            return "its records do not agree about the size of the audience"
        expected = manifest if manifest is not None else next(iter(sizes), None)
        if expected is not None:
            if expected == self.distinct:
                return None
            again = f"; {self.repeated:,} more records were about people seen before" if self.repeated else ""
            return f"{self.distinct:,} people came, and {expected:,} were to come{again}"
        if self.unattributed:
            return f"{self.unattributed:,} records or lines could not be read, or name no list"
        if assumed or self.version_ended:
            return None
        return (
            "nothing says how many people were to come: set size_field to a column with the audience's size "
            "(count(*) over ()), send a record of audience_manifest, or vouch for the source with assume_complete"
        )


@dataclass(frozen=True)
class Decision:
    """What is done about those who are on the list and not in the stream, and why.

    Attributes:
        absent: the ids of those people.
        reason: why they stay, for people; empty when there is nothing to explain.
        why_incomplete: why the feed itself does not show that it was whole, whatever the user vouches for; None when
            it does.
    """

    verdict: RemovalVerdict
    absent: tuple[str, ...]
    reason: str = ""
    why_incomplete: str | None = None


def count_present(feed: AudienceFeed, members: Mapping[str, Iterable[Identifier]]) -> int:
    """How many of the members (id -> identifiers) would be sent again, though they are on the list."""
    people, refused = feed.people, feed.refused
    return sum(
        any(identifier in people and identifier not in refused for identifier in identifiers)
        for identifiers in members.values()
    )


def absent_members(members: Mapping[str, Iterable[Identifier]], people: Collection[Identifier]) -> tuple[str, ...]:
    """The ids of the members (id -> identifiers) of whom no identifier is among the people."""
    return tuple(
        member for member, identifiers in members.items() if not any(identifier in people for identifier in identifiers)
    )


def decide(
    feed: AudienceFeed,
    members: Mapping[str, Iterable[Identifier]],
    limit: Limit,
    *,
    manifest: int | None,
    assumed: bool,
    allow_empty: bool,
) -> Decision:
    """Decide whether to remove those who are on the list and not in the stream."""
    absent = absent_members(members, feed.people)
    unproven = feed.why_incomplete(manifest, assumed=False)
    if not absent:
        return Decision(RemovalVerdict.NOTHING_TO_REMOVE, (), why_incomplete=unproven)
    if not feed.distinct and not (manifest == 0 and allow_empty):
        missing = "audience_manifest does not say 0" if manifest != 0 else "allow_empty is not set"
        return Decision(RemovalVerdict.EMPTY, absent, f"nobody came, and {missing}", unproven)
    incomplete = feed.why_incomplete(manifest, assumed=assumed)
    if incomplete is not None:
        return Decision(RemovalVerdict.NOT_WHOLE, absent, incomplete, unproven)
    if not limit.allows(len(absent), len(members)):
        most = limit.of(len(members))
        reason = f"{len(absent):,} of {len(members):,} members would be removed, and max_removals allows {most:,}"
        return Decision(RemovalVerdict.OVER_CAP, absent, reason, unproven)
    return Decision(RemovalVerdict.REMOVE, absent, why_incomplete=unproven)
