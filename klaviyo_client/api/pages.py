"""Pages: decoded, or packed until their turn comes. Pure."""

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
    """

    data: Sequence[Mapping[str, Any]]
    included: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    next: str | None = None


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


class _Rest(msgspec.Struct):
    """A document whose primary resources are not looked into yet."""

    data: list[msgspec.Raw]
    included: list[_Resource] | None = None


# Links of resources, a third of a page, are of no use to anybody here: what is not named is skipped, not decoded.
_DOCUMENT = msgspec.json.Decoder(_Document)
_OUTLINE = msgspec.json.Decoder(_Outline)
_OUTLINE_OF_ONE = msgspec.json.Decoder(_OutlineOfOne)
_REST = msgspec.json.Decoder(_Rest)
_RESOURCE = msgspec.json.Decoder(_Resource)


@dataclass(frozen=True)
class RawPage:
    """A page that waits for its turn, of which only the outline was looked at.

    Attributes:
        packed: the document, compressed: hundreds of pages may wait, of two million bytes each.
        next: the absolute URL of the next page, or None.
        size: how many primary resources it holds.
        ends: the first and the last of them; none of an empty page.
    """

    packed: bytes
    next: str | None
    size: int
    ends: tuple[Any, ...] = ()

    @property
    def body(self) -> bytes:
        """The document as it came."""
        return unpack(self.packed)


def pack(body: bytes) -> bytes:
    """A document compressed to a sixth, in a millisecond for a page."""
    packed: bytes = lz4.block.compress(body)
    return packed


def unpack(packed: bytes) -> bytes:
    """What was packed."""
    body: bytes = lz4.block.decompress(packed)
    return body


def outline(body: bytes, api_url: str) -> RawPage:
    """A document with ``data`` as a page that is not decoded yet.

    Raises:
        ValueError: the body is no such document, or broke off.
        UntrustedOrigin: the next page would be elsewhere.
    """
    try:
        found = _OUTLINE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return RawPage(pack(body), None, int(_OUTLINE_OF_ONE.decode(body).data is not None))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("the document has no data") from error
    following = (found.links or {}).get("next")
    return RawPage(
        packed=pack(body),
        next=same_origin(following, api_url) if following else None,
        size=len(found.data),
        ends=tuple(decode_json(bytes(end)) for end in (found.data[0], found.data[-1])) if found.data else (),
    )


def decode_page(body: bytes, api_url: str) -> Page:
    """A document with ``data`` as a page.

    Raises:
        ValueError: the body is no such document.
        UntrustedOrigin: the next page would be elsewhere.
    """
    document = _document(body)
    data = document["data"]
    rows = data if isinstance(data, list) else [] if data is None else [data]
    following = (document.get("links") or {}).get("next")
    return Page(
        data=rows,
        included=_by_identity(document.get("included")),
        next=same_origin(following, api_url) if following else None,
    )


def decode_pieces(body: bytes, size: int) -> Iterator[Page]:
    """A document with a list of ``data`` as pages of at most so many primary resources, which share what is included.

    Whoever is done with a piece before the next one keeps what is at work small enough for a processor's cache: a page
    of a thousand events then costs a fifth less.

    Raises:
        ValueError: the body is no such document.
    """
    try:
        rest = _REST.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("the document has no list of data") from error
    included = _by_identity(rest.included)
    for at in range(0, len(rest.data), size):
        try:
            yield Page([_RESOURCE.decode(raw) for raw in rest.data[at : at + size]], included)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError("a resource cannot be read") from error


def _by_identity(included: Iterable[_Resource] | None) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(entry["type"], entry["id"]): entry for entry in included or ()}


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        return _DOCUMENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Unusual, perhaps broken: the patient decoder tells.
        document = decode_json(body)
    if not isinstance(document, dict) or "data" not in document:
        raise ValueError("the document has no data")
    return document
