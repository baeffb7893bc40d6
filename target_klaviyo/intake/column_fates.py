"""What becomes of each column of a stream, for the plan of a rehearsal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any

from target_klaviyo.intake.field_values import FieldPath
from target_klaviyo.intake.mapping import CUSTOM
from target_klaviyo.intake.routes import Route
from target_klaviyo.model.records import Record
from target_klaviyo.model.value_types import ValueType

_STATED = ("type", "format")
_NOTHING: Mapping[str, Any] = dict.fromkeys(("column", "field", "property", *_STATED, "why_not_sent"))


@dataclass
class ColumnFates:
    """The columns of one stream, as they come to be known.

    Args:
        columns: those of its SCHEMA.
    """

    route: Route
    columns: InitVar[Iterable[str]] = ()
    _names: dict[str, None] = field(default_factory=dict)
    _is_told: bool = False

    def __post_init__(self, columns: Iterable[str]) -> None:
        self._names.update(dict.fromkeys(columns))

    def see(self, record: Record) -> list[dict[str, Any]] | None:
        """What each column becomes: with the first record, and with each that has new columns; else None."""
        if self._is_told and self._names.keys() >= record.keys():
            return None
        self._is_told = True
        self._names.update(dict.fromkeys(record))
        return [*describe_columns(self.route, self._names), *_constants(self.route)]


def describe_columns(route: Route, columns: Iterable[str]) -> list[dict[str, Any]]:
    """An entry for each column and each field that it is sent in.

    Each has ``column``; ``field``, such as ``location.city``, or ``property``, the custom property's name; ``type`` and
    ``format``, as the option ``types`` states them; and ``why_not_sent`` in their place.
    """
    return [entry for column in columns for entry in _describe(route, column)]


def _describe(route: Route, column: str) -> list[dict[str, Any]]:
    mapper = route.mapper
    kind = route.types.find(column)
    mapped = [path for path, source in mapper.mapped.items() if column in (source.path, source.column)]
    if mapped:
        return [_entry(column, path, kind) for path in mapped]
    if mapper.is_ignored(column):
        return [_not_sent(column, _why_ignored(route, column))]
    field = mapper.field_of(column.partition("[")[0])
    if field is not None and field in mapper.mapped:
        if column in mapper.by_name:
            return [_not_sent(column, f"the mapping reads {'.'.join(field)} from elsewhere")]
        field = None
    if field is not None:
        return [_entry(column, field, kind)]
    if mapper.keeps_unknown:
        return [_entry(column, (CUSTOM, column), kind)]
    takes_properties = CUSTOM in route.contract.fields
    why = "unknown_columns is drop" if takes_properties else f"{route.action.name} has no such field"
    return [_not_sent(column, why)]


def _constants(route: Route) -> list[dict[str, Any]]:
    """The fields that have one value for all records."""
    return [_entry(None, path, None) for path, source in route.mapper.mapped.items() if source.path is None]


def _why_ignored(route: Route, column: str) -> str:
    if column == route.options.get("size_field"):
        return "the size of the audience"
    return "of the tap's own" if column.casefold().startswith("_sdc_") else "not for Klaviyo"


def _entry(column: str | None, path: FieldPath, kind: ValueType | None) -> dict[str, Any]:
    is_property = CUSTOM in path[:-1]
    field, name = (None, path[-1]) if is_property else (".".join(path), None)
    stated = (None, None) if kind is None else (kind.name, kind.format)
    return {**_NOTHING, "column": column, "field": field, "property": name, **dict(zip(_STATED, stated, strict=True))}


def _not_sent(column: str, why: str) -> dict[str, Any]:
    return {**_NOTHING, "column": column, "why_not_sent": why}
