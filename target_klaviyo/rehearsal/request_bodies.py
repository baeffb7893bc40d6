"""What a request's body holds: how many items, which people, for which list. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS

_NAMES = (*ATTRIBUTE_IDENTIFIERS, "anonymous_id")


@dataclass(frozen=True)
class Sent:
    """What one request holds.

    Attributes:
        items: how many profiles or events.
        people: the profiles, as JSON:API resources.
        list_id: the list that they are put on, taken off, or consent to.
    """

    items: int
    people: Sequence[Mapping[str, Any]]
    list_id: str | None = None


def sent(path: Mapping[str, str], document: Mapping[str, Any]) -> Sent:
    """What a request's body holds, whichever operation it is for.

    >>> sent({"id": "Xy"}, {"data": [{"type": "profile", "id": "01"}]})
    Sent(items=1, people=[{'type': 'profile', 'id': '01'}], list_id='Xy')
    """
    data = document["data"]
    if isinstance(data, list):
        return Sent(len(data), data, path.get("id"))
    attributes, related = data.get("attributes", {}), data.get("relationships", {})
    if "events-bulk-create" in attributes:
        entries = attributes["events-bulk-create"]["data"]
        return Sent(sum(len(entry["attributes"]["events"]["data"]) for entry in entries), [])
    lists = (related.get("lists") or {}).get("data") or [(related.get("list") or {}).get("data")]
    list_id = lists[0]["id"] if lists[0] else None
    if "profiles" in attributes:
        return Sent(len(attributes["profiles"]["data"]), attributes["profiles"]["data"], list_id)
    return Sent(1, [data] if data["type"] == "profile" else [], list_id)


def name_of(person: Mapping[str, Any]) -> str | None:
    """What a profile is known by to people: its strongest identifier that is not Klaviyo's own id."""
    attributes = person.get("attributes") or {}
    return next((str(attributes[name]) for name in _NAMES if attributes.get(name)), None)
