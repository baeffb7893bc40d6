"""Half surrogate pairs, and bytes that are no UTF-8, in what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from target_support import EVERY, Command, records, schema_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.records import AS_IT_CAME, parse_message
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord, SourceRecord

HALF, OTHER_HALF = "\ud83d", "\ude00"


@pytest.mark.parametrize(
    ("written", "expected", "as_it_came"),
    [
        (b'"x\\ud83d"', "x\ufffd", "x\ud83d"),
        (b'"\\ude00x"', "\ufffdx", "\ude00x"),
        (b'"J\xfcrgen"', "J\ufffdrgen", "J\udcfcrgen"),
        (b'"\\ud83d\\ude00"', "\U0001f600", None),
        (b'"\\ufffd"', "\ufffd", None),
        (b"1e400", float("inf"), None),
    ],
)
def test_what_cannot_be_read_is_marked(written: bytes, expected: Any, as_it_came: str | None) -> None:
    """And the rejects file can still repeat what came; whole pairs are characters."""
    message = parse_message(b'{"type":"RECORD","stream":"s","record":{"a":%s}}' % written, ("RECORD",))
    assert message["record"] == {"a": expected}
    assert message.get(AS_IT_CAME) == (None if as_it_came is None else {"a": as_it_came})


@pytest.mark.parametrize(
    ("action", "field"),
    [
        *(("upsert_profile", name) for name in ("external_id", "email", "phone_number")),
        *(("track_event", name) for name in ("external_id", "anonymous_id", "unique_id", "metric")),
        *(("order_completed", name) for name in ("external_id", "order_id")),
        *(("list_members", name) for name in ("list_id", "list_name", "external_id")),
        *(("identify", name) for name in ("$id", "$email", "$lists")),
        *(("track", name) for name in ("$id", "$event_id", "event")),
        *(("update_profile", name) for name in ("email", "list")),
        *(("coupon_codes", name) for name in ("coupon_id", "unique_code")),
        ("object_records", "data_source_id"),
        *(("catalog_items", name) for name in ("external_id", "category_ids")),
    ],
)
def test_a_field_that_tells_one_from_others_is_never_changed(action: str, field: str) -> None:
    """Two that differ in what was lost would become one: the record is rejected, and the reason quotes nothing."""
    options, record = EVERY[action]
    route = parse_routes({"s": {"action": action, **options}}, None)["s"]
    values = (
        ["a\ufffd"] if field in ("$lists", "category_ids") else "a\ufffd@example.com" if "email" in field else "a\ufffd"
    )
    broken = {**record, field: values}
    with pytest.raises(RejectedRecord, match="lost text") as caught:
        route.row(SourceRecord("s", broken), broken)
    assert caught.value.code == "lost_text"
    assert "a\ufffd" not in caught.value.reason
    assert "a\ufffd" not in "".join(map(str, route.identifiers_in(broken).values()))


def test_an_identifier_within_a_field_is_never_changed() -> None:
    """The event of a form has its id among its own members."""
    route = parse_routes({"s": {"action": "update_profile"}}, None)["s"]
    record = {"email": "ada@example.com", "event": {"name": "Signed", "event_id": "a\ufffd"}}
    with pytest.raises(RejectedRecord) as caught:
        route.row(SourceRecord("s", record), record)
    assert caught.value.code == "lost_text"


def test_a_state_is_passed_on_as_it_came() -> None:
    """It is the tap's own, whatever is in it."""
    message = parse_message(b'{"type":"STATE","value":{"bookmarks":{"x\\ud83d":"\\ude00"}}}', ("STATE",))
    assert message["value"] == {"bookmarks": {f"x{HALF}": OTHER_HALF}}


def test_two_people_do_not_become_one(target: Command, account: RunningSandbox) -> None:
    """Records whose ids differ in half a pair are rejected as they came; others go, with U+FFFD in a name."""
    rows = [
        {"external_id": f"id{HALF}", "first_name": "Ada"},
        {"external_id": f"id{OTHER_HALF}", "first_name": "Bob"},
        {"external_id": "id", "first_name": f"Eve{HALF}"},
    ]
    before = len(account.store.profiles.rows)
    state = {"type": "STATE", "value": {"at": f"id{HALF}"}}
    streams = {"profiles": {"action": "upsert_profile"}}
    run = target([schema_of("profiles"), *records("profiles", rows), state], streams=streams, report_path="report.json")
    assert run.code == 0, run.stderr
    assert [line["record"] for line in run.rejected] == rows[:2]
    assert {line["code"] for line in run.rejected} == {"lost_text"}
    added = list(account.store.profiles.rows.values())[before:]
    assert [(row["external_id"], row["first_name"]) for row in added] == [("id", "Eve\ufffd")]
    assert run.states == [state["value"]]
    assert "lost_text" in (run.folder / "report.json").read_text("utf-8")
    again = target(map(json.dumps, run.rejects), streams=streams)
    assert [line["record"] for line in again.rejected] == rows[:2]


LOST_EVENTS = [
    {"email": "ada@example.com", "metric": "Met", "time": "2026-03-01T00:00:00Z", "who": f"J{lost}", **more}
    for lost in (HALF, OTHER_HALF, "\udcfc")
    for more in ({}, {"properties": {"at": "us"}})
]


def test_two_events_do_not_become_one(target: Command, account: RunningSandbox) -> None:
    """Events that differ in what was lost alone have ids of their own, and the same ids when they are sent again."""
    lines = [schema_of("events"), *records("events", LOST_EVENTS[:2] + LOST_EVENTS[2:4])]
    for _ in range(2):
        run = target(lines, streams={"events": {"action": "track_event"}})
        assert run.code == 0, run.stderr
    pushed = [row for row in account.store.events.rows.values() if row["event_properties"].get("who") == "J\ufffd"]
    assert len(pushed) == 4


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("track_event", lambda lost: {"metric": "Met", "properties": {"who": lost}}),
        ("track_event", lambda lost: {"metric": "Met", "properties": json.dumps({"who": lost}, ensure_ascii=False)}),
        ("track_event", lambda lost: {"metric": "Met", f"who{lost}": 1}),
        ("track", lambda lost: {"event": "Met", "who": [lost]}),
        ("update_profile", lambda lost: {"event[name]": "Met", "event[extra][who]": lost}),
        (
            "order_completed",
            lambda lost: {"_": "refunded", "order_id": "1", "time": 1772323200, "products": [{"a": lost}]},
        ),
    ],
)
def test_an_id_that_is_derived_tells_what_was_lost(action: str, event: Any) -> None:
    """Wherever in the event it stood; what is never sent changes nothing."""
    options = {"mapping": {"status": "_"}} if action == "order_completed" else {}
    route = parse_routes({"s": {"action": action, **options}}, None)["s"]

    def unique_id(lost: str, **more: Any) -> str:
        as_it_came = {"email": "ada@example.com", **event(lost), **more}
        text = json.dumps({"type": "RECORD", "stream": "s", "record": as_it_came}, ensure_ascii=False)
        message = parse_message(
            text.encode("utf-8", "surrogatepass" if lost != "\udcfc" else "surrogateescape"), ("RECORD",)
        )
        came = message.get(AS_IT_CAME)
        source = SourceRecord("s", came or message["record"], has_lost_text=came is not None)
        _, row = route.row(source, message["record"])
        while row.next_step is not None:
            _, row = row.next_step
        return str(row.payload["events"][0]["unique_id"])

    ids = [unique_id(lost) for lost in ("", "x", HALF, "\udcfc", "\ufffd")]
    assert len(set(ids)) == len(ids)
    assert [unique_id(lost, _sdc_at=f"now{lost}") for lost in ("", "x", HALF, "\udcfc", "\ufffd")] == ids
