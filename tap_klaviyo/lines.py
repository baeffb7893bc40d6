"""Rows as lines of Singer RECORD messages, a page at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def record_lines(stream: str, rows: Iterable[Mapping[str, Any]], extracted: datetime) -> bytes:
    """What the SDK's writer makes of these rows one by one, each line with its end.

    Args:
        stream: the stream's name.
        rows: JSON values only, conformed to the stream's schema.
        extracted: when they were read, in UTC.
    """
    moment = extracted.isoformat()
    return _ENCODER.encode_lines(
        [{"type": "RECORD", "stream": stream, "record": row, "time_extracted": moment} for row in rows]
    )
