"""The contents of a request's body: how many items, which people, for which list. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS, VISITOR_IDENTIFIERS

# Attributes of a request that hold its rows, none of which is a person.
_ROWS = ("coupon-codes", "items", "variants", "categories", "data-source-records")
# From the strongest on.
_IDENTIFIERS = (*ATTRIBUTE_IDENTIFIERS, *VISITOR_IDENTIFIERS)


@dataclass(frozen=True)
class RequestContents:
    """The contents of one request.

    Attributes:
        items: how many profiles, events or other rows.
        people: the profiles, as JSON:API resources.
        list_id: the list that they are put on, taken off, or consent to.
    """

    items: int
    people: Sequence[Mapping[str, Any]]
    list_id: str | None = None


def parse_request(path: Mapping[str, str], body: Mapping[str, Any]) -> RequestContents:
    """The contents of a request, whichever operation it is for.

    >>> parse_request({"id": "Xy"}, {"data": [{"type": "profile", "id": "01"}]})
    RequestContents(items=1, people=[{'type': 'profile', 'id': '01'}], list_id='Xy')
    """
    data = body["data"]
    if isinstance(data, list):
        return RequestContents(len(data), data, path.get("id"))
    attributes, relationships = data.get("attributes", {}), data.get("relationships", {})
    if "events-bulk-create" in attributes:
        entries = attributes["events-bulk-create"]["data"]
        return RequestContents(sum(len(entry["attributes"]["events"]["data"]) for entry in entries), [])
    lists = (relationships.get("lists") or {}).get("data") or [(relationships.get("list") or {}).get("data")]
    list_id = lists[0]["id"] if lists[0] else None
    if "profiles" in attributes:
        return RequestContents(len(attributes["profiles"]["data"]), attributes["profiles"]["data"], list_id)
    if "object-records" in relationships:
        return RequestContents(len(relationships["object-records"]["data"]), [])
    for name in _ROWS:
        if name in attributes:
            return RequestContents(len(attributes[name]["data"]), [])
    return RequestContents(1, [data] if data["type"] == "profile" else [], list_id)


def display_name(profile: Mapping[str, Any]) -> str | None:
    """The name of a profile for people: its strongest identifier that is not Klaviyo's own id."""
    attributes = profile.get("attributes") or {}
    return next((str(attributes[name]) for name in _IDENTIFIERS if attributes.get(name)), None)
