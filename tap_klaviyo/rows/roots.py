"""Roots, from which columns' paths start: which a table needs, what they take of Klaviyo, their values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Lookup, Resource, Root, Table
from tap_klaviyo.rows.paths import INCLUDED, OWN, Source, flatten_hashes, follower, parse_source

# Known before a page is decoded: the slice's parent, the filters of its pass, the account itself, what the V1 tables
# call it, and when the page was read.
PARENT, PASS, ACCOUNT, INTEGRATION, EXTRACTED = "parent", "pass", "account", "integration", "extracted"
CONTEXT_ROOTS = frozenset((PARENT, PASS, ACCOUNT, INTEGRATION, EXTRACTED))

LookupFunction = Callable[[Lookup, Sequence[Mapping[str, Any]], Page], Mapping[str, Any]]


def needs_of(root: Root | Lookup) -> tuple[Source, ...]:
    """The paths that a root is made of; for a lookup, those to the owner's id and to the id that it looks for."""
    texts = root.needs if isinstance(root, Root) else (root.owner_path, root.match_path)
    return tuple(map(parse_source, texts))


def required_roots(table: Table, columns: Iterable[Source]) -> tuple[Root | Lookup, ...]:
    """The roots to evaluate for these columns: those that make rows, and those that something reads.

    Raises:
        ValueError: a column starts from a root that the table does not have.
    """
    read = {source.root for source in flatten_hashes(columns)}
    if unknown := read - {OWN, INCLUDED, *CONTEXT_ROOTS, *(root.name for root in table.roots)}:
        raise ValueError(f"{table.name} has no root called {' or '.join(sorted(unknown))}")
    required: list[Root | Lookup] = []
    for root in reversed(table.roots):
        if root.name in read or (isinstance(root, Root) and root.each):
            required.insert(0, root)
            read |= {source.root for source in needs_of(root)}
    return tuple(required)


def requirements(table: Table, columns: Iterable[Source]) -> list[Source]:
    """What these columns need of the page, the parent and the account: paths with no root of the table's own."""
    columns = list(flatten_hashes(columns))
    required: list[Source] = []
    roots = required_roots(table, columns)
    renamed = {root.name: include for root in roots if isinstance(root, Root) and (include := _renamed_include(root))}
    # A root that only renames an include needs just the include's id and what columns read of it.
    required += [Source(INCLUDED, include.relationship, ("id",)) for include in renamed.values()]
    needs = [need for root in roots if root.name not in renamed for need in needs_of(root)]
    for source in (*columns, *needs):
        if source.root in renamed:
            required.append(Source(INCLUDED, renamed[source.root].relationship, source.tokens))
        elif source.root in (OWN, INCLUDED, *CONTEXT_ROOTS):
            required.append(source)
    for root in roots:
        if isinstance(root, Lookup) and root.own_page_paths:
            required += map(parse_source, root.own_page_paths)
    return required


def _renamed_include(root: Root) -> Source | None:
    """The include that a root gives another name to, without a function of its own; None for other roots."""
    if root.make is not None:
        return None
    (need,) = needs_of(root)
    return need if need.relationship and not need.tokens else None


def roots_behind(table: Table, source: Source) -> set[str]:
    """The names of all roots that a column's value is made of, also by way of others."""
    by_name = {root.name: root for root in table.roots}
    names, to_visit = set(), [part.root for part in flatten_hashes([source])]
    while to_visit:
        name = to_visit.pop()
        names.add(name)
        to_visit += [need.root for need in needs_of(by_name[name])] if name in by_name else []
    return names


def no_lookup(lookup: Lookup, rows: Sequence[Mapping[str, Any]], page: Page) -> Mapping[str, Any]:  # noqa: ARG001
    """A look-up that finds nothing."""
    return {}


def expand(
    roots: Iterable[Root | Lookup],
    resources: Iterable[Resource],
    page: Page,
    context: Mapping[str, Any],
    look_up: LookupFunction,
) -> list[dict[str, Any]]:
    """Evaluate roots: their values, once for each row that the resources give, in the resources' order.

    A root is null where all that it is made of is null; its function is not called then.

    Args:
        roots: what to evaluate, each after what it needs.
        resources: the page's resources, or some of them.
        page: where they come from.
        context: the values of those of ``CONTEXT_ROOTS`` that anything reads.
        look_up: a lookup, the values so far of every row, the page -> the lookup's values by id.
    """
    return extend(roots, [{**context, OWN: resource} for resource in resources], page, look_up)


def extend(
    roots: Iterable[Root | Lookup], rows: list[dict[str, Any]], page: Page, look_up: LookupFunction
) -> list[dict[str, Any]]:
    """Evaluate further roots for rows that have the values of others; values are added to the rows in place."""
    for root in roots:
        name = root.name
        if isinstance(root, Lookup):
            id_of = follower(parse_source(root.match_path))
            by_id = look_up(root, rows, page)
            for row in rows:
                owner_id = id_of(row, page) if by_id else None
                row[name] = by_id.get(owner_id) if isinstance(owner_id, str) else None
            continue
        evaluate = _evaluator(root)
        if root.each:
            rows = [{**row, name: value} for row in rows for value in elements(evaluate(row, page))]
        else:
            for row in rows:
                row[name] = evaluate(row, page)
    return rows


@cache
def _evaluator(root: Root) -> Callable[[Mapping[str, Any], Page], Any]:
    """The function from a row's values to the root's value."""
    needs, make = [follower(need) for need in needs_of(root)], root.make
    first = needs[0]
    if make is None:
        return first
    others = needs[1:]

    def evaluate(row: Mapping[str, Any], page: Page) -> Any:
        values = [first(row, page)]
        for need in others:
            values.append(need(row, page))  # noqa: PERF401 - twice as fast as a comprehension for one or two
        for value in values:
            if value is not None:
                return make(*values)
        return None

    return evaluate


def elements(value: Any) -> Iterable[Any]:
    """What an ``each`` makes rows of: the elements of a list; nothing else has any."""
    return value if isinstance(value, (list, tuple)) else ()
