"""The data of one account: a table for each resource, and the indexes by which profiles and events are found."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from klaviyo_sandbox.account.rows import (
    ANONYMOUS,
    IDENTIFIERS,
    EventKey,
    Row,
    event_key,
    identifiers_of,
    normalize_identifier,
)
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.documents import Documents, Identity
from klaviyo_sandbox.spec.times import format_datetime, format_microsecond

# What ``Store.job_end``, ``repeats``, ``pointers``, ``append`` and ``conversions`` may be; the first is the default.
JOB_ENDS = ("complete", "cancelled", "never")
REPEATS = ("request", "history")
POINTERS = ("all", "first", "none")
APPENDS = ("set", "list")
CONVERSIONS = ("first", "each")


class PageRenderer(Protocol):
    """Turns a page of rows into bytes quickly, where it can."""

    def can_render(self, documents: Documents, rows: Sequence[Row]) -> bool:
        """Can ``page`` render these rows exactly as ``documents.many`` would?"""

    def page(
        self, documents: Documents, kind: str, rows: Sequence[Row], path: str, before: str | None, after: str | None
    ) -> bytes:
        """The JSON of the document that ``documents.many`` would give for these rows."""


class Store:
    """One account. Hold ``lock`` while reading more than one thing, or changing anything.

    Attributes:
        job_seconds: how long a job takes from now on.
        job_end: how jobs that come from now on end: "complete", "cancelled" (nothing is done), or "never" (they stay
            queued).
        repeats: which events a ``unique_id`` in a bulk request must not repeat: those of the same "request", or all
            "history".
        pointers: what a 400 says of the body of a write: "all" that is wrong, the "first" of it, or "none": that
            something is, and not where.
        append: what a property becomes that something is appended to: a "set", in which a value that is there already
            is not there twice, or a "list".
        quiet_suppressions: whether a profile keeps its ``updated`` when e-mail to it is suppressed; Klaviyo says
            nowhere that it moves.
        conversions: for which of the messages that an event is attributed to a report counts a conversion: the "first",
            or "each".
        report_rows: for tests only: how many groupings a page of a report holds.
        default_opt_in: for tests only: the opt-in process of new lists, and of consent that comes without a list.
        age_gate: for tests only: the age from which people may consent to text messages; 0 asks nobody for it.
        sms_prefixes: for tests only: beginnings of the phone numbers that the account can send to.
        save: writes what was changed to disk, where the account is kept there; otherwise it does nothing.
        page_renderer: turns pages into bytes quickly; None where all pages are made in the ordinary way.
        accounts, profiles, lists, segments, metrics, events, tags, tag_groups, templates, campaigns,
            campaign_messages, flows, flow_actions, flow_messages: rows of each resource. Points in time are strings, as
            ``times.format_datetime`` makes them. Beside its attributes a row holds the ids of what it is related to,
            as in ``profile_id`` or ``tag_ids``; ids of deleted resources may stay.
        resources: type -> rows of the resources beside people, most of which are only read.
        relations: (type, relationship) -> the identities on its other side, for those resources.
        jobs, suppress_jobs, unsuppress_jobs: bulk import and suppression jobs, in the form that ``jobs.py`` keeps them.
        pending_consents: consents that wait for their double opt-in, by ``rows.pending_id``.
        list_members, segment_members: group id -> table of {"id": profile id, "joined_group_at"}.
        attributions: event id -> what it is attributed to, as {"id", relationship name: (type, id)}.
        identifiers: "email", "phone_number", "external_id" or "anonymous_id" -> value -> profile id, for the profiles
            that are held in memory.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.job_seconds = 0.2
        self.job_end = "complete"
        self.repeats = "request"
        self.pointers = "all"
        self.append = "set"
        self.quiet_suppressions = False
        self.conversions = "first"
        self.report_rows = 500
        self.default_opt_in = "single_opt_in"
        self.age_gate = 0
        self.sms_prefixes: tuple[str, ...] = ("+",)
        self.save: Callable[[], None] = _do_nothing
        self.page_renderer: PageRenderer | None = None
        self.accounts = Table()
        self.profiles = Table()
        self.lists = Table()
        self.segments = Table()
        self.metrics = Table()
        self.events = Table()
        self.tags = Table()
        self.tag_groups = Table()
        self.templates = Table()
        self.campaigns = Table()
        self.campaign_messages = Table()
        self.flows = Table()
        self.flow_actions = Table()
        self.flow_messages = Table()
        self.resources: dict[str, Table] = {}
        self.relations: dict[tuple[str, str], Relation] = {}
        self.jobs = Table()
        self.suppress_jobs = Table()
        self.unsuppress_jobs = Table()
        self.pending_consents = Table()
        self.list_members: dict[str, Table] = {}
        self.segment_members: dict[str, Table] = {}
        self.attributions: Mapping[str, tuple[Row, ...]] = {}
        self.identifiers: dict[str, dict[str, str]] = {name: {} for name in (*IDENTIFIERS, ANONYMOUS)}
        self._event_keys: dict[EventKey, str] | None = None

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def now_text(self) -> str:
        """Now, to the second, as rows hold times."""
        return format_datetime(self.now().replace(microsecond=0))

    def updated_by_suppression(self, before: Row | None) -> str:
        """The ``updated`` of a profile that is suppressed now, from its row before; None for a new profile."""
        return self.now_text() if before is None or not self.quiet_suppressions else str(before["updated"])

    def moment_text(self) -> str:
        """Now, to the microsecond, as rows hold times of consent and suppression."""
        return format_microsecond(self.now())

    def put_profile(self, row: Row) -> None:
        """Add or replace a profile, and index it by its identifiers."""
        self._drop_identifiers(row["id"])
        self.profiles.put(row)
        for name, value in identifiers_of(row):
            self.identifiers[name][value] = row["id"]

    def drop_profile(self, profile_id: str) -> None:
        """Remove a profile from the account and from every list and segment; its events stay."""
        self._drop_identifiers(profile_id)
        self.profiles.drop(profile_id)
        for members in (*self.list_members.values(), *self.segment_members.values()):
            members.drop(profile_id)

    def _drop_identifiers(self, profile_id: str) -> None:
        for name, value in identifiers_of(self.profiles.get(profile_id) or {}):
            if self.identifiers[name].get(value) == profile_id:
                del self.identifiers[name][value]

    def find_profile_ids(self, name: str, value: str) -> list[str]:
        """Ids of all profiles that have this ``id`` or identifier, also those that another one has taken it from."""
        if name == "id":
            return [value] if value in self.profiles else []
        identifier = (name, normalize_identifier(name, value))
        rows = itertools.chain(self.profiles.in_memory.values(), self.profiles.candidates(*identifier))
        return [row["id"] for row in rows if identifier in identifiers_of(row)]

    def find_profile_id(self, name: str, value: str) -> str | None:
        """Id of the profile that has this identifier; e-mail addresses are compared without case."""
        identifier = (name, normalize_identifier(name, value))
        return self.identifiers[name].get(identifier[1]) or next(
            (row["id"] for row in self.profiles.candidates(*identifier) if identifier in identifiers_of(row)), None
        )

    def add_to_list(self, list_id: str, profile_id: str) -> None:
        """Put a profile on a list; one that is on it keeps its place."""
        members = self.list_members[list_id]
        if profile_id not in members:
            members.put({"id": profile_id, "joined_group_at": self.now_text()})

    def put_event(self, row: Row) -> None:
        """Add an event, and index it by its key."""
        self.events.put(row)
        if self._event_keys is not None:
            self._event_keys.setdefault(event_key(row), row["id"])

    def has_event(self, key: EventKey) -> bool:
        """Is there an event of this profile and metric with this unique id?"""
        if self._event_keys is None:
            # Most accounts are only read: this index is made when the first event is written.
            self._event_keys = {event_key(row): row["id"] for row in self.events.in_memory.values()}
        return key in self._event_keys or any(
            event_key(row) == key for row in self.events.candidates("unique_id", key[2])
        )

    def groups_of(self, kind: str, profile_id: str) -> list[str]:
        """Ids of the lists or segments (``kind``) that a profile is in."""
        members = self.list_members if kind == "list" else self.segment_members
        return [group_id for group_id, table in members.items() if profile_id in table]


# A relationship, as the function that finds the identities on its other side.
Relation = Callable[[Store, Row], Sequence[Identity]]


def _do_nothing() -> None:
    pass
