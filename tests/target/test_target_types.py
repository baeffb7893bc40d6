"""The option `types`: numbers, dates, yes and no, lists and texts arrive as such, and nothing is guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_support import ADA, NOW, Command, records, rows_of

from klaviyo_client.errors import SettingsError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.action import Row
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import RejectedRecord, SourceRecord
from target_klaviyo.model.value_types import NotOfType, parse_type


def row_of(entry: dict[str, Any], record: dict[str, Any]) -> Row:
    route = parse_routes({"s": entry}, None, lambda: NOW)["s"]
    return route.row(SourceRecord("s", record), record)[1]


GERMAN = {"type": "number", "format": "1.234,50"}
GERMAN_DATE = {"type": "date", "format": "%d.%m.%Y"}


@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("number", "12.50", 12.5),
        ("number", " 7 ", 7),
        ("number", Decimal("12.50"), 12.5),
        ("number", 3, 3),
        (GERMAN, "1.234,50", 1234.5),
        (GERMAN, "1234,5", 1234.5),
        (GERMAN, "-1.234.567", -1234567),
        (GERMAN, 12.5, 12.5),
        ({"type": "number", "format": "1,234.50"}, "1,234,567.89", 1234567.89),
        ({"type": "number", "format": "1 234,50"}, "1\u202f234,50", 1234.5),
        ({"type": "number", "format": "1'234.50"}, "1\u2019234.50", 1234.5),
        ({"type": "number", "format": "1234,5"}, "\u22121234,25", -1234.25),
        ({"type": "integer", "format": "1.234,50"}, "1.234", 1234),
        ("integer", "7.0", 7),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("boolean", "off", False),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "2026-01-31 10:00:00 UTC", "2026-01-31"),
        ("date", date(2026, 1, 31), "2026-01-31"),
        (GERMAN_DATE, "31.01.2026", "2026-01-31"),
        (GERMAN_DATE, "1.2.2026", "2026-02-01"),
        ({"type": "date", "format": "%Y%m%d"}, 20260131, "2026-01-31"),
        ("datetime", "2026-01-31T10:00:00+01:00", "2026-01-31T10:00:00+01:00"),
        ("datetime", "2026-01-31 10:00:00", "2026-01-31T10:00:00+00:00"),
        ("datetime", "2026-01-31", "2026-01-31T00:00:00+00:00"),
        ({"type": "datetime", "format": "%m/%d/%Y %I:%M %p"}, "01/31/2026 02:05 PM", "2026-01-31T14:05:00+00:00"),
        ("list", "a, b,,c ", ["a", "b", "c"]),
        ("list", '["a, b", 2]', ["a, b", 2]),
        ("list", ["a"], ["a"]),
        ("list", 7, [7]),
        ("string", 7, "7"),
        ("string", " as it came ", " as it came "),
        ("string", True, "true"),
    ],
)
def test_a_value_is_sent_in_its_type(kind: Any, value: Any, sent: Any) -> None:
    """Column and property alike, and the text of a type stays out of the way of others."""
    entry = {"action": "upsert_profile", "types": {"Last thing": kind}}
    record = {**ADA, "Last thing": value, "other": "12.50"}
    for made in (record, {**ADA, "other": "12.50", "properties": {"Last thing": value}}):
        row = row_of(entry, made)
        found = row.payload["attributes"]["properties"]
        assert (found, type(found["Last thing"]), row.notes) == (
            {"Last thing": sent, "other": "12.50"},
            type(sent),
            (),
        )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("number", value) for value in ("1,234.50", "12,50", "1.234,50", "€ 5", "N/A", "1_000", True, [1], "1e999")),
        *((GERMAN, value) for value in ("1,234.50", "12.5", "1.27", "1.2345,5", "12.345.6", "1,2,3", "EUR 5")),
        ("integer", "7.5"),
        ("integer", float("inf")),
        *(("boolean", value) for value in ("perhaps", "ja", 2, [])),
        *(("date", value) for value in ("31.01.2026", "01/02/2026", "2026-02-30", "20260131", 20260131, "soon", [])),
        *((GERMAN_DATE, value) for value in ("2026-01-31", "31/01/2026", "31.01.26", "30.02.2026", True)),
        *(("datetime", value) for value in ("yesterday", 1769853600, "2026-01-31T25:00:00", {})),
        *(("list", value) for value in ("[1", {"a": 1}, {})),
        *(("string", value) for value in ({"a": 1}, ["a"])),
    ],
)
def test_what_does_not_fit_is_left_out_or_rejects(kind: Any, value: Any) -> None:
    """As the stream says; the reason names the column and quotes nothing."""
    entry = {"action": "upsert_profile", "types": {"Odd": kind}}
    for record in ({**ADA, "Odd": value}, {**ADA, "properties": {"Odd": value}}):
        row = row_of(entry, record)
        assert row.payload == row_of(entry, ADA).payload
        (note,) = row.notes
        assert "Odd" in note.pointer
        assert not isinstance(value, str) or value not in note.reason
        with pytest.raises(RejectedRecord) as caught:
            row_of({**entry, "on_bad_value": "reject"}, record)
        assert caught.value.code in ("invalid_type", "invalid_field")


@pytest.mark.parametrize("blank", [None, "", "  "])
@pytest.mark.parametrize("kind", ["number", "date", "boolean", "list", GERMAN])
def test_a_blank_says_nothing(kind: Any, blank: Any) -> None:
    """It is a null: nothing is sent of it, and nothing said."""
    row = row_of({"action": "upsert_profile", "types": {"Odd": kind}}, {**ADA, "Odd": blank})
    assert (row.payload["attributes"], row.notes) == (ADA, ())


@pytest.mark.parametrize("stated", ["Last order", "LAST_ORDER", "last-order", "lastorder"])
def test_a_name_counts_in_any_spelling_and_exactly_first(stated: str) -> None:
    """Databases such as Snowflake write capitals."""
    entry = {"action": "upsert_profile", "types": {stated: GERMAN_DATE}}
    assert row_of(entry, {**ADA, "Last order": "31.01.2026"}).payload["attributes"]["properties"] == {
        "Last order": "2026-01-31"
    }
    both = {"action": "upsert_profile", "types": {"A B": "number", "a_b": "string"}}
    assert row_of(both, {**ADA, "A B": "1", "a_b": "1"}).payload["attributes"]["properties"] == {"A B": 1, "a_b": "1"}


@pytest.mark.parametrize(
    ("entry", "record", "path", "sent"),
    [
        ({"action": "track_event"}, {"metric": "M", "Sum": "1.234,50"}, ("events", 0, "properties", "Sum"), 1234.5),
        ({"action": "track_event"}, {"metric": "M", "properties": {"Sum": "1.234,50"}},
         ("events", 0, "properties", "Sum"), 1234.5),
        ({"action": "track_event"}, {"metric": "M", "profile": {"Sum": "1.234,50"}},
         ("profile", "attributes", "properties", "Sum"), 1234.5),
        ({"action": "track"}, {"event": "M", "customer_properties": {"Sum": "1.234,50"}},
         ("profile", "attributes", "properties", "Sum"), 1234.5),
        ({"action": "track_event", "mapping": {"value": "Sum"}}, {"metric": "M", "Sum": "1.234,50"},
         ("events", 0, "value"), 1234.5),
        ({"action": "order_completed"}, {"order_id": 1, "Sum": "1.234,50"}, ("events", 0, "properties", "Sum"), 1234.5),
        ({"action": "upsert_profile", "mapping": {"properties.Total": "Sum"}}, {"Sum": "1.234,50"},
         ("attributes", "properties", "Total"), 1234.5),
        ({"action": "upsert_profile", "mapping": {"properties.Sum": "s"}}, {"s": "1.234,50"},
         ("attributes", "properties", "Sum"), 1234.5),
        ({"action": "upsert_profile", "mapping": {"properties.Sum": "s.t"}}, {"s": {"t": "1.234,50"}},
         ("attributes", "properties", "Sum"), 1234.5),
        ({"action": "identify"}, {"extra": {"Sum": "1.234,50"}}, ("attributes", "properties", "Sum"), 1234.5),
        ({"action": "list_members", "list": "L"}, {"Sum": "1.234,50"}, ("attributes", "properties", "Sum"), 1234.5),
    ],
)  # fmt: skip
def test_types_hold_wherever_properties_stand(
    entry: dict[str, Any], record: dict[str, Any], path: tuple[Any, ...], sent: Any
) -> None:
    """Of people, of events, of orders; in columns, in objects, and by the mapping, once."""
    found: Any = row_of({**entry, "types": {"Sum": GERMAN}}, {**ADA, **record}).payload
    for step in path:
        found = found[step]
    assert found == sent


def test_a_date_that_was_read_is_not_read_again() -> None:
    """What has its type by its column keeps it where it is a property: 2026-03-02 in another order would be another."""
    entry = {"action": "upsert_profile", "types": {"Day": {"type": "date", "format": "%Y-%d-%m"}}}
    for record in ({"Day": "2026-02-03"}, {"properties": {"Day": "2026-02-03"}}):
        assert row_of(entry, {**ADA, **record}).payload["attributes"]["properties"] == {"Day": "2026-03-02"}
    entry["mapping"] = {"properties.Day": "Day"}
    assert row_of(entry, {**ADA, "Day": "2026-02-03"}).payload["attributes"]["properties"] == {"Day": "2026-03-02"}


def test_the_time_of_an_event_that_is_none_rejects() -> None:
    """An event of another time is another event; a stated format is read."""
    entry = {"action": "track_event", "types": {"time": {"type": "datetime", "format": "%d.%m.%Y %H:%M"}}}
    event = row_of(entry, {**ADA, "metric": "M", "time": "01.05.2026 10:30"}).payload["events"][0]
    assert event["time"] == "2026-05-01T10:30:00+00:00"
    with pytest.raises(RejectedRecord) as caught:
        row_of(entry, {**ADA, "metric": "M", "time": "2026-05-01T10:30:00Z"})
    assert caught.value.code == "invalid_type"


def test_nothing_but_consent_is_typed_for_consent() -> None:
    """Actions without custom properties take types for the columns that they read."""
    types = {"consented_at": {"type": "datetime", "format": "%d.%m.%Y"}, "shoe": "number"}
    [row] = rows_of(
        {"action": "subscribe", "historical_import": True, "types": types},
        {**ADA, "consented_at": "01.02.2026", "shoe": "x"},
    )
    assert row.payload["attributes"]["subscriptions"]["email"]["marketing"]["consented_at"].startswith("2026-02-01")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("int", "must be one of string, number"),
        (7, "must be one of"),
        (["date"], "must be one of"),
        ({"type": "date", "form": "%d"}, "must be one of"),
        ({"type": "boolean", "format": "ja"}, "no format"),
        ({"type": "string", "format": "%d"}, "no format"),
        *(({"type": "number", "format": text}, "1.234,50") for text in ("1.234", "1,234", "#.##0,00", "1.234.50", "")),
        *(({"type": "date", "format": text}, "%d.%m.%Y")
          for text in ("dd.mm.yyyy", "%d.%m.", "%x", "%Q", "%-d.%m.%Y", "", "%H:%M")),
        *(({"type": "datetime", "format": text}, "%H:%M")
          for text in ("%d.%m.%Y %I:%M", "%d.%m.%Y %M", "%c", "%d.%m.%Y %H:%M %Z")),
    ],
)  # fmt: skip
def test_a_type_that_cannot_work_is_refused_by_name(kind: Any, said: str) -> None:
    """Before anything is read."""
    with pytest.raises(SettingsError) as caught:
        row_of({"action": "upsert_profile", "types": {"Last order": kind}}, ADA)
    assert str(caught.value).startswith("streams.s.types.Last order ")
    assert said in str(caught.value)
    with pytest.raises(SettingsError, match=r"streams\.s\.types must be an object"):
        row_of({"action": "upsert_profile", "types": "number"}, ADA)


@given(number=st.integers(-(10**12), 10**12) | st.decimals(-(10**9), 10**9, places=2))
def test_a_number_survives_its_format(number: Decimal | int) -> None:
    """Written as people write it, and read back."""
    text = f"{number:,}".replace(",", "\0").replace(".", ",").replace("\0", ".")
    assert parse_type(GERMAN).read(text) == float(number)
    assert parse_type({"type": "number", "format": "1,234.50"}).read(f"{number:,}") == float(number)
    assert parse_type("number").read(str(number)) == float(number)


FIRST, LAST = (datetime(year, 1, 1) for year in (1000, 9999))  # noqa: DTZ001 - hypothesis wants them so


@given(
    moment=st.datetimes(FIRST, LAST).map(lambda when: when.replace(microsecond=0)),
    form=st.sampled_from(["%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d%H%M%S", "%d %b %Y, %H:%M:%S"]),
)
def test_a_time_survives_its_format(moment: datetime, form: str) -> None:
    """As a time with its zone, and as a date."""
    text = moment.strftime(form)
    assert parse_type({"type": "datetime", "format": form}).read(text) == moment.replace(tzinfo=UTC).isoformat()
    assert parse_type({"type": "date", "format": form}).read(text) == moment.date().isoformat()
    assert parse_type("datetime").read(moment.isoformat()) == moment.replace(tzinfo=UTC).isoformat()


PLAIN = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20)


@given(
    value=PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=3), PLAIN, max_size=3),
    kind=st.sampled_from(["string", "number", "integer", "boolean", "date", "datetime", "list", GERMAN, GERMAN_DATE]),
)
def test_whatever_comes_has_its_type_or_is_told(value: Any, kind: Any) -> None:
    """No other error, and a value that was read is read as the same again, but for formats."""
    try:
        found = parse_type(kind).read(value)
    except NotOfType:
        return
    if not isinstance(kind, dict):
        assert parse_type(kind).read(found) == found


COLUMNS = {"email": {}, "Lifetime value": {}, "Last order": {"type": ["string", "null"], "format": "date"}, "VIP": {}}
PEOPLE = {"type": "SCHEMA", "stream": "people", "key_properties": [], "schema": {"properties": COLUMNS}}


def test_a_file_of_texts_arrives_in_its_types(target: Command, account: RunningSandbox) -> None:
    """A format of its own goes before the SCHEMA's, and one bad value costs no person."""
    types = {"Lifetime value": GERMAN, "Last order": GERMAN_DATE, "VIP": "boolean"}
    rows = [
        {**ADA, "Lifetime value": "1.234,50", "Last order": "31.01.2026", "VIP": "yes"},
        {"email": "bob@example.com", "Lifetime value": "much", "Last order": "2026", "VIP": "no"},
    ]
    run = target([PEOPLE, *records("people", rows)], streams={"people": {"action": "upsert_profile", "types": types}})
    assert (run.code, run.rejected) == (0, []), run.stderr
    found = {row["email"]: row["properties"] for row in account.store.profiles.rows.values()}
    assert found["ada@example.com"] == {"Lifetime value": 1234.5, "Last order": "2026-01-31", "VIP": True}
    assert found["bob@example.com"] == {"VIP": False}
    assert "left out of 1 record: Lifetime value" in run.stderr


def test_a_type_of_no_column_ends_the_run_before_it_begins(target: Command) -> None:
    """By its name, with the column that was perhaps meant; where names are not known, nothing is said."""
    run = target([PEOPLE, *records("people", [ADA])], streams={"people": {"action": "upsert_profile",
                 "types": {"Lifetime valeu": "number"}}})  # fmt: skip
    assert run.code == 2
    assert (
        "streams.people.types.Lifetime valeu: the stream has no such column: did you mean Lifetime value?" in run.stderr
    )
    opened = {**PEOPLE, "schema": {"properties": {**COLUMNS, "properties": {}}}}
    run = target([opened, *records("people", [ADA])], streams={"people": {"action": "upsert_profile",
                 "types": {"Unseen": "number"}}})  # fmt: skip
    assert run.code == 0, run.stderr
