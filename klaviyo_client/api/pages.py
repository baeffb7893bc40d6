"""Decodes response documents with ``data``: four ways, from the cheapest to the whole. Pure.

- ``parse_outline``: only the next link and the bookmarks of the first and last resource, with the document beside
  them. The tap does this to every page, in the threads that fetch pages.
- ``TypedDecoder``: the resources as objects of a type that has what is wanted of them. The tap's fast path: it makes
  rows of large collections, events above all, of pages decoded this way, mostly in worker processes.
- ``decode_in_chunks``: the resources, so many at a time. The tap's way for what ``TypedDecoder`` does not take.
- ``decode_page``: the whole document at once. For everything else: small collections, look-ups, the target's reads.

Each reads what ``decode_json`` reads, at whatever cost: a page with half a surrogate pair or a NaN in it is a page. No
``Page`` holds U+0000.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NotRequired, TypedDict

import lz4.block
import msgspec

from klaviyo_client.api.json_text import decode_json, without_null_characters
from klaviyo_client.api.protocol import next_link, same_origin


@dataclass(frozen=True)
class Page:
    """One decoded response document. Read-only: several tables are made from the same page.

    Attributes:
        data: the primary resources (a single resource comes as a list of one).
        included: related resources by (type, id).
        next: the absolute URL of the next page, or None.
        without_id: how many resources were left out because nothing says which they are.
    """

    data: Sequence[Mapping[str, Any]]
    included: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    next: str | None = None
    without_id: int = 0

    @property
    def content(self) -> Hashable | None:
        """What tells the page from others of its read; None where it holds nothing that does."""
        return _content((self.data[0], self.data[-1]), len(self.data)) if self.data else None


class _Linkage(TypedDict, total=False):
    data: Any


class _Resource(TypedDict, total=False):
    type: str
    id: str
    attributes: Any
    relationships: dict[str, _Linkage]


class _Links(TypedDict, total=False):
    next: Any


class _Document(TypedDict):
    data: list[_Resource] | _Resource | None
    included: NotRequired[list[_Resource] | None]
    links: NotRequired[_Links | None]


class _Outline(msgspec.Struct):
    data: list[msgspec.Raw]
    links: _Links | None = None


class _UndecodedDocument(msgspec.Struct):
    """A document whose primary resources are still JSON text."""

    data: list[msgspec.Raw]
    included: list[_Resource] | None = None


class _UndecodedAttributes(msgspec.Struct):
    attributes: dict[str, msgspec.Raw] = {}


class _AttributesDocument(msgspec.Struct):
    data: list[_UndecodedAttributes]


# Nobody here uses the links of resources, a third of a page: members that no type above names are skipped, not decoded.
_DOCUMENT = msgspec.json.Decoder(_Document)
_OUTLINE = msgspec.json.Decoder(_Outline)
_UNDECODED = msgspec.json.Decoder(_UndecodedDocument)
_ATTRIBUTES = msgspec.json.Decoder(_AttributesDocument)
_RESOURCE = msgspec.json.Decoder(_Resource)


@dataclass(frozen=True)
class RawPage:
    """A page that is not decoded yet, but for its outline.

    Attributes:
        held: the document, in the bytes that are held of it.
        next: the absolute URL of the next page, or None.
        size: how many primary resources it holds.
        first_and_last: the first and the last of them; empty for an empty page.
        is_packed: whether what is held is compressed, for hundreds may be held, of two million bytes each.
    """

    held: bytes
    next: str | None
    size: int
    first_and_last: tuple[Any, ...] = ()
    is_packed: bool = field(default=True, kw_only=True)

    @property
    def content(self) -> Hashable | None:
        """What tells the page from others of its read; None where it holds nothing that does."""
        return _content(self.first_and_last, self.size)

    @property
    def body(self) -> bytes:
        """The document as it came."""
        return decompress(self.held) if self.is_packed else self.held

    def packed(self) -> RawPage:
        """The same page, with its document compressed."""
        return self if self.is_packed else replace(self, held=compress(self.held), is_packed=True)


def compress(body: bytes) -> bytes:
    """A document, compressed to about a sixth; a page takes a millisecond."""
    compressed: bytes = lz4.block.compress(body)
    return compressed


def decompress(compressed: bytes) -> bytes:
    """The document that was compressed."""
    body: bytes = lz4.block.decompress(compressed)
    return body


def parse_outline(body: bytes, api_url: str, url: str = "") -> RawPage:
    """A document with ``data`` as a page, not packed yet, of which the next link and two resources are decoded.

    Args:
        body: the document.
        api_url: where the next page must be, too.
        url: where the document was found, for a link that is relative to it.

    Raises:
        ValueError: the body is no such document, or broke off.
        UntrustedOrigin: the next page would be elsewhere.
    """
    try:
        outline = _OUTLINE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _slow_outline(body, api_url, url)
    edges = (outline.data[0], outline.data[-1]) if outline.data else ()
    return RawPage(
        held=body,
        next=_next_page({"links": outline.links}, api_url, url),
        size=len(outline.data),
        first_and_last=tuple(decode_json(bytes(resource)) for resource in edges),
        is_packed=False,
    )


def _slow_outline(body: bytes, api_url: str, url: str) -> RawPage:
    """The outline of a document of one resource, or of one that only the slow decoder reads (a NaN is in it, say)."""
    document = _document(body)
    rows = _primary_resources(document)
    return RawPage(
        held=body,
        next=_next_page(document, api_url, url),
        size=len(rows),
        first_and_last=(rows[0], rows[-1]) if rows else (),
        is_packed=False,
    )


def decode_page(body: bytes, api_url: str, url: str = "") -> Page:
    """A document with ``data`` as a page, decoded whole; the arguments are those of ``parse_outline``.

    Raises:
        ValueError: the body is no such document.
        UntrustedOrigin: the next page would be elsewhere.
    """
    document = _document(without_null_characters(body))
    rows, link = _primary_resources(document), _next_page(document, api_url, url)
    return _page(rows, *_by_identity(document.get("included")), link)


def decode_in_chunks(body: bytes, size: int) -> Iterator[Page]:
    """A document with a list of ``data`` as pages of at most ``size`` primary resources, which share ``included``.

    A caller that is done with one chunk before it takes the next works on data that fits a processor's cache: a page of
    a thousand events then costs a fifth less.

    Raises:
        ValueError: the body is no such document.
    """
    try:
        document = _UNDECODED.decode(without_null_characters(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("the document has no list of data") from error
    included, without_id = _by_identity(document.included)
    for start in range(0, len(document.data), size):
        try:
            rows = [_RESOURCE.decode(raw) for raw in document.data[start : start + size]]
            yield _page(rows, included, without_id if start == 0 else 0)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("a resource cannot be read") from error


class TypedDecoder:
    """Decodes documents with a list of ``data`` into pages whose primary resources are objects of a type.

    Args:
        resource_type: a ``msgspec.Struct`` with an ``id`` that is empty where a resource has none.
    """

    def __init__(self, resource_type: type[msgspec.Struct]) -> None:
        fields: list[tuple[Any, ...]] = [("data", list[resource_type]), ("included", list[_Resource] | None, None)]  # type: ignore[valid-type]
        document = msgspec.defstruct("TypedDocument", fields)
        self._decode = msgspec.json.Decoder(document).decode

    def decode_in_chunks(self, body: bytes, size: int) -> list[Page]:
        """The document as pages of at most ``size`` primary resources, which share ``included``.

        All are decoded at once: objects of a type are a third of dictionaries, and a look for where each resource ends
        costs more than what is no longer in a processor's cache.

        Raises:
            ValueError: the body is no such document, or a resource does not fit the type.
        """
        try:
            document: Any = self._decode(without_null_characters(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("the document does not fit the type") from error
        included, without_id = _by_identity(document.included)
        pages = []
        for start in range(0, len(document.data), size):
            part = document.data[start : start + size]
            rows = [resource for resource in part if resource.id]
            pages.append(Page(rows, included, None, len(part) - len(rows) + (0 if start else without_id)))
        return pages


def attribute_values(body: bytes, name: str) -> list[Any]:
    """The values of one attribute of all resources of a document with a list of ``data``; None where one lacks it.

    Raises:
        ValueError: the body is no JSON.
    """
    try:
        return [
            decode_json(bytes(resource.attributes[name])) if name in resource.attributes else None
            for resource in _ATTRIBUTES.decode(body).data
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        resources = (resource if _has_id(resource) else {} for resource in decode_json(body)["data"])
        return [(resource.get("attributes") or {}).get(name) for resource in resources]


def _primary_resources(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    data = document["data"]
    return data if isinstance(data, list) else [] if data is None else [data]


def _next_page(document: Mapping[str, Any], api_url: str, url: str) -> str | None:
    link = next_link(document)
    return same_origin(link, api_url, seen_from=url) if link else None


def _page(
    rows: Sequence[Any],
    included: Mapping[tuple[str, str], Mapping[str, Any]],
    without_id: int,
    next_link: str | None = None,
) -> Page:
    if all(map(_has_id, rows)):
        return Page(rows, included, next_link, without_id)
    identified = [row for row in rows if _has_id(row)]
    return Page(identified, included, next_link, without_id + len(rows) - len(identified))


def _content(first_and_last: Iterable[Any], size: int) -> Hashable | None:
    ids = tuple(str(resource["id"]) for resource in first_and_last if _has_id(resource))
    return (ids, size) if ids else None


def _has_id(resource: Any) -> bool:
    return type(resource) is dict and bool(resource.get("id"))


def _by_identity(included: Iterable[Any] | None) -> tuple[dict[tuple[str, str], Mapping[str, Any]], int]:
    """(type, id) -> resource, and how many resources lack one of them."""
    by_identity, without_id = {}, 0
    for entry in included or ():
        if _has_id(entry) and entry.get("type"):
            by_identity[entry["type"], entry["id"]] = entry
        else:
            without_id += 1
    return by_identity, without_id


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        return _DOCUMENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Unusual, perhaps broken: the slow decoder takes more, and knows what is wrong.
        document = decode_json(body)
    if not isinstance(document, dict) or "data" not in document:
        raise ValueError("the document has no data")
    return document
