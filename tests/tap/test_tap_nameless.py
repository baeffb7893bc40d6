"""Resources without an id are no rows: they are left out, counted and told of, and take nothing with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from record_support import line_encoders, lines_by_table
from test_tap_account_reader import Scripted, account, rows
from test_tap_chunks import NOW, CountedLookups, row_maker

from klaviyo_client.api.pages import Page, decode_in_chunks, decode_page
from tap_klaviyo.model import Slice
from tap_klaviyo.rows.chunks import make_lines_in_chunks

URL = "https://a.klaviyo.com"
NAMELESS: Mapping[str, Any] = {
    "missing": {"type": "event", "attributes": {"datetime": "2026-01-02T00:00:00+00:00"}},
    "null": {"type": "event", "id": None, "attributes": {"datetime": "2026-01-02T00:00:00+00:00"}},
    "empty": {"type": "event", "id": "", "attributes": {}},
    "no resource": None,
    "a text": "E1",
}


def event(name: str) -> dict[str, Any]:
    return {
        "type": "event",
        "id": name,
        "attributes": {"datetime": "2026-01-01T00:00:00+00:00", "event_properties": {"$group_ids": ["G"]}},
        "relationships": {"attributions": {"data": [{"type": "attribution"}, {"type": "attribution", "id": "A1"}]}},
    }


def document(nameless: Any) -> bytes:
    data = [nameless, event("E1"), nameless, event("E2"), nameless]
    included = [nameless, {"id": "A0"}, {"type": "attribution", "id": "A1", "relationships": {}}]
    return json.dumps({"data": data, "included": included}).encode()


@pytest.mark.parametrize("form", NAMELESS)
def test_they_are_left_out_and_counted(form: str) -> None:
    """In the resources of a page and among what is included, whatever stands in place of an id."""
    page = decode_page(document(NAMELESS[form]), URL)
    assert [resource["id"] for resource in page.data] == ["E1", "E2"]
    assert list(page.included) == [("attribution", "A1")]
    assert page.without_id == 5


@pytest.mark.parametrize("form", NAMELESS)
def test_a_page_gives_the_same_whole_and_in_chunks(form: str) -> None:
    """Every table of the page has the other resources' rows, by either way, and the count is the same."""
    names, body = ("events", "event_group_ids", "esp_events"), document(NAMELESS[form])
    whole, chunked = row_maker(*names), row_maker(*names)
    made = whole.make_rows(decode_page(body, URL), Slice(), None, CountedLookups(), NOW)
    make_lines = partial(
        make_lines_in_chunks,
        part=Slice(),
        cut=None,
        lookups=CountedLookups(),
        extracted=NOW,
        encoders=line_encoders(chunked.versions),
    )
    try:
        lines, times = make_lines(chunked, decode_in_chunks(body, 2))
    except ValueError:
        # As a worker does: the slower decoder takes more.
        chunked.take_problems()
        lines, times = make_lines(chunked, [decode_page(body, URL)])
    assert lines == lines_by_table(made.rows, NOW, whole.versions)
    assert [row["id"] for row in made.rows["events"]] == ["E1", "E2"]
    assert times == list(made.times)
    problems = chunked.take_problems()
    assert problems == whole.take_problems()
    whole.add_problems(problems)
    assert list(whole.warnings()) == ["events: 5 resources without an id were left out"]
    whole.take_problems()
    assert not list(whole.warnings())


@pytest.mark.parametrize("form", NAMELESS)
def test_a_slice_that_begins_and_ends_with_one_is_read(form: str, caplog: pytest.LogCaptureFixture) -> None:
    """What plans the pages looks at a page's first and last resource before anything else does."""
    answers = {"get_events": lambda _: Page([NAMELESS[form], event("E1"), NAMELESS[form]])}
    run = account(Scripted(answers), "events", columns=("id",))
    with caplog.at_level(logging.WARNING):
        assert {row["id"] for row in rows(run, "events")} == {"E1"}
    assert any(" resources without an id were left out" in line for line in caplog.messages)


@pytest.mark.parametrize("form", NAMELESS)
def test_a_collection_that_others_need_goes_on(form: str, caplog: pytest.LogCaptureFixture) -> None:
    """Lists are also what members hang on: one without an id has none, and the others' members are read."""
    answers = {
        "get_lists": lambda _: Page([NAMELESS[form], {"type": "list", "id": "L1", "attributes": {"name": "VIP"}}]),
        "get_profiles_for_list": lambda _: Page([{"type": "profile", "id": "P1", "attributes": {}}]),
    }
    run = account(Scripted(answers), "lists", "list_profiles")
    with caplog.at_level(logging.WARNING):
        assert [row["list_id"] for row in rows(run, "lists")] == ["L1"]
        assert [row["profile_id"] for row in rows(run, "list_profiles")] == ["P1"]
    assert "lists: 1 resources without an id were left out" in caplog.messages
