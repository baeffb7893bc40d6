"""Fields that are only set where they are empty. Klaviyo has no such upsert: what people have is read before.

Whatever others set between the reading and the writing is overwritten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from target_klaviyo.delivery.action import Row, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.requests import single
from target_klaviyo.delivery.session import Session
from target_klaviyo.endpoints import people
from target_klaviyo.model.identifiers import IDENTIFIERS, Identifier, identifiers_of
from target_klaviyo.model.pointers import Path, without
from target_klaviyo.model.records import HAS_VALUES, Outcome, OutcomeKind

# What a row's batch key asks for, with the paths of the fields behind it.
SET_IF_EMPTY = "set_if_empty"
CALLS = (people.find_call("to know what people have", option=SET_IF_EMPTY),)
# Of these each member counts by itself.
_OBJECTS = ("location", "properties")
_ALL_SET = Outcome(
    OutcomeKind.LEFT_OUT, 200, HAS_VALUES, None, "the person has values for all its fields, and set_if_empty is set"
)


def without_filled(session: Session, rows: Sequence[Row]) -> tuple[dict[Row, Row], list[UnitOutcome]]:
    """(what to send, without what the people have -> the row that it is of; rows that need not or cannot be sent).

    Of several rows of one person the first that has a value sets it.

    Raises:
        Refused: the key or a scope is wrong.
        Unavailable: Klaviyo cannot be reached.
    """
    asked = {row: paths for row in rows if (paths := _paths_of(row))}
    if not asked:
        return {row: row for row in rows}, []
    roots = dict.fromkeys(path[0] for paths in asked.values() for path in paths)
    matches = people.find_profiles(session, asked, roots)
    set_before: dict[Identifier, set[Path]] = {}
    left: dict[Row, Row] = {}
    done: list[UnitOutcome] = []
    for row in rows:
        if row not in asked:
            left[row] = row
        elif row in matches.refused:
            done.append((single(row), matches.refused[row]))
        elif (reduced := _reduce(row, asked[row], matches.attributes.get(row, {}), set_before)) is None:
            done.append((single(row), _ALL_SET))
        else:
            left[reduced] = row
    return left, done


def _paths_of(row: Row) -> Collection[Path]:
    """The fields that a row sets only where they are empty."""
    return next((part[1] for part in row.batch_key if isinstance(part, tuple) and part[0] == SET_IF_EMPTY), ())


def _reduce(
    row: Row, paths: Collection[Path], current: Mapping[str, Any], set_before: dict[Identifier, set[Path]]
) -> Row | None:
    """The row without what its person has, or was given by the rows before it; None where nothing is left to send."""
    identifiers = identifiers_of(row.payload).items()
    given = set().union(*(set_before.get(one, ()) for one in identifiers))
    attributes: Mapping[str, Any] = row.payload["attributes"]
    fresh: set[Path] = set()
    for path in _leaves(attributes, paths):
        if path in given or not _is_empty(_value_at(current, path)):
            attributes = without(attributes, path) or {}
        elif not _is_empty(_value_at(attributes, path)):
            fresh.add(path)
    for one in identifiers:
        set_before.setdefault(one, set()).update(fresh)
    if attributes is row.payload["attributes"]:
        return row
    attributes = {name: value for name, value in attributes.items() if not (name in _OBJECTS and value == {})}
    if not attributes.keys() - set(IDENTIFIERS) and row.list is None and "meta" not in row.payload:
        return None
    payload = {**row.payload, "attributes": attributes}
    return replace(row, payload=payload, body=encode_json(payload))


def _leaves(attributes: Mapping[str, Any], paths: Collection[Path]) -> Iterator[Path]:
    """The paths of what a row says of these fields."""
    for path in paths:
        value = _value_at(attributes, path)
        if path[0] in _OBJECTS and len(path) == 1:
            yield from ((path[0], name) for name in (value or {}))
        elif len(path) == 1 or path[-1] in (_value_at(attributes, path[:-1]) or {}):
            yield path


def _value_at(attributes: Mapping[str, Any], path: Path) -> Any:
    value: Any = attributes
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())
