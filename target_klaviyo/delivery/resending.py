"""What Klaviyo refuses of a unit is left out of it, where its people can do without, and the rest is sent again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from target_klaviyo.delivery.action import Row, Unit, UnitOutcome
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.delivery.responses import with_notes
from target_klaviyo.model.identifiers import IDENTIFIERS, identifiers_of
from target_klaviyo.model.pointers import Path, from_pointer, to_pointer, without
from target_klaviyo.model.records import IDENTIFIER_LEFT_OUT, VALUE_LEFT_OUT, Note, Outcome, OutcomeKind, Record

# The payload that is sent in place of the one that was refused, and what is left out of it; None: nothing can be.
Reduced = tuple[Record, Note]
Reduce = Callable[[Unit, Outcome], Reduced | None]
# What a row's batch key may ask for: where identifiers are two profiles', the strongest says whose the row is.
UPDATE_STRONGEST = "update_strongest"
CONFLICT_OPTION: Mapping[str, Any] = {
    "type": "string",
    "enum": ["reject", UPDATE_STRONGEST],
    "default": "reject",
    "description": (
        "Where a record's identifiers are those of two profiles (Klaviyo answers 409): reject the record, or update "
        "the profile of the strongest (Klaviyo's id, e-mail, phone number, external id, in this order) and leave the "
        "others out, which is told."
    ),
}
_ATTRIBUTE = re.compile(r"/data/attributes/(?:profiles/data/[0-9]+/attributes/)?(.+)")


def send_without_refused(
    units: Iterable[Unit], send: Callable[[Sequence[Unit]], Iterable[UnitOutcome]], reduce: Reduce
) -> Iterator[UnitOutcome]:
    """Send units, and those that are refused again without what they are refused for, as long as there is less to send.

    Args:
        units: no two of them about one person.
        send: sends some of them, and yields their outcomes.
        reduce: what to send of a unit that was refused; its rows are all the same.
    """
    # What is sent -> the unit that it is of.
    waiting = {unit: unit for unit in units}
    notes: defaultdict[Row, list[Note]] = defaultdict(list)
    while waiting:
        again: dict[Unit, Unit] = {}
        for unit, outcome in send(list(waiting)):
            reduced = _reduce(unit, outcome, reduce) if unit in waiting else None
            if reduced is None:
                yield waiting.get(unit, unit), with_notes(outcome, tuple(notes[unit.rows[0]]))
                continue
            payload, note = reduced
            for row in unit.rows:
                notes[row].append(note)
            again[Unit(unit.rows, payload, encode_json(payload))] = waiting[unit]
        waiting = again


def _reduce(unit: Unit, outcome: Outcome, reduce: Reduce) -> Reduced | None:
    # Rows that differ are told apart first: what is wrong is perhaps in one of them only.
    is_one = len({row.body for row in unit.rows}) == 1
    return reduce(unit, outcome) if is_one and outcome.kind is OutcomeKind.REJECTED else None


def attribute_pointed_at(outcome: Outcome) -> Path:
    """The path of the profile's attribute that a refusal points at; empty where it points at none."""
    match = _ATTRIBUTE.fullmatch(outcome.pointer or "")
    return from_pointer(f"/{match[1]}") if match else ()


def without_refused_attribute(unit: Unit, outcome: Outcome) -> Reduced | None:
    """A profile without the attribute that Klaviyo points at, or without identifiers that are another profile's."""
    if outcome.code == "duplicate_profile":
        return _with_strongest_identifier(unit)
    path = attribute_pointed_at(outcome)
    rest = without(unit.payload["attributes"], path)
    is_named = path not in ((), ("properties",))  # all of the properties are not to blame for one
    if not unit.rows[0].drops_bad_values or not is_named or rest is None:
        return None
    payload = {**unit.payload, "attributes": rest}
    if not identifiers_of(payload):
        return None
    code = IDENTIFIER_LEFT_OUT if path[0] in IDENTIFIERS else VALUE_LEFT_OUT
    name = ".".join(path)
    return payload, Note(code, to_pointer(path), f"{name} was left out because Klaviyo rejects it: {outcome.reason}")


def _with_strongest_identifier(unit: Unit) -> Reduced | None:
    if UPDATE_STRONGEST not in unit.rows[0].batch_key:
        return None
    _, *others = identifiers_of(unit.payload)
    if not others:
        return None
    attributes = {name: value for name, value in unit.payload["attributes"].items() if name not in others}
    first, *more = (to_pointer((name,)) for name in others)
    reason = f"{', '.join(others)} was left out: the identifiers belong to different profiles, and the strongest counts"
    return {**unit.payload, "attributes": attributes}, Note(IDENTIFIER_LEFT_OUT, first, reason, tuple(more))
