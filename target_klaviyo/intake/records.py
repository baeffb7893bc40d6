"""Lines of the input parsed as Singer messages, and records checked against the SCHEMA of their stream. Pure.

A line or record that is wrong raises ``RejectedRecord``: it is rejected alone, and the rest goes on.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any, NoReturn

from jsonschema_rs import Draft202012Validator

from klaviyo_client.api.json_text import decode_json_marking_losses
from target_klaviyo.intake import contracts
from target_klaviyo.intake.schema_dialects import translate
from target_klaviyo.model.pointers import to_pointer
from target_klaviyo.model.records import Record, RejectedRecord

_DATE_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "date-time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}


# The rejects file keeps lines that nobody can read in messages of this type; a replay skips them.
UNREADABLE = "REJECTED"
# The member of a RECORD of which text cannot be read that holds the record as it came, for the rejects file.
AS_IT_CAME = "as_it_came"


def parse_message(line: str | bytes, types: Collection[str]) -> dict[str, Any]:
    """The Singer message of a line, of one of these types.

    Numbers with a point become floats, as in JSON: Klaviyo keeps no more, and the SDK writes a STATE with ``json``,
    which knows no decimals. ``LOST_TEXT`` stands for half a surrogate pair, and for a byte that is no UTF-8; the member
    ``AS_IT_CAME`` then holds the record with them.

    Raises:
        RejectedRecord: it is none.
    """
    try:
        message, as_it_came = decode_json_marking_losses(_without_mark(line))
    except (ValueError, RecursionError) as error:
        raise RejectedRecord("not_json", "a line is not JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RejectedRecord("not_singer", "a line is not a Singer message: it has no type")
    if message["type"] not in types:
        raise RejectedRecord("unknown_type", "a line is a message of an unknown type")
    if message["type"] == "RECORD" and not (
        isinstance(message.get("stream"), str) and isinstance(message.get("record"), dict)
    ):
        raise RejectedRecord("not_singer", "a RECORD lacks its stream or its record")
    if message["type"] == "STATE" and not isinstance(message.get("value"), dict):
        raise RejectedRecord("not_singer", "a STATE lacks its value")
    if message["type"] == "RECORD" and as_it_came is not None:
        message[AS_IT_CAME] = as_it_came["record"]
    if message["type"] == "STATE" and as_it_came is not None:
        message["value"] = as_it_came["value"]  # the tap's own affair, passed on unchanged
    return message


def is_object(line: str | bytes) -> bool:
    """Whether a line at least begins as the JSON of an object does, in UTF-8."""
    text = _without_mark(line).lstrip()
    return text.startswith(b"{") and b"\0" not in text


def _without_mark(line: str | bytes) -> bytes:
    """The bytes of a line without a byte order mark: files begin with one, also where they were put together."""
    return (line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")).removeprefix(codecs.BOM_UTF8)


@dataclass(frozen=True)
class StreamSchema:
    """The SCHEMA of a stream, ready to check its records.

    Attributes:
        date_formats: column -> format, for columns that must hold a date or time. ISO 8601 is enough: taps leave out
            the time zone that RFC 3339 demands.
        warnings: what is to be said of the SCHEMA, once.
    """

    schema: Mapping[str, Any]
    validator: Draft202012Validator | None
    keys: tuple[str, ...]
    date_formats: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def check(self, record: Record) -> None:
        """Refuse a record that does not fit.

        Raises:
            RejectedRecord: naming the first column that is wrong.
        """
        for key in self.keys:
            if key not in record:
                raise RejectedRecord(
                    "missing_key", f"the record lacks its key property {key}", pointer=to_pointer((key,))
                )
        if self.validator is not None and not self.validator.is_valid(record):
            for error in self.validator.iter_errors(record):
                raise contracts.to_rejection(error, self.schema, record, "invalid_record")
        for column, form in self.date_formats.items():
            if isinstance(value := record.get(column), str):
                _check_date(column, form, value)


def parse_stream_schema(
    stream: str, schema: Mapping[str, Any], keys: Sequence[str], *, validate: bool = True
) -> StreamSchema:
    """The schema of a SCHEMA message.

    Without ``validate`` records are still checked for their keys and dates. What is no JSON Schema of today is
    translated, or checked less; ``warnings`` says of which columns.
    """
    properties = schema.get("properties") or {}
    date_formats = {column: form for column, entry in properties.items() if (form := _date_format(entry)) is not None}
    parsed = StreamSchema(schema, None, tuple(keys), date_formats)
    return _with_validator(stream, parsed) if validate else parsed


def _with_validator(stream: str, parsed: StreamSchema) -> StreamSchema:
    """The same, with a validator as far as the schema makes one."""
    with contextlib.suppress(ValueError):
        return replace(parsed, validator=_validator(parsed.schema))
    unclear = f"the tap's SCHEMA of the stream {stream} is not JSON Schema 2020-12"
    try:
        translated, columns = translate(parsed.schema)
        validator = _validator(translated)
    except (ValueError, RecursionError):
        return replace(parsed, warnings=(f"{unclear}, and its records are not checked against it",))
    about = f": {', '.join(columns)}" if columns else ""
    warning = f"{unclear}; what is older is translated, what is unknown is not checked{about}"
    return replace(parsed, schema=translated, validator=validator, warnings=(warning,))


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(dict(schema), validate_formats=False, retriever=_refuse_reference)


def _date_format(entry: Any) -> str | None:
    """The date format of a column: its own, or, as the SDK reads it, that of one of its alternatives."""
    if not isinstance(entry, Mapping):
        return None
    either = entry.get("anyOf")
    alternatives = [other for other in either if isinstance(other, Mapping)] if isinstance(either, list) else []
    if any("string" in _types(other) and "format" not in other for other in alternatives):
        return None
    forms = [entry.get("format"), *(other.get("format") for other in alternatives)]
    return next((form for form in forms if isinstance(form, str) and form in _DATE_PARSERS), None)


def _types(entry: Mapping[str, Any]) -> Sequence[str]:
    kind = entry.get("type", ())
    return (kind,) if isinstance(kind, str) else kind if isinstance(kind, list) else ()


def _check_date(column: str, form: str, value: str) -> None:
    try:
        _DATE_PARSERS[form](value)
    except ValueError as error:
        raise RejectedRecord("invalid_date", f"{column} is not a {form}", pointer=to_pointer((column,))) from error


def _refuse_reference(uri: str) -> NoReturn:  # noqa: ARG001 - the validator's signature
    # A tap's schema must not make us fetch what it names.
    raise ValueError("references to other documents are not followed")
