"""The loader of the lake: Singer messages in, Parquet files, views and STATE out."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import warm
from support.commands import run_command, singer_lines
from support.lake import land, program, query

SCHEMA = {
    "type": "SCHEMA",
    "stream": "people",
    "schema": {
        "properties": {
            "id": {"type": "string"},
            "name": {"type": ["string", "null"]},
            "age": {"type": ["integer", "null"]},
            "updated": {"type": ["string", "null"], "format": "date-time"},
        }
    },
    "key_properties": ["id"],
    "bookmark_properties": ["updated"],
}
STATE = {"type": "STATE", "value": {"bookmarks": {"people": 1}}}


def record(key: str, name: str, updated: str = "2026-06-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    row = {"id": key, "name": name, "updated": updated}
    return {"type": "RECORD", "stream": "people", "record": row, **more}


def activate(version: int) -> dict[str, Any]:
    return {"type": "ACTIVATE_VERSION", "stream": "people", "version": version}


def names(lake: Path) -> dict[str, str]:
    found = query(lake, "select id, name from people order by id")
    assert len({key for key, _ in found}) == len(found)
    return dict(found)


def batch(lake: Path, number: int, rows: list[dict[str, Any]], version: int | None = None) -> dict[str, Any]:
    """A BATCH as the tap writes it, with its file."""
    folder = lake.parent / "outbox"
    folder.mkdir(exist_ok=True)
    path = folder / f"people-run-{number}.parquet"
    columns = pa.schema(
        {"id": pa.string(), "name": pa.string(), "age": pa.int64(), "updated": pa.timestamp("us", "UTC")},
        {"singer.stream": "people"} | ({} if version is None else {"singer.version": str(version)}),
    )
    known = [{**row, "updated": datetime.fromisoformat(row["updated"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(known, columns), path)
    encoding = {"format": "parquet", "compression": "none"}
    return {"type": "BATCH", "stream": "people", "encoding": encoding, "manifest": [f"file://{path}"]}


def test_the_latest_row_of_each_key_is_shown(tmp_path: Path) -> None:
    """A later run wins; in a run the later bookmark, and of equal ones the later row."""
    done = land(
        tmp_path,
        SCHEMA,
        record("a", "new", "2026-06-02T00:00:00Z"),
        record("a", "old", "2026-06-01T00:00:00Z"),
        record("b", "first"),
        record("b", "second"),
        record("c", "here", "2026-06-03T00:00:00Z"),
        STATE,
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, STATE["value"]), done.stderr
    assert names(tmp_path) == {"a": "new", "b": "second", "c": "here"}
    # Whatever the bookmark says: Klaviyo's answer of now is what holds now.
    assert land(tmp_path, SCHEMA, record("c", "later", "2026-06-01T00:00:00Z"), STATE).returncode == 0
    assert names(tmp_path) == {"a": "new", "b": "second", "c": "later"}


def test_batches_are_moved_and_shown(tmp_path: Path) -> None:
    """A BATCH's file gets its place in the lake, beside files of lines, and a STATE after it goes out at once."""
    lake = tmp_path / "lake"
    first = batch(lake, 1, [record("a", "one")["record"], record("b", "two")["record"]])
    second = batch(lake, 2, [record("a", "three", "2026-06-02T00:00:00Z")["record"]])
    done = land(lake, SCHEMA, first, STATE, second, STATE, record("c", "four"))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [STATE["value"]] * 2
    assert names(lake) == {"a": "three", "b": "two", "c": "four"}
    assert list((tmp_path / "outbox").iterdir()) == []
    assert "4 rows in 3 files of 1 tables" in done.stderr


def test_lines_in_batches_are_landed(tmp_path: Path) -> None:
    """JSONL with gzip, as the SDK writes it."""
    path = tmp_path / "people 1.json.gz"
    path.write_bytes(gzip.compress(b"".join(json.dumps(record(k, k)["record"]).encode() + b"\n" for k in "ab")))
    encoding = {"format": "jsonl", "compression": "gzip"}
    message = {"type": "BATCH", "stream": "people", "encoding": encoding, "manifest": [path.as_uri()]}
    done = land(tmp_path / "lake", SCHEMA, message, STATE)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "lake") == {"a": "a", "b": "b"}


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more"])
def test_a_batch_that_is_not_whole_gives_no_state(tmp_path: Path, content: bytes | None) -> None:
    """What vouches for a file that is not there must not be handed on."""
    lake = tmp_path / "lake"
    message = batch(lake, 1, [record("a", "one")["record"]])
    path = Path(message["manifest"][0].removeprefix("file://"))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    done = land(lake, SCHEMA, message, STATE)
    assert (done.returncode, done.stdout) == (1, "")
    assert path.name in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_activate_version_ends_older_rows(tmp_path: Path) -> None:
    """Rows of older versions and of none are gone from the view; those of the version, and of later ones, are there."""
    lake = tmp_path / "lake"
    assert land(lake, SCHEMA, record("a", "none"), record("d", "none"), STATE).returncode == 0
    assert land(lake, SCHEMA, record("a", "v10", version=10), record("b", "v10", version=10), STATE).returncode == 0
    assert names(lake) == {"a": "v10", "b": "v10", "d": "none"}
    assert land(lake, SCHEMA, activate(10), STATE).returncode == 0
    assert names(lake) == {"a": "v10", "b": "v10"}
    # In a BATCH the version stands in the file.
    assert land(lake, SCHEMA, batch(lake, 1, [record("b", "v11")["record"]], 11)).returncode == 0
    assert names(lake) == {"a": "v10", "b": "v11"}
    assert land(lake, SCHEMA, record("c", "v11", version=11), activate(11), STATE).returncode == 0
    assert names(lake) == {"b": "v11", "c": "v11"}
    assert land(lake, SCHEMA, activate(12)).returncode == 0
    assert names(lake) == {}


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    """What an account has none of is an empty view of the SCHEMA's types."""
    assert land(tmp_path, SCHEMA, STATE).returncode == 0
    described = {name: kind for name, kind, *_ in query(tmp_path, "describe people")}
    assert described == {
        "id": "VARCHAR",
        "name": "VARCHAR",
        "age": "BIGINT",
        "updated": "TIMESTAMP WITH TIME ZONE",
        "_sdc_batched_at": "TIMESTAMP WITH TIME ZONE",
    }
    assert names(tmp_path) == {}


def test_batched_at_is_when_the_file_was_landed(tmp_path: Path) -> None:
    """By it others find what is new; it is neither the time of the row nor that of the run's start."""
    begun = datetime.now(UTC)
    land(tmp_path, SCHEMA, record("a", "a"))
    between = datetime.now(UTC)
    land(tmp_path, SCHEMA, record("b", "b"))
    rows = query(tmp_path, "select epoch_us(_sdc_batched_at) / 1e6 from people order by id")
    assert begun.timestamp() <= rows[0][0] <= between.timestamp() <= rows[1][0] <= datetime.now(UTC).timestamp()


def test_columns_come_and_go_and_change(tmp_path: Path) -> None:
    """A column that comes later is null before; one that comes no more, and one of a new type, keep what they had."""
    land(tmp_path, SCHEMA, record("a", "a"), record("b", "b"))
    properties = {name: it for name, it in SCHEMA["schema"]["properties"].items() if name != "name"}
    wider = {**properties, "age": {"type": "number"}, "city": {"type": "string"}}
    later = {**SCHEMA, "schema": {"properties": wider}}
    row = {"type": "RECORD", "stream": "people", "record": {"id": "b", "age": 1.5, "city": "Rome"}}
    assert land(tmp_path, later, row).returncode == 0
    assert query(tmp_path, "select id, name, age, city from people order by id") == [
        ("a", "a", None, None),
        ("b", None, 1.5, "Rome"),
    ]
    # Selected again, it is as it was.
    assert land(tmp_path, SCHEMA, record("c", "c")).returncode == 0
    assert query(tmp_path, "select id, name, city from people where id > 'a' order by id") == [
        ("b", None, "Rome"),
        ("c", "c", None),
    ]


def test_new_files_show_at_once(tmp_path: Path) -> None:
    """A view finds what is landed while a program has the database open, and a new column does not break it."""
    land(tmp_path, SCHEMA, record("a", "a"))
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        assert land(tmp_path, SCHEMA, record("b", "b"), STATE).returncode == 0
        assert connection.execute("select count(*) from people").fetchall() == [(2,)]
        wider = {**SCHEMA["schema"]["properties"], "city": {"type": "string"}}
        done = land(tmp_path, {**SCHEMA, "schema": {"properties": wider}}, record("c", "c"), STATE)
        assert connection.execute("select count(*) from people").fetchall() == [(3,)]
        # All is landed, and what is left to do is said.
        assert (done.returncode, json.loads(done.stdout)) == (1, STATE["value"])
        assert "--views" in done.stderr
    assert land(tmp_path, SCHEMA).returncode == 0
    assert query(tmp_path, "select city from people where id = 'c'") == [(None,)]


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    """All of it may be personal: folders are 0700, files 0600, whatever the umask says."""
    lake = tmp_path / "lake"
    before = os.umask(0)
    try:
        land(lake, SCHEMA, record("a", "a"), batch(lake, 1, []), activate(0), STATE)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [lake, *lake.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in lake.rglob("*") if path.is_file()} == {0o600}
    assert not (lake / "_incoming").exists()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """Two runs would remove each other's files; the second says so, and nothing is changed."""
    land(tmp_path, SCHEMA, record("a", "a"))
    left = tmp_path / "_incoming" / "000007"
    left.mkdir(parents=True)
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = land(tmp_path, SCHEMA, record("b", "b"), STATE)
        assert (done.returncode, done.stdout) == (1, "")
        assert "another run is writing" in done.stderr
        assert left.exists()
    assert land(tmp_path, SCHEMA, record("b", "b"), STATE).returncode == 0
    assert not left.exists()
    assert names(tmp_path) == {"a": "a", "b": "b"}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A wrong path must not become a lake."""
    (tmp_path / "thesis.txt").touch()
    done = land(tmp_path, SCHEMA, record("a", "a"))
    assert done.returncode == 1
    assert "no lake" in done.stderr
    assert os.listdir(tmp_path) == ["thesis.txt"]  # noqa: PTH208 - hidden ones, too


def test_names_of_streams_are_any(tmp_path: Path) -> None:
    """A name is no path, no pattern and no SQL, and readers that leave out `_` and dots find every folder."""
    lake = tmp_path / "it's [a] lake*"
    streams = ["public-orders", "../up", "_hidden", ".dot", 'quo"te', "per%cent", "sta*r", "sp ace"]
    messages = [m for s in streams for m in ({**SCHEMA, "stream": s}, {**record("a", s), "stream": s})]
    done = land(lake, *messages, STATE)
    assert done.returncode == 0, done.stderr
    for stream in streams:
        quoted = stream.replace('"', '""')
        assert query(lake, f'select name from "{quoted}"') == [(stream,)]
    assert {path.name for path in tmp_path.iterdir()} == {lake.name}
    assert not [path for path in lake.iterdir() if path.is_dir() and path.name[0] in "._"]
    collides = land(lake, {**SCHEMA, "stream": "Public-Orders"})
    assert (collides.returncode, collides.stdout) == (1, "")
    assert "capitals" in collides.stderr


def test_a_question_mark_in_the_path_is_refused(tmp_path: Path) -> None:
    """DuckDB looks for the database elsewhere, once all is landed; so it is said before."""
    done = land(tmp_path / "lake?", SCHEMA, record("a", "a"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "question mark" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_moved_lake_gets_its_views_back(tmp_path: Path) -> None:
    """Views name the folder, and the command with --views makes them anew."""
    land(tmp_path / "here", SCHEMA, record("a", "a"))
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(duckdb.IOException):
        names(tmp_path / "there")
    done = run_command([*program("lake"), str(tmp_path / "there"), "--views"])
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "there") == {"a": "a"}


def test_views_can_be_made_while_a_run_fills_the_lake(tmp_path: Path) -> None:
    """A first run lasts hours and makes them at its end; who cannot wait makes them meanwhile."""
    land(tmp_path, SCHEMA, record("a", "a"))
    (tmp_path / "warehouse.duckdb").unlink()
    with (tmp_path / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run_command([*program("lake"), str(tmp_path), "--views"])
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == {"a": "a"}


def test_no_views_are_made_where_no_lake_is(tmp_path: Path) -> None:
    """A wrong folder is told, and stays as it was."""
    done = run_command([*program("lake"), str(tmp_path), "--views"])
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert f"{tmp_path} is no lake" in done.stderr


def test_a_table_without_a_key_keeps_all_rows(tmp_path: Path) -> None:
    """Nothing tells two of its rows apart."""
    messages = [{**SCHEMA, "key_properties": []}, record("a", "one"), record("a", "two")]
    assert land(tmp_path, *messages).returncode == 0
    assert query(tmp_path, "select name from people order by name") == [("one",), ("two",)]


def test_odd_values_are_told_with_their_column(tmp_path: Path) -> None:
    """Half a surrogate pair, NaN and a thousand levels reach the file, and the log counts what changed."""
    deep = "[" * 1000 + "]" * 1000
    schema = {**SCHEMA, "schema": {"properties": {**SCHEMA["schema"]["properties"], "more": {"type": "object"}}}}
    lines = [
        '{"type": "RECORD", "stream": "people", "record": {"id": "a", "name": "\\ud83d", "age": 9223372036854775808}}',
        '{"type": "RECORD", "stream": "people", "record": {"id": "b", "name": "b", "more": {"a": ' + deep + "}}}",
        '{"type": "RECORD", "stream": "people", "record": {"id": "c", "name": "c", "more": {"b": NaN}}}',
    ]
    done = land(tmp_path, schema, *lines, STATE)
    assert done.returncode == 0, done.stderr
    assert query(tmp_path, "select id, name, age, more from people order by id") == [
        ("a", "?", None, None),
        ("b", "b", None, '{"a": ' + deep + "}"),
        ("c", "c", None, '{"b": null}'),
    ]
    assert "people.age: 1 values are null, for they are no integer of 64 bits" in done.stderr
    assert "people.name: 1 values are mended" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no JSON", "no Singer message"),
        ('{"type": "RECORD", "stream": "people", "record": {"id": "b"', "no Singer message"),
        ('{"type": "RECORD", "stream": "others", "record": {}}', "before its SCHEMA"),
        ('{"type": "RECORD", "stream": "people", "record": [1]}', "cannot be read"),
        (json.dumps({**SCHEMA, "key_properties": ["nowhere"]}), "nowhere"),
    ],
)
def test_what_is_no_singer_stops_the_run(tmp_path: Path, line: str, said: str) -> None:
    """Nobody knows what a broken line said, so nothing after it is vouched for; values are not quoted."""
    done = land(tmp_path, SCHEMA, line, STATE, record("secret@example.com", "x"))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_last_line_that_is_cut_short_was_never_sent(tmp_path: Path) -> None:
    """Whatever fed the loader was killed: what is whole is landed with its STATE, and the exit code says it."""
    text = singer_lines([SCHEMA, record("a", "a"), STATE]) + '{"type": "RECORD", "stream": "people", "rec'
    done = warm.run([*program("land"), str(tmp_path)], input=text, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)) == (1, STATE["value"])
    assert "cut short" in done.stderr
    assert names(tmp_path) == {"a": "a"}
