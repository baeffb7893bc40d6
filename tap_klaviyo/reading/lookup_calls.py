"""The calls of look-ups that rows wait for: counted, and told of where they decide how long a run takes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Collection, Lookup

logger = logging.getLogger("tap-klaviyo")

_READ_ITSELF = (
    " What this run reads anyway needs none; event_metrics and start_date may leave out the events of messages."
)


@dataclass
class LookupCalls:
    """Counts the calls of one run. Of each look-up that takes more than a minute's limit, it warns once.

    Args:
        share: the part of Klaviyo's limits that is spent.
        columns: collection, name of a lookup -> the columns that need it (``table.column``, or ``table.*``).

    Attributes:
        waiting: how many calls rows wait for now; any thread may read it.
    """

    share: float
    columns: Callable[[Collection, str], Iterable[str]]
    waiting: int = 0
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def pages(
        self,
        collection: Collection,
        lookup: Lookup,
        owners: Iterable[str],
        request: Callable[[Lookup, Iterable[str]], Iterator[Page]],
    ) -> Iterator[Page]:
        """The pages of a look-up for these owners, as ``request`` gives them, one at least for each."""
        owners = list(owners)
        self._warn(collection, lookup, len(owners))
        self.waiting = len(owners)
        try:
            for page in request(lookup, owners):
                self.waiting = max(0, self.waiting - 1)
                yield page
        finally:
            self.waiting = 0

    def _warn(self, collection: Collection, lookup: Lookup, count: int) -> None:
        key, allowed = (collection.name, lookup.name), self._allowed(lookup)
        self._asked[key] += count
        if self._asked[key] <= allowed or key in self._told:
            return
        self._told.add(key)
        columns = ", ".join(self.columns(collection, lookup.name))
        logger.warning(
            "%s: %d %ss so far need a request each (%s), at most %d a minute. %d wait now, for about %s, and later "
            "rows add to them.%s%s",
            collection.name,
            self._asked[key],
            lookup.owner_kind,
            lookup.operation,
            allowed,
            count,
            "a minute" if count < 2 * allowed else f"{count // allowed} minutes",
            f" Deselect {columns} to avoid these requests." if columns else "",
            "" if lookup.own_page_paths is None else _READ_ITSELF,
        )

    def _allowed(self, lookup: Lookup) -> int:
        """Calls a minute."""
        return max(1, int(operation(lookup.operation).rates(lookup.query)[1] * self.share))
