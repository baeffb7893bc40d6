"""Queries of databases, by SQLAlchemy: any address for which there is a driver. Nothing is ever committed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from klaviyo_audience.reading.rows import Rows, check_names
from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy.redaction import add_secrets, mask

_BATCH_ROWS = 2_000
# Database -> what to install to speak with it.
_DRIVERS = {
    "postgresql": "psycopg[binary]",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift redshift_connector",
    "mysql": "pymysql",
    "mariadb": "pymysql",
    "mssql": "pyodbc",
    "oracle": "oracledb",
    "duckdb": "duckdb-engine",
    "databricks": "databricks-sqlalchemy",
    "clickhouse": "clickhouse-sqlalchemy",
    "trino": "trino[sqlalchemy]",
}


@contextmanager
def read_query(address: str, query: str) -> Iterator[Rows]:
    """What a query gives, with the columns' own types, row by row as the database sends them.

    Args:
        address: the database's, as SQLAlchemy has it: ``postgresql://user:password@host/database``.
        query: a select.

    Raises:
        SettingsError: the address or the query cannot be used, or the driver is missing.
    """
    url = _parse_address(address)
    try:
        engine = sqlalchemy.create_engine(url)
    except (NoSuchModuleError, ImportError) as error:
        database = url.drivername.partition("+")[0]
        package = _DRIVERS.get(database, f"its driver for SQLAlchemy ({url.drivername})")
        raise SettingsError(f"{database} needs a driver that is not installed: pip install '{package}'") from error
    try:
        with _query_errors(), engine.connect() as connection:
            yield _run(connection, query)
    finally:
        engine.dispose()


def _parse_address(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise SettingsError("--from must be an address such as postgresql://user:password@host/database") from error
    if url.password:
        add_secrets(str(url.password))
    if url.drivername in ("postgres", "postgresql"):
        driver = "psycopg" if importlib.util.find_spec("psycopg2") is None else "psycopg2"
        return url.set(drivername=f"postgresql+{driver}")
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if is_file and "uri" not in url.query and not Path(str(url.database)).is_file():  # it would be made, empty
        raise SettingsError(f"--from: there is no file {url.database}")
    return url


def _run(connection: Connection, query: str) -> Rows:
    # With no_parameters a % or a colon in the query is what it is.
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_BATCH_ROWS, no_parameters=True)
    result = streaming.exec_driver_sql(query)
    if not result.returns_rows:
        raise SettingsError("--query gives no rows: it must be a select")

    def values() -> Iterator[Sequence[Any]]:
        with _query_errors():
            for batch in result.partitions(_BATCH_ROWS):
                yield from batch

    columns = list(result.keys())
    check_names(columns, "--query")
    return Rows(columns, values(), has_types=True)


@contextmanager
def _query_errors() -> Iterator[None]:
    """The database's errors as ours: their first line, in which no address and no value stands."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        first_line = str(cause).strip().partition("\n")[0]
        raise SettingsError(f"the query of the database fails: {mask(first_line)}") from error
