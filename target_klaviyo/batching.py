"""Rows to units and units to requests: one unit per person, requests bound by count and bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from target_klaviyo.identity import handles, same_person
from target_klaviyo.model import Record, Row, Unit


def encoded(payload: Record) -> bytes:
    """The payload's JSON."""
    return msgspec.json.encode(payload)


def chunks(units: Sequence[Unit], *, max_items: int, max_bytes: int | None, envelope: int = 0) -> Iterator[list[Unit]]:
    """Units in order, cut where a request would hold too many items or bytes.

    ``envelope`` is the bytes of a request without its items; an item costs its own bytes and a comma.
    """
    chunk: list[Unit] = []
    size = envelope
    for unit in units:
        cost = len(unit.body) + 1
        if chunk and (len(chunk) >= max_items or (max_bytes is not None and size + cost > max_bytes)):
            yield chunk
            chunk, size = [], envelope
        chunk.append(unit)
        size += cost
    if chunk:
        yield chunk


def waves(rows: Sequence[Row], *, max_item_bytes: int | None = None) -> Iterator[list[Unit]]:
    """Groups of units in which no identifier occurs twice; one group must be done before the next begins.

    Rows about the same person become one unit, in which later values win. Rows that share an identifier but cannot be
    merged (they disagree in a stronger one, or they patch lists) come in different groups, in order, so that
    Klaviyo judges one after the other.
    """
    wave = _Wave(max_item_bytes)
    for row in rows:
        if not wave.take(row):
            yield wave.units()
            wave = _Wave(max_item_bytes)
            wave.take(row)
    if units := wave.units():
        yield units


class _Wave:
    def __init__(self, max_item_bytes: int | None) -> None:
        self._max_item_bytes = max_item_bytes
        self._slots: list[Unit] = []
        self._slot_of: dict[tuple[str, str], int] = {}

    def units(self) -> list[Unit]:
        return self._slots

    def take(self, row: Row) -> bool:
        """Add the row; False when it must wait for the next wave."""
        mine = handles(row.payload)
        slots = {self._slot_of[handle] for handle in mine.items() if handle in self._slot_of}
        if not slots:
            slot = len(self._slots)
            self._slots.append(Unit((row,), row.payload, row.body))
        elif len(slots) == 1:
            slot = slots.pop()
            merged = self._merged(self._slots[slot], row, mine)
            if merged is None:
                return False
            self._slots[slot] = merged
        else:
            return False
        for handle in mine.items():
            self._slot_of[handle] = slot
        return True

    def _merged(self, unit: Unit, row: Row, mine: Mapping[str, str]) -> Unit | None:
        if "meta" in unit.payload or "meta" in row.payload or not same_person(handles(unit.payload), mine):
            return None
        payload = merged(unit.payload, row.payload)
        body = encoded(payload)
        if self._max_item_bytes is not None and len(body) > self._max_item_bytes:
            return None
        return Unit((*unit.rows, row), payload, body)


def merged(earlier: Record, later: Record) -> dict[str, Any]:
    """What two writes about one profile come to: later values win.

    Location and custom properties are merged by name, subscriptions by channel and kind.
    """
    made = {**earlier, **later}
    attributes = {**earlier["attributes"], **later["attributes"]}
    for name in ("location", "properties"):
        if name in earlier["attributes"] and name in later["attributes"]:
            attributes[name] = {**earlier["attributes"][name], **later["attributes"][name]}
    if "subscriptions" in earlier["attributes"] and "subscriptions" in later["attributes"]:
        before, after = earlier["attributes"]["subscriptions"], later["attributes"]["subscriptions"]
        attributes["subscriptions"] = {name: {**before.get(name, {}), **after.get(name, {})} for name in before | after}
    made["attributes"] = attributes
    return made
