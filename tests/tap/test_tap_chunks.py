"""Lines of a page made chunk by chunk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_support import PAGES
from record_support import line_encoders, lines_by_table

from klaviyo_client.api.pages import Page, decode_in_chunks, decode_page
from tap_klaviyo.model import SelectedTable, Slice
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.chunks import make_lines_in_chunks
from tap_klaviyo.rows.lookup_protocol import WantedIds
from tap_klaviyo.rows.page_rows import RowMaker
from tap_klaviyo.tables import COLLECTIONS, TABLES

URL = "http://127.0.0.1:1"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAMES = ("events", "event_group_ids", "event_attribution_group_ids")


class CountedLookups:
    """Has the values that were added; counts how often it was asked."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.asked = 0

    def add(self, _lookup: str, values: Mapping[str, Any]) -> None:
        self.values |= values

    def get(self, _lookup: str, wanted: WantedIds) -> Mapping[str, Any]:
        self.asked += 1
        return {wanted_id: self.values.get(wanted_id) for ids in wanted.values() for wanted_id in ids}


def row_maker(*names: str) -> RowMaker:
    tables = [
        SelectedTable(table, schema_files.load(table.name), tuple(schema_files.load(table.name)["properties"]))
        for table in TABLES
        if table.name in names
    ]
    return RowMaker(COLLECTIONS["events"], tables)


def event(number: int, owed_to: int | None) -> dict[str, Any]:
    """An event about a message of its own; perhaps owed to another one."""
    relationships = {"attributions": {"data": [{"type": "attribution", "id": f"A{owed_to}"}]}}
    return {
        "type": "event",
        "id": f"E{number}",
        "attributes": {
            "datetime": f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00",
            "timestamp": "soon" if number % 7 == 3 else number,
            "event_properties": {"$message": "M", "$group_ids": [f"G{number}", "G"]},
        },
        "relationships": {} if owed_to is None else relationships,
    }


def document(owed: list[int | None]) -> bytes:
    included = [
        {
            "type": "attribution",
            "id": f"A{number}",
            "relationships": {"attributed-event": {"data": {"type": "event", "id": f"E{number}"}}},
        }
        for number in {number for number in owed if number is not None}
    ]
    data = [event(number, owed_to) for number, owed_to in enumerate(owed)]
    return json.dumps({"data": data, "included": included, "links": {"next": None}}).encode()


@given(st.lists(st.none() | st.integers(0, 40), max_size=40), st.integers(1, 50), st.none() | st.integers(0, 40))
def test_a_page_gives_the_same_lines_whole_and_in_chunks(owed: list[int | None], size: int, cut_at: int | None) -> None:
    """However large chunks are, whatever rows look up, and wherever the slice was given up."""
    body, part = document(owed), Slice()
    cut = None if cut_at is None else f"2026-01-01T00:00:{cut_at:02}+00:00"
    whole = row_maker(*NAMES)
    page_rows = whole.make_rows(decode_page(body, URL), part, cut, CountedLookups(), NOW)
    chunked, lookups = row_maker(*NAMES), CountedLookups()
    encoders = line_encoders(chunked.versions)
    lines, times = make_lines_in_chunks(chunked, decode_in_chunks(body, size), part, cut, lookups, NOW, encoders)
    assert lines == lines_by_table(page_rows.rows, NOW, whole.versions)
    assert times == list(page_rows.times)
    assert chunked.take_problems() == whole.take_problems()
    assert lookups.asked <= 1


@pytest.mark.parametrize("name", ["event", "events", "profiles"])
def test_chunks_hold_what_the_page_holds(name: str) -> None:
    """Resources in order, and all that is included in each chunk."""
    body = (PAGES / f"{name}.json").read_bytes()
    document = json.loads(body)
    if not isinstance(document["data"], list):
        with pytest.raises(ValueError, match="no list of data"):
            list(decode_in_chunks(body, 1))
        return
    whole = decode_page(body, document["links"]["self"].partition("/api")[0])
    for size in (1, 2, 1000):
        chunks = list(decode_in_chunks(body, size))
        assert [row for chunk in chunks for row in chunk.data] == list(whole.data)
        assert all(len(chunk.data) <= size and chunk.included == whole.included for chunk in chunks)


def test_a_resource_that_cannot_be_read_is_an_error() -> None:
    """The slower decoder can then say what is wrong."""
    chunks = decode_in_chunks(b'{"data":[{"id":"1"},{"relationships":5}]}', 1)
    assert next(chunks) == Page([{"id": "1"}])
    with pytest.raises(ValueError, match="a resource cannot be read"):
        next(chunks)
