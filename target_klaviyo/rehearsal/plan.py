"""What a run would do: counted, with the first rows, the people of each list, and the requests. Thread-safe."""

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
from target_klaviyo.model.records import CHANNEL_LEFT_OUT, IDENTIFIER_LEFT_OUT, Outcome, OutcomeKind
from target_klaviyo.rehearsal.request_bodies import Sent

# How much of each kind is shown; the rest is counted.
ROWS, PEOPLE, REJECTED = 20, 10_000, 1_000

# Operation -> what it does with the people of a list.
_CHANGES = {
    "bulk_import_profiles": "additions",
    "add_profiles_to_list": "additions",
    "remove_profiles_from_list": "removals",
    "bulk_subscribe_profiles": "subscriptions",
    "bulk_unsubscribe_profiles": "unsubscriptions",
}
# What becomes of the people of a list, in words.
_WORDS = {
    "additions": "would be put on it",
    "removals": "would be taken off it",
    "subscriptions": "would be subscribed to it",
    "unsubscriptions": "would be unsubscribed from it",
}

_SENT, _NOTHING, _REJECTED, _LEFT_OUT = "would_be_sent", "nothing_to_send", "would_be_rejected", "left_out"


@dataclass
class _Stream:
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[tuple[Action, Row]] = field(default_factory=list)
    lists: Counter[str] = field(default_factory=Counter)


@dataclass
class _People:
    count: int = 0
    shown: list[tuple[str, frozenset[Identifier]]] = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        names = [name for name, _ in self.shown]
        return {"count": self.count, "identifiers": names, "not_shown": self.count - len(names)}

    def without(self, members: Collection[Identifier], already: int) -> _People:
        """Those who are no members, of whom so many are among them."""
        shown = [entry for entry in self.shown if entry[1].isdisjoint(members)]
        hidden = self.count - len(self.shown)
        return _People(max(len(shown), self.count - already) if hidden else len(shown), shown)


@dataclass
class _List:
    made: bool = False
    already: int | None = None
    changes: dict[str, _People] = field(default_factory=dict)


class Plan:
    """What a run would do.

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
        self._not_shown = 0

    # What happens ---------------------------------------------------------------------------------------------------

    def came(self, stream: str, action: Action, row: Row) -> None:
        """A row is about to wait for its batch."""
        with self._lock:
            found = self._stream(stream, row.source.action)
            if len(found.rows) < ROWS:
                found.rows.append((action, row))
            found.lists.update({str(step.list) for _, step in _steps(action, row) if step.list is not None})

    def settled(self, stream: str, action: str, outcome: Outcome) -> None:
        """A record has its outcome."""
        with self._lock:
            self._stream(stream, action).counts[_word(outcome)] += 1

    def rejected(self, document: Mapping[str, Any]) -> None:
        """A record would be rejected: the record and why."""
        with self._lock:
            if len(self._rejected) < REJECTED:
                self._rejected.append(document)
            else:
                self._not_shown += 1

    def read(self, name: str) -> None:
        """Klaviyo was asked something."""
        with self._lock:
            self._reads[name] += 1

    def request(self, name: str, holds: Sent, people: Iterable[str]) -> None:
        """A request would be sent. ``people`` are the names of those whom it holds, in their order."""
        with self._lock:
            self._requests[name] += 1
            self._items[name] += holds.items
            change = _CHANGES.get(name)
            if change is None or holds.list_id is None:
                return
            found = self._lists.setdefault(holds.list_id, _List()).changes.setdefault(change, _People())
            found.count += holds.items
            if room := PEOPLE - len(found.shown):
                named = zip(people, holds.people, strict=True)
                found.shown += (
                    (name, frozenset(identifiers_of(person).items())) for name, person in islice(named, room)
                )

    def list_seen(self, list_id: str, name: str, *, made: bool = False) -> None:
        """A list's name came by; ``made``: there is no such list yet."""
        with self._lock:
            self._list_names[list_id] = name
            if made:
                self._lists.setdefault(list_id, _List()).made = True

    def mirrored(self, list_id: str, members: Collection[Identifier], already: int) -> None:
        """Who is on a list is known: of those who would be put on it, so many are there already."""
        with self._lock:
            found = self._lists.setdefault(list_id, _List())
            found.already = already
            if "additions" in found.changes:
                found.changes["additions"] = found.changes["additions"].without(members, already)

    # What it comes to -----------------------------------------------------------------------------------------------

    def document(self, *, complete: bool) -> dict[str, Any]:
        """The plan as JSON; ``complete``: whether all of the input was seen."""
        with self._lock:
            return {
                "complete": complete,
                "sent": 0,
                "streams": [
                    {
                        "stream": stream,
                        "action": action or None,
                        "records": found.counts.total(),
                        **{word: found.counts[word] for word in (_SENT, _NOTHING, _REJECTED, _LEFT_OUT)},
                        "lists": dict(found.lists),
                        "first_rows": [_shown(first, row) for first, row in found.rows],
                    }
                    for (stream, action), found in self._streams.items()
                ],
                "lists": [
                    {
                        "id": None if found.made else list_id,
                        "name": self._list_names.get(list_id),
                        "would_be_made": found.made,
                        "already_on_it": found.already,
                        **{change: people.document for change, people in found.changes.items()},
                    }
                    for list_id, found in self._lists.items()
                ],
                "requests": [self._cost(name, self._requests) for name in self._requests],
                "reads": [self._cost(name, self._reads) for name in self._reads],
                "minutes": self._minutes,
                "rejected": self._rejected,
                "rejected_not_shown": self._not_shown,
            }

    def lines(self) -> list[str]:
        """The plan in words, but for the last line. It names no people; names of lists are not masked."""
        with self._lock:
            found = [
                f"{stream}{f' ({action})' if action else ''}: {said(part.counts)}"
                for (stream, action), part in self._streams.items()
            ]
            for list_id, its in self._lists.items():
                who = f"list {self._list_names.get(list_id, list_id)!r}"
                who += " (would be made)" if its.made else f" ({list_id})"
                found += [f"{who}: {_change(change, its)}" for change in its.changes]
            for name, count in self._requests.items():
                op, items = operation(name), self._items[name]
                limits = f"Klaviyo takes {op.burst:,} a second and {op.steady:,} a minute"
                found.append(f"{name}: {_many(count, 'request')} with {_many(items, 'item')} ({limits})")
            reads = f"Klaviyo was asked {_many(self._reads.total(), 'time')}"
            return [*found, f"{reads}; under the account's limits all of it takes {self._minutes:,g} minutes or more"]

    def total(self) -> str:
        """What would become of all records, in words."""
        with self._lock:
            return said(sum((part.counts for part in self._streams.values()), Counter[str]()))

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


def said(counts: Mapping[str, int]) -> str:
    """Counts of what would become of records, in words.

    >>> said({"would_be_sent": 1200, "would_be_rejected": 3})
    '1,200 would be sent, 3 would be rejected'
    """
    seldom = [f"{counts.get(word, 0):,} {text}" for word, text in _SELDOM.items() if counts.get(word)]
    return ", ".join(
        [f"{counts.get(_SENT, 0):,} would be sent", f"{counts.get(_REJECTED, 0):,} would be rejected", *seldom]
    )


_SELDOM = {_NOTHING: "would need nothing", _LEFT_OUT: "would be left out"}


def _word(outcome: Outcome) -> str:
    if outcome.kind is OutcomeKind.REJECTED:
        return _REJECTED
    if outcome.kind is OutcomeKind.LEFT_OUT:
        return _LEFT_OUT
    # No answer of a rehearsal has a code: this one is ours, for somebody of whom a part or nothing need be sent.
    return _SENT if outcome.code in (None, IDENTIFIER_LEFT_OUT, CHANNEL_LEFT_OUT) else _NOTHING


def _steps(action: Action, row: Row) -> Iterator[tuple[Action, Row]]:
    """What is done with a record, one after the other."""
    following: tuple[Action, Row] | None = (action, row)
    while following is not None:
        yield following
        following = following[1].next_step


def _shown(action: Action, row: Row) -> dict[str, Any]:
    outcome = row.source.outcome
    steps = [
        {
            "action": its_action.name,
            "list": None if its_row.list is None else str(its_row.list),
            "payload": msgspec.json.decode(its_row.body),
        }
        for its_action, its_row in _steps(action, row)
    ]
    return {"becomes": None if outcome is None else _word(outcome), "steps": steps}


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _change(change: str, its: _List) -> str:
    count = its.changes[change].count
    words = f"{count:,} {'person' if count == 1 else 'people'} {_WORDS[change]}"
    if change != "additions" or its.made:
        return words
    stay = "those who are on it stay" if its.already is None else f"{its.already:,} are on it already"
    return f"{words}; {stay}"
