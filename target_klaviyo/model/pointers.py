"""JSON Pointers, and what is left where what one leads to is taken away. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Path = tuple[str, ...]


def to_pointer(path: Iterable[str]) -> str:
    """The JSON Pointer that a path is.

    >>> to_pointer(("properties", "a/b"))
    '/properties/a~1b'
    """
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path)


def from_pointer(pointer: str) -> Path:
    """The path that a JSON Pointer is; that of the record as a whole is empty.

    >>> from_pointer("/properties/a~1b")
    ('properties', 'a/b')
    """
    steps = pointer.split("/")[1:] if pointer.strip("/") else []
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def without(members: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """The members without what a path leads to, and without objects that are empty then; None: there is nothing.

    >>> without({"a": {"b": 1}, "c": [1, 2]}, ("a", "b")), without({"c": [1, 2]}, ("c", "0"))
    ({'c': [1, 2]}, {'c': [2]})
    """
    rest = _without(members, path)
    return rest if isinstance(rest, dict) else None


def _without(value: Any, path: Path) -> Any:
    """The value without what the path leads to; None: it leads to nothing."""
    if not path:
        return None
    step, *below_it = path
    key: Any = step
    rest: Any
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        key, rest = int(step), list(value)
    elif isinstance(value, Mapping) and step in value:
        rest = dict(value)
    else:
        return None
    if not below_it:
        del rest[key]
        return rest
    smaller = _without(rest[key], tuple(below_it))
    if smaller is None:
        return None
    if smaller == {}:
        del rest[key]
    else:
        rest[key] = smaller
    return rest
