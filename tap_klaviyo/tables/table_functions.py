"""Functions that several tables share: lists and unions of Klaviyo's pages become rows and columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from klaviyo_client.api.pages import Page

UTM_DELETION_NOTE = (
    "A changed parameter takes the place of the one before it; of a list that got shorter, the rest stays."
)


def distinct_texts(values: Any) -> list[Any]:
    """The texts of a list, each once; none of what is no list, as a property that anybody may set can be."""
    return list(dict.fromkeys(value for value in _as_list(values) if isinstance(value, str)))


def with_positions(values: Iterable[Any] | None) -> list[dict[str, Any]]:
    """``{"position", "value"}`` for each value of a list, counted from 0."""
    return [{"position": position, "value": value} for position, value in enumerate(_as_list(values))]


def strategy_of(method: str) -> Callable[[Any, Any], Any]:
    """A function that gives back a send strategy of this method, None for others: methods share names of members."""
    return lambda strategy, actual: strategy if actual == method else None


def resources_by_id(page: Page) -> dict[str, Any]:
    """The page's resources, id and attributes of each, by id."""
    return {entry["id"]: {"id": entry["id"], "attributes": entry.get("attributes")} for entry in page.data}


def _as_list(values: Any) -> Iterable[Any]:
    return values if isinstance(values, list | tuple) else ()
