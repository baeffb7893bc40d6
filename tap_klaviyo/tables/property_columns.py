"""Columns of custom properties that the settings name: what these make of a table's schema and of its roots. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from klaviyo_client.api.metric_names import normalize_name
from klaviyo_client.errors import SettingsError
from tap_klaviyo.model import Root, SelectedTable, Table
from tap_klaviyo.rows import schema_files
from tap_klaviyo.rows.paths import PATH

PROFILE_PROPERTIES, EVENT_PROPERTIES = "profile_properties", "event_properties"
# On a column of an event's property: the metrics, by name or id, whose events have it, and the property's path.
METRICS, OF_EVENT = "x-klaviyo-metrics", "x-klaviyo-event-path"
TYPES: Mapping[str, Mapping[str, Any]] = {
    "string": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"]},
    "integer": {"type": ["integer", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "date": {"type": ["string", "null"], "format": "date"},
    "date-time": {"type": ["string", "null"], "format": "date-time"},
    "array": {"type": ["array", "null"]},
    "object": {"type": ["object", "null"], "additionalProperties": True},
}
# What the settings have for a property: its type, or an object that names the column, too.
PROPERTIES: Mapping[str, Any] = {"type": "object", "additionalProperties": {"type": ["string", "object"]}}


@dataclass(frozen=True)
class OfMetrics:
    """Gives back a value where an event's metric is one of these, by name or id; None for others."""

    metrics: tuple[str, ...]

    def __call__(self, value: Any, name: Any, metric_id: Any) -> Any:
        if value is None:
            return None
        key = name if isinstance(name, str) else None
        return value if metric_id in self.metrics or _is_among(key, self.metrics) else None


@lru_cache(maxsize=4096)
def _is_among(name: str | None, metrics: tuple[str, ...]) -> bool:
    return name is not None and normalize_name(name) in set(map(normalize_name, metrics))


def column_name(name: str) -> str:
    """A property's name as a column: small letters, and one _ for whatever is neither letter nor digit.

    >>> column_name("Loyalty Tier"), column_name("$value"), column_name("OrderId"), column_name("Größe (cm)")
    ('loyalty_tier', 'value', 'order_id', 'grosse_cm')
    >>> column_name("2026 orders"), column_name("???")
    ('property_2026_orders', '')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", words) if not unicodedata.combining(letter))
    column = re.sub(r"[\W_]+", "_", plain.casefold()).strip("_")
    return f"property_{column}" if column[:1].isdigit() else column


def schema_of(table: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The schema file of a table with the columns of the properties that the settings name.

    Raises:
        SettingsError: a column would have the name of another.
    """
    schema = schema_files.load(table)
    added: dict[str, dict[str, Any]] = {}
    for setting, place, column, made in _columns(table, config):
        taken = {name.casefold(): name for name in (*schema["properties"], *added)}
        if (other := taken.get(column.casefold())) is None:
            added[column] = made
        elif other in added and _is_same(added[other], made):
            added[other][METRICS] = [*dict.fromkeys((*added[other][METRICS], *made[METRICS]))]
        else:
            what = (
                "the settings give to another property, or with another type" if other in added else "is there already"
            )
            raise SettingsError(f"{setting}: {place} would be the column {column} of {table}, which {what}; {_ANOTHER}")
    return {**schema, "properties": {**schema["properties"], **added}}


def check(config: Mapping[str, Any]) -> None:
    """Refuse settings of which no columns can be made.

    Raises:
        SettingsError: as ``schema_of``.
    """
    for table in ("profiles", "events"):
        schema_of(table, config)


def with_roots(table: Table, schema: Mapping[str, Any]) -> Table:
    """The table with the roots from which the columns of its schema start that the settings named."""
    roots = tuple(
        Root(
            f"property_{name}",
            (column[OF_EVENT], "included:metric#/attributes/name", "/relationships/metric/data/id"),
            OfMetrics(tuple(column[METRICS])),
        )
        for name, column in schema["properties"].items()
        if METRICS in column
    )
    return replace(table, roots=(*table.roots, *roots)) if roots else table


def metrics_named(tables: Iterable[SelectedTable]) -> list[str]:
    """The metrics that the settings name for the selected columns of these tables."""
    columns = (entry.schema["properties"][name] for entry in tables for name in entry.columns)
    return [*dict.fromkeys(metric for column in columns for metric in column.get(METRICS, ()))]


_ANOTHER = 'name another one with {"type": ..., "column": ...}'
_COLUMN = re.compile(r"[^\W\d_]\w*")


def _columns(table: str, config: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(setting, what it names, column, its schema) for each property of the settings that the table has."""
    if table == "profiles":
        for name, wanted in (config.get(PROFILE_PROPERTIES) or {}).items():
            column, kind = _column(PROFILE_PROPERTIES, name, name, wanted)
            path = f"/attributes/properties/{_escape(name)}"
            made = {**TYPES[kind], "description": f"Custom property {name}.", PATH: path}
            yield PROFILE_PROPERTIES, name, column, made
    if table == "events":
        for metric, properties in (config.get(EVENT_PROPERTIES) or {}).items():
            for name, wanted in properties.items():
                place = f"{name} of {metric}"
                column, kind = _column(EVENT_PROPERTIES, place, name, wanted)
                made = {
                    **TYPES[kind],
                    "description": f"Property {name} of events.",
                    PATH: f"property_{column}#",
                    OF_EVENT: f"/attributes/event_properties/{_escape(name)}",
                    METRICS: [metric],
                }
                yield EVENT_PROPERTIES, place, column, made


def _column(setting: str, place: str, name: str, wanted: str | Mapping[str, Any]) -> tuple[str, str]:
    """The column's name and type."""
    entry = {"type": wanted} if isinstance(wanted, str) else wanted
    if entry.get("type") not in TYPES or not entry.keys() <= {"type", "column"}:
        raise SettingsError(
            f"{setting}: {place} must be a type ({', '.join(TYPES)}), "
            'or an object with the type and the name of its column: {"type": "string", "column": "loyalty_tier"}'
        )
    column = entry.get("column", column_name(name))
    if not isinstance(column, str) or not _COLUMN.fullmatch(column):
        raise SettingsError(
            f"{setting}: the column of {place} must have a name of letters, digits and _, a letter first; {_ANOTHER}"
        )
    return column, str(entry["type"])


def _is_same(column: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two columns differ in nothing but the metrics whose events have a value there."""
    return METRICS in column and {**column, METRICS: None} == {**other, METRICS: None}


def _escape(name: str) -> str:
    """A name as a step of a path."""
    return name.replace("~", "~0").replace("/", "~1").replace("#", "~2")
