"""Custom properties as columns: named in the settings, typed, and there from the first row."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from page_support import PAGES
from record_support import line_encoders
from tap_support import KEY, Run, config, discovered, run_tap, select
from test_tap_chunks import NOW, CountedLookups

from klaviyo_client.errors import SettingsError
from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.model import SelectedTable, Slice
from tap_klaviyo.rows import page_lines
from tap_klaviyo.tables import COLLECTIONS, TABLES, property_columns
from tap_klaviyo.tap import TapKlaviyo
from tap_klaviyo.workers.protocol import RowSpec
from tap_klaviyo.workers.worker import _to_row_spec

PROFILE_PROPERTIES = {
    "Loyalty Tier": "string",
    "Birthday": "date",
    "Visits": "integer",
    "Spent/Total #": "number",
    "VIP": "boolean",
    "Last Seen": "date-time",
    "Colours": "array",
    "Size": {"type": "object", "column": "shoe_size"},
}
EVENT_PROPERTIES = {"placed order": {"Total": "number"}, "Opened Email": {"Total": "number", "Subject Line": "string"}}


def schema(name: str, **settings: Any) -> dict[str, Any]:
    columns = property_columns.schema_of(name, settings)["properties"]
    return {
        column: columns[column]
        for column in columns
        if column not in property_columns.schema_of(name, {})["properties"]
    }


def test_a_name_becomes_a_column() -> None:
    """Small letters, and one _ for what is neither letter nor digit; or the name that the setting has for it."""
    assert list(schema("profiles", profile_properties=PROFILE_PROPERTIES)) == [
        *("loyalty_tier", "birthday", "visits", "spent_total", "vip", "last_seen", "colours", "shoe_size")
    ]
    for name, column in {
        "$source": "source",
        "OrderID": "order_id",
        "  x  ": "x",
        "2026 orders": "property_2026_orders",
        "Größe (cm)": "grosse_cm",
        "サイズ": "サイス",
    }.items():
        assert property_columns.column_name(name) == column


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile_properties": {"Title": "string"}}, "Title would be the column title of profiles, which is there"),
        ({"profile_properties": {"Attributes": "object"}}, "Attributes would be the column attributes"),
        ({"profile_properties": {"a b": "string", "A-B": "string"}}, "A-B would be the column a_b"),
        ({"profile_properties": {"a": {"type": "string", "column": "Email"}}}, "a would be the column Email"),
        ({"profile_properties": {"a": "text"}}, "a must be a type (string, number"),
        ({"profile_properties": {"a": {"column": "b"}}}, "a must be a type (string, number"),
        ({"profile_properties": {"a": {"type": "string", "name": "b"}}}, "a must be a type (string, number"),
        ({"profile_properties": {"a": {"type": "string", "column": "_b"}}}, "the column of a must have a name of"),
        ({"profile_properties": {"???": "string"}}, "the column of ??? must have a name of letters"),
        ({"profile_properties": ["a"]}, "profile_properties"),
        (
            {"event_properties": {"Placed Order": {"Value": "number"}}},
            "Value of Placed Order would be the column value",
        ),
        ({"event_properties": {"X": {"a": "number"}, "Y": {"a": "string"}}}, "or with another type"),
        ({"event_properties": {"X": {"a": "number", "A": "number"}}}, "give to another property"),
        ({"event_properties": {"Placed Order": "string"}}, "event_properties"),
    ],
)
def test_what_cannot_be_a_column_is_said_at_once(settings: dict[str, Any], said: str) -> None:
    """Before anything is read: two columns of one name, an unknown type, a name that no warehouse takes."""
    with pytest.raises(SettingsError) as caught:
        TapKlaviyo(config={"api_key": KEY, **settings}, parse_env_config=False)
    assert said in str(caught.value)


def test_a_property_of_several_metrics_is_one_column() -> None:
    """Where its type is the same; names of metrics in any case, and ids."""
    both = schema(
        "events", event_properties={"A": {"Total": "number"}, "B": {"Total": "number"}, "a": {"Sum": "number"}}
    )
    assert {name: column[property_columns.METRICS] for name, column in both.items()} == {
        "total": ["A", "B"],
        "sum": ["a"],
    }
    of_metrics = property_columns.OfMetrics(("Received SMS", "M7"))
    assert of_metrics(5, "received  Text Message", "M1") == of_metrics(5, None, "M7") == of_metrics(5, [], "M7") == 5
    assert (
        of_metrics(5, "Placed Order", "M1") is of_metrics(5, None, None) is of_metrics(None, "Received SMS", "") is None
    )


def test_workers_and_types_make_the_same_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker gets the columns with the tables, and pages are decoded into types as before."""
    document = json.loads((PAGES / "events.json").read_bytes())
    document["data"] = [event for event in document["data"] if event["attributes"].get("event_properties")]
    for number, event in enumerate(document["data"]):
        event["attributes"]["event_properties"] |= {"Total": [5, "7.5", "x", None][number % 4], "A/B #": number}
    names = {entry["id"]: entry["attributes"]["name"] for entry in document["included"] if entry["type"] == "metric"}
    wanted = {name: {"Total": "number", "A/B #": "string"} for name in sorted(names.values())[:2]}
    table = next(table for table in TABLES if table.name == "events")
    columns = property_columns.schema_of("events", {"event_properties": wanted})
    for chosen in (tuple(columns["properties"]), ("id", "event_datetime", "total", "a_b")):
        entry = SelectedTable(property_columns.with_roots(table, columns), columns, chosen)
        spec = RowSpec(COLLECTIONS["events"], [entry], None, "https://a.klaviyo.com")
        made = []
        for each in (spec, _to_row_spec(pickle.loads(pickle.dumps(spec.to_picklable())))):
            maker = each.line_maker(line_encoders({"events": None}))
            assert maker._typed is not None
            with monkeypatch.context() as patch:
                patch.setattr(page_lines, "decode_in_chunks", lambda *_: pytest.fail("decoded into dictionaries"))
                made.append(maker.make_lines(json.dumps(document).encode(), Slice(), None, CountedLookups(), NOW))
            maker._typed = None
            made.append(maker.make_lines(json.dumps(document).encode(), Slice(), None, CountedLookups(), NOW))
        assert all(one == made[0] for one in made)
        rows = [json.loads(line)["record"] for line in bytes(made[0][0]["events"].data).splitlines()]
        of_metric = {
            event["id"]: names.get(event["relationships"]["metric"]["data"]["id"]) in wanted
            for event in document["data"]
        }
        assert {row["id"]: row["a_b"] is not None for row in rows} == of_metric
        assert {True, False} == set(of_metric.values())


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    account = make_shared_sandbox(profiles=6, events=120, seed=2, limits=False)
    values = {"Loyalty Tier": "gold", "Birthday": "1990-02-03T00:00:00+00:00", "Visits": "12", "Spent/Total #": 9.5}
    more = {"VIP": "true", "Last Seen": "2026-01-01", "Colours": ["red"], "Size": {"eu": 41}}
    odd = {
        "Loyalty Tier": 7,
        "Birthday": "soon",
        "Visits": 1.5,
        "Spent/Total #": "9.5",
        "VIP": "maybe",
        "Colours": "red",
    }
    first, second, *_ = account.store.profiles.rows.values()
    first["properties"] = {**values, **more}
    second["properties"] = odd
    for event in account.store.events.rows.values():
        event["event_properties"] = {**event["event_properties"], "Total": 12.5}
    return account


def read(account: RunningSandbox, folder: Path, **settings: Any) -> Run:
    names = {"profile_properties": PROFILE_PROPERTIES, "event_properties": EVENT_PROPERTIES}
    run = run_tap(folder, config(account, **names, **settings), catalog=None)
    assert run.code == 0, run.errors
    return run


def test_they_are_columns_from_the_first_row(account: RunningSandbox, tmp_path: Path) -> None:
    """Typed in the SCHEMA; converted as every column is, and what does not fit is null and counted."""
    run = read(account, tmp_path)
    declared = {m["stream"]: m["schema"]["properties"] for m in run.messages if m["type"] == "SCHEMA"}
    assert {
        name: declared["profiles"][name].get("format", declared["profiles"][name]["type"][0]) for name in ADDED
    } == {
        **dict.fromkeys(("loyalty_tier",), "string"),
        "birthday": "date",
        "visits": "integer",
        "spent_total": "number",
        "vip": "boolean",
        "last_seen": "date-time",
        "colours": "array",
        "shoe_size": "object",
    }
    assert not any(key.startswith("x-") for column in declared["events"].values() for key in column)
    first, second, *_ = account.store.profiles.rows
    rows = {row["profile_id"]: {name: row[name] for name in ADDED} for row in run.rows("profiles")}
    assert rows[first] == {
        "loyalty_tier": "gold",
        "birthday": "1990-02-03",
        "visits": 12,
        "spent_total": 9.5,
        "vip": True,
        "last_seen": "2026-01-01T00:00:00+00:00",
        "colours": ["red"],
        "shoe_size": {"eu": 41},
    }
    assert rows[second] == {**dict.fromkeys(ADDED), "loyalty_tier": "7", "spent_total": 9.5}
    for column in ("birthday", "visits", "vip", "colours"):
        assert f"profiles.{column}: 1 values did not fit the column's type and became null" in run.errors
    totals = {row["metric_name"]: row["total"] for row in run.rows("events")}
    assert totals.pop("Placed Order") == totals.pop("Opened Email") == 12.5
    assert set(totals.values()) == {None}


ADDED = ("loyalty_tier", "birthday", "visits", "spent_total", "vip", "last_seen", "colours", "shoe_size")


def test_a_catalog_can_select_them_alone(account: RunningSandbox, tmp_path: Path) -> None:
    """Discovery shows them to whoever gives the settings; then no more is asked for than they need."""
    names = config(account, profile_properties=PROFILE_PROPERTIES, event_properties=EVENT_PROPERTIES)
    catalog = json.loads(TapKlaviyo(config=names, parse_env_config=False).catalog_json_text)
    before = len(account.requests)
    chosen = select(catalog, {"profiles": ["visits"], "events": ["total"]})
    run = run_tap(tmp_path, names, catalog=chosen)
    assert run.code == 0, run.errors
    assert [set(run.rows(stream)[0]) for stream in ("profiles", "events")] == [
        {"profile_id", "updated", "visits"},
        {"id", "event_datetime", "total"},
    ]
    assert {row["visits"] for row in run.rows("profiles")} == {12, None}
    placed = sum(names_metric(account, event) for event in account.store.events.rows.values())
    assert sum(row["total"] == 12.5 for row in run.rows("events")) == placed > 0
    asked = {entry.path: entry.query for entry in list(account.requests)[before:]}
    assert asked["/api/profiles"]["fields[profile]"] == "properties,updated"
    assert asked["/api/events"]["fields[event]"] == "datetime,event_properties"


def names_metric(account: RunningSandbox, event: Any) -> bool:
    return account.store.metrics.rows[event["metric_id"]]["name"] in ("Placed Order", "Opened Email")


def test_files_and_short_lines_have_them(account: RunningSandbox, tmp_path: Path) -> None:
    """As typed columns of Parquet; and lines without nulls leave them out like any other."""
    storage = {"root": (tmp_path / "files").as_uri()}
    read(account, tmp_path, batch_config={"encoding": {"format": "parquet"}, "storage": storage})
    [path] = [path for path in (tmp_path / "files").rglob("*.parquet") if "birthday" in pq.read_schema(path).names]
    kinds = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert [kinds[name] for name in ("birthday", "visits", "spent_total", "vip")] == [
        "date32[day]",
        "int64",
        "double",
        "bool",
    ]
    short = {row["profile_id"]: row for row in read(account, tmp_path, omit_nulls=True).rows("profiles")}
    first, second, *_ = account.store.profiles.rows
    assert set(ADDED) <= short[first].keys()
    assert set(ADDED) & short[second].keys() == {"loyalty_tier", "spent_total"}


def test_what_is_not_there_is_told(account: RunningSandbox, tmp_path: Path) -> None:
    """A metric that the account does not have, and an older catalog, which decides what is read."""
    settings = config(
        account, profile_properties={"VIP": "boolean"}, event_properties={"Placed Oder": {"Total": "number"}}
    )
    run = run_tap(tmp_path, settings, catalog=select(discovered(), {"profiles": None}))
    assert run.code == 0
    assert run.said("WARNING")[0].endswith(
        "profiles: the catalog lacks vip, which the settings name: make it anew with --discover"
    )
    assert not any("vip" in row for row in run.rows("profiles"))
    assert "no metric called Placed Oder" in run_tap(tmp_path, settings).errors
