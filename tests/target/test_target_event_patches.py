"""Custom properties of an event's person that are appended to or removed: in bulk, and where events go one by one."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import Command, body_of, outcomes_of, records, refused, respond, rows_of, scripted_session, writes

from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.endpoints.events import split_row

PATCHES = {"append": "add", "unappend": "take", "unset": "drop"}
ADA = {"email": "ada@example.com", "add": {"Tags": "new"}, "take": {"Colours": "red"}, "drop": ["Old"]}
META = {"patch_properties": {"append": {"Tags": "new"}, "unappend": {"Colours": "red"}, "unset": ["Old"]}}


def test_an_event_appends_and_removes(target: Command, account: RunningSandbox) -> None:
    """What the account then holds of its person."""
    person = {"email": "ada@example.com", "properties": {"Tags": ["old"], "Colours": ["red", "blue"], "Old": 1}}
    run = target(
        [
            {"type": "SCHEMA", "stream": "people", "key_properties": [], "schema": {}},
            *records("people", [person]),
            {"type": "SCHEMA", "stream": "waves", "key_properties": [], "schema": {}},
            *records("waves", [{**ADA, "metric": "Waved"}]),
        ],
        streams={"people": {"action": "upsert_profile"}, "waves": {"action": "track_event", "mapping": PATCHES}},
    )
    assert run.code == 0, run.stderr
    [ada] = [row for row in account.store.profiles.rows.values() if row["email"] == "ada@example.com"]
    assert ada["properties"] == {"Tags": ["old", "new"], "Colours": ["blue"]}


@pytest.mark.parametrize(
    ("action", "more"),
    [("track_event", {"metric": "Waved"}), ("track", {"event": "Waved"}), ("order_completed", {"order_id": "1"})],
)
def test_a_single_event_has_them_elsewhere(action: str, more: dict[str, Any]) -> None:
    """In bulk they stand beside the profile's attributes, and in a single event among them, as the vendor has it."""

    def wire(request: Request) -> Response:
        return refused(400, None) if "bulk" in request.url else respond(202)

    session, asked = scripted_session(wire)
    items = {"items": [{"sku": "A", "price": 1}]} if action == "order_completed" else {}
    people = ({**ADA, **more, **items}, {"email": "bob@example.com", **more, **items})
    rows = rows_of({"action": action, "mapping": PATCHES}, *people)
    assert [outcome.status for outcome in outcomes_of(session, action, rows)] == [202, 202]
    bulk, *singles = [body_of(request)["data"]["attributes"] for request in writes(asked)]
    assert bulk["events-bulk-create"]["data"][0]["attributes"]["profile"]["data"]["meta"] == META
    profiles = [single["profile"]["data"] for single in singles]
    assert [profile["attributes"]["meta"] for profile in profiles if "meta" in profile["attributes"]] == [META]
    assert all("meta" not in profile for profile in profiles)


def test_what_is_sent_in_parts_appends_once() -> None:
    """Only the first part of an order of many lines has it."""
    lines = [{"sku": str(number), "price": 1} for number in range(5)]
    [row] = rows_of(
        {"action": "order_completed", "mapping": PATCHES}, {**ADA, "order_id": "1", "value": 5, "items": lines}
    )
    parts = split_row(row, max_events=2)
    assert ["meta" in part.payload["profile"] for part in parts] == [True, *[False] * (len(parts) - 1)]
