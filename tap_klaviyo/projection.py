"""A table's schema compiled into one function from a resource to a row. Pure: never edits a page."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from klaviyo_client.protocol import Page
from tap_klaviyo.model import Resource

PATH = "x-klaviyo-path"

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Source:
    """Where a column comes from: ``x-klaviyo-path``, parsed.

    Attributes:
        root: ``own`` (the row's own resource), ``included`` (one that it is related to) or ``parent``.
        relationship: the relationship that leads to it, for ``included``.
        tokens: the steps of the JSON Pointer, unescaped.
    """

    root: str
    relationship: str | None
    tokens: tuple[str, ...]


def parse_source(text: str) -> Source:
    """``/attributes/name``, ``parent#/id`` or ``included:metric#/attributes/name`` as a Source.

    Raises:
        ValueError: it is none of these.
    """
    root, _, pointer = text.rpartition("#")
    kind, _, relationship = root.partition(":")
    if (
        not pointer.startswith("/")
        or kind not in ("", "parent", "included")
        or (kind == "included") != bool(relationship)
    ):
        raise ValueError(f"{PATH} {text!r} is no path to a column")
    # Names hold dots, spaces and `$`; only `/` and `~` are escaped in a JSON Pointer.
    tokens = tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))
    return Source(kind or "own", relationship or None, tokens)


def sources(schema: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Source]:
    """The source of each of these columns."""
    return {name: parse_source(schema["properties"][name][PATH]) for name in columns}


def emitted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as Singer sees it: without our ``x-`` keys."""
    return {
        key: (
            {name: {k: v for k, v in column.items() if not k.startswith("x-")} for name, column in value.items()}
            if key == "properties"
            else value
        )
        for key, value in schema.items()
        if not key.startswith(("x-", "$"))
    }


class Unfit(ValueError):
    """A value that cannot be made what the column's type promises."""


@dataclass
class _Node:
    leaves: list[tuple[str, Convert]] = field(default_factory=list)
    children: dict[str, _Node] = field(default_factory=dict)


class Projection:
    """The row function of one table, for the columns that are selected.

    Attributes:
        unfit: how many values of each column did not fit its type and became null.
    """

    def __init__(self, schema: Mapping[str, Any], columns: Iterable[str]) -> None:
        self._columns = tuple(columns)
        self._trees: dict[tuple[str, str | None], _Node] = {}
        self.unfit: Counter[str] = Counter()
        for name, source in sources(schema, self._columns).items():
            node = self._trees.setdefault((source.root, source.relationship), _Node())
            for token in source.tokens:
                node = node.children.setdefault(token, _Node())
            node.leaves.append((name, converter(schema["properties"][name])))

    def row(self, resource: Resource, page: Page, parent: Resource | None) -> dict[str, Any]:
        """The resource as a row: every selected column, null where the resource says nothing."""
        row: dict[str, Any] = dict.fromkeys(self._columns)
        for (root, relationship), tree in self._trees.items():
            start: Any = resource
            if root == "parent":
                start = parent
            elif relationship is not None:
                start = related(resource, relationship, page)
            if start is not None:
                self._fill(row, tree, start)
        return row

    def _fill(self, row: dict[str, Any], node: _Node, value: Any) -> None:
        for name, convert in node.leaves:
            try:
                row[name] = convert(value)
            except Unfit:
                self.unfit[name] += 1
        if node.children and isinstance(value, dict):
            for token, child in node.children.items():
                found = value.get(token)
                if found is not None:
                    self._fill(row, child, found)


def related(resource: Resource, relationship: str, page: Page) -> Resource | None:
    """The included resource that a to-one relationship points to, None when it was not sent."""
    linkage = ((resource.get("relationships") or {}).get(relationship) or {}).get("data")
    if not isinstance(linkage, dict):
        return None
    return page.included.get((linkage["type"], linkage["id"]))


# Types --------------------------------------------------------------------------------------------------------------


def converter(column: Mapping[str, Any]) -> Convert:
    """The function that makes a JSON value what the column's type promises, or raises Unfit."""
    types = column["type"] if isinstance(column["type"], list) else [column["type"]]
    kind = next(name for name in types if name != "null")
    if kind == "string" and column.get("format") == "date-time":
        return as_datetime
    return {"string": as_text, "number": as_number, "integer": as_integer, "boolean": as_boolean, "object": as_object}[
        kind
    ]


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_number(value: Any) -> float:
    if isinstance(value, bool):
        raise Unfit
    if isinstance(value, int):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise Unfit from error
    # JSON has neither NaN nor infinity: the writer would make them null without a word.
    if not math.isfinite(number):
        raise Unfit
    return number


def as_integer(value: Any) -> int:
    number = as_number(value)
    if number != int(number):
        raise Unfit
    return int(number)


def as_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    match value:
        case "true" | "True" | 1:
            return True
        case "false" | "False" | 0:
            return False
    raise Unfit


def as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit
    return value


def as_datetime(value: Any) -> str:
    """RFC 3339 in UTC, as ``2026-01-31T12:00:00+00:00``; texts of this form sort as their moments do."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError) as error:
        raise Unfit from error
