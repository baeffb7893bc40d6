"""Rows to units and units to requests: one unit per person, requests bound by count and bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from target_klaviyo.delivery.action import Row, Unit
from target_klaviyo.model.identifiers import IDENTIFIERS, Identifier, identifiers_of
from target_klaviyo.model.records import Record


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


def waves(rows: Sequence[Row], *, max_item_bytes: int | None = None) -> list[list[Unit]]:
    """Groups of units in which no identifier occurs twice; one group must be done before the next begins.

    Rows become one unit, in which later values win, where all their identifiers are the same, and all channels of
    consent. Rows that share some and not all (one e-mail address and two phone numbers), or that patch lists, come in
    different groups, in order, so that Klaviyo judges one after the other, and what was said of each reaches it.
    """
    made: list[list[Unit]] = []
    last: dict[Identifier, Place] = {}
    for row in rows:
        mine = identifiers_of(row.payload)
        places = [last[handle] for handle in mine.items() if handle in last]
        place = _merged(made, places, row, mine, max_item_bytes)
        if place is None:
            wave = 1 + max((before for before, _ in places), default=-1)
            if wave == len(made):
                made.append([])
            place = (wave, len(made[wave]))
            made[wave].append(Unit((row,), row.payload, row.body))
        last.update(dict.fromkeys(mine.items(), place))
    return made


# Where a unit is: which wave, and at which position in it.
Place = tuple[int, int]


def _merged(
    made: list[list[Unit]], places: Sequence[Place], row: Row, mine: Mapping[str, str], max_item_bytes: int | None
) -> Place | None:
    """The place of the unit that took in the row; None where there is none that may."""
    if len(set(places)) != 1:
        return None
    wave, position = place = places[0]
    unit = made[wave][position]
    if "meta" in unit.payload or "meta" in row.payload or identifiers_of(unit.payload) != mine:
        return None
    if _asked(unit.payload) != _asked(row.payload):
        return None
    payload = merged(unit.payload, row.payload)
    body = encoded(payload)
    if max_item_bytes is not None and len(body) > max_item_bytes:
        return None
    made[wave][position] = Unit((*unit.rows, row), payload, body)
    return place


def _asked(payload: Record) -> Any:
    """What must be the same of two rows about consent, or Klaviyo's refusal of the one would take the other along."""
    attributes = payload["attributes"]
    if "subscriptions" not in attributes:
        return None
    channels = {channel: set(kinds) for channel, kinds in attributes["subscriptions"].items()}
    others = {name: value for name, value in attributes.items() if name not in (*IDENTIFIERS, "subscriptions")}
    return channels, others


def turns(rows: Sequence[Row], person: Callable[[Record], Record]) -> list[list[Row]]:
    """The rows in groups that must be sent one after the other.

    What is said of one person about different lists, or on different terms, takes different requests, and the later
    word must not arrive first: taken off a list after having joined it, nobody is on it.
    """
    if len({(row.list, row.batch_key) for row in rows}) <= 1:
        return [list(rows)]
    made: list[list[Row]] = []
    last: dict[Identifier, tuple[int, Any]] = {}
    for row in rows:
        about = (row.list, row.batch_key)
        mine = identifiers_of(person(row.payload)).items()
        before = [last[handle] for handle in mine if handle in last]
        turn = max((turn + (its != about) for turn, its in before), default=0)
        if turn == len(made):
            made.append([])
        made[turn].append(row)
        last.update(dict.fromkeys(mine, (turn, about)))
    return made


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
