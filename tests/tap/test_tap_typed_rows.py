"""Lines of pages that are decoded into types made for the selected columns: the same as of dictionaries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_support import PAGES
from record_support import line_encoders
from test_tap_chunks import NOW, CountedLookups

from klaviyo_client.api.pages import Page, TypedDecoder
from tap_klaviyo.model import PathEquals, SelectedTable, Slice
from tap_klaviyo.rows import page_lines, schema_files
from tap_klaviyo.rows.page_lines import LineMaker
from tap_klaviyo.rows.record_lines import Lines
from tap_klaviyo.tables import COLLECTIONS, TABLES
from tap_klaviyo.workers.protocol import RowSpec

URL = "https://a.klaviyo.com"
EVENTS = ("events", "event_group_ids", "event_attributions", "event_attribution_group_ids")
COLUMNS = tuple(schema_files.load("events")["properties"])
# Those of ``events`` that somebody must ask for.
BY_NAME = tuple(schema_files.optional_columns(schema_files.load("events")))
ODD_TEXT = "half a pair: \ud800"


def selected(name: str, without: Sequence[str] = BY_NAME) -> SelectedTable:
    table = next(table for table in TABLES if table.name == name and table.collection.supplements is None)
    schema = schema_files.load(name)
    columns = tuple(
        column
        for column in schema["properties"]
        if name != "events" or column in (*table.key, table.bookmark) or column not in without
    )
    return SelectedTable(table, schema, columns)


def spec(*tables: SelectedTable, collection: str = "events", exclude: PathEquals | None = None) -> RowSpec:
    return RowSpec(COLLECTIONS[collection], tables, {"id": "ACC"}, URL, exclude, {"id": "INT"})


@cache
def makers(tables: Sequence[str], without: Sequence[str] = BY_NAME) -> tuple[LineMaker[Lines], LineMaker[Lines]]:
    """One that decodes events into types, and one that does not; without these columns of ``events``."""
    row_spec = spec(*(selected(name, without) for name in tables))
    encoders = line_encoders(dict.fromkeys(tables, 5))
    typed, plain = row_spec.line_maker(encoders), row_spec.line_maker(encoders)
    assert typed._typed is not None
    plain._typed = None
    return typed, plain


def made(maker: LineMaker[Lines], body: bytes, part: Slice = Slice()) -> Any:  # noqa: B008
    return maker.make_lines(body, part, None, CountedLookups(), NOW)


# Odd pages ------------------------------------------------------------------------------------------------------------

numbers = st.sampled_from([0, 1, -1, 1.0, 1.5, -0.0, 2**31, 2**63, -(2**63) - 1, 2**64, 10**30, 1e300])
times = ["2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.123Z", "2026-02-30T00:00:00Z"]
texts = st.sampled_from(["", "x", "12", "1.50", "true", "NaN", "é🎉", "\\u0000", "\x00", ODD_TEXT, "E1", "A1", *times])
scalars = st.none() | st.booleans() | numbers | texts
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "a"]), scalars)
not_finite = st.sampled_from([float("nan"), float("inf")])
PROPERTY_NAMES = sorted(
    {
        path.split("/")[3]
        for column in schema_files.load("events")["properties"].values()
        if (path := column.get("x-klaviyo-path", "")).startswith("/attributes/event_properties/")
    }
)
EXTRA = ("$bounce_delivery_info", "From City", "customer_merge", "$metadata", "vendor", "send_timestamp", "code")


def maybe(strategy: st.SearchStrategy[Any], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object that may lack any of these members, and whose members may be anything."""
    return st.fixed_dictionaries({}, optional={name: member | strategy for name, member in members.items()})


def identities(kind: str, ids: Sequence[str]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"type": st.just(kind), "id": st.sampled_from(ids)})


objects = st.dictionaries(st.sampled_from(EXTRA), scalars | st.dictionaries(st.sampled_from(EXTRA), scalars))
legacy = st.dictionaries(
    st.sampled_from(["$attributed_event_id", "$flow", "$message", "$send_ts", "$group_ids", "$attributed_channel"]),
    scalars | st.lists(texts, max_size=2),
)
others = {
    "$extra": objects,
    "$internal": objects,
    "$attribution": legacy,
    "$group_ids": st.lists(values, max_size=3),
    "$message": texts,
    "anything": values | not_finite,
}
properties = st.dictionaries(st.sampled_from(PROPERTY_NAMES), values, max_size=12).flatmap(
    lambda known: st.fixed_dictionaries({}, optional=others).map(lambda odd: {**known, **odd})
)
metrics, profiles = identities("metric", ["M1", "M2", "gone"]), identities("profile", ["P1", "gone"])
attributions = identities("attribution", ["A1", "A2", "gone"])
relationships = maybe(
    st.none(),
    metric=maybe(st.none() | values, data=metrics),
    profile=maybe(st.none() | values, data=profiles | st.lists(profiles | scalars, max_size=2)),
    attributions=maybe(st.none(), data=st.lists(attributions, max_size=3) | attributions),
    other=values,
)
attributes = maybe(values, datetime=texts, timestamp=numbers, uuid=texts, event_properties=properties)
ids = st.sampled_from([f"E{number}" for number in range(6)])
well_formed = st.fixed_dictionaries(
    {"type": st.just("event"), "id": ids, "attributes": attributes, "relationships": relationships}
)
odd_events = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("event") | scalars,
        "id": ids | scalars,
        "attributes": st.none() | attributes,
        "relationships": st.none() | relationships,
    },
)
included = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["metric", "profile", "attribution", "other"]),
            "id": st.sampled_from(["M1", "M2", "P1", "A1", "A2"]),
            "attributes": st.none() | maybe(values, name=texts, email=texts, phone_number=texts, external_id=texts),
            "relationships": st.fixed_dictionaries(
                {},
                optional={
                    "attributed-event": st.fixed_dictionaries({"data": identities("event", ["E1", "E2", "gone"])}),
                    "flow": st.fixed_dictionaries({"data": identities("flow", ["F1"])}),
                },
            ),
        },
    ),
    max_size=6,
)


def body(data: Any, included: Any) -> bytes:
    return json.dumps({"data": data, "included": included, "links": {"next": None}}).encode()


def check(page: bytes, tables: Sequence[str], without: Sequence[str] = BY_NAME, cut: str | None = None) -> None:
    """Both ways make the same of a page, in lines, times and problems, and know the same of it for other pages."""
    typed, plain = makers(tables, without)
    found, wanted = CountedLookups(), CountedLookups()
    try:
        expected = plain.make_lines(page, Slice(), cut, wanted, NOW)
    except (AttributeError, TypeError):
        return  # no way makes rows of such a page
    assert typed.make_lines(page, Slice(), cut, found, NOW) == expected
    assert found.values == wanted.values


@given(st.lists(odd_events, max_size=5), included | st.none())
def test_odd_pages_give_the_same(data: list[Any], related: Any) -> None:
    """Whatever is missing, null, of another type, twice there or unreadable, for all tables of events together."""
    check(body(data, related), EVENTS)


@given(st.lists(well_formed, max_size=6), included, st.sampled_from([None, times[0]]))
def test_pages_of_odd_values_give_the_same(data: list[Any], related: Any, cut: str | None) -> None:
    """Of events that are as documented but for what is in them; also where the slice was given up."""
    check(body(data, related), EVENTS, cut=cut)


@given(st.lists(well_formed, min_size=2, max_size=4), included, st.data())
def test_any_columns_give_the_same(data: list[Any], related: Any, choice: st.DataObject) -> None:
    """Each column left out, alone or with others: what no column reads is not decoded."""
    column, others = choice.draw(st.sampled_from(COLUMNS)), choice.draw(st.sets(st.sampled_from(COLUMNS)))
    without = choice.draw(st.sampled_from([(column,), ("event_properties", *sorted(others)), (*sorted(others),)]))
    check(body(data, related), ("events",), without)


@pytest.mark.parametrize("name", sorted({table.name for table in TABLES}))
def test_every_table_gives_the_same_of_its_page(name: str) -> None:
    """Also a table for which no types can be made: it is then made of dictionaries. Rows have columns in one order."""
    for table in (table for table in TABLES if table.name == name):
        page = PAGES / f"{table.collection.name}.json"
        if not page.exists():
            continue
        schema = schema_files.load(name)
        entry = SelectedTable(table, schema, tuple(schema["properties"]))
        row_spec = replace(spec(entry), collection=table.collection)
        encoders = line_encoders({name: None})
        maker, plain = row_spec.line_maker(encoders), row_spec.line_maker(encoders)
        plain._typed = None
        part = Slice(parent={"id": "P", "attributes": {"name": "VIPs"}}, filter_set={"messages.channel": "email"})
        lines = made(maker, page.read_bytes(), part)
        assert lines == made(plain, page.read_bytes(), part)
        # Files of columns are made without a look at the names of each row.
        for line in lines[0][name].data.splitlines():
            assert tuple(json.loads(line)["record"]) == entry.columns


def test_an_ordinary_page_needs_no_dictionaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower decoders are not asked; an odd id is for them."""
    typed, plain = makers(EVENTS)
    page = (PAGES / "events.json").read_bytes()
    expected = made(plain, page)

    def fail(_body: bytes, size: int) -> Iterable[Page]:
        raise LookupError(size)

    monkeypatch.setattr(page_lines, "decode_in_chunks", fail)
    assert made(typed, page) == expected
    document: Mapping[str, Any] = json.loads(page)
    with pytest.raises(LookupError):
        made(typed, body([{**document["data"][0], "id": 5}], None))


@pytest.mark.parametrize("name", [*EVENTS, "profiles"])
def test_types_can_be_made_for_large_tables(name: str) -> None:
    """Those of which a history has millions of rows."""
    table = next(table for table in TABLES if table.name == name and table.collection.supplements is None)
    assert page_lines.typed_resources(table.collection, [selected(name)], None) is not None


def test_what_nobody_reads_is_skipped() -> None:
    """A member that no column reads may hold what no fast decoder takes."""
    typed, _ = makers(("events",), COLUMNS)
    assert typed._typed is not None
    decoder = typed._typed[1]
    assert isinstance(decoder, TypedDecoder)
    events = [{"id": "E1", "attributes": {"event_properties": {"a": 1}}}]
    [page] = decoder.decode_in_chunks(body(events, None).replace(b": 1}", b": 1e999}"), 100)
    assert [resource.id for resource in page.data] == ["E1"]
