"""A mirror: one list that is made equal to what one stream says of it. Reads who is on it while records come."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from klaviyo_client.api.filters import condition
from klaviyo_client.api.operations import operation
from target_klaviyo.audience.completeness import Decision, Rules, decide
from target_klaviyo.audience.feed import AudienceFeed
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS, Identifier, identifiers_of
from target_klaviyo.model.records import Options, Record

_MEMBERS = "get_profiles_for_list"
# Klaviyo refuses bounds within the last seconds, and whoever joins while we run is nobody's to remove.
_SETTLE = timedelta(seconds=10)
# So long at once a wait for the members lasts, before whoever waits looks after the rest of the run.
_POLL_SECONDS = 0.2


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
    _everyone: frozenset[Identifier] | None = None

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

    def wait_for_members(self) -> bool:
        """Wait a moment for the members; whether they are read, or cannot be."""
        if self._thread is not None:
            self._thread.join(_POLL_SECONDS)
        return self._thread is None or not self._thread.is_alive()

    def has_member(self, person: Record) -> bool:
        """Whether the person was on the list when the run began; the members were waited for."""
        if self._everyone is None:
            self._everyone = frozenset(one for identifiers in (self.members or {}).values() for one in identifiers)
        return not self._everyone.isdisjoint(identifiers_of(person).items())

    def decide(self, manifest: int | None) -> Decision:
        """Decide what is done about those who are absent, once input has ended.

        Raises:
            Exception: what kept the members from being read.
        """
        if self._thread is not None:
            self._thread.join()
        if self.error is not None:
            raise self.error
        return decide(self.feed, self.members or {}, Rules.parse(self.options), manifest)
