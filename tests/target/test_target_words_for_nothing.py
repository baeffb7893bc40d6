"""Texts that stand for no id: what a null became on its way through a CSV file, a data frame or a dump."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import ADA, Command, records, rows_of, schema_of

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.model.records import RejectedRecord

WORDS = ("NULL", "None", "NaN", " n/a ", "undefined", "\\N")
PHONE = "+15005550006"


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("name", ["external_id", "phone_number", "EXTERNAL_ID", "$phone_number"])
@pytest.mark.parametrize("action", ["upsert_profile", "identify", "list_members", "unsubscribe", "track_event"])
def test_an_identifier_that_is_a_word_for_nothing_is_none(action: str, name: str, word: str) -> None:
    """All people without an id would become one; who is known by another identifier is sent by that."""
    entry = {"action": action, **({"channels": ["email"]} if action == "unsubscribe" else {})}
    record = {**ADA, "metric": "Met", "list_id": "L", "unique_id": "7"}
    assert rows_of(entry, {**record, name: word})[0].payload == rows_of(entry, record)[0].payload


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    ("action", "record"),
    [
        ("upsert_profile", {"external_id": ...}),
        ("delete_profile", {"external_id": ...}),
        ("suppress", {"email": ...}),
        ("track_event", {"metric": "Met", "anonymous_id": ...}),
        ("track_event", {"metric": "Met", "_kx": ...}),
        ("track_event", {"metric": "Met", "profile": {"external_id": ...}}),
        ("track", {"event": "Met", "customer_properties": {"$id": ...}}),
        ("identify", {"properties": {"id": ...}}),
        ("identify", {"$id": ...}),
        ("upsert_profile", {"properties": {"$id": ...}}),
    ],
)
def test_a_record_about_nobody_is_rejected(action: str, record: dict[str, Any], word: str) -> None:
    """Wherever the word stands."""

    def filled(value: Any) -> Any:
        return {name: filled(entry) for name, entry in value.items()} if isinstance(value, dict) else value

    written = filled(record)
    for holder in (written, *(value for value in written.values() if isinstance(value, dict))):
        holder.update({name: word for name, value in holder.items() if value is ...})
    with pytest.raises(RejectedRecord) as caught:
        rows_of({"action": action, **({"allow_deletion": True} if action == "delete_profile" else {})}, written)
    assert caught.value.code == "no_identifier"


def ids(action: str, record: dict[str, Any]) -> list[str]:
    (row,) = rows_of({"action": action}, record)
    while row.next_step is not None:
        row = row.next_step[1]
    return [event["unique_id"] for event in row.payload["events"]]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    ("action", "record", "name"),
    [
        ("track_event", {"metric": "Met"}, "unique_id"),
        ("track_event", {"metric": "Met"}, "event_id"),
        ("track", {"event": "Met"}, "$event_id"),
        ("update_profile", {"event[name]": "Met"}, "event[event_id]"),
        ("update_profile", {"event[name]": "Met"}, "event[unique_id]"),
        ("order_completed", {"order_id": "1"}, "unique_id"),
    ],
)
def test_an_event_without_an_id_has_one_of_its_own(action: str, record: dict[str, Any], name: str, word: str) -> None:
    """Events that all have the id `null` were one event: Klaviyo keeps the first."""
    records_of_word = [{**ADA, **record, name: word, name.replace("id", "note"): at} for at in (1, 2)]
    plain = [{key: value for key, value in each.items() if key != name} for each in records_of_word]
    assert [ids(action, each) for each in records_of_word] == [ids(action, each) for each in plain]


@pytest.mark.parametrize("word", WORDS)
def test_an_order_without_an_id_is_rejected(word: str) -> None:
    """Two orders of one person would be one."""
    with pytest.raises(RejectedRecord, match="lacks order_id"):
        rows_of({"action": "order_completed"}, {**ADA, "order_id": word, "value": 3})


def test_an_id_has_no_space_around_it() -> None:
    """The same event from a file with other padding is the same event."""
    for action, name in (
        ("track_event", "unique_id"),
        ("order_completed", "unique_id"),
        ("order_completed", "order_id"),
    ):
        record = {**ADA, "metric": "Met", "order_id": "1"}
        assert ids(action, {**record, name: " 7 "}) == ids(action, {**record, name: "7"})
    line = {"sku": " ", "product_id": 7.0, "id": "x"}
    assert ids("order_completed", {**ADA, "order_id": "1", "items": [line]})[1] == "1:7:1"


@pytest.mark.parametrize("word", WORDS)
def test_a_list_that_is_a_word_for_nothing_is_none(word: str) -> None:
    """No list of that name is made."""
    (row,) = rows_of({"action": "update_profile", "create_list": True}, {**ADA, "lists[]": [word, "News", None]})
    assert (str(row.list), row.next_step) == ("News", None)
    (row,) = rows_of({"action": "list_members", "list": "Mine"}, {**ADA, "list_name": word, "list_id": word})
    assert str(row.list) == "Mine"
    with pytest.raises(RejectedRecord) as caught:  # and never all
        rows_of({"action": "unsubscribe"}, {**ADA, "list_name": word})
    assert caught.value.code == "no_list"


def test_a_text_stays_what_it_is() -> None:
    """Null is a name, and a custom property is anybody's."""
    (row,) = rows_of({"action": "upsert_profile"}, {**ADA, "last_name": "Null", "note": "N/A"})
    assert row.payload["attributes"] == {**ADA, "last_name": "Null", "properties": {"note": "N/A"}}


def test_of_two_columns_no_list_is_lost() -> None:
    """One with an entry that is no list rejects the record; before, all of its lists were left out."""
    with pytest.raises(RejectedRecord) as caught:
        rows_of({"action": "update_profile"}, {**ADA, "list": "A", "lists[]": ["B", {"id": "C"}]})
    assert caught.value.pointer == "/lists/2"


def test_people_without_ids_stay_apart(target: Command, account: RunningSandbox) -> None:
    """Whole, over the wire: three people, whose ids all became `None` on their way."""
    rows = [{"email": f"p{at}@example.com", "external_id": "None", "phone_number": "N/A"} for at in range(3)]
    run = target([schema_of("profiles"), *records("profiles", rows)])
    assert (run.code, run.rejected) == (0, [])
    there = [row for row in account.store.profiles.rows.values() if row["email"] in {each["email"] for each in rows}]
    assert [row.get("external_id") for row in there] == [None] * 3
