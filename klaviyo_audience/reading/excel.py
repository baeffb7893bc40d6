"""Workbooks of Excel, by openpyxl: values as they were computed last, row by row."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from klaviyo_audience.reading.rows import Rows, rows_below_header
from klaviyo_client.errors import SettingsError

# What a formula gives that could not be computed.
_ERRORS = frozenset(("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#GETTING_DATA", "#SPILL!"))


@contextmanager
def read_excel(path: Path, sheet: str | None) -> Iterator[Rows]:
    """A sheet of a workbook. Its cells have types, its texts may stand for anything.

    Args:
        path: the file.
        sheet: the sheet's name; None for the only one that is not hidden.

    Raises:
        SettingsError: it is no workbook, or has no such sheet.
    """
    try:
        import openpyxl
    except ImportError as error:
        missing = "workbooks are read by openpyxl, which is missing: pip install 'singer-klaviyo[audience]'"
        raise SettingsError(missing) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and checks of cells that it does not know; of values it never does
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception as error:
            raise SettingsError(f"{path.name} is not a readable Excel workbook (.xlsx, without password)") from error
        try:
            yield rows_below_header(_cells(_choose_sheet(book, sheet, path.name)), path.name)
        finally:
            book.close()


def _choose_sheet(book: Any, name: str | None, file: str) -> Any:
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    fitting = [sheet for sheet in (visible if name is None else book.worksheets) if name in (None, sheet.title)]
    if len(fitting) != 1:
        what = "it has several sheets: choose one with --sheet NAME" if name is None else f"it has no sheet {name!r}"
        raise SettingsError(f"{file}: {what}; there are {', '.join(sheet.title for sheet in visible)}")
    return fitting[0]


def _cells(sheet: Any) -> Iterator[Sequence[Any]]:
    # Some programs write a wrong size of the sheet, and the rest would not be read.
    sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True):
        yield [_value(value) for value in row]


def _value(value: Any) -> Any:
    """A cell's value: a day for a time that is midnight, a whole number for one without fraction, null for an error."""
    match value:
        case str():
            return None if value in _ERRORS else value
        case datetime() if value.time() == time():
            return value.date()
        case float() if value.is_integer():
            return int(value)
        case None | bool() | int() | float() | date():
            return value
        case time() | timedelta():
            return str(value)
    return str(value)
