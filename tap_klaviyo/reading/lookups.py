"""Cache of the values that cost a call of their own, and the calls for those that it does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from klaviyo_client.api.pages import Page
from klaviyo_client.errors import NotAllowed
from tap_klaviyo.model import Lookup
from tap_klaviyo.rows.lookup_protocol import Lookups, WantedIds

# What an order is attributed to was mostly read shortly before it. About 300 bytes each; at least half of it is kept.
MEMORY = 100_000


class LookupCache:
    """``rows.lookup_protocol.Lookups`` for the tables of one collection: asks Klaviyo for what was not seen before.

    Args:
        lookups: the lookups of the tables, by name.
        fetch: lookup, owners -> the pages of the lookup's operation for these owners.
        on_denied: called with a lookup that the key may not read; its columns are null then.
        complete: a page of a lookup -> the page with what it need not include.
    """

    def __init__(
        self,
        lookups: Mapping[str, Lookup],
        fetch: Callable[[Lookup, Iterable[str]], Iterator[Page]],
        on_denied: Callable[[Lookup, NotAllowed], None],
        complete: Callable[[Page, Lookups], Page] = lambda page, _: page,
    ) -> None:
        self._lookups = lookups
        self._fetch = fetch
        self._on_denied = on_denied
        self._complete = complete
        # Two halves of the cache: when the recent one is full, it takes the place of the old one.
        self._recent: dict[str, dict[str, Any]] = {name: {} for name in lookups}
        self._old: dict[str, dict[str, Any]] = {name: {} for name in lookups}
        self._forbidden: set[str] = set()

    def add(self, lookup: str, values: Mapping[str, Any]) -> None:
        """Remember what a page of the collection itself says; no call is needed for that later."""
        recent = self._recent[lookup]
        recent.update(values)
        if len(recent) >= MEMORY // 2:
            self._old[lookup], self._recent[lookup] = recent, {}

    def get(self, lookup: str, wanted: WantedIds) -> Mapping[str, Any]:
        """The wanted values by id; None for what Klaviyo does not have."""
        values: dict[str, Any] = {}
        for half in (self._old[lookup], self._recent[lookup]):
            values |= {wanted_id: half[wanted_id] for ids in wanted.values() for wanted_id in ids if wanted_id in half}
        missing = {owner: left for owner, ids in wanted.items() if (left := set(ids) - values.keys())}
        if missing:
            fetched = {**dict.fromkeys(set().union(*missing.values())), **self._fetch_values(lookup, missing)}
            self.add(lookup, fetched)
            values |= fetched
        return values

    def _fetch_values(self, lookup: str, owners: Iterable[str]) -> Mapping[str, Any]:
        values: dict[str, Any] = {}
        if lookup in self._forbidden:
            return values
        declaration = self._lookups[lookup]
        try:
            for page in self._fetch(declaration, owners):
                values |= declaration.extract(self._complete(page, self))
        except NotAllowed as error:
            self._forbidden.add(lookup)
            self._on_denied(declaration, error)
        return values
