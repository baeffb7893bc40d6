"""Queries of databases: any address of SQLAlchemy, here SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from klaviyo_audience.reading.source import Source
from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy.redaction import mask


def ask(address: str | None, query: str | None) -> list[dict[str, Any]]:
    with Source(address=address, query=query).open() as rows:
        return [dict(zip(rows.columns, values, strict=True)) for values in rows.values]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """The address of an SQLite file."""
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table people (email text, spent real, code text)")
        connection.executemany("insert into people values (?, 1.5, '007')", [(f"p{n}@x.com",) for n in range(5000)])
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_sqlite(shop: str) -> None:
    """More rows than are fetched at once, in their order; a % and a colon in the query are what they are."""
    rows = ask(shop, "select email, spent, code, 'a%b:c' as sign from people where email like 'p%'")
    assert len(rows) == 5000
    assert rows[4999] == {"email": "p4999@x.com", "spent": 1.5, "code": "007", "sign": "a%b:c"}


@pytest.mark.parametrize("driver", ["", "+psycopg"])
def test_postgresql(database: str, driver: str) -> None:
    """Columns keep their types, and the address needs no driver's name."""
    address = database.replace("postgresql://", f"postgresql{driver}://", 1)
    query = (
        "select 'ada@x.com' as email, 1.50::numeric as spent, date '2026-01-31' as day, '50%' as share, "
        "timestamptz '2026-01-31 10:00Z' as seen, array['a'] as tags"
    )
    (row,) = ask(address, query)
    assert row["seen"].astimezone(UTC) == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert {**row, "seen": None} == {
        "email": "ada@x.com",
        "spent": row["spent"],
        "day": date(2026, 1, 31),
        "share": "50%",
        "tags": ["a"],
        "seen": None,
    }
    assert float(row["spent"]) == 1.5


def test_nothing_is_written(database: str) -> None:
    """A statement that changes something is refused or undone."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table kept (email text)")
        connection.execute("insert into kept values ('ada@x.com')")
        with pytest.raises(SettingsError):
            ask(database, "delete from kept")
        ask(database, "select email from kept")
        assert connection.execute("select count(*) from kept").fetchone() == (1,)


@pytest.mark.parametrize(
    ("address", "query", "message"),
    [
        ("sqlite:///shop.sqlite", "select 1", "there is no file shop.sqlite"),
        ("not an address", "select 1", "--from must be an address"),
        ("snowflake://u:sesame-open@account/db", "select 1", "pip install 'snowflake-sqlalchemy'"),
        ("bigquery://project", "select 1", "pip install 'sqlalchemy-bigquery'"),
        ("redshift+redshift_connector://host/db", "select 1", "pip install 'sqlalchemy-redshift"),
        ("mysql+pymysql://host/db", "select 1", "pip install 'pymysql'"),
        ("postgresql://u:sesame-open@127.0.0.1:9/db", "select 1", "the query of the database fails"),
        ("sqlite://", "select nobody", "no such column"),
        ("sqlite://", "select 1 as a, 2 as a", "two columns of one name: a"),
        ("sqlite://", None, "name a file, or use --query"),
        (None, "select 1", "name a file, or use --query"),
    ],
)
def test_what_does_not_work_is_said(address: str | None, query: str | None, message: str) -> None:
    """What to install or to change; never the password."""
    with pytest.raises(SettingsError, match=message) as caught:
        ask(address, query)
    assert "sesame-open" not in mask(str(caught.value))
