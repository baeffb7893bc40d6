"""Sources of columns: ``x-klaviyo-path``, ``-md5`` and ``-constant``, parsed and followed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from klaviyo_client.api.pages import Page
from tap_klaviyo.model import Resource
from tap_klaviyo.rows.values import md5_of

PATH, MD5, CONSTANT = "x-klaviyo-path", "x-klaviyo-md5", "x-klaviyo-constant"
OWN, INCLUDED = "own", "included"


@dataclass(frozen=True)
class Source:
    """A parsed path.

    Attributes:
        root: where it starts: ``own`` (the page's resource), ``included`` (what that resource is related to), or the
            name of another root, such as ``parent``.
        relationship: the relationship that leads to it, for ``included``.
        tokens: the steps of the JSON Pointer, unescaped; none for the root itself.
        hash_parts: in place of a path, what the value is the MD5 of: sources, and texts as they are.
    """

    root: str
    relationship: str | None
    tokens: tuple[str, ...]
    hash_parts: tuple[Source | str, ...] = ()


@cache
def parse_source(text: str) -> Source:
    """``/attributes/name``, ``parent#/id`` or ``included:metric#/attributes/name`` as a Source.

    Raises:
        ValueError: it is none of these.
    """
    root, mark, pointer = text.rpartition("#")
    kind, colon, relationship = root.partition(":")
    if (
        not (pointer.startswith("/") or (mark and not pointer))
        or bool(mark) != bool(kind)
        or (kind == INCLUDED) != bool(relationship)
        or bool(colon) != bool(relationship)
    ):
        raise ValueError(f"{PATH} {text!r} is no path to a column")
    # Names hold dots, spaces and `$`; only `/` and `~` are escaped in a JSON Pointer, and `#`, which ends a root, here.
    tokens = tuple(token.replace("~2", "#").replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])
    return Source(kind or OWN, relationship or None, tokens)


def sources(schema: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Source]:
    """The source of each of these columns that is no constant."""
    by_name = {name: schema["properties"][name] for name in columns}
    return {
        name: parse_hash(column[MD5]) if MD5 in column else parse_source(column[PATH])
        for name, column in by_name.items()
        if CONSTANT not in column
    }


def parse_hash(parts: Iterable[str]) -> Source:
    """The parts of an MD5 as a Source; a part with neither ``#`` nor ``/`` is a text."""
    return Source(OWN, None, (), tuple(parse_source(part) if "/" in part or "#" in part else part for part in parts))


def flatten_hashes(sources: Iterable[Source]) -> Iterator[Source]:
    """These sources, with each hash replaced by the sources that it is made of."""
    for source in sources:
        if source.hash_parts:
            yield from (part for part in source.hash_parts if isinstance(part, Source))
        else:
            yield source


def follow(source: Source, roots: Mapping[str, Any], page: Page) -> Any:
    """The value at the end of a path, None where the page says nothing.

    A to-many relationship gives the list of what was included of it.
    """
    return follower(source)(roots, page)


@cache
def follower(source: Source) -> Callable[[Mapping[str, Any], Page], Any]:
    """The function that does ``follow`` for one source. It is made once and called for every row."""
    return _hasher(source.hash_parts) if source.hash_parts else _walker(source)


def _walker(source: Source) -> Callable[[Mapping[str, Any], Page], Any]:
    start, relationship, tokens = source.root, source.relationship, source.tokens
    if relationship is not None:
        start = OWN

    def root_itself(roots: Mapping[str, Any], _: Page) -> Any:
        return roots.get(start)

    def below(roots: Mapping[str, Any], _: Page) -> Any:
        value = roots.get(start)
        for token in tokens:
            if not isinstance(value, dict):
                return None
            value = value.get(token)
        return value

    def via_relationship(roots: Mapping[str, Any], page: Page) -> Any:
        value = included_resources(roots[start], str(relationship), page)
        for token in tokens:
            if not isinstance(value, dict):
                return None
            value = value.get(token)
        return value

    if relationship is not None:
        return via_relationship
    return below if tokens else root_itself


def _hasher(parts: tuple[Source | str, ...]) -> Callable[[Mapping[str, Any], Page], Any]:
    followers = [part if isinstance(part, str) else follower(part) for part in parts]

    def hash_of(roots: Mapping[str, Any], page: Page) -> str | None:
        return md5_of(*(part if isinstance(part, str) else part(roots, page) for part in followers))

    return hash_of


def included_resources(resource: Resource, relationship: str, page: Page) -> Any:
    """The included resource that a relationship points to, a list of them where it is to-many.

    None when nothing was sent; a resource that is linked but not included is left out.
    """
    relationships = resource.get("relationships")
    member = relationships.get(relationship) if isinstance(relationships, dict) else None
    return linked_resources(member.get("data") if isinstance(member, dict) else None, page)


def linked_resources(linkage: Any, page: Page) -> Any:
    """The included resources that the ``data`` of a relationship names, as ``included_resources`` gives them."""
    if isinstance(linkage, dict):
        return _linked(linkage, page)
    if not isinstance(linkage, list):
        return None
    found = (_linked(entry, page) for entry in linkage if isinstance(entry, dict))
    return [other for other in found if other is not None]


def _linked(linkage: Mapping[str, Any], page: Page) -> Any:
    """The resource of a linkage; one whose identity lacks a part, or is no text, finds nothing, as no page has it."""
    kind, name = linkage.get("type"), linkage.get("id")
    return page.included.get((kind, name)) if isinstance(kind, str) and isinstance(name, str) else None
