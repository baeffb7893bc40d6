"""What target-postgres makes of the tap's lines as meltano.yml sets it: by COPY, not validated, the same rows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from support.commands import singer_lines
from support.demo import ROOT, load
from support.environments import programs
from support.others.profile_jobs import create_jobs
from tap.tap_support import config, discovered, run_tap, select

from klaviyo_sandbox import serve
from tap_klaviyo.tables import STREAMS

PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text())
[PLUGIN] = [plugin for plugin in PROJECT["plugins"]["loaders"] if plugin["name"] == "target-postgres"]
AS_DOCUMENTED = {setting["name"]: setting["value"] for setting in PLUGIN["settings"] if "value" in setting}
CAREFUL = {"validate_records": True, "use_copy": False}

Message = dict[str, Any]
Rows = dict[tuple[Any, ...], dict[str, Any]]
Load = Callable[..., None]

COLUMNS: dict[str, Any] = {
    "id": {"type": "string"},
    "text": {"type": ["string", "null"]},
    "whole": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
    "object": {"type": ["object", "null"], "additionalProperties": True},
    "list": {"type": ["array", "null"]},
}
# What COPY's text format, an array's or JSON's has a meaning for.
TEXTS = (
    *(
        "",
        " ",
        "\\N",
        "\\",
        "\\\\N",
        "\\.",
        "a\tb",
        "a\nb",
        "a\r\nb",
        "NULL",
        "null",
        '"',
        "'",
        "{a,b}",
        "\\u0000",
        "\\x00",
    ),
    *("\x01\x7f", "\u2028", "ü🙂\ufffd", "%s", ":x", "\\b\\t"),
)
NEW = {"new": {"type": ["object", "null"], "additionalProperties": True}}
NUMBERS = (0, -1, 1.5, 0.1 + 0.2, 1e-7, 1e23, 1e308, 5e-324, 2**53, -(2**53), 19.99)


@pytest.fixture
def load_lines(database: str, tmp_path: Path) -> Load:
    """Loads messages into a schema of the database, with settings beside those of meltano.yml."""
    loader = programs("target-postgres", PLUGIN["pip_url"]) / "target-postgres"
    address = load().Meltano("", database).environment["TARGET_POSTGRES_SQLALCHEMY_URL"]

    def load_messages(schema: str, messages: Iterable[Message], **settings: Any) -> None:
        path = tmp_path / "target.json"
        path.write_text(
            json.dumps({**AS_DOCUMENTED, "sqlalchemy_url": address, "default_target_schema": schema, **settings})
        )
        done = subprocess.run(
            [loader, "--config", path], input=singer_lines(messages), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return load_messages


def read(database: str, schema: str, table: str, key: Iterable[str] = ("id",)) -> Rows:
    """A table's rows by their key, without what the loader adds to them; a key that comes twice fails."""
    query = f'select to_jsonb(t) from "{schema}"."{table}" t'
    with psycopg.connect(database) as connection:
        found = [row for (row,) in connection.execute(query).fetchall()]
    rows = {
        tuple(row[name] for name in key): {name: row[name] for name in row if not name.startswith("_sdc_")}
        for row in found
    }
    assert len(rows) == len(found)
    return rows


def messages(
    *records: Mapping[str, Any], version: int | None = None, more: Mapping[str, Any] | None = None
) -> list[Message]:
    """A SCHEMA and its RECORDs; of a version, which they then activate."""
    schema = {"type": "object", "properties": {**COLUMNS, **(more or {})}}
    made: list[Message] = [{"type": "SCHEMA", "stream": "odd", "schema": schema, "key_properties": ["id"]}]
    told = {} if version is None else {"version": version}
    made += [{"type": "RECORD", "stream": "odd", "record": record, **told} for record in records]
    return made if version is None else [*made, {"type": "ACTIVATE_VERSION", "stream": "odd", **told}]


def test_what_makes_the_loader_fast_is_set() -> None:
    """Nobody looks for two settings of somebody else's program; validation is 80 % of its time."""
    assert AS_DOCUMENTED["validate_records"] is False
    assert AS_DOCUMENTED["use_copy"] is True


@pytest.mark.exhaustive
def test_copy_keeps_what_inserts_kept(load_lines: Load, database: str, tmp_path: Path) -> None:
    """A whole account with odd values: each row of each table, as validated inserts have it, and none twice."""
    with serve(profiles=60, events=300, limits=False, odd_values=True, job_seconds=0.0) as account:
        create_jobs(account)
        run = run_tap(tmp_path, config(account), catalog=select(discovered(), dict.fromkeys(STREAMS)))
    assert run.code == 0, run.errors
    load_lines("copied", run.messages)
    load_lines("inserted", run.messages, **CAREFUL)
    for stream in run.streams:
        key = STREAMS[stream][0].key
        copied, inserted = (read(database, schema, stream, key) for schema in ("copied", "inserted"))
        assert copied == inserted
        assert len(copied) == len({tuple(row[name] for name in key) for row in run.rows(stream)})


@pytest.mark.exhaustive
def test_copy_takes_any_text(load_lines: Load, database: str) -> None:
    """In keys, texts, and inside JSON: what has a meaning for COPY is what it was."""
    records = [
        {"id": text, "text": text, "object": {f"k{text}": [text, None]}, "list": [text, {"a": text}]} for text in TEXTS
    ]
    load_lines("texts", messages(*records))
    rows = read(database, "texts", "odd")
    assert {key: {name: row[name] for name in ("id", "text", "object", "list")} for key, row in rows.items()} == {
        (record["id"],): record for record in records
    }


@pytest.mark.exhaustive
def test_copy_takes_the_edges_of_each_type(load_lines: Load, database: str) -> None:
    """A number is what a double holds; an integer has 64 bits; a time is UTC; inside JSON numbers have any size."""
    edges: list[Message] = [{"id": f"number {number}", "number": number} for number in NUMBERS]
    edges += [{"id": f"whole {whole}", "whole": whole} for whole in (2**63 - 1, -(2**63))]
    edges += [{"id": f"time {year}", "time": f"{year}-12-31T23:59:59.999999+00:00"} for year in ("0001", "9999")]
    edges += [{"id": "flags", "flag": True}, {"id": "object", "object": {"huge": 10**400, "none": None}, "list": []}]
    load_lines("edges", messages(*edges))
    load_lines("edges_inserted", messages(*edges), **CAREFUL)
    rows = read(database, "edges", "odd")
    assert rows == read(database, "edges_inserted", "odd")
    assert {float(row["number"]) for row in rows.values() if row["number"] is not None} == set(NUMBERS)
    assert {row["whole"] for row in rows.values()} == {None, 2**63 - 1, -(2**63)}
    assert rows["time 0001",]["time"] == "0001-12-31T23:59:59.999999"
    assert rows["object",]["object"] == {"huge": 10**400, "none": None}


@pytest.mark.exhaustive
def test_copied_times_are_utc_in_a_database_of_any_zone(load_lines: Load, database: str) -> None:
    """Inserts shift them into the time zone of the session, which two settings of a server can change unseen."""
    name = urlsplit(database).path.lstrip("/")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"alter database {name} set timezone to 'America/New_York'")
    try:
        load_lines("zoned", messages({"id": "a", "time": "2026-01-31T12:00:00+00:00"}))
        assert read(database, "zoned", "odd")["a",]["time"] == "2026-01-31T12:00:00"
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"alter database {name} reset timezone")


@pytest.mark.exhaustive
def test_rows_that_come_again_replace_themselves(load_lines: Load, database: str) -> None:
    """Within a batch and in a later run; what is null then, or missing in the line, is null; new columns are added."""
    full = {"text": "c", "whole": 3, "number": 1.5, "flag": True, "object": {"a": 1}, "list": [1]}
    load_lines(
        "again",
        messages(
            {"id": "a", "text": "first", "whole": 1},
            {"id": "b", "text": "b", "whole": 2},
            {"id": "c", "time": "2026-01-31T12:00:00+00:00", **full},
        ),
    )
    load_lines(
        "again",
        messages(
            {"id": "a", "text": "second", "whole": None},
            {"id": "a", "text": None, "new": {"x": "\\N"}},
            {"id": "c"},
            more=NEW,
        ),
    )
    rows = read(database, "again", "odd")
    assert (rows["a",]["text"], rows["a",]["whole"], rows["a",]["new"]) == (None, None, {"x": "\\N"})
    assert (rows["b",]["text"], rows["b",]["whole"]) == ("b", 2)
    assert {value for name, value in rows["c",].items() if name != "id"} == {None}


@pytest.mark.exhaustive
@pytest.mark.parametrize("hard_delete", [True, False])
def test_what_a_version_ends_is_gone(load_lines: Load, database: str, hard_delete: bool) -> None:
    """ACTIVATE_VERSION deletes rows, or marks them, also those of the batch that it interrupts."""
    schema = f"versions_{hard_delete}"
    load_lines(schema, messages({"id": "a"}, {"id": "b"}, version=1), hard_delete=hard_delete)
    load_lines(schema, messages({"id": "b"}, {"id": "c"}, version=2), hard_delete=hard_delete)
    with psycopg.connect(database) as connection:
        query = f'select id from "{schema}"."odd" where _sdc_deleted_at is null order by id'
        assert connection.execute(query).fetchall() == [("b",), ("c",)]
        counted = connection.execute(f'select count(*) from "{schema}"."odd"').fetchone()
    assert counted == (2 if hard_delete else 3,)
