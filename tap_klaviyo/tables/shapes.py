"""How lists and unions of the vendor's pages become rows and columns; what several tables share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def distinct(values: Any) -> list[Any]:
    """The texts of a list, each once."""
    return list(dict.fromkeys(value for value in values or () if isinstance(value, str)))


def numbered(values: Iterable[Any] | None) -> list[dict[str, Any]]:
    """``{"position", "value"}`` for each value of a list, counted from 0."""
    return [
        {"position": position, "value": value}
        for position, value in enumerate(values if isinstance(values, (list, tuple)) else ())
    ]


def where(method: str) -> Callable[[Any, Any], Any]:
    """What a send strategy says when it is of this method, None otherwise: the methods share the names of members."""
    return lambda strategy, found: strategy if found == method else None
