"""Writes of events, one at a time and in bulk. An event that a 202 accepts is in the account at once.

Klaviyo documents that a bulk request fails when a ``unique_id`` is repeated, and not where it must be unique:
``store.repeats`` decides. An event without one gets its time in seconds as its ``unique_id``. An event that repeats
one of the account's is left out, and the answer does not say so.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from klaviyo_sandbox.account import profiles
from klaviyo_sandbox.account.identifiers import PersonKeys
from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row, event_key
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.times import format_datetime, parse_datetime
from klaviyo_sandbox.writes.bodies import check_count, profile_problem, without_bad_phone
from klaviyo_sandbox.writes.event_rules import event_problem

# Attribute of a request -> the event's property that holds it.
_PROPERTY_OF = {"unique_id": "$event_id", "value": "$value", "value_currency": "$value_currency"}
_ENTRIES = "/data/attributes/events-bulk-create/data"


@dataclass(frozen=True)
class _Entry:
    """A profile and its events.

    Attributes:
        pointer: to what holds both in the body.
        events: pointer to an event's attributes -> the attributes.
    """

    pointer: str
    profile: Mapping[str, Any]
    events: Mapping[str, Mapping[str, Any]]

    @property
    def profile_pointer(self) -> str:
        return f"{self.pointer}/profile/data"


def create(store: Store, request: Request) -> Answer:
    attributes = request.body["data"]["attributes"]
    pointer = "/data/attributes"
    profile, headers = without_bad_phone(attributes["profile"]["data"], f"{pointer}/profile/data/attributes")
    # Before revision 2026-10-15 ``meta`` is among the attributes, here and only here.
    profile_attributes = {name: value for name, value in profile["attributes"].items() if name != "meta"}
    meta = profile["attributes"].get("meta") or profile.get("meta")
    profile = {**profile, "attributes": profile_attributes, "meta": meta}
    entry = _Entry(pointer, profile, {pointer: attributes})
    problems = list(_problems(store, entry))
    if problems:
        raise Refusal(problems)
    _record(store, entry)
    return Answer(202, headers=headers)


def create_many(store: Store, request: Request) -> Answer:
    """Record all events, or none when one of them is refused."""
    entries = [
        _bulk_entry(f"{_ENTRIES}/{position}/attributes", resource["attributes"])
        for position, resource in enumerate(request.body["data"]["attributes"]["events-bulk-create"]["data"])
    ]
    check_count(request, sum(len(entry.events) for entry in entries), _ENTRIES)
    if not entries:
        raise Refusal([invalid("At least one event is required.", _ENTRIES)])
    problems = [problem for entry in entries for problem in _bulk_problems(store, entry)]
    problems = problems or list(_repetition_problems(store, entries))
    if problems:
        raise Refusal(problems)
    for entry in entries:
        _record(store, entry)
    return Answer(202)


def _bulk_entry(pointer: str, attributes: Mapping[str, Any]) -> _Entry:
    backfill = attributes.get("backfill")
    events = {
        f"{pointer}/events/data/{position}/attributes": {"backfill": backfill, **_without_none(event["attributes"])}
        for position, event in enumerate(attributes["events"]["data"])
    }
    return _Entry(pointer, attributes["profile"]["data"], events)


def _without_none(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _bulk_problems(store: Store, entry: _Entry) -> Iterator[Problem]:
    if not entry.events:
        yield invalid("At least one event is required.", f"{entry.pointer}/events/data")
    problem = profile_problem(entry.profile, f"{entry.profile_pointer}/attributes")
    if problem is not None:
        yield problem
    yield from _problems(store, entry)


def _problems(store: Store, entry: _Entry) -> Iterator[Problem]:
    profile_id = entry.profile.get("id")
    if profile_id and profile_id not in store.profiles:
        yield invalid(f"A profile with id {profile_id} does not exist.", f"{entry.profile_pointer}/id")
    for pointer, attributes in entry.events.items():
        problem = event_problem(attributes, pointer, store.now())
        if problem is not None:
            yield problem


def _repetition_problems(store: Store, entries: list[_Entry]) -> Iterator[Problem]:
    """A problem for every event whose unique id its profile already has in that metric."""
    person_keys = PersonKeys(store)
    seen: set[tuple[str, str, str]] = set()
    for entry in entries:
        person = person_keys.key_of(entry.profile)
        for pointer, attributes in entry.events.items():
            unique_id = attributes.get("unique_id")
            if not unique_id:
                continue
            metric = _find_metric(store, attributes)
            # A metric that is yet to be made has no id: its name and service identify it.
            key = (person, metric["id"] if metric else repr(_metric_name(attributes)), unique_id)
            if key in seen or (store.repeats == "history" and store.has_event(key)):
                detail = f"The unique_id '{unique_id}' is repeated for the same profile and metric."
                yield invalid(detail, f"{pointer}/unique_id")
            seen.add(key)


def _record(store: Store, entry: _Entry) -> None:
    """Upsert the profile, add its events that are no repetition, and move its ``last_event_date`` on."""
    profile = profiles.without_conflicts(store, entry.profile)
    row = profiles.upsert(store, profile, keep_on_null=True).row
    latest = row.get("last_event_date") or ""
    for attributes in entry.events.values():
        event = _to_row(store, attributes, row["id"])
        if not store.has_event(event_key(event)):
            store.put_event(event)
            latest = max(latest, event["datetime"])
    if latest != (row.get("last_event_date") or ""):
        store.put_profile({**row, "last_event_date": latest})


def _to_row(store: Store, attributes: Mapping[str, Any], profile_id: str) -> Row:
    time = attributes.get("time")
    when = (parse_datetime(time).astimezone(UTC) if time else store.now()).replace(microsecond=0)
    properties = dict(attributes["properties"])
    for name, property_name in _PROPERTY_OF.items():
        if attributes.get(name) is not None:
            properties[property_name] = attributes[name]
    timestamp = int(when.timestamp())
    return {
        "id": short_id(random.SystemRandom(), 11),
        "metric_id": (_find_metric(store, attributes) or _create_metric(store, attributes))["id"],
        "profile_id": profile_id,
        "timestamp": timestamp,
        "datetime": format_datetime(when),
        "uuid": str(uuid.uuid4()),
        "event_properties": properties,
        "unique_id": attributes.get("unique_id") or str(timestamp),
        "backfill": bool(attributes.get("backfill")),
    }


def _metric_name(attributes: Mapping[str, Any]) -> tuple[str, str]:
    """The name and the service of an event's metric."""
    metric = attributes["metric"]["data"]["attributes"]
    return metric["name"], metric.get("service") or "api"


def _find_metric(store: Store, attributes: Mapping[str, Any]) -> Row | None:
    name, service = _metric_name(attributes)
    return next(
        (
            row
            for row in store.metrics.rows.values()
            if row["name"] == name and row["integration"]["key"] == service.lower()
        ),
        None,
    )


def _create_metric(store: Store, attributes: Mapping[str, Any]) -> Row:
    name, service = _metric_name(attributes)
    integrations = (row["integration"] for row in store.metrics.rows.values())
    integration = next((each for each in integrations if each["key"] == service.lower()), None)
    label = "API" if service == "api" else service
    row = {
        "id": short_id(random.SystemRandom()),
        "name": name,
        "created": store.now_text(),
        "updated": store.now_text(),
        "integration": integration
        or {
            "object": "integration",
            "id": short_id(random.SystemRandom()),
            "key": service.lower(),
            "name": label,
            "category": label,
        },
    }
    store.metrics.put(row)
    return row
