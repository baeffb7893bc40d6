"""The plan of a rehearsal: what a run would do. Thread-safe.

It holds counts, the first rows, the people of each list, and the requests.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from klaviyo_client.api.operations import operation
from klaviyo_client.errors import SettingsError
from target_klaviyo.delivery.action import Action, Row
from target_klaviyo.endpoints import consent
from target_klaviyo.model.identifiers import Identifier, identifiers_of
from target_klaviyo.model.records import Outcome, Record
from target_klaviyo.rehearsal.plan_stream import StreamPlan
from target_klaviyo.rehearsal.request_bodies import RequestContents

# How many of each kind the plan names; the rest is counted.
MAX_PEOPLE, MAX_REJECTED = 10_000, 1_000

# Operation -> what it does with the people of a list.
_CHANGE_OF = {
    "bulk_import_profiles": "additions",
    "add_profiles_to_list": "additions",
    "remove_profiles_from_list": "removals",
    consent.SUBSCRIBE: "subscriptions",
    consent.UNSUBSCRIBE: "unsubscriptions",
}


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
    """Collects what a run would do, and gives it as JSON.

    Args:
        share: the part of the account's limits that may be spent.

    Attributes:
        account: the account's name, where it may be read.
        command: what would push what is planned.
        problems: why the settings would be refused.
    """

    def __init__(self, share: float) -> None:
        self.account: str | None = None
        self.command: str | None = None
        self.problems: list[str] = []
        self._share = share
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], StreamPlan] = {}
        self._lists: dict[str, _List] = {}
        self._list_names: dict[str, str] = {}
        self._requests: Counter[str] = Counter()
        self._items: Counter[str] = Counter()
        self._reads: Counter[str] = Counter()
        self._rejected: list[Mapping[str, Any]] = []
        self._rejected_not_shown = 0

    # Collecting -----------------------------------------------------------------------------------------------------

    def add_columns(self, stream: str, action: str, columns: Sequence[Mapping[str, Any]]) -> None:
        """Note what each column of a stream becomes, as ``describe_columns`` has it, in place of what was noted."""
        with self._lock:
            self._stream(stream, action).columns = [dict(column) for column in columns]

    def add_row(self, stream: str, action: Action, row: Row) -> None:
        """Add a row that is about to wait for its batch."""
        with self._lock:
            self._stream(stream, row.source.action).add_row(action, row)

    def add_outcome(self, stream: str, action: str, outcome: Outcome, record: Record) -> None:
        """Count the outcome of a record."""
        with self._lock:
            self._stream(stream, action).add_outcome(outcome, record)

    def add_problem(self, problem: str) -> None:
        """Add why the settings would be refused."""
        with self._lock:
            if problem not in self.problems:
                self.problems.append(problem)

    def raise_problems(self) -> None:
        """Fail when settings would be refused.

        Raises:
            SettingsError: naming all of them.
        """
        if self.problems:
            raise SettingsError("; ".join(self.problems))

    @property
    def streams(self) -> list[StreamPlan]:
        """Its streams, for who looks up their people."""
        return list(self._streams.values())

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
                "account": self.account,
                "command": self.command,
                "problems": list(self.problems),
                "streams": [
                    {"stream": stream, "action": action or None, **part.to_json()}
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

    @property
    def totals(self) -> Counter[str]:
        """What would become of all records, as the plan's JSON calls it."""
        with self._lock:
            return sum((part.counts for part in self._streams.values()), Counter[str]())

    def _stream(self, stream: str, action: str) -> StreamPlan:
        return self._streams.setdefault((stream, action), StreamPlan())

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
