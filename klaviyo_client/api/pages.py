"""Decodes response documents with ``data``: three ways, from the cheapest to the whole. Pure.

- ``parse_outline``: only the next link and the bookmarks of the first and last resource, with the document compressed
  beside them. The tap does this to every page, in the threads that fetch pages.
- ``decode_in_chunks``: the resources, so many at a time. The tap's fast path: ``tap_klaviyo`` makes rows of large
  collections, events above all, in worker processes, and each decodes its pages this way.
- ``decode_page``: the whole document at once. For everything else: small collections, look-ups, the target's reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import lz4.block
import msgspec

from klaviyo_client.api.protocol import decode_json, same_origin


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


class _Linkage(TypedDict, total=False):
    data: Any


class _Resource(TypedDict, total=False):
    type: str
    id: str
    attributes: Any
    relationships: dict[str, _Linkage]


class _Links(TypedDict, total=False):
    next: str | None


class _Document(TypedDict):
    data: list[_Resource] | _Resource | None
    included: NotRequired[list[_Resource] | None]
    links: NotRequired[_Links | None]


class _Outline(msgspec.Struct):
    data: list[msgspec.Raw]
    links: _Links | None = None


class _OutlineOfOne(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None


class _UndecodedDocument(msgspec.Struct):
    """A document whose primary resources are still JSON text."""

    data: list[msgspec.Raw]
    included: list[_Resource] | None = None


# Nobody here uses the links of resources, a third of a page: members that no type above names are skipped, not decoded.
_DOCUMENT = msgspec.json.Decoder(_Document)
_OUTLINE = msgspec.json.Decoder(_Outline)
_OUTLINE_OF_ONE = msgspec.json.Decoder(_OutlineOfOne)
_UNDECODED = msgspec.json.Decoder(_UndecodedDocument)
_RESOURCE = msgspec.json.Decoder(_Resource)


@dataclass(frozen=True)
class RawPage:
    """A page that is not decoded yet, but for its outline.

    Attributes:
        compressed: the document; compressed, for hundreds may be held, of two million bytes each.
        next: the absolute URL of the next page, or None.
        size: how many primary resources it holds.
        first_and_last: the first and the last of them; empty for an empty page.
    """

    compressed: bytes
    next: str | None
    size: int
    first_and_last: tuple[Any, ...] = ()

    @property
    def body(self) -> bytes:
        """The document as it came."""
        return decompress(self.compressed)


def compress(body: bytes) -> bytes:
    """A document, compressed to about a sixth; a page takes a millisecond."""
    compressed: bytes = lz4.block.compress(body)
    return compressed


def decompress(compressed: bytes) -> bytes:
    """The document that was compressed."""
    body: bytes = lz4.block.decompress(compressed)
    return body


def parse_outline(body: bytes, api_url: str) -> RawPage:
    """A document with ``data`` as a page of which only the next link, the first and the last resource are decoded.

    Raises:
        ValueError: the body is no such document, or broke off.
        UntrustedOrigin: the next page would be elsewhere.
    """
    try:
        outline = _OUTLINE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return RawPage(compress(body), None, int(_OUTLINE_OF_ONE.decode(body).data is not None))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("the document has no data") from error
    link = (outline.links or {}).get("next")
    edges = (outline.data[0], outline.data[-1]) if outline.data else ()
    return RawPage(
        compressed=compress(body),
        next=same_origin(link, api_url) if link else None,
        size=len(outline.data),
        first_and_last=tuple(decode_json(bytes(resource)) for resource in edges),
    )


def decode_page(body: bytes, api_url: str) -> Page:
    """A document with ``data`` as a page, decoded whole.

    Raises:
        ValueError: the body is no such document.
        UntrustedOrigin: the next page would be elsewhere.
    """
    document = _document(body)
    data = document["data"]
    rows = data if isinstance(data, list) else [] if data is None else [data]
    link = (document.get("links") or {}).get("next")
    return _page(rows, *_by_identity(document.get("included")), same_origin(link, api_url) if link else None)


def decode_in_chunks(body: bytes, size: int) -> Iterator[Page]:
    """A document with a list of ``data`` as pages of at most ``size`` primary resources, which share ``included``.

    A caller that is done with one chunk before it takes the next works on data that fits a processor's cache: a page of
    a thousand events then costs a fifth less.

    Raises:
        ValueError: the body is no such document.
    """
    try:
        document = _UNDECODED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("the document has no list of data") from error
    included, without_id = _by_identity(document.included)
    for start in range(0, len(document.data), size):
        try:
            rows = [_RESOURCE.decode(raw) for raw in document.data[start : start + size]]
            yield _page(rows, included, without_id if start == 0 else 0)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("a resource cannot be read") from error


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
