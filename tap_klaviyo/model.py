"""What the tap reads and emits, as data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Collection:
    """One API resource collection that is read in one pass, whatever the number of tables made from it.

    Attributes:
        name: the last part of its path, unless it hangs on a parent.
        operation: Klaviyo's operation id; limits, filters and page size follow from it.
        resource: the JSON:API type of its rows.
        bookmark: the field that it is filtered and sorted by, None when Klaviyo cannot filter it by time.
        parent: the collection whose ids its path takes, one slice each.
        reread: read whole in every run although it has a bookmark, because it is small and changes (a renamed tag, an
            edited action) need not move the bookmark.
    """

    name: str
    operation: str
    resource: str
    bookmark: str | None = None
    parent: str | None = None
    reread: bool = False


@dataclass(frozen=True)
class Table:
    """One stream of the tap.

    Attributes:
        name: the stream's name and the name of its file in ``schemas/tap``.
        collection: where its rows come from.
        key: the columns that name a row.
        bookmark: the column that holds the collection's bookmark, None for a table that is always read whole.
    """

    name: str
    collection: Collection
    key: tuple[str, ...]
    bookmark: str | None = None


@dataclass(frozen=True)
class Slice:
    """A part of a collection that can be read alone.

    Attributes:
        path: values for the path's parameters.
        conditions: filter conditions, all of which hold.
        parent: the resource that the slice hangs on.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    parent: Resource | None = None
