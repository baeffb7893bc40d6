"""Whether a list may be made to equal a stream: was the feed whole, and are the removals within their cap? Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.identifiers import Identifier

# Without a setting: a tenth of the list, and never more than this.
_SHARE, _COUNT = 0.1, 1_000


class Verdict(StrEnum):
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
class Feed:
    """What a stream has shown of an audience, record by record.

    Attributes:
        people: the handles of everybody who was in it, whether they could be sent or not.
        refused: the handles of those of whom every record was refused.
        distinct: how many people that were.
        repeated: how many records were about people who had come before.
        unknown: how many records named nobody.
        lost: how many more came of which not even that is known; only a number of people tells whether they matter.
        sizes: what its records said of the audience's size.
        version_ended: whether an ACTIVATE_VERSION came after records of its version, and no record after that.
    """

    people: set[Identifier] = field(default_factory=set)
    refused: set[Identifier] = field(default_factory=set)
    distinct: int = 0
    repeated: int = 0
    unknown: int = 0
    lost: int = 0
    sizes: set[int | None] = field(default_factory=set)
    version_ended: bool = False
    _version: int | None = None

    @property
    def size(self) -> int | None:
        """What the records say of the audience's size, where they agree."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None

    def saw(
        self, handles: Collection[Identifier], size: int | None, version: int | None = None, *, refused: bool = False
    ) -> None:
        """A record of somebody; ``size`` is what it says of the audience's size."""
        if refused:
            self.refused.update(handle for handle in handles if handle not in self.people)
        else:
            self.refused.difference_update(handles)
        if not handles:
            self.unknown += 1
        elif self.people.isdisjoint(handles):
            self.distinct += 1
        else:
            self.repeated += 1
        self.people.update(handles)
        self.sizes.add(size)
        self._version = version
        self.version_ended = False

    def version_is_over(self, version: int | None) -> None:
        """An ACTIVATE_VERSION. Before the first record of its version it says nothing of what was to come."""
        self.version_ended = version is not None and version == self._version and self.distinct > 0

    def doubt(self, manifest: int | None, *, assumed: bool) -> str | None:
        """Why the feed is not known to be whole, None when it is.

        Args:
            manifest: the audience's size as the control stream says it.
            assumed: whether the user vouches for it.
        """
        if self.unknown:
            return f"{self.unknown:,} of its records do not say whom they are about"
        told = self.sizes - {None}
        if len(told) > 1 or (told and None in self.sizes):
            return "its records do not agree about the size of the audience"
        expected = manifest if manifest is not None else next(iter(told), None)
        if expected is not None:
            if expected == self.distinct:
                return None
            again = f"; {self.repeated:,} more records were about people seen before" if self.repeated else ""
            return f"{self.distinct:,} people came, and {expected:,} were to come{again}"
        if self.lost:
            return f"{self.lost:,} records or lines could not be read, or name no list"
        if assumed or self.version_ended:
            return None
        return (
            "nothing says how many people were to come: set size_field to a column with the audience's size "
            "(count(*) over ()), send a record of audience_manifest, or vouch for the source with assume_complete"
        )


@dataclass(frozen=True)
class Decision:
    """What is done, and why.

    Attributes:
        leaving: the ids of those who are on the list and not in the stream.
        reason: for people; empty when there is nothing to explain.
        doubt: why the feed itself does not show that it was whole, whatever the user vouches for; None when it does.
    """

    verdict: Verdict
    leaving: tuple[str, ...]
    reason: str = ""
    doubt: str | None = None


def staying(feed: Feed, members: Mapping[str, Iterable[Identifier]]) -> int:
    """How many of the members (id -> handles) would be sent again, though they are on the list."""
    people, refused = feed.people, feed.refused
    return sum(any(one in people and one not in refused for one in handles) for handles in members.values())


def leaving(members: Mapping[str, Iterable[Identifier]], people: Collection[Identifier]) -> tuple[str, ...]:
    """The members (id -> handles) of whom no handle is among the people."""
    return tuple(member for member, handles in members.items() if not any(handle in people for handle in handles))


def decide(
    feed: Feed,
    members: Mapping[str, Iterable[Identifier]],
    limit: Limit,
    *,
    manifest: int | None,
    assumed: bool,
    allow_empty: bool,
) -> Decision:
    """Whether to remove those who are on the list and not in the stream."""
    gone = leaving(members, feed.people)
    unproven = feed.doubt(manifest, assumed=False)
    if not gone:
        return Decision(Verdict.NOTHING_TO_REMOVE, (), doubt=unproven)
    if not feed.distinct and not (manifest == 0 and allow_empty):
        said = "audience_manifest does not say 0" if manifest != 0 else "allow_empty is not set"
        return Decision(Verdict.EMPTY, gone, f"nobody came, and {said}", unproven)
    doubt = feed.doubt(manifest, assumed=assumed)
    if doubt is not None:
        return Decision(Verdict.NOT_WHOLE, gone, doubt, unproven)
    if not limit.allows(len(gone), len(members)):
        most = limit.of(len(members))
        reason = f"{len(gone):,} of {len(members):,} members would be removed, and max_removals allows {most:,}"
        return Decision(Verdict.OVER_CAP, gone, reason, unproven)
    return Decision(Verdict.REMOVE, gone, doubt=unproven)
