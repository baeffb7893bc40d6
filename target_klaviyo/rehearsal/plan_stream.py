"""What the plan of a rehearsal holds of one stream and action."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Outcome, OutcomeKind, Record
from target_klaviyo.rehearsal.examples import name_of
from target_klaviyo.rehearsal.request_bodies import display_name

# How many first rows, people, reasons and properties the plan holds; the rest is counted.
MAX_ROWS, MAX_ASKED, _MAX_REASONS, _MAX_PROPERTIES = 20, 2_000, 50, 1_000
# So many people of each kind are named.
MAX_EXAMPLES = 5

# What would become of a record, as the plan's JSON calls it.
SENT, NOTHING, REJECTED, LEFT_OUT = "would_be_sent", "nothing_to_send", "would_be_rejected", "left_out"
RESULTS = (SENT, NOTHING, REJECTED, LEFT_OUT)
_TYPE_NAMES = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}
# An entry of ``columns`` for what is in no column by that name.
_UNNAMED: Mapping[str, Any] = dict.fromkeys(("column", "field", "property", "type", "format", "why_not_sent"))
_OTHERS = ("", "other reasons")


@dataclass
class _Reason:
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class StreamPlan:
    """One stream and action.

    Attributes:
        columns: what each column becomes, as ``add_columns`` was told.
        people: whom the records are about, by their identifiers, with a row for each; one more than are asked for.
        known: the keys of ``people`` whom Klaviyo has; None while nobody was asked.
        why_not_asked: why not.
    """

    counts: Counter[str] = field(default_factory=Counter)
    columns: list[dict[str, Any]] = field(default_factory=list)
    people: dict[frozenset[Identifier], Row] = field(default_factory=dict)
    known: frozenset[frozenset[Identifier]] | None = None
    why_not_asked: str | None = None
    _rows: list[tuple[Action, Row]] = field(default_factory=list)
    _lists: Counter[str] = field(default_factory=Counter)
    _properties: dict[str, Counter[str]] = field(default_factory=dict)
    _reasons: dict[tuple[str, str, str], _Reason] = field(default_factory=dict)

    def add_row(self, action: Action, row: Row) -> None:
        """Add a row that is about to wait for its batch."""
        if len(self._rows) < MAX_ROWS:
            self._rows.append((action, row))
        self._lists.update({str(step.list) for _, step in _steps(action, row) if step.list is not None})
        for step_action, step in _steps(action, row):
            self._see_properties(step.payload)
            if "profile" in step_action.adds and not step_action.removes(step.batch_key):
                self._add_person(step_action, step)

    def _add_person(self, action: Action, row: Row) -> None:
        if len(self.people) > MAX_ASKED:
            return
        profile = action.profile_of(row.payload)
        if person := frozenset(identifiers_of(profile).items()):
            self.people.setdefault(person, Row(row.source, profile, b""))

    def _see_properties(self, payload: Any) -> None:
        """Count the JSON types of custom properties, wherever they stand in what is sent."""
        if not isinstance(payload, Mapping):
            return
        for name, value in payload.items():
            if name != "properties" or not isinstance(value, Mapping):
                self._see_properties(value)
                continue
            for key, entry in value.items():
                if entry is not None and (key in self._properties or len(self._properties) < _MAX_PROPERTIES):
                    kind = _TYPE_NAMES.get(type(entry), "object")
                    self._properties.setdefault(key, Counter())[kind] += 1

    def add_outcome(self, outcome: Outcome, record: Record) -> None:
        """Count the outcome of a record, and why it is not sent."""
        result = result_of(outcome)
        self.counts[result] += 1
        if result == SENT:
            return
        key = (result, outcome.code or "", outcome.reason or "")
        if key not in self._reasons and len(self._reasons) >= _MAX_REASONS:
            key = (result, *_OTHERS)
        reason = self._reasons.setdefault(key, _Reason())
        reason.count += 1
        if len(reason.examples) < MAX_EXAMPLES and (name := name_of(record, self.columns)) is not None:
            reason.examples.append(name)

    def to_json(self) -> dict[str, Any]:
        reasons = sorted(self._reasons.items(), key=lambda entry: -entry[1].count)
        return {
            "records": self.counts.total(),
            **{result: self.counts[result] for result in RESULTS},
            "lists": dict(self._lists),
            "columns": list(self._columns_to_json()),
            "people": self._people_to_json(),
            "reasons": [
                {"result": result, "code": code, "reason": text, "count": reason.count, "examples": reason.examples}
                for (result, code, text), reason in reasons
            ],
            "first_rows": [_row_to_json(first, row) for first, row in self._rows],
        }

    def _columns_to_json(self) -> Iterator[dict[str, Any]]:
        shown = set()
        for column in self.columns:
            seen: Mapping[str, int] = self._properties.get(column["property"] or "", {})
            shown.add(column["property"])
            yield {**column, "seen_types": dict(seen)}
        for name, seen in self._properties.items():  # an object's, or the action's own
            if name not in shown:
                yield {**_UNNAMED, "property": name, "seen_types": dict(seen)}

    def _people_to_json(self) -> dict[str, Any]:
        sent = {person: row for person, row in self.people.items() if _is_sent(row)}
        if self.known is None:
            return {"asked": False, "why_not_asked": self.why_not_asked if sent else None, "new": None, "known": None}
        known = [row for person, row in sent.items() if person in self.known]
        new = [row for person, row in sent.items() if person not in self.known]
        return {"asked": True, "why_not_asked": None, "new": _some_of(new), "known": _some_of(known)}


def _some_of(rows: Iterable[Row]) -> dict[str, Any]:
    names = [display_name(row.payload) or str(row.payload.get("id", "")) for row in rows]
    return {"count": len(names), "identifiers": names}


def _is_sent(row: Row) -> bool:
    outcome = row.source.outcome
    return outcome is not None and result_of(outcome) == SENT


def result_of(outcome: Outcome) -> str:
    """What an outcome is in a rehearsal, one of ``RESULTS``."""
    if outcome.kind is OutcomeKind.REJECTED:
        return REJECTED
    if outcome.kind is OutcomeKind.LEFT_OUT:
        return LEFT_OUT
    # No answer of a rehearsal has a code: this one is ours, for somebody of whom a part or nothing need be sent.
    return SENT if outcome.code in (None, *(note.code for note in outcome.left_out)) else NOTHING


def _steps(action: Action, row: Row) -> Iterator[tuple[Action, Row]]:
    """The steps of a record, in their order: what is done with it."""
    step: tuple[Action, Row] | None = (action, row)
    while step is not None:
        yield step
        step = step[1].next_step


def _row_to_json(action: Action, row: Row) -> dict[str, Any]:
    outcome = row.source.outcome
    steps = [
        {
            "action": step_action.name,
            "list": None if step_row.list is None else str(step_row.list),
            "payload": msgspec.json.decode(step_row.body),
        }
        for step_action, step_row in _steps(action, row)
    ]
    return {"becomes": None if outcome is None else result_of(outcome), "steps": steps}
