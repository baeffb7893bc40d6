"""What the wire carries that no document promises: unknown values, finer times, ids of any form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from test_tap_account_reader import NOW, Scripted, account, event, rows, sent

from klaviyo_client.api.operations import operation
from klaviyo_client.api.pages import Page
from klaviyo_client.api.protocol import path_of
from tap_klaviyo.rows.values import bookmark_text

IDS = [
    pytest.param("01GDDKASAP8TKDDA2GRZDSVP4H", id="ULID"),
    pytest.param("000123456789012345678901234567890", id="digits"),
    pytest.param("9a3f0c5e7b1d42c8a6e4f0b2d8c6a1e3", id="32 hex"),
    pytest.param("aGVsbG8/d29ybGQ+Zm9vYmFyIQ==", id="base64"),
    pytest.param("2WUGcX:5m1:x y", id="colons and spaces"),
    pytest.param("ünï", id="letters of all kinds"),
]


def resource(kind: str, name: str, /, **attributes: Any) -> dict[str, Any]:
    return {"type": kind, "id": name, "attributes": attributes, "relationships": {}}


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_any_text(name: str) -> None:
    """It reaches rows, and the paths of what hangs on it, as it came."""
    joined = "2026-01-01T00:00:00+00:00"
    client = Scripted(
        {
            "get_lists": lambda _: Page([resource("list", name, name="News", updated=joined)]),
            "get_profiles_for_list": lambda _: Page([resource("profile", f"{name}2", joined_group_at=joined)]),
        }
    )
    found = rows(account(client, "list_profiles"), "list_profiles")
    assert [(row["list_id"], row["profile_id"]) for row in found] == [(name, f"{name}2")]
    assert ("get_profiles_for_list", name) in client.asked
    path = path_of(operation("get_profiles_for_list"), {"id": name})
    assert path.count("/") == "/api/lists/X/profiles".count("/")
    assert not set(" ?#+") & set(path)


@pytest.mark.parametrize("name", IDS)
def test_an_attributed_event_is_found_by_any_id(name: str) -> None:
    """Ids are compared as they are, with neither case nor form."""
    link = {"type": "attribution", "id": f"A-{name}"}
    order = event("order")
    order["relationships"]["attributions"] = {"data": [link]}
    attribution = {**link, "relationships": {"attributed-event": {"data": {"type": "event", "id": name}}}}
    client = Scripted(
        {
            "get_events": lambda _: Page([order], {("attribution", link["id"]): attribution}),
            "get_event": lambda asked: Page([event(asked["id"], **sent("G3"))]),
        }
    )
    found = rows(account(client, "event_attribution_group_ids"), "event_attribution_group_ids")
    assert [(row["event_id"], row["group_id"]) for row in found] == [("order", "G3")]
    assert ("get_event", name) in client.asked


UNKNOWN: list[Any] = ["a-status-of-next-year", "", None, 7, 7.5, True, ["a"], {"b": {"c": 1}}]


@pytest.mark.parametrize("value", UNKNOWN, ids=repr)
def test_an_unknown_value_takes_no_row_with_it(value: Any) -> None:
    """Of an attribute that the document restricts, of one of another type, and of one that nobody knows."""
    attributes = {"name": "Welcome", "status": value, "archived": value, "trigger_type": value, "brand_new": value}
    known = {"created": "2026-01-01T00:00:00+00:00", "updated": "2026-01-02T00:00:00+00:00"}
    flows = [resource("flow", "F1", **known, **attributes), resource("flow", "F2", **known, name="Other")]
    client = Scripted({"get_flows": lambda asked: Page([] if "archived,true" in asked["filter"] else flows)})
    columns = ("flow_id", "name", "status", "archived", "trigger_type", "updated")
    found = rows(account(client, "flows", columns=columns), "flows")
    assert [row["name"] for row in found] == ["Welcome", "Other"]
    if isinstance(value, str) and value:
        assert found[0]["status"] == found[0]["trigger_type"] == value


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00.123456+00:00",
        "2026-01-01T00:00:00.123456Z",
        "2026-01-01T02:00:00.123456+02:00",
        "2026-01-01T00:00:00.1+00:00",
        "2026-01-01T00:00:00.123Z",
    ],
)
def test_a_part_of_a_second_is_kept(text: str) -> None:
    """In the row, and in the order of bookmarks; whatever zone the time is written in."""

    def events(_: Mapping[str, str]) -> Page:
        made = event("E")
        made["attributes"]["datetime"] = text
        return Page([made])

    run = account(Scripted({"get_events": events}), "events", columns=("id", "event_datetime"))
    batches = list(run.read(run.selected[0].table.collection, {"events": None}))
    (row,) = [row for batch in batches for row in batch.rows.get("events", ())]
    assert datetime.fromisoformat(row["event_datetime"]) == datetime.fromisoformat(text)
    assert batches[-1].bookmark == bookmark_text(datetime.fromisoformat(text)) < bookmark_text(NOW)
