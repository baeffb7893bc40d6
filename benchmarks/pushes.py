"""What is pushed in a benchmark: for each action a stream of made-up records, and what Klaviyo allows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from budgets import Budget, budget_of

STREAM = "rows"
LIST = "Benchmark"
Record = Mapping[str, Any]
Entry = Mapping[str, Any]

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_CITIES = (("Boston", "US", "02110"), ("Hamburg", "DE", "20095"), ("Lyon", "FR", "69001"), ("Leeds", "GB", "LS1 1UR"))
_MEMBERS: Entry = {"action": "list_members", "list": LIST, "create_list": True}


@dataclass(frozen=True)
class Push:
    """An action, with the records that it is measured with.

    Attributes:
        entry: what the target's ``streams`` setting says.
        operations: what a record needs, and how many records one request can serve; None: the operation's own maximum.
        record: number -> record.
        before: an entry under which the same records are sent first, unmeasured, so that there is something to undo.
        alone: what ``one_by_one.py`` calls the same work.
    """

    entry: Entry
    operations: Mapping[str, int | None]
    record: Callable[[int], Record]
    before: Entry | None = None
    alone: str | None = None

    @cached_property
    def budgets(self) -> list[Budget]:
        """What Klaviyo allows of each operation; the tightest of them bounds a run."""
        return [budget_of(name, items) for name, items in self.operations.items()]

    def allowed(self, seconds: float) -> float:
        """Records that Klaviyo allows in a run of so many seconds."""
        return min(budget.allowed(seconds) for budget in self.budgets)

    def per_second(self) -> float:
        """Records a second that the minute's budget comes to."""
        return min(budget.per_second() for budget in self.budgets)

    def lines(self, count: int) -> Iterator[str]:
        """Singer messages with so many records."""
        properties = {name: _schema(value) for name, value in self.record(0).items()}
        schema = {"type": "object", "properties": properties}
        yield json.dumps({"type": "SCHEMA", "stream": STREAM, "schema": schema, "key_properties": []})
        for number in range(count):
            yield json.dumps({"type": "RECORD", "stream": STREAM, "record": self.record(number)})


def _schema(value: Any) -> Mapping[str, Any]:
    kinds = {str: "string", int: "integer", float: "number", dict: "object"}
    return {"type": [kinds[type(value)], "null"]}


def _address(number: int) -> str:
    return f"person{number:07}@example.com"


def _person(number: int) -> Record:
    """Small enough (some 350 bytes) for ten thousand of them to fit into a request."""
    city, country, code = _CITIES[number % len(_CITIES)]
    return {
        "email": _address(number),
        "external_id": f"c-{number}",
        "first_name": f"First{number % 977}",
        "last_name": f"Last{number % 1009}",
        "location": {"city": city, "country": country, "zip": code},
        "tier": ("gold", "silver", "bronze")[number % 3],
        "orders": number % 40,
        "total_spent": number % 9973 / 7,
        "last_order_at": f"{_FIRST + timedelta(minutes=number % 200_000):%Y-%m-%dT%H:%M:%SZ}",
    }


def _event(number: int) -> Record:
    """Three events a person, one after the other."""
    return {
        "email": _address(number // 3),
        "metric": "Viewed Page",
        "time": f"{_FIRST + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}",
        "unique_id": f"view-{number}",
        "value": number % 997 / 7,
        "properties": {"page": f"/products/{number % 500}", "seconds": number % 120, "device": "mobile"},
    }


def _address_only(number: int) -> Record:
    return {"email": _address(number)}


PUSHES: Mapping[str, Push] = {
    "profiles": Push({"action": "upsert_profile"}, {"bulk_import_profiles": None}, _person, alone="profiles"),
    "events": Push({"action": "track_event"}, {"bulk_create_events": None}, _event, alone="events"),
    "list additions": Push(_MEMBERS, {"bulk_import_profiles": None}, _address_only),
    "list removals": Push(
        {"action": "list_members", "list": LIST, "mode": "remove"},
        {"remove_profiles_from_list": None, "get_profiles": 100},
        _address_only,
        before=_MEMBERS,
    ),
    "subscriptions": Push({"action": "subscribe"}, {"bulk_subscribe_profiles@2026-10-15": None}, _address_only),
    "unsubscriptions": Push({"action": "unsubscribe"}, {"bulk_unsubscribe_profiles@2026-10-15": None}, _address_only),
    "suppressions": Push(
        {"action": "suppress"}, {"bulk_suppress_profiles": None}, _address_only, before={"action": "upsert_profile"}
    ),
}
