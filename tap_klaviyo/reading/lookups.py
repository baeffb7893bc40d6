"""What costs a call of its own: fetched for the rows of one page, remembered while it may be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from klaviyo_client.api.pages import Page
from klaviyo_client.errors import NotAllowed
from tap_klaviyo.model import Detail
from tap_klaviyo.rows.lookup_protocol import WantedIds

# What an order is attributed to was mostly read shortly before it. About 300 bytes each; at least half of it is kept.
MEMORY = 100_000


class Details:
    """The details of one collection's tables, as ``rows.lookup_protocol.Lookups``.

    Args:
        details: what they are, by name.
        fetch: detail, owners -> the pages of the detail's operation for these owners.
        denied: told of a detail that the key may not read; its columns are null then.
    """

    def __init__(
        self,
        details: Mapping[str, Detail],
        fetch: Callable[[Detail, Iterable[str]], Iterator[Page]],
        denied: Callable[[Detail, NotAllowed], None],
    ) -> None:
        self._details = details
        self._fetch = fetch
        self._denied = denied
        # Younger and older half of what is remembered: when the younger is full, it takes the older's place.
        self._young: dict[str, dict[str, Any]] = {name: {} for name in details}
        self._old: dict[str, dict[str, Any]] = {name: {} for name in details}
        self._closed: set[str] = set()

    def see(self, detail: str, values: Mapping[str, Any]) -> None:
        """Remember what a page of the collection itself says; nobody need be asked for that later."""
        young = self._young[detail]
        young.update(values)
        if len(young) >= MEMORY // 2:
            self._old[detail], self._young[detail] = young, {}

    def known(self, detail: str, wanted: WantedIds) -> Mapping[str, Any]:
        """The wanted values by id; None for what Klaviyo does not have."""
        found: dict[str, Any] = {}
        for half in (self._old[detail], self._young[detail]):
            found |= {wish: half[wish] for wishes in wanted.values() for wish in wishes if wish in half}
        missing = {owner: left for owner, wishes in wanted.items() if (left := set(wishes) - found.keys())}
        if missing:
            asked = {**dict.fromkeys(set().union(*missing.values())), **self._ask(detail, missing)}
            self.see(detail, asked)
            found |= asked
        return found

    def _ask(self, detail: str, owners: Iterable[str]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        if detail in self._closed:
            return found
        description = self._details[detail]
        try:
            for page in self._fetch(description, owners):
                found |= description.keep(page)
        except NotAllowed as error:
            self._closed.add(detail)
            self._denied(description, error)
        return found
