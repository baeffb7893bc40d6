"""Every row fits the SCHEMA that came before it, so that a loader need not validate what it is given."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from page_support import CONTEXT, lookup_values, page_of
from record_support import line_encoders
from support.others.profile_jobs import create_jobs
from support.schema_fit import misfits, validator
from tap_support import config, discovered, run_tap, select

from klaviyo_client.api.pages import Page
from klaviyo_sandbox import RunningSandbox, serve
from tap_klaviyo.model import SelectedTable, Slice, Table
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.projection import Projection, singer_schema
from tap_klaviyo.tables import BY_DEFAULT, STREAMS, TABLES
from tap_klaviyo.workers.protocol import RowSpec

# What an attribute is not, wherever it is expected to be something else.
ODD = (
    None,
    "",
    "text",
    "12",
    "1.5",
    "true",
    "2026-02-30T00:00:00Z",
    "2026-01-31",
    "2026-01-31T23:59:59.123456789+05:30",
    "0001-01-01T00:00:00+14:00",
    True,
    0,
    -1,
    1.5,
    2**63,
    2**64 + 1,
    10**400,
    1e308,
    [],
    [None],
    ["a", 1, {"b": None}],
    {},
    {"a": {"b": [1]}, "id": 5},
)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TIME = "2026-01-31T12:00:00+00:00"


def _changed(value: Any, odd: Any, keep: tuple[str, ...] = ()) -> Any:
    """A copy in which every value that is neither an object nor a list is the odd one, but for these members."""
    if isinstance(value, dict):
        return {name: part if name in keep else _changed(part, odd) for name, part in value.items()}
    return [_changed(part, odd) for part in value] if isinstance(value, list) else copy.deepcopy(odd)


def _odd_pages(page: Page) -> Iterator[Page]:
    """The page with other values in its attributes, one kind at a time; without them; and with none at all."""

    def with_attributes(change: Callable[[Any], Any]) -> Page:
        def changed(resource: Any) -> Any:
            return {**resource, "attributes": change(resource.get("attributes"))}

        included = {key: changed(resource) for key, resource in page.included.items()}
        return replace(page, data=[changed(resource) for resource in page.data], included=included)

    for odd in ODD:
        yield with_attributes(lambda attributes, odd=odd: _changed(attributes, odd))
        yield with_attributes(lambda attributes, odd=odd: dict.fromkeys(attributes or {}, odd))
    yield with_attributes(lambda _: {})
    yield with_attributes(lambda _: None)
    yield replace(page, included={})
    yield replace(page, data=[{**resource, "relationships": {}} for resource in page.data])
    for odd in ODD:
        related = [_changed(resource.get("relationships"), odd) for resource in page.data]
        yield replace(
            page, data=[{**one, "relationships": links} for one, links in zip(page.data, related, strict=True)]
        )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.name} of {table.collection.name}")
def test_whatever_klaviyo_sends_is_a_row_that_fits(table: Table) -> None:
    """Values of every other type, or none, in place of what is expected."""
    schema = schema_files.load(table.name)
    judge = validator({**singer_schema(schema), "additionalProperties": False})
    values = lookup_values(table)
    for page in _odd_pages(page_of(table)):
        projection = Projection(table, schema, schema["properties"])
        rows = projection.rows(page.data, page, CONTEXT, lambda lookup, _rows, _page: values[lookup.name])
        for row in msgspec.json.decode(msgspec.json.encode(rows)):
            assert [f"{error.json_path}: {error.message}" for error in judge.iter_errors(row)] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.name} of {table.collection.name}")
def test_whatever_klaviyo_sends_is_a_line_that_fits(table: Table) -> None:
    """The same the way of large collections: pages are decoded into types, and at once made lines of."""
    schema = schema_files.load(table.name)
    judge = validator({**singer_schema(schema), "additionalProperties": False})
    selected = SelectedTable(table, schema, tuple(schema["properties"]))
    spec = RowSpec(table.collection, [selected], CONTEXT["account"], "https://a.klaviyo.com", None, {"id": "INT"})
    maker, lookups = spec.line_maker(line_encoders({table.name: None})), Known(lookup_values(table))
    for page in _odd_pages(page_of(table)):
        body = json.dumps({"data": list(page.data), "included": list(page.included.values())}).encode()
        lines, *_ = maker.make_lines(body, Slice(), None, lookups, NOW)
        for line in bytes(lines[table.name].data).splitlines():
            assert [
                f"{error.json_path}: {error.message}" for error in judge.iter_errors(json.loads(line)["record"])
            ] == []


@dataclass(frozen=True)
class Known:
    """Look-ups whose values are known: lookup -> values by id."""

    values: dict[str, dict[str, Any]]

    def get(self, lookup: str, _wanted: object) -> dict[str, Any]:
        return self.values.get(lookup, {})

    def add(self, lookup: str, values: object) -> None:
        """What the page has itself is known."""


@pytest.mark.parametrize(
    ("type_", "form", "bad"),
    [
        ("string", "date-time", "2026-02-30T00:00:00Z"),
        ("string", "date-time", "2026-01-31"),
        ("string", "date-time", "2026-01-31 12:00:00+00:00"),
        ("string", "date-time", "2026-01-31T12:00:00"),
        ("string", "date", "2026-02-30"),
        ("string", None, 5),
        ("integer", None, 1.5),
    ],
)
def test_a_row_that_does_not_fit_is_found(type_: str, form: str | None, bad: Any) -> None:
    """What judges the rows does judge them."""
    column = {"type": [type_, "null"], **({"format": form} if form else {})}
    schema = {
        "type": "SCHEMA",
        "stream": "s",
        "key_properties": ["id"],
        "schema": {"properties": {"id": {}, "a": column}},
    }

    def record(**values: Any) -> dict[str, Any]:
        return {"type": "RECORD", "stream": "s", "record": {"id": 1, **values}}

    good = {"date-time": TIME, "date": "2026-01-31", None: {"string": "x", "integer": 5}[type_]}[form]
    assert misfits([schema, record(a=good), record(a=None), record()]) == []
    assert len(misfits([schema, record(a=bad), record(a=good, more=1), record(id=2)])) == 2


def test_a_format_that_nothing_checks_is_told() -> None:
    """Else a column of that format would pass whatever it holds."""
    with pytest.raises(LookupError, match="no-such-format"):
        validator({"properties": {"a": {"items": [{"type": "string", "format": "no-such-format"}]}}})


@pytest.fixture(scope="module", params=["small", "procedural"])
def odd_account(request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    """An account that holds what programs have trouble with, in profiles, events and names."""
    procedural = request.param == "procedural"
    size = {"profiles": 60, "events": 2000 if procedural else 300}
    # Without the judge of answers: such an answer is none that the specification knows.
    with serve(**size, limits=False, odd_values=True, procedural=procedural, job_seconds=0.0) as sandbox:
        create_jobs(sandbox)
        yield sandbox


@pytest.mark.parametrize("processes", [0, 2])
def test_every_row_of_every_table_fits(odd_account: RunningSandbox, tmp_path: Path, processes: int) -> None:
    """All tables, V1's among them, and all columns."""
    settings = config(odd_account, processes=processes)
    run = run_tap(tmp_path, settings, catalog=select(discovered(), dict.fromkeys(STREAMS)))
    assert run.code == 0, run.errors
    # In a procedural account nobody has written a review.
    assert set(STREAMS) - run.streams <= {"review_events"}
    assert misfits(run.messages) == []


@pytest.mark.parametrize(
    "settings",
    [
        {
            "stream_maps": {
                "profiles": {"domain": "email.split('@')[-1] if email else None", "email": "__NULL__"},
                "events": {"value": "float(value) if value is not None else None", "day": "event_datetime[:10]"},
                "*": {"source": "'klaviyo'"},
            }
        },
        {"flattening_enabled": True, "flattening_max_depth": 2},
    ],
    ids=["mapped", "flattened"],
)
def test_every_row_that_the_sdk_changes_fits(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Stream maps and flattening change the SCHEMA with the rows."""
    account = make_sandbox(profiles=30, events=100, limits=False)
    run = run_tap(tmp_path, config(account, **settings), catalog=select(discovered(), dict.fromkeys(BY_DEFAULT)))
    assert run.code == 0, run.errors
    assert {"profiles", "events", "campaign_messages", "flow_actions"} <= run.streams
    assert misfits(run.messages) == []
