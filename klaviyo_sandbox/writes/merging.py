"""Merging: what an account knows of one profile goes to another, and the one is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.collections import documents
from klaviyo_sandbox.spec.errors import Refusal, invalid, not_found
from klaviyo_sandbox.spec.exchange import Answer, Request

_SOURCES = "/data/relationships/profiles/data"
# What a profile has of its own, and keeps.
_OWN = ("id", "created", "updated", "subscriptions", "predictive_analytics")
_OBJECTS = ("location", "properties")


def merge(store: Store, request: Request) -> Answer:
    """Merge one profile into another, at once."""
    data = request.body["data"]
    sources = data["relationships"]["profiles"].get("data") or []
    if len(sources) != 1:
        raise Refusal([invalid("Exactly one source profile must be given.", _SOURCES)])
    into, source = data["id"], sources[0]["id"]
    if into == source:
        raise Refusal([invalid("A profile cannot be merged into itself.", f"{_SOURCES}/0/id")])
    for profile_id in (into, source):
        if profile_id not in store.profiles:
            raise not_found(f"A profile with id {profile_id} does not exist.")
    gone = dict(store.profiles.get(source) or {})
    merged = _merged(store.profiles.get(into) or {}, gone)
    for list_id, members in store.list_members.items():
        if source in members:
            store.add_to_list(list_id, into)
    store.drop_profile(source)
    store.put_profile({**merged, "updated": store.now_text()})
    for event in [row for row in store.events.in_memory.values() if row["profile_id"] == source]:
        store.put_event({**event, "profile_id": into})
    return Answer(201, documents(store, request).one("profile", merged, request.path))


def _merged(stays: Mapping[str, Any], gone: Mapping[str, Any]) -> Row:
    """The profile that stays, with what it lacks and the other has."""
    row = dict(stays)
    for name, value in gone.items():
        if name in _OBJECTS:
            row[name] = {**_without_none(value), **_without_none(stays.get(name))}
        elif name not in _OWN and row.get(name) in (None, "", []):
            row[name] = value
    return row


def _without_none(members: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (members or {}).items() if value is not None}
