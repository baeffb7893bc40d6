"""Files as people have them: delimiters, encodings, quoted lines, workbooks, Parquet and DuckDB's own."""

from __future__ import annotations

import csv
import io
import json
import sys
import tempfile
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_audience.feed import Feed
from klaviyo_audience.reading.rows import clean_text
from klaviyo_audience.reading.source import Source
from klaviyo_client.errors import SettingsError


def read(path: Path, **options: Any) -> list[dict[str, Any]]:
    with Source(path, **options).open() as rows:
        return [dict(zip(rows.columns, values, strict=True)) for values in rows.values]


def write(folder: Path, text: str, name: str = "people.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    """Found by looking at the file; every value is the text that stands there."""
    lines = [["E-Mail", "Code", "Spent"], ["ada@example.com", "0012", "1.5"], ["bo@example.com", "0013", ""]]
    path = write(tmp_path, end.join(delimiter.join(line) for line in lines) + end)
    assert read(path) == [
        {"E-Mail": "ada@example.com", "Code": "0012", "Spent": "1.5"},
        {"E-Mail": "bo@example.com", "Code": "0013", "Spent": None},
    ]


def test_what_spreadsheets_leave_behind(tmp_path: Path) -> None:
    """A byte order mark, a line that names the delimiter, blank lines and columns, short lines, quoted line ends."""
    header = "sep=;\r\n\r\n\ufeffE-Mail; First Name ;Notes;\r\n"
    text = header + 'ada@example.com ;Ada;"two\r\nlines; ""so"""\r\n\r\n;;;\r\nbo@x.com\r\n'
    assert read(write(tmp_path, text)) == [
        {"E-Mail": "ada@example.com", "First Name": "Ada", "Notes": 'two\r\nlines; "so"'},
        {"E-Mail": "bo@x.com", "First Name": None, "Notes": None},
    ]


_CELLS = st.text(st.sampled_from("ab ,;\t|\"'#\\1.é\n"), max_size=6)


@given(
    st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=40),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_written_is_read(cells: list[tuple[str, str]], delimiter: str, end: str) -> None:
    """Other delimiters, quotes, hashes and line ends in the values take nothing away and shift nothing."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    rows = [(f"p{number}@example.com", *values) for number, values in enumerate(cells)]
    writer.writerows([("E-Mail", "Notes", "City"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        found = read(write(Path(folder), text.getvalue()))
    assert [tuple(row.values()) for row in found] == [tuple(map(clean_text, row)) for row in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_say_themselves(tmp_path: Path, encoding: str) -> None:
    """UTF-8, and what a byte order mark says."""
    path = write(tmp_path, "email,City\nada@example.com,Malmö\n", encoding=encoding)
    assert read(path) == [{"email": "ada@example.com", "City": "Malmö"}]


@pytest.mark.parametrize("encoding", ["cp1252", "iso-8859-1", "utf-16-le", "mac_roman"])
def test_other_encodings_must_be_said(tmp_path: Path, encoding: str) -> None:
    """No letter is ever guessed: an error names the line and the option, and with it the letters are right."""
    path = write(tmp_path, "email,City\nbo@example.com,Oslo\nada@example.com,Malmö\n", encoding=encoding)
    with pytest.raises(SettingsError, match=r"--encoding cp1252"):
        read(path)
    assert read(path, encoding=encoding)[1] == {"email": "ada@example.com", "City": "Malmö"}
    with pytest.raises(SettingsError, match="--encoding klingon is unknown"):
        read(path, encoding="klingon")


def test_a_name_that_looks_like_a_pattern_is_one_file(tmp_path: Path) -> None:
    """`people[1].csv` is what a browser calls the second download."""
    write(tmp_path, "email\nwrong@example.com\n", "people1.csv")
    path = write(tmp_path, "email\nada@example.com\n", "people[1].csv")
    assert read(path) == [{"email": "ada@example.com"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("ada@example.com,Ada\nbo@example.com,Bo\n", "holds an e-mail address"),
        ('email,name\nada@x.com,"Ada\nbo@x.com,Bo\n', "a quote in line 2 or behind it is never closed"),
        ("email,name,city\nada@x.com,Moss, Ada,Oslo\nb@x.com,Bo,Rome\n", "row 1 below the header"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    """No header, or more values than headers: nothing is shifted into another column."""
    with pytest.raises(SettingsError, match=message) as caught:
        read(write(tmp_path, text))
    assert "@" not in str(caught.value)


def test_a_file_of_another_kind_is_no_text(tmp_path: Path) -> None:
    """A workbook that was only given another name is not taken for an odd encoding."""
    path = workbook(tmp_path / "people.xlsx", {"People": [["email"], ["ada@example.com"]]}).rename(tmp_path / "a.csv")
    with pytest.raises(SettingsError, match=r"a.csv is a workbook, not text"):
        read(path)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    """Both are kept, the second under a name of its own, and it is said."""
    path = write(tmp_path, "email,Notes,Notes\nada@example.com,a,b\n")
    with Source(path).open() as rows:
        assert list(rows.columns) == ["email", "Notes", "Notes (2)"]
        assert rows.notes == ["two columns are called 'Notes': the other is 'Notes (2)' here"]


def workbook(path: Path, sheets: Mapping[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook(tmp_path: Path) -> None:
    """Cells keep their types; a midnight is a day, a whole number has no fraction, an error says nothing."""
    cells = [
        [None],
        ["E-Mail", "Last order", "Spent", "Orders", "VIP", "Seen"],
        [
            "ada@example.com ",
            datetime.combine(date(2026, 1, 31), time()),
            12.5,
            3.0,
            True,
            datetime.combine(date(2026, 1, 31), time(10, 30)),
        ],
        [None],
        ["bo@example.com", None, "#N/A", 4, False, None],
    ]
    assert read(workbook(tmp_path / "people.xlsx", {"People": cells})) == [
        {
            "E-Mail": "ada@example.com",
            "Last order": date(2026, 1, 31),
            "Spent": 12.5,
            "Orders": 3,
            "VIP": True,
            "Seen": datetime.combine(date(2026, 1, 31), time(10, 30)),
        },
        {"E-Mail": "bo@example.com", "Last order": None, "Spent": None, "Orders": 4, "VIP": False, "Seen": None},
    ]


def test_the_sheet_of_a_workbook(tmp_path: Path) -> None:
    """Of several it must be said which."""
    path = workbook(tmp_path / "people.xlsx", {"May": [["email"], ["may@x.com"]], "June": [["email"], ["june@x.com"]]})
    assert read(path, sheet="June") == [{"email": "june@x.com"}]
    with pytest.raises(SettingsError, match="--sheet NAME; there are May, June"):
        read(path)
    with pytest.raises(SettingsError, match="no sheet 'July'"):
        read(path, sheet="July")
    path.write_bytes(b"PK no workbook")
    with pytest.raises(SettingsError, match="not a readable Excel workbook"):
        read(path)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A DuckDB file with two tables."""
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table people as select 'ada@example.com' as email, 12.50::decimal(9, 2) as spent, "
            "date '2026-01-31' as day, timestamp '2026-01-31 10:30:00' as seen, ['a', 'b'] as tags, "
            "true as vip, null as nothing"
        )
        connection.execute('create table "Other ""people""" as select 1 as id')
        connection.execute(f"copy people to '{tmp_path / 'people.parquet'}' (format parquet)")
    return path


def test_parquet_and_duckdb_keep_their_types(people: Path, tmp_path: Path) -> None:
    """The table's own types go before any guess."""
    expected = {
        "email": "ada@example.com",
        "spent": Decimal("12.50"),
        "day": date(2026, 1, 31),
        "vip": True,
        "seen": datetime.combine(date(2026, 1, 31), time(10, 30)),
        "tags": ["a", "b"],
        "nothing": None,
    }
    assert read(people, table="people") == [expected]
    assert read(people, query="select email from people") == [{"email": "ada@example.com"}]
    assert read(people, table='Other "people"') == [{"id": 1}]
    assert read(tmp_path / "people.parquet") == [expected]


def test_what_duckdb_cannot_read_is_said(people: Path, tmp_path: Path) -> None:
    """A table that there is not, a wrong query, a file that is none: what to do, without a traceback."""
    with pytest.raises(SettingsError, match=r"--table NAME, or --query; its tables: Other .*, people"):
        read(people)
    with pytest.raises(SettingsError, match="no table persons"):
        read(people, table="persons")
    with pytest.raises(SettingsError, match=r"shop.duckdb cannot be read"):
        read(people, query="select nobody from people")
    with pytest.raises(SettingsError, match=r"shop.duckdb cannot be read"):
        read(people, query="delete from people")
    with pytest.raises(SettingsError, match="two columns of one name: a"):
        read(people, query="select 1 as a, 2 as a")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not Parquet at all")
    with pytest.raises(SettingsError, match=r"broken.parquet cannot be read"):
        read(broken)
    sqlite = tmp_path / "shop.db"
    sqlite.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(SettingsError, match="--from sqlite:///"):
        read(sqlite)


def test_nothing_is_downloaded(people: Path) -> None:
    """An address of the web in a query needs an extension, which is refused and not fetched."""
    with pytest.raises(SettingsError, match="cannot be read"):
        read(people, query="select * from read_csv('https://example.com/people.csv')")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("missing.csv", {}, "there is no file"),
        ("people.xls", {}, "save it as .xlsx"),
        ("people.pdf", {}, "not a known kind of file"),
        ("people.csv", {"sheet": "May"}, "--sheet does not go with"),
        ("people.csv", {"query": "select 1"}, "--query does not go with"),
        ("people.csv", {"address": "sqlite://"}, "leave the file out"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    """Nothing that somebody has said is left aside silently."""
    if name != "missing.csv":
        write(tmp_path, "email\n", name)
    with pytest.raises(SettingsError, match=message):
        read(tmp_path / name, **options)


@pytest.mark.parametrize(("module", "name"), [("duckdb", "people.parquet"), ("openpyxl", "people.xlsx")])
def test_without_the_extra_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, name: str
) -> None:
    """Whoever has no `[audience]` is told, and not shown a traceback."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=r"pip install 'singer-klaviyo\[audience\]'"):
        read(write(tmp_path, "email\n", name))


def feed_of(path: Path, typed: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    feed = Feed("people", version=7)
    with Source(path).open() as rows:
        feed.fill(rows, typed=typed)
    read_twice = []
    for _ in range(2):
        with feed.lines() as lines:
            read_twice.append(b"".join(iter(lambda lines=lines: lines.read1(100), b"")))  # type: ignore[misc]
    feed.close()
    assert read_twice[0] == read_twice[1]
    return [json.loads(line) for line in read_twice[0].splitlines()]


def test_rows_become_singer_lines(people: Path, tmp_path: Path) -> None:
    """A SCHEMA with what came, each row with the run's version, and its end; the same when it is read again."""
    schema, record, end = feed_of(tmp_path / "people.parquet")
    assert schema["schema"]["properties"]["spent"] == {"type": ["number", "null"]}
    assert schema["schema"]["properties"]["nothing"] == {"type": ["null"]}
    assert record == {
        "type": "RECORD",
        "stream": "people",
        "version": 7,
        "record": {
            "email": "ada@example.com",
            "spent": 12.5,
            "day": "2026-01-31",
            "seen": "2026-01-31T10:30:00",
            "tags": ["a", "b"],
            "vip": True,
            "nothing": None,
        },
    }
    assert end == {"type": "ACTIVATE_VERSION", "stream": "people", "version": 7}
