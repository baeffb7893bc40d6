"""Parquet and DuckDB's own files, by DuckDB. Nothing is downloaded: what needs an extension is refused."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klaviyo_audience.reading.rows import Rows, check_names
from klaviyo_client.errors import SettingsError
from klaviyo_client.privacy.redaction import mask

if TYPE_CHECKING:
    import duckdb

_CONFIG: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_PARQUET = "select * from read_parquet(?, hive_partitioning=false)"
_BATCH_ROWS = 2_000
# With these in its path a file would be taken for a pattern.
_PATTERN_SIGNS = frozenset("*?[")


@contextmanager
def read_parquet(path: Path) -> Iterator[Rows]:
    """A Parquet file, with its columns' own types.

    Raises:
        SettingsError: it is none.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="klaviyo-audience-")))
        readable = path
        if _PATTERN_SIGNS.intersection(str(path)):
            readable = folder / "rows.parquet"
            shutil.copyfile(path, readable)
        connection = stack.enter_context(_connected(":memory:"))
        with _file_errors(path.name):
            yield _typed_rows(connection.execute(_PARQUET, [str(readable)]), path.name)


@contextmanager
def read_database(path: Path, table: str | None, query: str | None) -> Iterator[Rows]:
    """A table of a DuckDB file, or what a query gives.

    Args:
        path: the file. It is not changed.
        table: its name; None for the only one.
        query: the query in its place.

    Raises:
        SettingsError: it is no such file, or has no such table.
    """
    if path.read_bytes()[:15] == b"SQLite format 3":
        raise SettingsError(f"{path.name} is an SQLite file: read it with --query 'select ...' --from sqlite:///{path}")
    with _file_errors(path.name), _connected(str(path), read_only=True) as connection:
        statement = query or f"from {_table_name(connection, table, path.name)}"
        yield _typed_rows(connection.execute(statement), path.name)


def _table_name(connection: duckdb.DuckDBPyConnection, table: str | None, name: str) -> str:
    listed = connection.execute(
        "select table_schema, table_name from information_schema.tables order by 1, 2"
    ).fetchall()
    fitting = [(schema, known) for schema, known in listed if table in (None, known, f"{schema}.{known}")]
    if len(fitting) != 1:
        known = ", ".join(table if schema == "main" else f"{schema}.{table}" for schema, table in listed) or "none"
        which = "say --table NAME, or --query" if table is None else f"no table {table}, or several"
        raise SettingsError(f"{name}: {which}; its tables: {known}")
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in fitting[0])


@contextmanager
def _connected(database: str, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        import duckdb
    except ImportError as error:
        raise SettingsError(
            "files are read by duckdb, which is missing: pip install 'singer-klaviyo[audience]'"
        ) from error
    connection = duckdb.connect(database, read_only=read_only, config=_CONFIG)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _file_errors(name: str) -> Iterator[None]:
    """DuckDB's errors as ours, without the values that they quote."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("duckdb", "_duckdb")):
            raise
        first_line = str(error).strip().partition("\n")[0]
        raise SettingsError(f"{name} cannot be read: {mask(first_line)}") from error


def _fetch(cursor: duckdb.DuckDBPyConnection, name: str) -> Iterator[Sequence[Any]]:
    with _file_errors(name):
        while batch := cursor.fetchmany(_BATCH_ROWS):
            yield from batch


def _typed_rows(cursor: duckdb.DuckDBPyConnection, name: str) -> Rows:
    columns = [str(column[0]) for column in cursor.description or ()]
    check_names(columns, name)
    return Rows(columns, _fetch(cursor, name), has_types=True)
