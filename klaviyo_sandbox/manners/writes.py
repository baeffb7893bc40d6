"""Which writes do more when they are done twice, and what a client reads to find out whether one was done. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def doubles_when_repeated(operation: str, body: bytes) -> bool:
    """Whether the account holds more, or less, after this write was done twice than after once."""
    rule = _RULES.get(_endpoint(operation))
    if rule is None:
        return False
    try:
        return rule(json.loads(body))
    except (ValueError, RecursionError):
        return False  # what cannot be read is refused, each time


def may_double(operation: str | None) -> bool:
    """Whether it depends on the body what a repetition of this operation does."""
    return operation is not None and _endpoint(operation) in _RULES


def tells_of(path: str, operation: str) -> bool:
    """Whether who reads at this path may learn there whether the write was done."""
    return path.startswith(_READ_AT[_endpoint(operation)])


def _endpoint(operation: str) -> str:
    """An operation's id without its revision."""
    return operation.partition("@")[0]


def _lacks_unique_id(document: Any) -> bool:
    # Without one an event's time is its unique_id; without a time that is the moment in which it comes.
    return any(not event.get("unique_id") and not event.get("time") for event in _events(document))


def _events(document: Any) -> Iterator[Mapping[str, Any]]:
    """The attributes of the event, or of all events of a bulk request."""
    attributes = _mapping(_mapping(document).get("data")).get("attributes")
    entries = _mapping(_mapping(attributes).get("events-bulk-create")).get("data")
    if not isinstance(entries, list):
        yield _mapping(attributes)
        return
    for entry in entries:
        events = _mapping(_mapping(_mapping(entry).get("attributes")).get("events")).get("data")
        yield from (_mapping(_mapping(event).get("attributes")) for event in (events or ()))


def _appends(document: Any) -> bool:
    """Whether a value is appended to a property anywhere in it."""
    if isinstance(document, list):
        return any(map(_appends, document))
    if not isinstance(document, dict):
        return False
    if _mapping(document.get("patch_properties")).get("append"):
        return True
    return any(map(_appends, document.values()))


def _names_a_list(document: Any) -> bool:
    # Who is not on the list any more is unsubscribed from everything.
    return "list" in _mapping(_mapping(_mapping(document).get("data")).get("relationships"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


_RULES: Mapping[str, Callable[[Any], bool]] = {
    "create_list": lambda _: True,
    "create_event": _lacks_unique_id,
    "bulk_create_events": _lacks_unique_id,
    "create_or_update_profile": _appends,
    "bulk_import_profiles": _appends,
    "bulk_unsubscribe_profiles": _names_a_list,
}
_READ_AT: Mapping[str, tuple[str, ...]] = {
    "create_list": ("/api/lists",),
    "create_event": ("/api/events",),
    "bulk_create_events": ("/api/events",),
    "create_or_update_profile": ("/api/profiles",),
    "bulk_import_profiles": ("/api/profiles", "/api/profile-bulk-import-jobs"),
    "bulk_unsubscribe_profiles": ("/api/lists", "/api/profiles"),
}
