"""What costs a call of its own: fetched for the rows of one page, remembered while it may be asked for again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from klaviyo_client.errors import NotAllowed
from klaviyo_client.protocol import Page
from tap_klaviyo import reader
from tap_klaviyo.model import Detail, Slice
from tap_klaviyo.paths import Source, follow, parse_source
from tap_klaviyo.projection import Projection

# What an order is attributed to was mostly read shortly before it. About 200 bytes each.
MEMORY = 100_000


class Details:
    """The details of one collection's tables.

    Args:
        projections: the row functions of these tables.
        fetch: detail, slice -> the pages of the detail's operation for the owner that the slice names.
        denied: told of a detail that the key may not read; its columns are null then.
    """

    def __init__(
        self,
        projections: Mapping[str, Projection],
        fetch: Callable[[Detail, Slice], Iterator[Page]],
        denied: Callable[[Detail, NotAllowed], None],
    ) -> None:
        self._fetch = fetch
        self._denied = denied
        self._readers = [(projection, detail) for projection in projections.values() for detail in projection.details]
        self._details = {detail.name: detail for _, detail in self._readers}
        self._kept: dict[str, OrderedDict[str, Any]] = {name: OrderedDict() for name in self._details}
        self._closed: set[str] = set()

    def of(self, page: Page, given: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Name of the detail -> its values by id, for every row of the page; None for what Klaviyo does not have."""
        for detail in self._details.values():
            if detail.seen is not None:
                self._remember(detail, detail.keep(page))
        for detail in self._details.values():
            owners = self._unknown(detail, page, given)
            self._ask(detail, list(owners))
            self._remember(detail, {match: None for matches in owners.values() for match in matches}, over=False)
        return self._kept

    def _unknown(self, detail: Detail, page: Page, given: Mapping[str, Any]) -> dict[str, set[str]]:
        """Whom to ask -> the ids whose values are not known yet."""
        kept = self._kept[detail.name]
        owner, match = parse_source(detail.owner), parse_source(detail.match)
        found: dict[str, set[str]] = {}
        for projection, own in self._readers:
            for resource in page.data if own is detail else ():
                for roots in projection.roots_before(detail, resource, page, given):
                    name, wanted = (_text(source, roots, page) for source in (owner, match))
                    if name and wanted and wanted not in kept:
                        found.setdefault(name, set()).add(wanted)
        return found

    def _ask(self, detail: Detail, owners: list[str]) -> None:
        if detail.name in self._closed:
            return
        slices = [Slice({"id": owner}, parent={"id": owner}) for owner in owners]
        try:
            for _, page in reader.read(slices, lambda part: self._fetch(detail, part)):
                self._remember(detail, detail.keep(page))
        except NotAllowed as error:
            self._closed.add(detail.name)
            self._denied(detail, error)

    def _remember(self, detail: Detail, values: Mapping[str, Any], *, over: bool = True) -> None:
        kept = self._kept[detail.name]
        kept.update(values if over else {name: value for name, value in values.items() if name not in kept})
        while len(kept) > MEMORY:
            kept.popitem(last=False)


def _text(source: Source, roots: Mapping[str, Any], page: Page) -> str | None:
    value = follow(source, roots, page)
    return value if isinstance(value, str) else None
