"""What is read in a benchmark: three collections, and the query that the tap makes for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from budgets import Budget, budget_of

KEY = "pk_benchmark"
HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}


@dataclass(frozen=True)
class Subject:
    """A collection.

    Attributes:
        stream: the tap's stream that is selected, alone.
        operation: Klaviyo's name for the read; its budget and page size follow from it.
        kind: the JSON:API type of its rows.
        bookmark: the field that time windows are made with.
        query: what all readers ask for.
    """

    stream: str
    operation: str
    kind: str
    bookmark: str
    query: Mapping[str, str]

    @cached_property
    def budget(self) -> Budget:
        """What Klaviyo allows of the read; ``rows`` are those of the largest page."""
        return budget_of(self.operation)


SUBJECTS: Mapping[str, Subject] = {
    "events": Subject(
        "events",
        "get_events",
        "event",
        "datetime",
        {
            "include": "attributions,metric,profile",
            "fields[event]": "datetime,event_properties,timestamp,uuid",
            "fields[metric]": "name",
            "fields[profile]": "email,external_id,phone_number",
        },
    ),
    "profiles": Subject(
        "profiles", "get_profiles", "profile", "updated", {"additional-fields[profile]": "subscriptions"}
    ),
    "list members": Subject(
        "list_profiles",
        "get_profiles_for_list",
        "profile",
        "joined_group_at",
        {"additional-fields[profile]": "subscriptions"},
    ),
}
