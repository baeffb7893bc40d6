"""The plan of a rehearsal: what a run would do. Thread-safe.

It holds counts, the first rows, the people of each list, and the requests.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from klaviyo_client.api.operations import operation
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Outcome, OutcomeKind
from target_klaviyo.rehearsal.request_bodies import RequestContents

# How many of each kind the plan names; the rest is counted.
MAX_ROWS, MAX_PEOPLE, MAX_REJECTED = 20, 10_000, 1_000

# Operation -> what it does with the people of a list.
_CHANGE_OF = {
    "bulk_import_profiles": "additions",
    "add_profiles_to_list": "additions",
    "remove_profiles_from_list": "removals",
    "bulk_subscribe_profiles": "subscriptions",
    "bulk_unsubscribe_profiles": "unsubscriptions",
}
# The same in words.
_CHANGE_WORDS = {
    "additions": "would be put on it",
    "removals": "would be taken off it",
    "subscriptions": "would be subscribed to it",
    "unsubscriptions": "would be unsubscribed from it",
}

# What would become of a record, as the plan's JSON calls it.
_SENT, _NOTHING, _REJECTED, _LEFT_OUT = "would_be_sent", "nothing_to_send", "would_be_rejected", "left_out"


@dataclass
class _Stream:
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[Action, Row]] = field(default_factory=list)
    lists: Counter[str] = field(default_factory=Counter)


@dataclass
class _People:
    """People whom a list would gain or lose: how many, and those of them who are named.

    Attributes:
        named: of those who are named, the name and the identifiers, in their order.
    """

    count: int = 0
    named: list[tuple[str, frozenset[Identifier]]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        names = [name for name, _ in self.named]
        return {"count": self.count, "identifiers": names, "not_shown": self.count - len(names)}

    def excluding_members(self, members: Collection[Identifier], already: int) -> _People:
        """The people who are not members yet. ``already``: how many of all of them are members."""
        named = [entry for entry in self.named if entry[1].isdisjoint(members)]
        not_named = self.count - len(self.named)
        return _People(max(len(named), self.count - already) if not_named else len(named), named)


@dataclass
class _List:
    is_new: bool = False
    already: int | None = None
    changes: dict[str, _People] = field(default_factory=dict)


class Plan:
    """Collects what a run would do, and gives it as JSON and as lines for the log.

    Args:
        share: the part of the account's limits that may be spent.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._lists: dict[str, _List] = {}
        self._list_names: dict[str, str] = {}
        self._requests: Counter[str] = Counter()
        self._items: Counter[str] = Counter()
        self._reads: Counter[str] = Counter()
        self._rejected: list[Mapping[str, Any]] = []
        self._rejected_not_shown = 0

    # Collecting -----------------------------------------------------------------------------------------------------

    def add_row(self, stream: str, action: Action, row: Row) -> None:
        """Add a row that is about to wait for its batch."""
        with self._lock:
            part = self._stream(stream, row.source.action)
            if len(part.rows) < MAX_ROWS:
                part.rows.append((action, row))
            part.lists.update({str(step.list) for _, step in _steps(action, row) if step.list is not None})

    def add_outcome(self, stream: str, action: str, outcome: Outcome) -> None:
        """Count the outcome of a record."""
        with self._lock:
            self._stream(stream, action).counts[_result(outcome)] += 1

    def add_rejected(self, message: Mapping[str, Any]) -> None:
        """Add what the rejects file of a real run would hold: the record that would be rejected, and why."""
        with self._lock:
            if len(self._rejected) < MAX_REJECTED:
                self._rejected.append(message)
            else:
                self._rejected_not_shown += 1

    def add_read(self, name: str) -> None:
        """Count a request that reads; those are sent."""
        with self._lock:
            self._reads[name] += 1

    def add_request(self, name: str, contents: RequestContents, names: Iterable[str]) -> None:
        """Count a request that would be sent. ``names`` are those of the people in it, in their order."""
        with self._lock:
            self._requests[name] += 1
            self._items[name] += contents.items
            change = _CHANGE_OF.get(name)
            if change is None or contents.list_id is None:
                return
            people = self._lists.setdefault(contents.list_id, _List()).changes.setdefault(change, _People())
            people.count += contents.items
            if room := MAX_PEOPLE - len(people.named):
                identifiers = (frozenset(identifiers_of(person).items()) for person in contents.people)
                people.named += islice(zip(names, identifiers, strict=True), room)

    def name_list(self, list_id: str, name: str, *, is_new: bool = False) -> None:
        """Note the name of a list. ``is_new``: the run would make it."""
        with self._lock:
            self._list_names[list_id] = name
            if is_new:
                self._lists.setdefault(list_id, _List()).is_new = True

    def exclude_members(self, list_id: str, members: Collection[Identifier], already: int) -> None:
        """Take those who are on a list from those who would be put on it. ``already``: how many of the latter are."""
        with self._lock:
            entry = self._lists.setdefault(list_id, _List())
            entry.already = already
            if "additions" in entry.changes:
                entry.changes["additions"] = entry.changes["additions"].excluding_members(members, already)

    # Output ---------------------------------------------------------------------------------------------------------

    def to_json(self, *, complete: bool) -> dict[str, Any]:
        """The plan as JSON; ``complete``: whether all of the input was seen."""
        with self._lock:
            return {
                "complete": complete,
                "sent": 0,
                "streams": [
                    {
                        "stream": stream,
                        "action": action or None,
                        "records": part.counts.total(),
                        **{result: part.counts[result] for result in (_SENT, _NOTHING, _REJECTED, _LEFT_OUT)},
                        "lists": dict(part.lists),
                        "first_rows": [_row_to_json(first, row) for first, row in part.rows],
                    }
                    for (stream, action), part in self._streams.items()
                ],
                "lists": [
                    {
                        "id": None if entry.is_new else list_id,
                        "name": self._list_names.get(list_id),
                        "would_be_made": entry.is_new,
                        "already_on_it": entry.already,
                        **{change: people.to_json() for change, people in entry.changes.items()},
                    }
                    for list_id, entry in self._lists.items()
                ],
                "requests": [self._cost(name, self._requests) for name in self._requests],
                "reads": [self._cost(name, self._reads) for name in self._reads],
                "minutes": self._minutes,
                "rejected": self._rejected,
                "rejected_not_shown": self._rejected_not_shown,
            }

    def log_lines(self) -> list[str]:
        """The plan in words, but for the last line. It names no people; names of lists are not masked."""
        with self._lock:
            lines = [
                f"{stream}{f' ({action})' if action else ''}: {format_counts(part.counts)}"
                for (stream, action), part in self._streams.items()
            ]
            for list_id, entry in self._lists.items():
                which = f"list {self._list_names.get(list_id, list_id)!r}"
                which += " (would be made)" if entry.is_new else f" ({list_id})"
                lines += [f"{which}: {_format_change(change, entry)}" for change in entry.changes]
            for name, count in self._requests.items():
                op, items = operation(name), self._items[name]
                limits = f"Klaviyo takes {op.burst:,} a second and {op.steady:,} a minute"
                lines.append(f"{name}: {_plural(count, 'request')} with {_plural(items, 'item')} ({limits})")
            reads = f"Klaviyo was asked {_plural(self._reads.total(), 'time')}"
            return [*lines, f"{reads}; under the account's limits all of it takes {self._minutes:,g} minutes or more"]

    def totals_in_words(self) -> str:
        """What would become of all records."""
        with self._lock:
            return format_counts(sum((part.counts for part in self._streams.values()), Counter[str]()))

    def _stream(self, stream: str, action: str) -> _Stream:
        return self._streams.setdefault((stream, action), _Stream())

    def _cost(self, name: str, requests: Mapping[str, int]) -> dict[str, Any]:
        op = operation(name)
        return {
            "operation": name,
            "requests": requests[name],
            **({"items": self._items[name]} if name in self._items else {}),
            "per_second": op.burst,
            "per_minute": op.steady,
            **({"per_day": op.daily} if op.daily else {}),
            "minutes": self._minutes_of(name, requests[name]),
            "scopes": list(op.scopes),
        }

    def _minutes_of(self, name: str, requests: int) -> float:
        return math.ceil(100 * requests / (operation(name).steady * self._share)) / 100

    @property
    def _minutes(self) -> float:
        # Each operation has a budget of its own, and they are spent side by side.
        everything = (self._requests + self._reads).items()
        return max((self._minutes_of(name, count) for name, count in everything), default=0.0)


def format_counts(counts: Mapping[str, int]) -> str:
    """Counts of what would become of records, in words.

    >>> format_counts({"would_be_sent": 1200, "would_be_rejected": 3})
    '1,200 would be sent, 3 would be rejected'
    """
    rare = [f"{counts[result]:,} {text}" for result, text in _RARE.items() if counts.get(result)]
    return ", ".join(
        [f"{counts.get(_SENT, 0):,} would be sent", f"{counts.get(_REJECTED, 0):,} would be rejected", *rare]
    )


# Named only where there are some.
_RARE = {_NOTHING: "would need nothing", _LEFT_OUT: "would be left out"}


def _result(outcome: Outcome) -> str:
    if outcome.kind is OutcomeKind.REJECTED:
        return _REJECTED
    if outcome.kind is OutcomeKind.LEFT_OUT:
        return _LEFT_OUT
    # No answer of a rehearsal has a code: this one is ours, for somebody of whom a part or nothing need be sent.
    return _SENT if outcome.code in (None, *(note.code for note in outcome.left_out)) else _NOTHING


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
    return {"becomes": None if outcome is None else _result(outcome), "steps": steps}


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _format_change(change: str, entry: _List) -> str:
    count = entry.changes[change].count
    words = f"{count:,} {'person' if count == 1 else 'people'} {_CHANGE_WORDS[change]}"
    if change != "additions" or entry.is_new:
        return words
    stay = "those who are on it stay" if entry.already is None else f"{entry.already:,} are on it already"
    return f"{words}; {stay}"
