"""Batches: rows become units, one per person, and units become requests, bound by count and bytes. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

import msgspec

from target_klaviyo.delivery.action import Row, Unit
from target_klaviyo.model.identifiers import IDENTIFIERS, Identifier, identifiers_of
from target_klaviyo.model.records import Record

T = TypeVar("T")


def encode_json(payload: Record) -> bytes:
    """The payload's JSON."""
    return msgspec.json.encode(payload)


def split_by_size(
    items: Iterable[T], measure: Callable[[T], tuple[int, int]], *, max_count: int, max_bytes: float = math.inf
) -> Iterator[list[T]]:
    """Items in order, in chunks: cut where one would count too much or have too many bytes.

    ``measure`` gives what an item counts and its bytes. An item that is too large by itself is a chunk of its own.
    """
    chunk: list[T] = []
    count = size = 0
    for item in items:
        item_count, item_size = measure(item)
        if chunk and (count + item_count > max_count or size + item_size > max_bytes):
            yield chunk
            chunk, count, size = [], 0, 0
        chunk.append(item)
        count += item_count
        size += item_size
    if chunk:
        yield chunk


def unit_size(unit: Unit) -> tuple[int, int]:
    """What a unit costs in a request: it counts one, and has the bytes of its JSON and of a comma."""
    return 1, len(unit.body) + 1


def conflict_free_groups(rows: Sequence[Row], *, max_item_bytes: int | None = None) -> list[list[Unit]]:
    """Groups of units in which no identifier occurs twice; one group must be done before the next begins.

    Rows become one unit, in which later values win, where all their identifiers are the same, and all channels of
    consent. Rows that share some and not all (one e-mail address and two phone numbers), or that patch lists, come in
    different groups, in order, so that Klaviyo judges one after the other, and what was said of each reaches it.
    """
    groups: list[list[Unit]] = []
    last: dict[Identifier, Place] = {}
    for row in rows:
        identifiers = identifiers_of(row.payload)
        places = [last[identifier] for identifier in identifiers.items() if identifier in last]
        place = _merge_into_unit(groups, places, row, identifiers, max_item_bytes)
        if place is None:
            index = 1 + max((group for group, _ in places), default=-1)
            if index == len(groups):
                groups.append([])
            place = (index, len(groups[index]))
            groups[index].append(Unit((row,), row.payload, row.body))
        last.update(dict.fromkeys(identifiers.items(), place))
    return groups


# Where a unit is: the index of its group, and its position in it.
Place = tuple[int, int]


def _merge_into_unit(
    groups: list[list[Unit]],
    places: Sequence[Place],
    row: Row,
    identifiers: Mapping[str, str],
    max_item_bytes: int | None,
) -> Place | None:
    """Merge the row into the unit that is about the same person, and give its place; None where there is none."""
    if len(set(places)) != 1:
        return None
    index, position = place = places[0]
    unit = groups[index][position]
    if "meta" in unit.payload or "meta" in row.payload or identifiers_of(unit.payload) != identifiers:
        return None
    if _consent_of(unit.payload) != _consent_of(row.payload):
        return None
    merged = _merge((*unit.rows, row), unit.payload, row.payload)
    if max_item_bytes is not None and len(merged.body) > max_item_bytes:
        return None
    groups[index][position] = merged
    return place


def _merge(rows: tuple[Row, ...], *payloads: Record) -> Unit:
    payload = reduce(merge_payloads, payloads)
    return Unit(rows, payload, encode_json(payload))


def merge_rows(rows: Sequence[Row]) -> Unit:
    """One unit of rows that are about one person; later values win."""
    if len(rows) == 1:
        return Unit((rows[0],), rows[0].payload, rows[0].body)
    return _merge(tuple(rows), *(row.payload for row in rows))


def halve(unit: Unit) -> list[Unit]:
    """The rows of a unit of several as two units, of which the first must be done before the second begins."""
    middle = len(unit.rows) // 2
    return [merge_rows(unit.rows[:middle]), merge_rows(unit.rows[middle:])]


def _consent_of(payload: Record) -> Any:
    """What must be the same of two rows about consent, or Klaviyo's refusal of the one would take the other along."""
    attributes = payload["attributes"]
    if "subscriptions" not in attributes:
        return None
    channels = {channel: set(kinds) for channel, kinds in attributes["subscriptions"].items()}
    others = {name: value for name, value in attributes.items() if name not in (*IDENTIFIERS, "subscriptions")}
    return channels, others


def ordered_groups(rows: Sequence[Row], profile_of: Callable[[Record], Record]) -> list[list[Row]]:
    """The rows in groups that must be sent one after the other.

    What is said of one person about different lists, or with different batch keys, takes different requests, and the
    later word must not arrive first: taken off a list after having joined it, nobody is on it.
    """
    if len({(row.list, row.batch_key) for row in rows}) <= 1:
        return [list(rows)]
    groups: list[list[Row]] = []
    last: dict[Identifier, tuple[int, Any]] = {}
    for row in rows:
        request_key = (row.list, row.batch_key)
        identifiers = identifiers_of(profile_of(row.payload)).items()
        earlier = [last[identifier] for identifier in identifiers if identifier in last]
        index = max((index + (key != request_key) for index, key in earlier), default=0)
        if index == len(groups):
            groups.append([])
        groups[index].append(row)
        last.update(dict.fromkeys(identifiers, (index, request_key)))
    return groups


def merge_payloads(earlier: Record, later: Record) -> dict[str, Any]:
    """What two writes about one profile come to: later values win.

    Location and custom properties are merged by name, subscriptions by channel and kind.
    """
    attributes = {**earlier["attributes"], **later["attributes"]}
    for name in ("location", "properties"):
        if name in earlier["attributes"] and name in later["attributes"]:
            attributes[name] = {**earlier["attributes"][name], **later["attributes"][name]}
    if "subscriptions" in earlier["attributes"] and "subscriptions" in later["attributes"]:
        before, after = earlier["attributes"]["subscriptions"], later["attributes"]["subscriptions"]
        attributes["subscriptions"] = {name: {**before.get(name, {}), **after.get(name, {})} for name in before | after}
    return {**earlier, **later, "attributes": attributes}
