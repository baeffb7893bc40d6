"""Columns of Arrow, made of rows: typed where the schema has a type that a column can have, JSON as text elsewhere."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from klaviyo_client.api.json_text import decode_json
from tap_klaviyo.files.rows import StreamShape
from tap_klaviyo.rows.values import MAX_INTEGER, MIN_INTEGER

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH_DAY = date(1970, 1, 1).toordinal()
TEXT, TIME, DAY, INTEGER, NUMBER, BOOLEAN, JSON = "text", "time", "day", "integer", "number", "boolean", "json"
_KINDS = {"integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}
_FORMATS = {"date-time": TIME, "date": DAY}
# What Python calls the values of numbers' columns.
_NUMBERS: Mapping[str, set[type]] = {INTEGER: {int, NoneType}, NUMBER: {int, float, NoneType}}


class Unfit(ValueError):
    """A value that no column of its kind can hold."""


def column_kind(column: Mapping[str, Any]) -> str:
    """What a column of a file holds, by the column's JSON Schema; JSON where that is of several types, or of none."""
    types = column.get("type") or []
    known = {types} if isinstance(types, str) else set(types)
    known.discard("null")
    if known == {"string"}:
        return _FORMATS.get(column.get("format", ""), TEXT)
    return _KINDS.get(known.pop(), JSON) if len(known) == 1 else JSON


def fit(kind: str, value: Any) -> Any:
    """What a column of this kind holds of any value that is not null: texts, numbers, and days since 1970.

    Raises:
        Unfit: it holds nothing of it.
    """
    try:
        fitted = _FITS[kind](value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unfit from error
    # Half a surrogate pair is no UTF-8.
    return fitted.encode("utf-8", "replace").decode() if isinstance(fitted, str) else fitted


def json_text(value: Any) -> bytes:
    """A value as JSON, as lines have it: what is no value of JSON as text, NaN as null."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(decode_json(json.dumps(value, default=str).encode()))


_encode = msgspec.json.Encoder(enc_hook=str, decimal_format="number").encode


def _fit_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = json_text(value).decode()
    return text[1:-1] if text.startswith('"') else text


def _fit_time(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _fit_day(value: Any) -> int:
    return (value if isinstance(value, date) else date.fromisoformat(value)).toordinal() - _EPOCH_DAY


def _fit_integer(value: Any) -> int:
    # A text is never equal to a number.
    if isinstance(value, bool) or (whole := int(value)) != value or not MIN_INTEGER <= whole <= MAX_INTEGER:
        raise Unfit
    return whole


def _fit_number(value: Any) -> float:
    if isinstance(value, bool | str) or not math.isfinite(number := float(value)):
        raise Unfit
    return number


def _fit_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit
    return value


_FITS: Mapping[str, Callable[[Any], Any]] = {
    TEXT: _fit_text,
    TIME: _fit_time,
    DAY: _fit_day,
    INTEGER: _fit_integer,
    NUMBER: _fit_number,
    BOOLEAN: _fit_boolean,
    JSON: lambda value: json_text(value).decode(),
}


class ColumnMaker:
    """Makes columns of the rows of one stream. What fits no column becomes null, and is counted.

    Args:
        shape: the stream.

    Attributes:
        schema: that of the columns, in Arrow's terms.
        misfits: how many values of each column became null.
    """

    def __init__(self, shape: StreamShape) -> None:
        # Only who writes Parquet has it installed.
        import pyarrow as pa

        self._pa = pa
        self.kinds = {name: column_kind(column) for name, column in shape.schema.get("properties", {}).items()}
        arrow_types = {
            TEXT: pa.string(),
            TIME: pa.timestamp("us", "UTC"),
            DAY: pa.date32(),
            INTEGER: pa.int64(),
            NUMBER: pa.float64(),
            BOOLEAN: pa.bool_(),
            JSON: pa.string(),
        }
        self.schema = pa.schema([(name, arrow_types[kind]) for name, kind in self.kinds.items()])
        self.misfits: Counter[str] = Counter()

    def make(self, rows: Sequence[Mapping[str, Any]], *, conformed: bool) -> pa.RecordBatch:
        """The rows as columns; ``conformed`` as ``make_of_columns`` takes it."""
        columns = {name: [row.get(name) for row in rows] for name in self.kinds}
        return self.make_of_columns(columns, len(rows), conformed=conformed)

    def make_of_columns(self, columns: Mapping[str, Sequence[Any]], count: int, *, conformed: bool) -> pa.RecordBatch:
        """The values of some rows as columns.

        Args:
            columns: the values by column; all of one that is missing are null.
            count: how many rows.
            conformed: whether each value is what the schema says; then it is several times faster.
        """
        make = self._make_at_once if conformed else self._fit
        arrays = [make(name, columns[name] if name in columns else [None] * count) for name in self.kinds]
        return self._pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _make_at_once(self, name: str, values: Sequence[Any]) -> pa.Array:
        kind, arrow_type = self.kinds[name], self.schema.field(name).type
        # Most columns of most pages hold nothing.
        if not any(values) and values.count(None) == len(values):
            return self._pa.nulls(len(values), arrow_type)
        # Arrow makes 1 of 1.5, and of true, without a word.
        if kind in _NUMBERS and not {*map(type, values)} <= _NUMBERS[kind]:
            return self._fit(name, values)
        # Values that are as the schema says and still fit no column, a text that is no day say, are rare.
        with suppress(self._pa.ArrowException, OverflowError, UnicodeEncodeError):
            if kind == TIME:
                return self._pa.array(values, self._pa.string()).cast(arrow_type)
            if kind not in (JSON, DAY):
                return self._pa.array(values, arrow_type)
        return self._fit(name, values)

    def _fit(self, name: str, values: Sequence[Any]) -> pa.Array:
        kind, arrow_type = self.kinds[name], self.schema.field(name).type
        if kind == JSON:
            with suppress(UnicodeEncodeError, self._pa.ArrowException, RecursionError):
                return self._pa.array([None if value is None else json_text(value) for value in values], arrow_type)
        fitted = []
        for value in values:
            try:
                fitted.append(None if value is None else fit(kind, value))
            except Unfit:
                self.misfits[name] += 1
                fitted.append(None)
        # Arrow reads a text as a time only by a cast.
        column = self._pa.array(fitted, self._pa.string() if kind == TIME else arrow_type)
        return column.cast(arrow_type)
