"""What the script for docs/reference/tables says of tables that are read from one collection, and from several."""

from __future__ import annotations

from typing import Any

import pytest
from support import scripts

from tap_klaviyo.tables import BY_DEFAULT, FAMILIES, STREAMS


@pytest.fixture(scope="module")
def script() -> Any:
    return scripts.script("update_tables")


def test_each_collection_of_a_table_is_one_line(script: Any) -> None:
    """Endpoint, calls, limits and scope of a collection stand together, so that two collections cannot be mixed up."""
    lines = "".join(script.section(STREAMS["esp_campaigns"])).splitlines()
    assert [line for line in lines if "GET /api/campaigns" in line or "GET /api/flows" in line] == [
        f"- Read from: `GET /api/{name}`, 1 call for {calls} (revision 2026-07-15; {rates}; scope `{name}:read`)"
        for name, calls, rates in (
            ("campaigns", "100 campaigns, in 6 passes", "10 calls a second, 150 a minute"),
            ("flows", "50 flows, in 2 passes", "3 calls a second, 60 a minute"),
        )
    ]


def test_the_page_of_a_family_says_once_whether_it_is_read(script: Any) -> None:
    """A family is selected whole by default, or not at all."""
    for family in FAMILIES:
        page = script.page(family)
        assert page.count("Read by default. ") + page.count("Read when selected. ") == 1
        assert "Selected:" not in page
        assert {table.name in BY_DEFAULT for table in family.tables} == {family.by_default}
