"""The tap's model: collections, tables, roots and slices, as data only. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from klaviyo_client.api.pages import Page, RawPage

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Collection:
    """One API resource collection that is read in one pass, whatever the number of tables made from it.

    Attributes:
        name: the last part of its path, unless it belongs to a parent, or another pass over the same path has that
            name.
        operation: Klaviyo's operation id; limits, filters and page size follow from it.
        resource: the JSON:API type of its rows.
        bookmark: the field that it is filtered and sorted by, None when Klaviyo cannot filter it by time. A dotted one
            leads into a list of times, and gives its resources no order.
        parent: the collection whose ids its path takes, or else its filter, one slice each.
        parent_filter: the field of that filter, which must be one of a list; None where the path takes the ids.
        filter_sets: sets of filter field -> value; each is read in a pass of its own, and together they show all of it
            (each channel, say).
        reread: read whole in every run although it has a bookmark, unless the user says otherwise: it is small, and
            what changes in it (a tag added, an action edited) need not move the bookmark.
        supplements: another collection, to whose tables it adds rows, because what it finds need not move that one's
            bookmark. It is left out for tables of which that one is read whole, and what it cannot read is a warning.
        keep_deleted: rows that Klaviyo deleted must stay where they were loaded, because events refer to them or
            because Klaviyo forgets them by itself after some days.
        at_most_one: a parent has one of it or none, to which Klaviyo answers 404.
        linked: the relationships whose ids its resources have without an include.
        listed: of these, the ones whose resources another collection lists.
        row_by_row: relationship -> the operation that gives its resources for one row, asked for each where Klaviyo
            refuses the include. Such an include is asked for without sparse fields, which may be refused, too.
    """

    name: str
    operation: str
    resource: str
    bookmark: str | None = None
    parent: str | None = None
    parent_filter: str | None = None
    filter_sets: tuple[Mapping[str, str | bool], ...] = ({},)
    reread: bool = False
    supplements: str | None = None
    keep_deleted: bool = False
    at_most_one: bool = False
    linked: frozenset[str] = frozenset()
    listed: tuple[Listed, ...] = ()
    row_by_row: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_order(self) -> bool:
        """Whether each of its resources has one place in time."""
        return self.bookmark is not None and "." not in self.bookmark


@dataclass(frozen=True)
class PathEquals:
    """A condition on a resource: its value at a path equals a text."""

    path: str
    value: str


@dataclass(frozen=True)
class Root:
    """A value that columns' paths can start from, besides ``own``, ``included`` and ``roots.CONTEXT_ROOTS``.

    Attributes:
        name: the text before the ``#`` of a path that starts from it.
        needs: paths to the values that it is made of; they may start from the roots before it.
        make: the values of these paths -> the root's value; None where it is the value at its only path.
        each: there are several values, and each is a row of its own; otherwise there is one value, and it is made
            only when something reads it.
    """

    name: str
    needs: tuple[str, ...]
    make: Callable[..., Any] | None = None
    each: bool = False


@dataclass(frozen=True)
class Lookup:
    """A root whose value costs a call for each owner (a campaign, say), made only when a selected column reads it.

    Attributes:
        name: the text before the ``#`` of a path that starts from it.
        operation: the operation to call, with the owner's id in its path.
        owner_kind: what owners are called in texts for users.
        owner_path: the path to the owner's id.
        match_path: the path to the id by which the value is found in the answer.
        extract: a page of the operation, or of the collection itself -> its values by id.
        query: the query of the call.
        own_page_paths: paths that ``extract`` needs of the collection's own pages, where these hold owners too: what
            was read need not be asked for again. None where they hold none.
        own_value: what ``extract`` gives of one resource, by the values at these paths; None where it gives nothing.
        optional: it is made only where another table of the collection makes it anyway; otherwise its value is None.
        linked: those of its includes that are not needed where their resources were listed.
        may_lack: whether Klaviyo may have nothing of an owner that is there, which is then nothing to warn of.
    """

    name: str
    operation: str
    owner_kind: str
    owner_path: str
    match_path: str
    extract: Callable[[Page], Mapping[str, Any]]
    query: Mapping[str, str] = field(default_factory=dict)
    own_page_paths: tuple[str, ...] | None = None
    own_value: Callable[..., Any] | None = None
    optional: bool = False
    linked: frozenset[str] = frozenset()
    may_lack: bool = False


@dataclass(frozen=True)
class Listed:
    """A to-one relationship whose resources another collection lists: read there once, and not with every page.

    Attributes:
        relationship: its name, which is the resources' type.
        collection: the name of the collection that lists them.
        lookup: finds one that the list does not have: it was made since, or is deleted.
    """

    relationship: str
    collection: str
    lookup: Lookup


@dataclass(frozen=True)
class Gap:
    """How a table fills the gaps of others of its name: with rows of ids that none of these has in this run.

    Its collection is never read for its own sake. What others had in an earlier run stays as it was, also when they
    have it no more: a resource fills no gap where that run must have met what the row is about.

    Attributes:
        id_path: the path, in a resource, to the id that its row has.
        began: a resource -> a time (RFC 3339 in UTC), beside its own, at which what the row is about was there already;
            None when that is not said.
    """

    id_path: str
    began: Callable[[Resource], str | None]


@dataclass(frozen=True)
class Table:
    """One stream of the tap, or what one of several collections gives to it: such tables share name, key and bookmark.

    Attributes:
        name: the stream's name and the name of its file in ``schemas/tap``.
        collection: where its rows come from.
        key: the columns that name a row.
        bookmark: the column that holds the collection's bookmark, None for a table that is always read whole.
        roots: what its columns' paths start from, each after what it needs.
        deletion_note: what becomes of a row whose source was deleted in Klaviyo, for readers of the reference.
        reread: read whole in every run although the collection has a bookmark, unless the user says otherwise: what
            changes in its columns (a subscription ended) moves no bookmark. Other tables of the collection go on from
            theirs.
        gap: for a table that only fills the gaps of the others of its name; None for all others.
    """

    name: str
    collection: Collection
    key: tuple[str, ...]
    bookmark: str | None = None
    roots: tuple[Root | Lookup, ...] = ()
    deletion_note: str = ""
    reread: bool = False
    gap: Gap | None = None


@dataclass(frozen=True)
class Family:
    """Tables of one subject, which are all selected by default, or none of them.

    Attributes:
        name: the title of its page in ``docs/reference/tables``.
        tables: the tables; two of one name are one stream.
        by_default: whether they are selected when nobody says what is.
    """

    name: str
    tables: tuple[Table, ...]
    by_default: bool = True


@dataclass(frozen=True)
class Slice:
    """A part of a collection that can be read alone.

    Attributes:
        path: values for the path's parameters.
        conditions: filter conditions, all of which hold, besides those of the window.
        start, stop: it holds resources whose bookmark is at or after start and before stop; None where it is open.
        parent: the resource that the slice belongs to, where the collection has parents.
        filter_set: the one of the collection's filter sets that it is read with.
        inner: another slice ends where this one starts, so that rows before the start are the other's.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    start: datetime | None = None
    stop: datetime | None = None
    parent: Resource | None = None
    filter_set: Mapping[str, str | bool] = field(default_factory=dict)
    inner: bool = False


@dataclass(frozen=True)
class SelectedTable:
    """A table that is read in this run.

    Attributes:
        table: the table.
        schema: its schema file.
        columns: the selected columns.
        since: resources with an older bookmark (RFC 3339 in UTC) are left out; None takes all.
        version: the version that its rows carry, when rows of older versions are to be deleted; None when they are not.
        parents: the ids of the slices' parents whose rows it has; None for all.
    """

    table: Table
    schema: Mapping[str, Any]
    columns: tuple[str, ...]
    since: str | None = None
    version: int | None = None
    parents: frozenset[str] | None = None


@dataclass(frozen=True)
class SlicePage:
    """A page of a slice, handed out in its turn.

    Attributes:
        slice: the slice that it is of.
        page: the page.
        cut: the bookmark from which on its rows come again with later slices; None when all are its own.
        ended: whether it is the last page of the slice.
    """

    slice: Slice
    page: RawPage
    cut: datetime | None = None
    ended: bool = False


def each(name: str, *needs: str, make: Callable[..., Iterable[Any]] | None = None) -> Root:
    """A root with a row for each value; by default for each element of a list."""
    return Root(name, needs, make, each=True)
