"""The source of an audience: which reader is for it, by the name of the file or by what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from klaviyo_audience.reading import duckdb_files, excel, queries, text_files
from klaviyo_audience.reading.rows import Rows
from klaviyo_client.errors import SettingsError

TEXT_FILES = (".csv", ".tsv", ".txt", ".tab", ".psv")
WORKBOOKS = (".xlsx", ".xlsm")
PARQUET_FILES = (".parquet", ".pq")
DATABASES = (".duckdb", ".db", ".ddb")
_QUERY = "query"


@dataclass(frozen=True)
class Source:
    """What is read, as the options say.

    Attributes:
        path: a file; None for a database.
        address: a database's address.
        query: what is asked of it, or of a DuckDB file.
        table, sheet, encoding: of a DuckDB file, a workbook and a text file.
        is_address_of_environment: whether the address was not typed, so that a file may go before it.
    """

    path: Path | None = None
    address: str | None = None
    query: str | None = None
    table: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    is_address_of_environment: bool = False

    @property
    def name(self) -> str:
        """The name of the stream: the file's without its ending."""
        return self.path.stem if self.path is not None else _QUERY

    @contextmanager
    def open(self) -> Iterator[Rows]:
        """The rows.

        Raises:
            SettingsError: it cannot be read, or the options do not fit it.
        """
        with self._reader() as rows:
            if not rows.columns:
                raise SettingsError(f"{self.name} has no columns")
            yield rows

    def _reader(self) -> AbstractContextManager[Rows]:
        path = self.path
        self.check()
        if path is None:
            return queries.read_query(self.address or "", self.query or "")
        return self._file_reader(path)

    def check(self) -> None:
        """Refuse what cannot be read, before anything is.

        Raises:
            SettingsError: nothing to read is said, or too much, or there is no such file.
        """
        if self.path is None:
            if self.address is None or self.query is None:
                raise SettingsError(
                    "name a file, or use --query 'select ...' with --from ADDRESS; --help has all options"
                )
            self._refuse("table", "sheet", "encoding")
        elif self.address is not None and not self.is_address_of_environment:
            raise SettingsError("--from is for a query of a database: leave the file out")
        elif not self.path.is_file():
            raise SettingsError(f"there is no file {self.path}")

    def _file_reader(self, path: Path) -> AbstractContextManager[Rows]:
        ending = path.suffix.lower()
        readers: list[tuple[tuple[str, ...], tuple[str, ...], Callable[[], AbstractContextManager[Rows]]]] = [
            (TEXT_FILES, ("encoding",), lambda: text_files.read_text_file(path, self.encoding)),
            (WORKBOOKS, ("sheet",), lambda: excel.read_excel(path, self.sheet)),
            (PARQUET_FILES, (), lambda: duckdb_files.read_parquet(path)),
            (DATABASES, ("table", "query"), lambda: duckdb_files.read_database(path, self.table, self.query)),
        ]
        for endings, options, read in readers:
            if ending in endings:
                self._refuse(*({"table", "query", "sheet", "encoding"} - set(options)))
                return read()
        known = ", ".join(ending for endings, *_ in readers for ending in endings)
        hint = "; save it as .xlsx" if ending in (".xls", ".xlsb", ".ods", ".numbers") else ""
        raise SettingsError(f"{path.name} is not a known kind of file ({known}){hint}")

    def _refuse(self, *options: str) -> None:
        for option in sorted(options):
            if getattr(self, option) is not None:
                raise SettingsError(f"--{option} does not go with {self.path or 'a query of a database'}")
