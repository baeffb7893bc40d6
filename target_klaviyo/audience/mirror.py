"""A mirror: one list that is made equal to what one stream says of it, and the result of that."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from klaviyo_client.api.filters import condition
from klaviyo_client.api.operations import operation
from target_klaviyo.audience.completeness import AudienceFeed, Decision, decide, parse_max_removals
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS, Identifier, identifiers_of
from target_klaviyo.model.records import Options
from target_klaviyo.reporting.run_report import Section

_MEMBERS = "get_profiles_for_list"
# Klaviyo refuses bounds within the last seconds, and whoever joins while we run is nobody's to remove.
_SETTLE = timedelta(seconds=10)
# Of those who are removed, so many stand in the report.
_MAX_SHOWN = 10_000


@dataclass
class Mirror:
    """One list that is made equal to what one stream says of it.

    Attributes:
        stream: the stream.
        name: the list, for people.
        list_id: Klaviyo's id of it.
        feed: what the stream has shown.
        members: profile id -> identifiers of those who were on it when the run began; None until they are read.
        error: what kept the members from being read.
    """

    stream: str
    name: str
    list_id: str
    options: Options
    feed: AudienceFeed = field(default_factory=AudienceFeed)
    members: dict[str, tuple[Identifier, ...]] | None = None
    error: BaseException | None = None
    _thread: threading.Thread | None = None

    def start_reading(self, session: Session, now: datetime) -> None:
        """Read who is on the list, in a thread, while records come."""
        self._thread = threading.Thread(target=self._read_members, args=(session, now - _SETTLE), daemon=True)
        self._thread.start()

    def _read_members(self, session: Session, until: datetime) -> None:
        query = {
            "filter": condition("less-than", "joined_group_at", until),
            "sort": "joined_group_at",
            "fields[profile]": ",".join(ATTRIBUTE_IDENTIFIERS),
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
        """Decide what is done about those who are absent, once input has ended.

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
class MirrorResult:
    """The result of one mirror: for the log and the report.

    Attributes:
        removed: how many people were removed.
        is_over_cap: whether one list of the run, this or another, was over its cap, so that nobody was removed.
        is_rehearsal: whether nothing is sent anyway.
    """

    mirror: Mirror
    decision: Decision
    removed: int = 0
    is_over_cap: bool = False
    is_rehearsal: bool = False

    def section(self) -> Section:
        """The part of the report about this mirror, with a row for each who was or would be removed."""
        members, absent = self.mirror.members or {}, self.decision.absent
        notes = [self.log_line]
        if self.decision.reason:
            notes.append(f"Nobody {'would be' if self.is_rehearsal else 'was'} removed: {self.decision.reason}.")
        if len(absent) > _MAX_SHOWN:
            notes.append(f"{len(absent) - _MAX_SHOWN:,} more are not shown.")
        rows = [
            [profile_id, *(dict(members[profile_id]).get(name, "") for name in ATTRIBUTE_IDENTIFIERS)]
            for profile_id in absent[:_MAX_SHOWN]
        ]
        return Section(
            f"Gone from the audience of {self.mirror.name}", notes, ["profile", *ATTRIBUTE_IDENTIFIERS], rows
        )

    @property
    def log_line(self) -> str:
        """The result in one line, without the people who are removed."""
        mirror, decision = self.mirror, self.decision
        has, done = ("has", "would be removed") if self.is_rehearsal else ("had", "removed")
        return (
            f"{mirror.stream}: {mirror.feed.distinct:,} people for the list {mirror.name!r}, "
            f"which {has} {len(mirror.members or {}):,}: "
            f"{decision.verdict}, {self.removed:,} of {len(decision.absent):,} {done}"
        )

    @property
    def problem(self) -> str | None:
        """Why the list does not equal the stream, None when it does."""
        stream, name, absent = self.mirror.stream, self.mirror.name, len(self.decision.absent)
        if self.decision.reason:
            stay = f"{absent:,} people stay on the list"
            return f"{stream}: nobody is removed from {name!r} ({self.decision.reason}); {stay}"
        if self.is_over_cap and absent:
            return f"{stream}: nobody is removed from {name!r} either"
        if self.removed < absent:
            return f"{stream}: Klaviyo refused {absent - self.removed:,} removals"
        return None
