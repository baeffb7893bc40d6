"""Lines of the input parsed as Singer messages, and records checked against the SCHEMA of their stream. Pure.

A line or record that is wrong raises ``RejectedRecord``: it is rejected alone, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, NoReturn

from jsonschema_rs import Draft202012Validator

from klaviyo_client.api.json_text import decode_json_marking_losses
from klaviyo_client.errors import Incomplete
from target_klaviyo.intake import contracts
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
    body = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    try:
        message, as_it_came = decode_json_marking_losses(body)
    except (ValueError, RecursionError) as error:
        raise RejectedRecord("not_json", "a line is not JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RejectedRecord("not_singer", "a line is not a Singer message: it has no type")
    if message["type"] not in types:
        raise RejectedRecord("unknown_type", "a line is a message of a type that Singer does not know")
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


@dataclass(frozen=True)
class StreamSchema:
    """The SCHEMA of a stream, ready to check its records.

    Attributes:
        date_formats: column -> format, for columns that must hold a date or time. ISO 8601 is enough: taps leave out
            the time zone that RFC 3339 demands.
    """

    schema: Mapping[str, Any]
    validator: Draft202012Validator | None
    keys: tuple[str, ...]
    date_formats: Mapping[str, str]

    def check(self, record: Record) -> None:
        """Refuse a record that does not fit.

        Raises:
            RejectedRecord: naming the first column that is wrong.
        """
        for key in self.keys:
            if key not in record:
                raise RejectedRecord("missing_key", f"the record lacks its key property {key}", pointer=f"/{key}")
        if self.validator is not None and not self.validator.is_valid(record):
            for error in self.validator.iter_errors(record):
                raise contracts.to_rejection(error, self.schema, "invalid_record")
        for column, form in self.date_formats.items():
            if isinstance(value := record.get(column), str):
                _check_date(column, form, value)


def parse_stream_schema(
    stream: str, schema: Mapping[str, Any], keys: Sequence[str], *, validate: bool = True
) -> StreamSchema:
    """The schema of a SCHEMA message.

    Without ``validate`` records are still checked for their keys and dates.

    Raises:
        Incomplete: the schema is no JSON Schema.
    """
    validator: Draft202012Validator | None = None
    try:
        if validate:
            validator = Draft202012Validator(dict(schema), validate_formats=False, retriever=_refuse_reference)
    except ValueError as error:
        raise Incomplete(
            f"the tap's SCHEMA of the stream {stream} is not a JSON Schema; nothing can be read by it"
        ) from error
    properties = schema.get("properties") or {}
    date_formats = {column: form for column, entry in properties.items() if (form := _date_format(entry)) is not None}
    return StreamSchema(schema, validator, tuple(keys), date_formats)


def _date_format(entry: Any) -> str | None:
    """The date format of a column: its own, or, as the SDK reads it, that of one of its alternatives."""
    if not isinstance(entry, Mapping):
        return None
    alternatives = [other for other in entry.get("anyOf", ()) if isinstance(other, Mapping)]
    if any("string" in _types(other) and "format" not in other for other in alternatives):
        return None
    forms = [entry.get("format"), *(other.get("format") for other in alternatives)]
    return next((form for form in forms if form in _DATE_PARSERS), None)


def _types(entry: Mapping[str, Any]) -> Sequence[str]:
    kind = entry.get("type", ())
    return (kind,) if isinstance(kind, str) else kind


def _check_date(column: str, form: str, value: str) -> None:
    try:
        _DATE_PARSERS[form](value)
    except ValueError as error:
        raise RejectedRecord("invalid_date", f"{column} is not a {form}", pointer=f"/{column}") from error


def _refuse_reference(uri: str) -> NoReturn:  # noqa: ARG001 - the validator's signature
    # A tap's schema must not make us fetch what it names.
    raise ValueError("references to other documents are not followed")
