"""Files of delimited text, by the csv module: all values are texts.

The delimiter is found in the first rows. The encoding is UTF-8, or what a mark says; any other must be said.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

from klaviyo_audience.reading.rows import Rows, rows_below_header
from klaviyo_client.errors import SettingsError

_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_OTHER_KINDS = ((b"PK\x03\x04", "a workbook", ".xlsx"), (b"PAR1", "a Parquet file", ".parquet"))
_DELIMITERS = (",", ";", "\t", "|")
# So many rows are looked at to find the delimiter, in so many lines at most.
_SAMPLE_ROWS, _SAMPLE_LINES = 200, 2_000
_MAX_VALUE = 1 << 24
# Where a byte order mark may stand: Excel's line may be before it.
_FIRST_LINES = 3
# Excel's line that says how the file is delimited.
_DELIMITER_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)
# Follows the last line: it stands alone, unless a quote is open. Of Unicode's private characters.
_END = "\uf8ff\ue000\uf8ff"


@contextmanager
def read_text_file(path: Path, encoding: str | None) -> Iterator[Rows]:
    """A file of delimited text.

    Args:
        path: the file.
        encoding: its encoding; None for UTF-8, or what its first bytes say.

    Raises:
        SettingsError: it is in another encoding, or no table.
    """
    encoding = encoding or _encoding_by_mark(path)
    _check_text(path)
    try:
        codecs.lookup(encoding)
        file = path.open(encoding=encoding, newline="")
    except LookupError as error:
        raise SettingsError(f"--encoding {encoding} is unknown; there are utf-8, utf-16, cp1252, iso-8859-1") from error
    csv.field_size_limit(_MAX_VALUE)
    with file:
        lines = _checked_lines(file, path.name, encoding)
        sample = list(islice(lines, _SAMPLE_LINES))
        said = _DELIMITER_LINE.fullmatch(sample[0]) if sample else None
        if said is not None:
            sample = sample[1:]
        delimiter = said[1] if said is not None else find_delimiter(sample)
        yield rows_below_header(_parse(chain(sample, lines), delimiter, path.name), path.name)


def find_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that divides the first rows most evenly; of several the one that makes most columns."""

    def score(delimiter: str) -> tuple[float, int]:
        rows = [row for row in islice(_reader(lines, delimiter), _SAMPLE_ROWS) if any(map(str.strip, row))]
        width = len(rows[0]) if rows else 0
        even = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0
        return even, width

    return max(_DELIMITERS, key=score)


def _reader(lines: Sequence[str] | Iterator[str], delimiter: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _parse(lines: Iterator[str], delimiter: str, name: str) -> Iterator[Sequence[str]]:
    rows = csv.reader(chain(lines, [_END]), delimiter=delimiter, skipinitialspace=True)
    ended = 0
    try:
        for row in rows:
            if row and row[-1].endswith(_END):
                if row != [_END]:
                    raise SettingsError(f"{name}: a quote in line {ended + 1:,} or behind it is never closed")
                return
            yield row
            ended = rows.line_num
    except csv.Error as error:
        raise SettingsError(f"{name} cannot be read behind line {ended:,}: a quote may not be closed") from error


def _checked_lines(file: Iterator[str], name: str, encoding: str) -> Iterator[str]:
    """The lines, each with an end.

    Raises:
        SettingsError: they are in another encoding.
    """
    number = 0
    try:
        for number, line in enumerate(file, 1):
            if "\0" in line:
                raise SettingsError(_undecodable(name, encoding, number))
            text = line.lstrip("\ufeff") if number <= _FIRST_LINES else line
            yield text if text.endswith(("\n", "\r")) else f"{text}\n"
    except UnicodeError as error:
        raise SettingsError(_undecodable(name, encoding, number + 1)) from error


def _check_text(path: Path) -> None:
    """Refuse a file of another kind that has the name of a text file."""
    with path.open("rb") as file:
        first = file.read(4)
    for mark, what, ending in _OTHER_KINDS:
        if first == mark:
            raise SettingsError(f"{path.name} is {what}, not text: give it a name that ends with {ending}")


def _encoding_by_mark(path: Path) -> str:
    with path.open("rb") as file:
        first = file.read(4)
    return next((encoding for mark, encoding in _MARKS if first.startswith(mark)), "utf-8-sig")


def _undecodable(name: str, encoding: str, line: int) -> str:
    what = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
    return (
        f"{name} is not {what} (near line {line:,}): say its encoding. It is --encoding cp1252 for most "
        "files that Excel has saved as CSV on Windows, utf-16-le where each letter has a byte of zero beside it"
    )
