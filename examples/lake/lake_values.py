"""What a column of a SCHEMA holds in Parquet, and values of it out of any JSON text. Pure.

No value stops a file: what fits nothing is null, and what does not stay as it was is counted.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
import pyarrow as pa

NULL = b"null"
NO_COLUMN = "left out, for the SCHEMA has no such column"
MENDED = "mended: what is no Unicode is ? or U+FFFD, and NaN in JSON is null"
CUT = "cut to microseconds"

Changes = Counter[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class Kind:
    """What a column holds.

    Attributes:
        noun: what one value of it is called.
        arrow: its type in Parquet.
        decoded: what a value is decoded to, if it is of the kind; any other is not decoded.
        fit: makes of any JSON value one of the kind; None where that cannot be.
        absent: what is decoded where there is none.
    """

    noun: str
    arrow: pa.DataType
    decoded: Any
    fit: Callable[[Any], Any]
    absent: Any = None


class Unreadable(Exception):
    """A text is not JSON, or ends too early."""


def split_members(text: bytes) -> dict[str, bytes]:
    """Name -> JSON text of each member of an object, whatever is in it and however deep.

    Raises:
        Unreadable: it is no JSON object.
    """
    members: dict[str, bytes] = {}
    depth, name, begin = 0, None, 0
    for token in _TOKENS.finditer(text):
        sign = token[0]
        if depth == 1 and sign in (b",", b"}") and name is not None:
            members[name] = text[begin : token.start()].strip()
            if not members[name]:
                break
            name = None
        if sign in (b"{", b"["):
            depth += 1
        elif sign in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                if text[token.end() :].strip() or not text.lstrip().startswith(b"{"):
                    break
                return members
        elif depth == 1 and name is None and sign[:1] == b'"':
            name = _text_of(sign)
        elif depth == 1 and sign == b":":
            begin = token.end()
    raise Unreadable("it is no JSON object, or ends too early")


_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]', re.DOTALL)
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN', re.DOTALL)


def load(text: bytes) -> Any:
    """What a JSON text says, also one with half a surrogate pair or NaN; its numbers as texts are floats or ints.

    Raises:
        Unreadable: it is no JSON, or deeper than Python goes.
    """
    try:
        return json.loads(text.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is no JSON") from error


def fit(name: str, kind: Kind, text: bytes, changes: Changes) -> Any:
    """The value of a JSON text as its column takes it; null where it takes none."""
    if text == NULL:
        return None if kind is not JSON else NULL
    if kind is JSON:
        return mend_json(name, text, changes).encode()
    if kind is TEXT and text[:1] != b'"':
        return mend_json(name, text, changes)
    try:
        value = load(text)
    except Unreadable:
        value = None  # what is deeper than Python goes fits none of these
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode()
        changes[name, MENDED] += clean != value or not _is_unicode(text)
        value = clean
    fitted = kind.fit(value)
    if fitted is None:
        changes[name, f"null, for they are no {kind.noun}"] += 1
    elif kind is MOMENT and _FINER.search(value):
        changes[name, CUT] += 1
    return fitted


_FINER = re.compile(r"\.\d{6}0*[1-9]")


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,30}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _moment(value: Any) -> str | None:
    """A moment without a zone is in UTC."""
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.isoformat()


def _day(value: Any) -> str | None:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        moment = _moment(value)
        return None if moment is None else moment[:10]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def mend_json(name: str, text: bytes, changes: Changes) -> str:
    """A JSON text that all can read: half a surrogate pair is ``?``, NaN is null. Numbers are written as they were."""
    whole = text.decode("utf-8", "replace")
    mended = _STRINGS.sub(_mend_token, whole)
    changes[name, MENDED] += mended != whole or not _is_unicode(text)
    return mended


def _is_unicode(text: bytes) -> bool:
    return text.decode("utf-8", "ignore").encode() == text


def _mend_token(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] != '"':
        return "null"
    if "\\ud" not in text.lower():
        return text
    value: str = json.loads(text, strict=False)
    clean = value.encode("utf-8", "replace").decode()
    return text if clean == value else json.dumps(clean, ensure_ascii=False)


def _text_of(token: bytes) -> str:
    value: str = load(token)
    return value


TEXT = Kind("text", pa.string(), str | None, _text)
MOMENT = Kind("date-time", pa.timestamp("us", "UTC"), str | None, _moment)
DAY = Kind("date", pa.date32(), str | None, _day)
INTEGER = Kind(
    "integer of 64 bits", pa.int64(), Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None, _integer
)
NUMBER = Kind("number of 64 bits", pa.float64(), float | None, _number)
BOOLEAN = Kind("boolean", pa.bool_(), bool | None, _boolean)
JSON = Kind("JSON", pa.string(), msgspec.Raw, _text, msgspec.Raw(NULL))


def kind_of(column: Mapping[str, Any]) -> Kind:
    """What a property of a JSON Schema says its column holds."""
    if "type" not in column and (options := column.get("anyOf") or column.get("oneOf")):
        kinds = {kind_of(it) for it in options if it.get("type") not in ("null", ["null"])}
        if len(kinds) == 1:
            return kinds.pop()
        return TEXT if kinds and kinds <= {TEXT, MOMENT, DAY} else JSON
    types = column.get("type", ())
    named = {types} if isinstance(types, str) else set(types)
    named.discard("null")
    if named == {"string"}:
        return {"date-time": MOMENT, "date": DAY}.get(column.get("format", ""), TEXT)
    alone = named.pop() if len(named) == 1 else ""
    return {"integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}.get(alone, JSON)
