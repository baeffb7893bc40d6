"""Included resources that a page need not hold, because another collection has listed them. Pure, but for look-ups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Listed, Resource
from tap_klaviyo.rows.lookup_protocol import Lookups

Identity = tuple[str, str]


class _Included(dict[Identity, Any]):
    """Resources by (type, id); one of a listed type that is not there is looked up when it is asked for."""

    # A row asks for several, so without a step through Python for what is there.
    get = dict.__getitem__  # type: ignore[assignment]

    def __init__(self, resources: ListedResources, included: Mapping[Identity, Resource], lookups: Lookups) -> None:
        super().__init__(resources.by_identity)
        self.update(included)
        self._resources, self._lookups = resources, lookups

    def __missing__(self, identity: Identity) -> Any:
        return self._resources.find(identity, self._lookups)


class ListedResources:
    """The resources that collections have listed, for pages that link to them.

    Args:
        declared: which relationships lead to them.
        resources: what was listed, by (type, id).
    """

    def __init__(self, declared: Iterable[Listed], resources: Mapping[Identity, Resource]) -> None:
        self.by_identity: dict[Identity, Resource | None] = dict(resources)
        self._lookups = {entry.relationship: entry.lookup for entry in declared}

    def complete(self, page: Page, lookups: Lookups) -> Page:
        """The page with all of them as if it had included them; one that is not among them is looked up, once."""
        return Page(page.data, _Included(self, page.included, lookups), page.next, page.without_id)

    def find(self, identity: Identity, lookups: Lookups) -> Resource | None:
        """A resource that was not listed: made since, or deleted; None where Klaviyo does not have it."""
        kind, resource_id = identity
        lookup = self._lookups.get(kind)
        if lookup is None or not isinstance(resource_id, str) or not resource_id:
            return None
        found: Resource | None = lookups.get(lookup.name, {resource_id: [resource_id]}).get(resource_id)
        self.by_identity[identity] = found
        return found
