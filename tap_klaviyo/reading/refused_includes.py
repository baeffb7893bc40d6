"""Resources that Klaviyo refuses to include, asked for row by row, and put into the page as if it had included them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from klaviyo_client.api.json_text import decode_json
from klaviyo_client.api.pages import RawPage
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadRequest, NotFound
from tap_klaviyo.model import Collection

logger = logging.getLogger("tap-klaviyo")


@dataclass(frozen=True)
class RefusedIncludes:
    """The includes of collections that were refused in this run.

    Attributes:
        client: the account.
        refused: (collection, relationship); added to.
    """

    client: KlaviyoClient
    refused: set[tuple[str, str]] = field(default_factory=set)

    def note(self, collection: Collection, query: Mapping[str, str], error: BadRequest) -> bool:
        """Whether the query was refused for an include that can be done without; it is noted then."""
        includes = query.get("include", "").split(",")
        spared = {(collection.name, name) for name in collection.row_by_row if name in includes}
        if not spared or not any(_is_about_includes(entry.parameter) for entry in error.errors):
            return False
        if not spared <= self.refused:
            names = " and ".join(sorted(name for _, name in spared))
            logger.warning(
                "%s: Klaviyo refuses to include %s; the tap requests them for each row", collection.name, names
            )
        self.refused.update(spared)
        return True

    def of(self, collection: Collection) -> frozenset[str]:
        """The collection's relationships that must not be asked for as includes."""
        return frozenset(name for name in collection.row_by_row if (collection.name, name) in self.refused)

    def complete(self, collection: Collection, page: RawPage) -> RawPage:
        """A page that was asked for without them, and what each of its rows has of them."""
        names = self.of(collection)
        if not names or not page.size:
            return page
        document = decode_json(page.body)
        included = list(document.get("included") or ())
        for resource in document["data"]:
            for name in names:
                related = self._related(collection.row_by_row[name], resource["id"])
                identities = [{"type": entry["type"], "id": entry["id"]} for entry in related]
                relationships = resource.get("relationships") or {}
                resource["relationships"] = {**relationships, name: {"data": identities}}
                included += related
        document = {**document, "included": included}
        return replace(page, held=msgspec.json.encode(document), is_packed=False)

    def _related(self, operation_id: str, row_id: str) -> list[Mapping[str, Any]]:
        with contextlib.suppress(NotFound):
            return [entry for page in self.client.pages(operation_id, path={"id": row_id}) for entry in page.data]
        # Gone since it was listed.
        return []


def _is_about_includes(parameter: str | None) -> bool:
    """Whether a refused parameter asks for included resources, or for fields of them."""
    return parameter is not None and (parameter == "include" or parameter.startswith("fields["))
