"""Decodes JSON as others write it: what the fast decoder refuses, a slower one reads. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

# In a text that `json` has decoded nothing else is of these: both halves of a pair together are one character.
_HALF_PAIR = re.compile("[\ud800-\udfff]")
# What Unicode has for characters that could not be read.
LOST_TEXT = "\ufffd"
# JSON has U+0000 in this form only; after an odd number of backslashes it is text about it.
_ESCAPED_NULL = re.compile(rb"\\u0000")
_NULL_CHARACTER = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_LOST_IN_UTF_8 = rb"\1" + LOST_TEXT.encode()


def decode_json(body: bytes) -> Any:
    """The body's JSON value.

    Half a surrogate pair, which no UTF-8 can hold, becomes ``?``; bytes that are no UTF-8 become U+FFFD; NaN and
    numbers beyond a float's reach become floats that are not finite.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Half of a surrogate pair, NaN and 1e400 are legal for most writers of JSON; a custom property may hold them.
        return _load(_HALF_PAIR.sub("?", _dump(_load(body.decode("utf-8", "replace")))))


def decode_json_marking_losses(body: bytes) -> tuple[Any, Any]:
    """(the body's JSON value, the value as it came where text of it cannot be read, else None).

    In the first value ``LOST_TEXT`` marks what cannot be read. The second holds it: half a surrogate pair as such, and
    a byte that is no UTF-8 as U+DC80 to U+DCFF; no UTF-8 can be made of it.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(body), None
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        as_it_came = _load(body.decode("utf-8", "surrogateescape"))
        text = _dump(as_it_came)
        marked = _HALF_PAIR.sub(LOST_TEXT, text)
        return _load(marked), as_it_came if marked != text else None


def has_lost_text(value: Any) -> bool:
    """Whether a value of JSON, as ``decode_json_marking_losses`` has it as it came, holds text that cannot be read."""
    return _HALF_PAIR.search(_dump(value)) is not None


def without_null_characters(body: bytes) -> bytes:
    """The JSON with U+FFFD in place of each U+0000 in its texts and names: no PostgreSQL takes that, in no type."""
    # Every page comes here: one byte is found in no time, and the expression takes half the time of bytes' own search.
    if b"\\" not in body or not _ESCAPED_NULL.search(body):
        return body
    return _NULL_CHARACTER.sub(_LOST_IN_UTF_8, body)


def _load(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float(digits)  # infinity: Python refuses to read a whole number of 5,000 digits
