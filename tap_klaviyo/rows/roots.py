"""What a table's paths start from: what of it is needed, what that asks of Klaviyo, what a page makes of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Resource, Root, Table
from tap_klaviyo.rows.paths import INCLUDED, OWN, Source, follower, parse_source, plain

# Known before any page is read: the slice's parent, its pass, the account itself, what the V1 tables call it, and when
# the page was read.
PARENT, PASS, ACCOUNT, INTEGRATION, EXTRACTED = "parent", "pass", "account", "integration", "extracted"
GIVEN = frozenset((PARENT, PASS, ACCOUNT, INTEGRATION, EXTRACTED))

LookupFunction = Callable[[Lookup, Sequence[Mapping[str, Any]], Page], Mapping[str, Any]]


def needs_of(root: Root | Lookup) -> tuple[Source, ...]:
    """What a root is made of; of a lookup, what names it and finds it."""
    texts = root.needs if isinstance(root, Root) else (root.owner_path, root.match_path)
    return tuple(map(parse_source, texts))


def needed(table: Table, columns: Iterable[Source]) -> tuple[Root | Lookup, ...]:
    """The roots to evaluate for these columns: those that make rows, and those that something reads.

    Raises:
        ValueError: a column starts from a root that the table does not have.
    """
    read = {source.root for source in plain(columns)}
    if unknown := read - {OWN, INCLUDED, *GIVEN, *(root.name for root in table.roots)}:
        raise ValueError(f"{table.name} has no root called {' or '.join(sorted(unknown))}")
    wanted: list[Root | Lookup] = []
    for root in reversed(table.roots):
        if root.name in read or (isinstance(root, Root) and root.each):
            wanted.insert(0, root)
            read |= {source.root for source in needs_of(root)}
    return tuple(wanted)


def requirements(table: Table, columns: Iterable[Source]) -> list[Source]:
    """What these columns need of the page, the parent and the account: paths with no root of the table's own."""
    columns = list(plain(columns))
    found: list[Source] = []
    roots = needed(table, columns)
    views = {root.name: view for root in roots if isinstance(root, Root) and (view := _view(root))}
    # A view is no more than what is read of it.
    found += [Source(INCLUDED, view.relationship, ("id",)) for view in views.values()]
    reads = [need for root in roots if root.name not in views for need in needs_of(root)]
    for source in (*columns, *reads):
        if source.root in views:
            found.append(Source(INCLUDED, views[source.root].relationship, source.tokens))
        elif source.root in (OWN, INCLUDED, *GIVEN):
            found.append(source)
    for root in roots:
        if isinstance(root, Lookup) and root.own_page_paths:
            found += map(parse_source, root.own_page_paths)
    return found


def _view(root: Root) -> Source | None:
    """The included resources that a root stands for as they are, when it does."""
    if root.make is not None:
        return None
    (need,) = needs_of(root)
    return need if need.relationship and not need.tokens else None


def led_to(table: Table, source: Source) -> set[str]:
    """The roots that a column's value is made of."""
    by_name = {root.name: root for root in table.roots}
    found, ahead = set(), [part.root for part in plain([source])]
    while ahead:
        name = ahead.pop()
        found.add(name)
        ahead += [need.root for need in needs_of(by_name[name])] if name in by_name else []
    return found


def known_to_nobody(lookup: Lookup, rows: Sequence[Mapping[str, Any]], page: Page) -> Mapping[str, Any]:  # noqa: ARG001
    """The look-up of those who look nothing up."""
    return {}


def expand(
    roots: Iterable[Root | Lookup],
    resources: Iterable[Resource],
    page: Page,
    given: Mapping[str, Any],
    look_up: LookupFunction,
) -> list[dict[str, Any]]:
    """The roots' values, once for each row that the resources give, in their order.

    A root is null where all that it is made of is null, and nobody is asked what to make of that.

    Args:
        roots: what to evaluate, each after what it needs.
        resources: the page's resources, or some of them.
        page: where they come from.
        given: the values of ``GIVEN`` that anything reads.
        look_up: a lookup, the values so far of every row -> the lookup's values by id.
    """
    return extend(roots, [{**given, OWN: resource} for resource in resources], page, look_up)


def extend(
    roots: Iterable[Root | Lookup], rows: list[dict[str, Any]], page: Page, look_up: LookupFunction
) -> list[dict[str, Any]]:
    """``expand`` from values on that are there already; they are added to in place."""
    for root in roots:
        name = root.name
        if isinstance(root, Lookup):
            match = follower(parse_source(root.match_path))
            known = look_up(root, rows, page)
            for row in rows:
                row[name] = known.get(match(row, page)) if known else None
            continue
        made = _maker(root)
        if root.each:
            rows = [{**row, name: value} for row in rows for value in _elements(made(row, page))]
        else:
            for row in rows:
                row[name] = made(row, page)
    return rows


@cache
def _maker(root: Root) -> Callable[[Mapping[str, Any], Page], Any]:
    needs, make = [follower(need) for need in needs_of(root)], root.make
    first = needs[0]
    if make is None:
        return first
    others = needs[1:]

    def made(row: Mapping[str, Any], page: Page) -> Any:
        values = [first(row, page)]
        for need in others:
            values.append(need(row, page))  # noqa: PERF401 - twice as fast as a comprehension for one or two
        for value in values:
            if value is not None:
                return make(*values)
        return None

    return made


def _elements(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else ()
