"""An account of any size that is there at once: its profiles, events and memberships follow from the seed and a number.

Everything else (campaigns, flows, tags, metrics ...) is that of the seeded account. What is written lies over it. Rows
are found by id, by the fields that they can be sorted by, profiles by their identifiers, and events by ``metric_id``;
any other search is a 400, for it takes a look at every row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from klaviyo_sandbox.account.procedural.events import ProceduralEvents
from klaviyo_sandbox.account.procedural.page_renderer import TemplateRenderer
from klaviyo_sandbox.account.procedural.profiles import ProceduralProfiles
from klaviyo_sandbox.account.procedural.virtual_table import Order, VirtualTable
from klaviyo_sandbox.account.resources.families import fill_resources
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.account import fill_common, rng_factory
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_second

# The first list and the first segment hold a tenth of the profiles, the next ones at most so many, in turn.
_LARGE = 10
_SMALL = (5000, 800, 120)
_JOIN_LAG = 60
# A seeded account of so many rows takes some seconds and some hundred megabytes.
LARGE = 100_000


def build_procedural(seed: int, profile_count: int, event_count: int, clock: Callable[[], float]) -> Store:
    """The account that belongs to a seed. Without profiles it has no events."""
    store, rng_for = Store(clock), rng_factory(seed)
    mailings = fill_common(store, rng_for, ())
    profiles = ProceduralProfiles(rng_for("procedural profiles"), profile_count, START, END, list(store.lists.rows))
    store.profiles = profiles.table()
    store.list_members = _groups(profiles, list(store.lists.rows), 0)
    store.segment_members = _groups(profiles, list(store.segments.rows), 1)
    if profile_count:
        start, hours = int(START.timestamp()), int((END - START).total_seconds()) // 3600
        events = ProceduralEvents(
            f"{seed} procedural events", event_count, start, hours, profiles, list(store.metrics.rows), mailings
        )
        store.events, store.attributions = events.table(), events.attributions()
    fill_resources(store, rng_for, START, END)
    store.page_renderer = TemplateRenderer(store)
    return store


def _groups(profiles: ProceduralProfiles, group_ids: Sequence[str], offset: int) -> dict[str, Table]:
    """The members of each group; the last group is empty."""
    sizes = [len(profiles) // _LARGE, *itertools.islice(itertools.cycle(_SMALL), len(group_ids) - 2), 0]
    together = int(END.timestamp()) - 86_400
    return {
        group_id: _Members(
            profiles, offset, max(_LARGE, len(profiles) // size) if size else 0, together if at % 4 == 3 else 0
        ).table()
        for at, (group_id, size) in enumerate(zip(group_ids, sizes, strict=True))
    }


@dataclass(frozen=True)
class _Members:
    """Every ``step``-th profile from ``offset`` on; ``step`` 0 is nobody.

    They joined a minute after they were made, but not before ``together``: a group may be filled in one go.
    """

    profiles: ProceduralProfiles
    offset: int
    step: int
    together: int

    def table(self) -> VirtualTable:
        count = len(range(self.offset, len(self.profiles), self.step)) if self.step else 0
        by_id = Order(lambda place: (self._id(place), self._id(place)), lambda place: place)
        by_time = Order(lambda place: (self._joined(place), self._id(place)), lambda place: place)
        return VirtualTable(count, self._row, self._find, {"id": by_id, "joined_group_at": by_time})

    def _id(self, place: int) -> str:
        return self.profiles.id(self.offset + place * self.step)

    def _joined(self, place: int) -> str:
        return format_second(max(self.together, self.profiles.created(self.offset + place * self.step) + _JOIN_LAG))

    def _row(self, place: int) -> Row:
        return {"id": self._id(place), "joined_group_at": self._joined(place)}

    def _find(self, row_id: str) -> int | None:
        number = self.profiles.find(row_id)
        if number is None or not self.step or number < self.offset or (number - self.offset) % self.step:
            return None
        return (number - self.offset) // self.step
