"""What makes rows asks for: values that cost a call of their own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# Owner -> the ids to find among what it has.
WantedIds = Mapping[str, Sequence[str]]


class Lookups(Protocol):
    """What details are known by."""

    def see(self, detail: str, values: Mapping[str, Any]) -> None:
        """Remember what a page of the collection itself says of a detail."""

    def known(self, detail: str, wanted: WantedIds) -> Mapping[str, Any]:
        """The wanted values by id, None or nothing for what Klaviyo does not have."""
