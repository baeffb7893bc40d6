"""Forms of klaviyoConnect: fields in brackets become objects and lists, and what a form says of its event. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from target_klaviyo.model.names import KnownNames
from target_klaviyo.model.records import Record, RejectedRecord
from target_klaviyo.model.texts import is_blank, parse_object

_BRACKETS = re.compile(r"(\w+)((?:\[[^\[\]]+\])*)(\[\])?")
_KEY = re.compile(r"\[([^\[\]]+)\]")
_LISTS = ("list", "lists")
# What a form puts before brackets.
_HEADS = KnownNames(("event", "extra", "properties", "location", *_LISTS))
_OBJECT_HEADS = KnownNames(("event",))
# Field of track_event -> its names in a form; the first that says something counts.
_EVENT_NAMES = {
    "metric": ("name", "metric", "metric_name", "event_name"),
    "unique_id": ("unique_id", "event_id", "$event_id"),
    "time": ("timestamp", "time", "event_time", "datetime", "event_datetime", "$time"),
    "value": ("value", "$value"),
    "value_currency": ("value_currency", "$value_currency", "$currency_code"),
}
# Objects of the event's properties.
_EXTRA = ("extra", "properties", "event_properties")
_MEMBERS = KnownNames({
    **{name: field for field, names in _EVENT_NAMES.items() for name in names},
    **{name: name for name in _EXTRA},
})  # fmt: skip


def normalize_form(record: Record) -> dict[str, Any]:
    """A form's fields (`event[name]`, `lists[]`, `extra[utm][source]`) as objects and lists.

    A field in brackets that fits into no object, because its name holds a plain value as well, stays as it is, and so
    does one whose object is spelled in another way (`EVENT[name]`) and says what another says already.

    Raises:
        RejectedRecord: the event is a text that is neither its name nor the JSON of an object.
    """
    columns: dict[str, Any] = {}
    bracketed: list[tuple[str, list[str], Any]] = []
    for name, value in _OBJECT_HEADS.rename(record).items():
        match = _BRACKETS.fullmatch(name)
        if match and match[0] != match[1]:
            bracketed.append((name, [_HEADS.find(match[1]) or match[1], *_KEY.findall(match[2])], value))
        else:
            columns[name] = _copy(value)
    bracketed.sort(key=lambda field: not field[0].startswith(field[1][0]))  # those in another spelling go behind
    if isinstance(columns.get("event"), str | int | float):
        columns["event"] = _copy(_parse_event(columns["event"]))
    for name, path, value in bracketed:
        is_spelling = not name.startswith(path[0])
        if not _put(columns, path, value, keeps=is_spelling):
            columns[name] = value
    for name in _LISTS:  # lists[0], lists[1]
        entries = columns.get(name)
        if isinstance(entries, Mapping) and all(key.isdecimal() for key in entries):
            columns[name] = list(entries.values())
    return columns


def _copy(value: Any) -> Any:
    return {name: _copy(entry) for name, entry in value.items()} if isinstance(value, Mapping) else value


def _parse_event(value: str | float) -> Any:
    """The event that a text or a number means: its JSON, or its name.

    Raises:
        RejectedRecord: it is the JSON of no object, or broken.
    """
    text = str(value).strip()
    return parse_object(text, "event") if text in ("", "null") or text[0] in "{[" else {"name": value}


def _put(columns: dict[str, Any], path: list[str], value: Any, *, keeps: bool) -> bool:
    """Set a value of an object in objects; False where something else is in the way. ``keeps``: also its own value."""
    holder = columns
    for key in path[:-1]:
        if is_blank(holder.get(key)):
            holder[key] = {}
        holder = holder[key]
        if not isinstance(holder, dict):
            return False
    if not is_blank(value) or path[-1] not in holder:
        held = holder.get(path[-1])
        if isinstance(held, dict) or ((keeps or len(path) == 1) and not is_blank(held)):
            return False
        holder[path[-1]] = value
    return True


def event_fields(form_event: Record) -> dict[str, Any] | None:
    """What a form says of its event, as fields of track_event; None where it says nothing.

    Raises:
        RejectedRecord: the event has no name, or properties that are none.
    """
    remaining = {name: value for name, value in _MEMBERS.rename(form_event).items() if not is_blank(value)}
    if not remaining:
        return None
    fields: dict[str, Any] = {}
    for field, names in _EVENT_NAMES.items():
        name = next((name for name in names if name in remaining), None)
        if name is not None:
            fields[field] = remaining.pop(name)
    if "metric" not in fields:
        raise RejectedRecord("no_metric", "event has no name", pointer="/event/name")
    properties = {name: value for name, value in remaining.items() if name not in _EXTRA}
    for name in _EXTRA:
        properties = {**(parse_object(remaining.get(name), f"event.{name}") or {}), **properties}
    return {**fields, "properties": properties} if properties else fields
