"""Mirrors: lists that are made equal to streams. Who was on them, who came, and who is removed at the end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from klaviyo_client.errors import CapExceeded, Incomplete, KlaviyoError, SettingsError
from target_klaviyo.audience.completeness import Decision
from target_klaviyo.audience.feed import NO_SIZE, AudienceFeed, can_name
from target_klaviyo.audience.mirror import Mirror
from target_klaviyo.audience.reasons import ANOTHER_OVER_CAP, TOO_MANY_REJECTS, Obstacle
from target_klaviyo.audience.result import MirrorResult
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.ledger import without_streams
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import list_members
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import ListRef, Options, Outcome, OutcomeKind, Record, SourceRecord

logger = logging.getLogger("target-klaviyo")

# Is told of a list: its id, the identifiers of its members, and how many of them would be sent again.
OnMembers = Callable[[str, Collection[Identifier], int], None]


class Mirrors:
    """Every mirror of a run. Used by the main thread only.

    Args:
        session: what the actions share.
        now: when the run began.
        members_known: in a rehearsal, is told of who is on the lists; None in a real run.

    Attributes:
        streams: the tap's streams that mirrors are fed from, as far as they have begun.
        results: what came of each mirror, as far as they are done.
    """

    def __init__(self, session: Session, now: datetime, members_known: OnMembers | None = None) -> None:
        self._session = session
        self._now = now
        self._members_known = members_known
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._unattributed: Counter[str | None] = Counter()
        self._why_incomplete: list[str] | None = None
        # Records without an outcome -> whose they are, by the person's number in the feed.
        self._unsettled: dict[SourceRecord, tuple[AudienceFeed, int]] = {}
        self.streams: set[str] = set()
        self.results: list[MirrorResult] = []

    def begin(self, stream: str, ref: ListRef, options: Options) -> Mirror:
        """The mirror of a list that a stream names; its members are read from now on.

        Raises:
            SettingsError: another stream mirrors the list, or it cannot be found.
            RejectedRecord: a record names a list that cannot be found.
        """
        list_id = self._session.lists.id_of(ref)
        mirror = self._mirrors.get((stream, list_id))
        if mirror is not None:
            return mirror
        if any(other == list_id for _, other in self._mirrors):
            raise SettingsError(f"streams.{stream}.mode: another stream mirrors the list {str(ref)!r} already")
        mirror = self._mirrors[stream, list_id] = Mirror(stream, str(ref), list_id, options)
        mirror.start_reading(self._session, self._now)
        return mirror

    def releasable(self, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The part that may be written of a STATE that came after a mirrored stream had begun; None: nothing yet.

        All of it when every feed has shown that it was whole, and who is absent has been removed. Until then, and
        where only the user vouches for a feed, all but the bookmarks of the mirrored streams: the next run must send
        them whole.
        """
        return state if self._why_incomplete == [] else without_streams(state, self.streams)

    @property
    def why_held_back(self) -> str:
        """Why a STATE is held back at the end, for people."""
        return "; ".join(self._why_incomplete or ["the mirror did not finish"])

    def add(self, stream: str, source: SourceRecord, ref: ListRef, options: Options, person: Mapping[str, Any]) -> None:
        """Add a record of a mirrored stream that is about to be sent; ``settle`` is told of its outcome.

        ``stream`` is what stream maps call the source's stream, ``person`` a profile resource.
        """
        feed = self.begin(stream, ref, options).feed
        identifiers = tuple(identifiers_of(person).items())
        self._unsettled[source] = feed, feed.add(identifiers, _size(source.record, options), source.version)

    def settle(self, source: SourceRecord, outcome: Outcome) -> None:
        """Take the outcome of a record: whoever was taken is on the list from now on."""
        feed, person = self._unsettled.pop(source, (None, 0))
        if feed is not None and outcome.kind is not OutcomeKind.REJECTED:
            feed.take(person)

    def add_refused(
        self, stream: str, source: SourceRecord, ref: ListRef | None, options: Options, person: Mapping[str, Any]
    ) -> None:
        """Add a record that was rejected. Its person is in the audience: nobody is removed because of a bad record.

        ``ref`` is the list that the settings name, if they do; ``person`` what names somebody in the record.
        """
        if ref is None:
            self.add_unattributed(stream)
            return
        feed, size = self.begin(stream, ref, options).feed, _size(source.record, options)
        identifiers = tuple(identifiers_of(person).items())
        if identifiers and can_name(person):
            feed.add(identifiers, size, source.version)
        else:
            feed.add_nameless(identifiers, size, source.version)

    def add_unattributed(self, stream: str | None) -> None:
        """Count a record that cannot be attributed to a person or a list. ``stream``: None when it is unknown, too."""
        self._unattributed[stream] += 1

    def end_version(self, stream: str, version: int | None) -> None:
        """Take an ACTIVATE_VERSION of the stream."""
        for (name, _), mirror in self._mirrors.items():
            if name == stream:
                mirror.feed.end_version(version)

    def finish(self, *, too_many_rejects: bool = False) -> None:
        """Remove who is absent, where that may be done. Input has ended, and every record has its outcome.

        ``too_many_rejects``: more were rejected than the run bears, so that nobody is removed.

        Raises:
            SettingsError: in a rehearsal, a setting is missing without which the run would not begin.
            CapExceeded: more would be removed than a cap allows; nobody is removed then.
            Incomplete: a feed is not known to be whole, or Klaviyo refused a removal.
        """
        decisions = self._decide_all()
        self._tell_members()
        if too_many_rejects:
            decisions = [(mirror, decision.beside(TOO_MANY_REJECTS)) for mirror, decision in decisions]
        # One list over its cap is a sign that something is wrong: then nobody is removed from any.
        is_over_cap = any(decision.is_over_cap for _, decision in decisions)
        for mirror, decision in decisions:
            is_stopped = is_over_cap and not decision.is_over_cap
            self._carry_out(mirror, decision.beside(ANOTHER_OVER_CAP) if is_stopped else decision)
        problems = [result.problem for result in self.results if result.problem is not None]
        if problems:
            raise self._error_type(is_over_cap=is_over_cap)("; ".join(problems))
        self._why_incomplete = [
            f"{mirror.stream}: {'; '.join(map(str, decision.gaps))}" for mirror, decision in decisions if decision.gaps
        ]

    def _carry_out(self, mirror: Mirror, decision: Decision) -> None:
        """Remove who is absent, and add the result: also of what was done before an error."""
        removed = 0
        try:
            if decision.removes:
                for count in self._remove(mirror, decision.absent):
                    removed += count
        finally:
            result = MirrorResult(mirror, decision, removed, self._members_known is not None)
            self.results.append(result)
            for line in (result.summary, *result.notes):
                logger.info("%s: %s", mirror.stream, line)

    def _error_type(self, *, is_over_cap: bool) -> type[KlaviyoError]:
        if any(reason.obstacle is Obstacle.NOT_OWNED for result in self.results for reason in result.reasons):
            return SettingsError
        return CapExceeded if is_over_cap else Incomplete

    @property
    def expected(self) -> int | None:
        """How many people of the audiences are still to come; None when no record gives a size."""
        sizes = [(mirror, mirror.feed.size) for mirror in list(self)]
        remaining = [
            max(0, size - mirror.feed.distinct - mirror.feed.nameless) for mirror, size in sizes if size is not None
        ]
        return sum(remaining) if remaining else None

    def _decide_all(self) -> list[tuple[Mirror, Decision]]:
        sizes = self._session.audience_sizes
        for mirror in self:
            mirror.feed.unattributed = self._unattributed[None] + self._unattributed[mirror.stream]
        return [(mirror, mirror.decide(sizes.get(mirror.list_id, mirror.name))) for mirror in self]

    def _tell_members(self) -> None:
        if self._members_known is None:
            return
        for mirror in self:
            members = mirror.members or {}
            everyone = {identifier for identifiers in members.values() for identifier in identifiers}
            self._members_known(mirror.list_id, everyone, mirror.feed.count_present(members))

    def _remove(self, mirror: Mirror, ids: Collection[str]) -> Iterator[int]:
        """Remove people from the list; yields how many were, time and again."""
        rows = {_removal(mirror, profile_id): profile_id for profile_id in ids}
        for unit, outcome in list_members.change_members(self._session, list_members.REMOVE, mirror.list_id, rows):
            yield len(unit.rows) if outcome.kind is not OutcomeKind.REJECTED else 0

    def __iter__(self) -> Iterator[Mirror]:
        return iter(self._mirrors.values())


def _removal(mirror: Mirror, profile_id: str) -> Row:
    """A row that no record asked for: the removal of somebody who did not come."""
    payload = {"type": "profile", "id": profile_id}
    return Row(SourceRecord(mirror.stream, {"id": profile_id}), payload, b"", ListRef(id=mirror.list_id))


def _size(record: Record, options: Options) -> int | None:
    """The audience's size that a record gives, None when there is to be none."""
    name = options.get("size_field")
    if name is None:
        return None
    try:
        return int(record[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return NO_SIZE
