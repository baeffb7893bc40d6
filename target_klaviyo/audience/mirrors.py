"""Lists that are made to equal streams: who was on them, who came, and in the end who leaves."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from klaviyo_client.api.filters import condition
from klaviyo_client.api.operations import operation
from klaviyo_client.errors import CapExceeded, Incomplete, SettingsError
from target_klaviyo.audience.completeness import Decision, Feed, Verdict, decide, parse_max_removals, staying
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.ledger import without_streams
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import list_members
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import ListRef, Options, OutcomeKind, Record, SourceRecord
from target_klaviyo.rehearsal.plan import Plan

logger = logging.getLogger("target-klaviyo")

_MEMBERS = "get_profiles_for_list"
# Klaviyo refuses bounds within the last seconds, and whoever joins while we run is nobody's to remove.
_SETTLE = timedelta(seconds=10)
# Of those who leave, so many stand in the report.
_SHOWN = 10_000


@dataclass
class Mirror:
    """One list that is to equal what one stream says of it.

    Attributes:
        stream: the stream.
        name: the list, for people.
        list_id: Klaviyo's id of it.
        feed: what the stream has shown.
        members: profile id -> handles of those who were on it when the run began; None until they are read.
    """

    stream: str
    name: str
    list_id: str
    options: Options
    feed: Feed = field(default_factory=Feed)
    members: dict[str, tuple[Identifier, ...]] | None = None
    error: BaseException | None = None
    _thread: threading.Thread | None = None

    def begin(self, session: Session, now: datetime) -> None:
        """Read who is on the list, in a thread, while records come."""
        self._thread = threading.Thread(target=self._read, args=(session, now - _SETTLE), daemon=True)
        self._thread.start()

    def _read(self, session: Session, until: datetime) -> None:
        query = {
            "filter": condition("less-than", "joined_group_at", until),
            "sort": "joined_group_at",
            "fields[profile]": "email,phone_number,external_id",
            "page[size]": str(operation(_MEMBERS).page_size),
        }
        try:
            self.members = {
                profile["id"]: tuple(identifiers_of(profile).items())
                for page in session.client.pages(_MEMBERS, path={"id": self.list_id}, query=query)
                for profile in page.data
            }
        except BaseException as error:  # noqa: BLE001 - raised in the main thread by whoever needs the members
            self.error = error

    def decide(self, manifest: int | None) -> Decision:
        """What is to be done about those who are gone, once input has ended.

        Raises:
            Exception: what kept the members from being read.
        """
        if self._thread is not None:
            self._thread.join()
        if self.error is not None:
            raise self.error
        return decide(
            self.feed,
            self.members or {},
            parse_max_removals(self.options.get("max_removals")),
            manifest=manifest,
            assumed=self.options["assume_complete"],
            allow_empty=self.options["allow_empty"],
        )


@dataclass(frozen=True)
class Finding:
    """What came of one mirror: for the report."""

    mirror: Mirror
    decision: Decision
    removed: int = 0
    rehearsed: bool = False

    def told(self) -> tuple[str, list[str], list[str], list[list[str]]]:
        """A section of the report: title, notes, columns, and a row for each who leaves or would leave."""
        members, gone = self.mirror.members or {}, self.decision.leaving
        notes = [self.line]
        if self.decision.reason:
            notes.append(f"Nobody {'would be' if self.rehearsed else 'was'} removed: {self.decision.reason}.")
        if len(gone) > _SHOWN:
            notes.append(f"{len(gone) - _SHOWN:,} more are not shown.")
        names = ("email", "phone_number", "external_id")
        rows = [[profile, *(dict(members[profile]).get(name, "") for name in names)] for profile in gone[:_SHOWN]]
        return f"Gone from the audience of {self.mirror.name}", notes, ["profile", *names], rows

    @property
    def line(self) -> str:
        """The same in one line, without who leaves."""
        mirror, decision = self.mirror, self.decision
        has, done = ("has", "would be removed") if self.rehearsed else ("had", "removed")
        return (
            f"{mirror.stream}: {mirror.feed.distinct:,} people for the list {mirror.name!r}, "
            f"which {has} {len(mirror.members or {}):,}: "
            f"{decision.verdict}, {self.removed:,} of {len(decision.leaving):,} {done}"
        )


class Mirrors:
    """Every mirror of a run. Used by the main thread only.

    Args:
        session: what the actions share.
        now: when the run began.
        plan: told of who is on the lists, in a rehearsal.

    Attributes:
        feeds: the tap's streams that mirrors are fed from, as far as they have begun.
    """

    def __init__(self, session: Session, now: datetime, plan: Plan | None = None) -> None:
        self._session = session
        self._now = now
        self._plan = plan
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._lost: Counter[str | None] = Counter()
        self._doubts: list[str] | None = None
        self.feeds: set[str] = set()
        self.findings: list[Finding] = []

    def begin(self, stream: str, ref: ListRef, options: Options) -> Mirror:
        """The mirror of a list that a stream names; its members are read from now on.

        Raises:
            SettingsError: another stream mirrors the list, or it cannot be found.
            RejectedRecord: a record names a list that cannot be found.
        """
        list_id = self._session.lists.id_of(ref)
        found = self._mirrors.get((stream, list_id))
        if found is not None:
            return found
        if any(other == list_id for _, other in self._mirrors):
            raise SettingsError(f"streams.{stream}.mode: another stream mirrors the list {str(ref)!r} already")
        made = self._mirrors[stream, list_id] = Mirror(stream, str(ref), list_id, options)
        made.begin(self._session, self._now)
        return made

    def fit(self, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What may be written of a STATE that came after a mirrored stream had begun; None: nothing yet.

        All of it when every feed has shown that it was whole, and who is gone has been removed. Until then, and where
        only the user vouches for a feed, all but the places in mirrored feeds: whoever goes on must send them whole.
        """
        return state if self._doubts == [] else without_streams(state, self.feeds)

    @property
    def doubts(self) -> str:
        """Why a STATE is held back at the end, for people."""
        return "; ".join(self._doubts or ["the mirror did not come to its end"])

    def saw(self, stream: str, origin: SourceRecord, ref: ListRef, options: Options, person: Mapping[str, Any]) -> None:
        """A record came; ``person`` is a profile resource, and ``stream`` what stream maps call the origin's."""
        self._saw(stream, origin, ref, options, person)

    def _saw(
        self,
        stream: str,
        origin: SourceRecord,
        ref: ListRef,
        options: Options,
        person: Mapping[str, Any],
        *,
        refused: bool = False,
    ) -> None:
        mirror = self.begin(stream, ref, options)
        size = _size(origin.record, options)
        mirror.feed.saw(tuple(identifiers_of(person).items()), size, origin.version, refused=refused)

    def refused(
        self, stream: str, origin: SourceRecord, ref: ListRef | None, options: Options, person: Mapping[str, Any]
    ) -> None:
        """A record was rejected. Its person is in the audience: who is on the list must not be taken off for it.

        ``ref`` is the list that the settings name, if they do; ``person`` what names somebody in the record.
        """
        if ref is None:
            self.lost(stream)
        else:
            self._saw(stream, origin, ref, options, person, refused=True)

    def lost(self, stream: str | None) -> None:
        """Something came of which nobody knows whom it was about, or for which list; None: nor of which stream."""
        self._lost[stream] += 1

    def version_is_over(self, stream: str, version: int | None) -> None:
        """An ACTIVATE_VERSION of the stream came."""
        for (name, _), mirror in self._mirrors.items():
            if name == stream:
                mirror.feed.version_is_over(version)

    def finish(self) -> None:
        """Input has ended and everything has its outcome: remove who is gone, where that may be done.

        Raises:
            CapExceeded: more would be removed than a cap allows; that list is left as it is.
            Incomplete: a feed is not known to be whole, or Klaviyo refused a removal.
        """
        problems: list[str] = []
        sizes = self._session.audience_sizes
        for mirror in self:
            mirror.feed.lost = self._lost[None] + self._lost[mirror.stream]
        decisions = [(mirror, mirror.decide(sizes.get(mirror.list_id, mirror.name))) for mirror in self]
        if self._plan is not None:
            _tell(self._plan, self)
        # One list over its cap is a sign that something is wrong: then nobody is removed from any.
        capped = any(decision.verdict is Verdict.OVER_CAP for _, decision in decisions)
        for mirror, decision in decisions:
            removed = 0 if capped or decision.verdict is not Verdict.REMOVE else self._remove(mirror, decision.leaving)
            finding = Finding(mirror, decision, removed, rehearsed=self._plan is not None)
            self.findings.append(finding)
            logger.info("%s", finding.line)
            if decision.reason:
                left = f"{len(decision.leaving):,} people stay on the list"
                problems.append(f"{mirror.stream}: nobody is removed from {mirror.name!r} ({decision.reason}); {left}")
            elif capped and decision.leaving:
                problems.append(f"{mirror.stream}: nobody is removed from {mirror.name!r} either")
            elif removed < len(decision.leaving):
                problems.append(f"{mirror.stream}: Klaviyo refused {len(decision.leaving) - removed:,} removals")
        if problems:
            raise (CapExceeded if capped else Incomplete)("; ".join(problems))
        self._doubts = [f"{mirror.stream}: {found.doubt}" for mirror, found in decisions if found.doubt is not None]

    @property
    def to_come(self) -> int | None:
        """How many people the audiences that are coming still have; None when nobody said."""
        sizes = [(mirror, mirror.feed.size) for mirror in list(self)]
        told = [max(0, size - mirror.feed.distinct) for mirror, size in sizes if size is not None]
        return sum(told) if told else None

    def _remove(self, mirror: Mirror, ids: Collection[str]) -> int:
        rows = {_leaver(mirror.stream, profile_id): profile_id for profile_id in ids}
        settled = list_members.change_members(self._session, list_members.REMOVE, mirror.list_id, rows)
        return sum(len(unit.rows) for unit, outcome in settled if outcome.kind is not OutcomeKind.REJECTED)

    def __iter__(self) -> Iterator[Mirror]:
        return iter(self._mirrors.values())


def _leaver(stream: str, profile_id: str) -> Row:
    payload = {"type": "profile", "id": profile_id}
    return Row(SourceRecord(stream, {"id": profile_id}), payload, b"")


def _size(record: Record, options: Options) -> int | None:
    """What a record says of the audience's size; what is no number agrees with nothing."""
    name = options.get("size_field")
    if name is None:
        return None
    try:
        return int(record[name])
    except (KeyError, TypeError, ValueError):
        return -1


def _tell(plan: Plan, mirrors: Iterable[Mirror]) -> None:
    for mirror in mirrors:
        members = mirror.members or {}
        everyone = {handle for its_handles in members.values() for handle in its_handles}
        plan.exclude_members(mirror.list_id, everyone, staying(mirror.feed, members))
