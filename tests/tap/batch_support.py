"""Reads the files that BATCH messages announce."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tap_klaviyo.files.columns import JSON, column_kind

Rows = dict[str, list[dict[str, Any]]]


def path_of(url: str) -> Path:
    """The file that a BATCH message names."""
    assert url.startswith("file:///")
    return Path(url.removeprefix("file://"))


def rows_in(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows in the files of a BATCH message, as lines would have them."""
    rows: list[dict[str, Any]] = []
    for url in message["manifest"]:
        path = path_of(url)
        if message["encoding"]["format"] == "parquet":
            rows += parquet_rows(path)
        else:
            is_zipped = message["encoding"]["compression"] == "gzip"
            text = (gzip.decompress(path.read_bytes()) if is_zipped else path.read_bytes()).decode()
            rows += map(json.loads, text.splitlines())
    return rows


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file, as lines would have them."""
    table = pq.read_table(path)
    schema = json.loads(table.schema.metadata[b"singer.schema"])["properties"]
    assert table.column_names == list(schema)
    are_json = {name for name, column in schema.items() if column_kind(column) == JSON}
    return [
        {name: _as_in_a_line(value, is_json=name in are_json) for name, value in row.items()}
        for row in table.to_pylist()
    ]


def _as_in_a_line(value: Any, *, is_json: bool) -> Any:
    if is_json and value is not None:
        return json.loads(value)
    return value.isoformat() if isinstance(value, date | datetime) else value


def rows_by_stream(messages: Iterable[Mapping[str, Any]]) -> Rows:
    """Stream -> its rows, whichever messages brought them."""
    rows: Rows = defaultdict(list)
    for message in messages:
        if message["type"] == "RECORD":
            rows[message["stream"]].append(message["record"])
        if message["type"] == "BATCH":
            rows[message["stream"]] += rows_in(message)
    return rows


def sorted_rows(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows in an order that does not depend on which process wrote which page; 1.0 is 1."""
    return sorted(json.dumps({name: _whole(value) for name, value in row.items()}, sort_keys=True) for row in rows)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
