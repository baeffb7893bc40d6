"""A procedural account, of any size and ready at once: a profile, event or member follows from the seed and its number.

Everything else (campaigns, flows, tags, metrics ...) is that of the seeded account. Rows that are written override the
computed ones. Rows are found by id, by the fields that they can be sorted by, profiles by their identifiers, and events
by ``metric_id`` and ``profile_id``; any other search is a 400, because it would compute every row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from klaviyo_sandbox.account.procedural.events import ProceduralEvents
from klaviyo_sandbox.account.procedural.page_renderer import TemplateRenderer
from klaviyo_sandbox.account.procedural.profiles import ProceduralProfiles
from klaviyo_sandbox.account.procedural.virtual_table import SortOrder, VirtualTable
from klaviyo_sandbox.account.resources.families import fill_resources
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.account import fill_common, rng_factory
from klaviyo_sandbox.account.seeded.attributions import WINDOWS, parse_windows
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_second

# The first list and the first segment have every tenth profile, the next ones at most so many profiles, in turn.
_LARGE_STEP = 10
_SMALL_SIZES = (5000, 800, 120)
_JOIN_LAG = 60
# The largest account that is seeded unless asked for: it takes some seconds and some hundred megabytes.
MAX_SEEDED_ROWS = 100_000


def build_procedural(
    seed: int, profile_count: int, event_count: int, clock: Callable[[], float], attribution: str = WINDOWS
) -> Store:
    """Make the account that belongs to a seed. Without profiles it has no events.

    ``attribution`` says how long what happens is attributed to messages, as ``attributions.parse_windows`` reads it.
    """
    store, rng_for = Store(clock), rng_factory(seed)
    mailings = fill_common(store, rng_for, ())
    profiles = ProceduralProfiles(rng_for("procedural profiles"), profile_count, START, END, list(store.lists.rows))
    store.profiles = profiles.table()
    store.list_members = _groups(profiles, list(store.lists.rows), 0)
    store.segment_members = _groups(profiles, list(store.segments.rows), 1)
    if profile_count:
        start, hours = int(START.timestamp()), int((END - START).total_seconds()) // 3600
        events = ProceduralEvents(
            f"{seed} procedural events",
            event_count,
            start,
            hours,
            profiles,
            list(store.metrics.rows),
            mailings,
            parse_windows(attribution),
        )
        store.events, store.attributions = events.table(), events.attributions()
    fill_resources(store, rng_for, START, END)
    store.page_renderer = TemplateRenderer(store)
    return store


def _groups(profiles: ProceduralProfiles, group_ids: Sequence[str], offset: int) -> dict[str, Table]:
    """The members of each group; the last group is empty."""
    sizes = [len(profiles) // _LARGE_STEP, *itertools.islice(itertools.cycle(_SMALL_SIZES), len(group_ids) - 2), 0]
    joined_together = int(END.timestamp()) - 86_400
    return {
        group_id: _Members(
            profiles,
            offset,
            max(_LARGE_STEP, len(profiles) // size) if size else 0,
            joined_together if index % 4 == 3 else 0,
        ).table()
        for index, (group_id, size) in enumerate(zip(group_ids, sizes, strict=True))
    }


@dataclass(frozen=True)
class _Members:
    """The members of a group: every ``step``-th profile from ``offset`` on; none when ``step`` is 0.

    They joined a minute after they were created, but not before ``earliest``: some groups are filled at once.
    """

    profiles: ProceduralProfiles
    offset: int
    step: int
    earliest: int

    def table(self) -> VirtualTable:
        count = len(range(self.offset, len(self.profiles), self.step)) if self.step else 0
        by_id = SortOrder(lambda position: (self._id(position), self._id(position)), lambda position: position)
        by_time = SortOrder(lambda position: (self._joined(position), self._id(position)), lambda position: position)
        orders = {"id": by_id, "joined_group_at": by_time}
        return VirtualTable(count, self._row, self._find, orders, ("joined_group_at",))

    def _id(self, position: int) -> str:
        return self.profiles.id(self.offset + position * self.step)

    def _joined(self, position: int) -> str:
        return format_second(max(self.earliest, self.profiles.created(self.offset + position * self.step) + _JOIN_LAG))

    def _row(self, position: int) -> Row:
        return {"id": self._id(position), "joined_group_at": self._joined(position)}

    def _find(self, row_id: str) -> int | None:
        number = self.profiles.find(row_id)
        if number is None or not self.step or number < self.offset or (number - self.offset) % self.step:
            return None
        return (number - self.offset) // self.step
