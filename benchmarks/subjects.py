"""What is read in a benchmark: three collections, and the query that the tap makes for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

OPERATIONS = Path(__file__).parents[1] / "klaviyo_client" / "api" / "operations.json"
KEY = "pk_benchmark"
HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}


@dataclass(frozen=True)
class Subject:
    """A collection.

    Attributes:
        stream: the tap's stream that is selected, alone.
        operation: Klaviyo's name for the read; limits and page size follow from it.
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
    def facts(self) -> dict[str, int]:
        """``burst``, ``steady`` and ``page`` as the specification has them."""
        found = json.loads(OPERATIONS.read_text(encoding="utf-8"))["operations"][self.operation]
        return {"burst": found["burst"], "steady": found["steady"], "page": found["page_size"]["maximum"]}

    def allowed(self, seconds: float) -> float:
        """Rows that Klaviyo allows in a run: a minute's budget for every minute begun, but no more than its burst."""
        facts = self.facts
        minutes, rest = divmod(seconds, 60)
        return facts["page"] * (minutes * facts["steady"] + min(facts["steady"], facts["burst"] * rest))

    def steady(self) -> float:
        """Rows a second that the minute's budget comes to."""
        return self.facts["page"] * self.facts["steady"] / 60


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
