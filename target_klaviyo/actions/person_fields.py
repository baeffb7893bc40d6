"""The person of a record: objects of other tools whose members are identifiers and fields of a profile. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from target_klaviyo.model.identifiers import ATTRIBUTE_IDENTIFIERS, VISITOR_IDENTIFIERS
from target_klaviyo.model.names import KnownNames
from target_klaviyo.model.texts import is_blank, parse_object, to_text

PROFILE_FIELDS = ("first_name", "last_name", "organization", "locale", "title", "image")
LOCATION_FIELDS = (
    *("address1", "address2", "city", "region", "zip", "country", "timezone", "latitude", "longitude", "ip"),
)
# What such an object may hold that is about who it is, and not about what is known of them.
_IDENTIFYING = (*ATTRIBUTE_IDENTIFIERS, *VISITOR_IDENTIFIERS, "country_code")
# Names of the old API, where they are not just a field's with a dollar sign.
_OLD_NAMES = {"$id": "external_id", "$anonymous": "anonymous_id", "$exchange_id": "_kx"}
_FIELDS = (*_IDENTIFYING, *PROFILE_FIELDS, *LOCATION_FIELDS)
_PERSON = KnownNames({
    **{name: name for name in (*_FIELDS, "other_properties", "location", "properties")},
    **{f"${name}": name for name in _FIELDS},
    **_OLD_NAMES,
})  # fmt: skip
_LOCATION = KnownNames(LOCATION_FIELDS)
# Among custom properties, whose names are anybody's.
_PROPERTIES = KnownNames(
    {"id": "external_id", **{name: name for name in (*ATTRIBUTE_IDENTIFIERS, *PROFILE_FIELDS, *LOCATION_FIELDS)}},
    in_capitals=True,
)


def lift_person(fields: dict[str, Any]) -> dict[str, Any]:
    """An event's fields with the identifiers that its ``profile`` holds, and the rest of that where it belongs.

    Segment's specification has identifiers, fields and ``other_properties`` in one object; others put every trait
    there. What the record says of the person outside the object goes before it.

    Raises:
        RejectedRecord: a part of it is no object.
    """
    held = fields.get("profile")
    if not isinstance(held, Mapping):
        return fields
    lifted = {name: value for name, value in fields.items() if name != "profile"}
    person: dict[str, Any] = {}
    held = _PERSON.rename(held)
    location = dict(_LOCATION.rename(parse_object(held.get("location"), "profile.location") or {}))
    properties = dict(parse_object(held.get("properties"), "profile.properties") or {})
    for name, value in held.items():
        field = _OLD_NAMES.get(name, name.removeprefix("$"))
        if field in _IDENTIFYING:
            if is_blank(lifted.get(field)):
                lifted[field] = to_text(value)
        elif field in (*PROFILE_FIELDS, *LOCATION_FIELDS):
            plain = held.get(field)
            holder = person if field in PROFILE_FIELDS else location
            _set_field(holder, field, value if is_blank(plain) else plain)
        elif name == "other_properties":
            properties = {**(parse_object(value, "profile.other_properties") or {}), **properties}
        elif name not in ("location", "properties"):
            properties.setdefault(name, value)
    person |= {name: held_in for name, held_in in (("location", location), ("properties", properties)) if held_in}
    return {**lifted, "profile": person} if person else lifted


def lift_from_properties(fields: dict[str, Any]) -> dict[str, Any]:
    """A profile's fields with those that stand among its ``properties``, as the old API allowed.

    What the record says elsewhere goes before it, and a property of that name stays then.
    """
    held = fields.get("properties")
    if not isinstance(held, Mapping):
        return fields
    lifted = {name: value for name, value in fields.items() if name not in ("properties", "location")}
    location, properties = dict(fields.get("location") or {}), dict(held)
    for name, field in _PROPERTIES.find_all(held):
        holder, value = location if field in LOCATION_FIELDS else lifted, held[name]
        if is_blank(holder.get(field)):
            holder[field] = _to_field(field, value)
            del properties[name]
    parts = {"location": location, "properties": properties}
    return {**lifted, **{name: part for name, part in parts.items() if part}}


def _set_field(holder: dict[str, Any], field: str, value: Any) -> None:
    """Set a field of a profile that says nothing yet."""
    if is_blank(holder.get(field)) and not is_blank(value):
        holder[field] = _to_field(field, value)


def _to_field(field: str, value: Any) -> Any:
    return value if field in ("latitude", "longitude") else to_text(value)
