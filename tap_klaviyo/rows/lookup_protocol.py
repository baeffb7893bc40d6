"""What the maker of rows needs of look-ups: values that cost a call of their own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# Owner's id -> the ids to find among what the owner has.
WantedIds = Mapping[str, Sequence[str]]


class Lookups(Protocol):
    """What lookups are known by."""

    def add(self, lookup: str, values: Mapping[str, Any]) -> None:
        """Remember what a page of the collection itself says of a lookup."""

    def get(self, lookup: str, wanted: WantedIds) -> Mapping[str, Any]:
        """The wanted values by id, None or nothing for what Klaviyo does not have."""
