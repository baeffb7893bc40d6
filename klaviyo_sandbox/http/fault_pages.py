"""Spoils pages of collections: a row that comes a few places too late, a link to the next page that leads back. Pure.

No row is lost by it: what is taken from a page comes with the one that its link leads to, whatever else happens
meanwhile. A reader whom a page brings no further gets there by asking again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Path and query of a page.
Place = tuple[str, frozenset[tuple[str, str]]]


class LateRows:
    """The rows that were taken from pages, until the pages come that they stand on now.

    They are kept from then on: a page may be asked for again.
    """

    def __init__(self) -> None:
        # Place -> what the page there holds beside its own: rows, and what they are related to.
        self._late: dict[Place, tuple[list[Any], list[Any]]] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._late

    def __bool__(self) -> bool:
        return bool(self._late)

    def take_again(self, document: dict[str, Any]) -> bool:
        """Take from a page what was taken from it before: whoever reads the next one finds it there.

        Returns:
            Whether anything was taken from this page before; it is changed.
        """
        following = (document.get("links") or {}).get("next")
        place = None if following is None else place_of(following)
        if place not in self._late:
            return False
        taken = {(row["type"], row["id"]) for row in self._late[place][0]}
        document["data"] = [row for row in document["data"] if (row["type"], row["id"]) not in taken]
        return True

    def take(self, document: dict[str, Any], fraction: float) -> None:
        """Move a row near the end of a page a few places on: onto the next page, where there is one.

        Args:
            document: the page, which is changed.
            fraction: from 0 to 1: which row, and how far.
        """
        rows = document["data"]
        if len(rows) < 3:
            return
        # A row before the last, so that a later one stands on the page that it is taken from.
        row = rows.pop(-2 - (fraction < 0.5))
        following = (document.get("links") or {}).get("next")
        if following is None:
            rows.append(row)
            return
        self._late[place_of(following)] = ([row], _related(row, document.get("included") or ()))

    def insert(self, document: dict[str, Any], place: Place) -> None:
        """Put what was taken from the page before into the page of this place, which is changed."""
        late_rows, related = self._late[place]
        # After the first row, where there is one: it does not only stand on another page.
        document["data"][1:1] = late_rows
        included = document.setdefault("included", []) if related else []
        held = {(resource["type"], resource["id"]) for resource in included}
        included.extend(resource for resource in related if (resource["type"], resource["id"]) not in held)


def lead_back(document: dict[str, Any], address: str) -> None:
    """Let the link to the next page, where there is one, lead to the page itself; the document is changed.

    Args:
        document: the page.
        address: its path and query.
    """
    links = document.get("links") or {}
    if links.get("next") is not None:
        parts = urlsplit(links["next"])
        links["next"] = f"{parts.scheme}://{parts.netloc}{address}"


def parse_collection(body: bytes) -> dict[str, Any] | None:
    """The document of a page of a collection; None when the body is something else."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    is_collection = isinstance(document, dict) and isinstance(document.get("data"), list)
    return document if is_collection else None


def place_of(link: str) -> Place:
    """The place that an address, whole or without its origin, leads to."""
    parts = urlsplit(link)
    return parts.path, frozenset(parse_qsl(parts.query, keep_blank_values=True))


def _related(row: Mapping[str, Any], included: Any) -> list[Any]:
    """The included resources that a row names."""
    named: set[tuple[str, str]] = set()
    for relationship in (row.get("relationships") or {}).values():
        data = relationship.get("data") or []
        named.update((entry["type"], entry["id"]) for entry in (data if isinstance(data, list) else [data]))
    return [resource for resource in included if (resource["type"], resource["id"]) in named]
