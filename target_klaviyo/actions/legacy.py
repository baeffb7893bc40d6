"""What older connectors sent: Track and Identify, and the forms of klaviyoConnect. Made of the other actions.

The names are those of Klaviyo's Track and Identify API, retired on 2024-06-30: `$email`, `$event_id`,
`customer_properties` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from target_klaviyo.actions.events import OPTIONS, resource
from target_klaviyo.actions.profiles import LIST_OPTIONS
from target_klaviyo.delivery import lists
from target_klaviyo.delivery.action import Action
from target_klaviyo.endpoints import events
from target_klaviyo.endpoints.consent import SUBSCRIBE
from target_klaviyo.endpoints.profile_imports import CALLS, IMPORT
from target_klaviyo.model.identifiers import require_valid_identifiers
from target_klaviyo.model.records import Call, Context, Note, Record, RejectedRecord, Step

_IDENTIFIERS = ("id", "email", "phone_number", "external_id")
# `customer_properties` whose name is a field of the profile; all others become custom properties of it.
_OF_PROFILE = ("first_name", "last_name", "organization", "locale", "title", "image")
_OF_LOCATION = (
    *("address1", "address2", "city", "region", "zip", "country", "timezone", "latitude", "longitude", "ip"),
)
_WHO = {"$email": "$email", "email": "$email", "$phone_number": "$phone_number", "phone_number": "$phone_number",
        "$id": "$id", "id": "$id", "external_id": "$id", "$anonymous": "$anonymous"}  # fmt: skip
# What `$consent` may name, and the channel that it means today; web, mobile and directmail mean none.
_CHANNELS = {"email": ("email",), "sms": ("sms",), "web": (), "mobile": (), "directmail": ()}
_IN_BRACKETS = re.compile(r"(\w+)\[(\w*)\]")

_CREATE = {"create_list": LIST_OPTIONS["create_list"]}
_CONSENT = {
    "consent": {
        "type": "string",
        "enum": ["ignore", "subscribe"],
        "default": "ignore",
        "description": "Whether $consent subscribes people: subscribe takes email and sms from it.",
    }
}


# Track ----------------------------------------------------------------------------------------------------------------


def unpacked_track(record: Record) -> dict[str, Any]:
    """A Track call as columns of track_event: `customer_properties` are of the person."""
    made = {name: value for name, value in record.items() if name not in ("customer_properties", "token")}
    said = record.get("customer_properties")
    if isinstance(said, Mapping):
        properties: dict[str, Any] = {}
        for name, value in said.items():
            bare = name.removeprefix("$")
            if name in _WHO:
                made.setdefault(_WHO[name], value)
            elif bare in _OF_PROFILE:
                made.setdefault(f"profile_{bare}", value)
            elif bare in _OF_LOCATION:
                made.setdefault(f"profile_location_{bare}", value)
            elif not name.startswith("$"):
                properties[name] = value
        if properties:
            made["profile_properties"] = properties
    return made


def track(fields: Record, context: Context) -> dict[str, Any]:
    """The event; `$event_id` is its name where there is no other (Daasity), and its unique id beside one.

    Raises:
        RejectedRecord: it has no name, or Klaviyo would not take it.
    """
    made = {name: value for name, value in fields.items() if name != "event_id"}
    own = fields.get("event_id")
    if "metric" not in made:
        if own is None:
            raise RejectedRecord("no_metric", "the record has no event, metric_name or $event_id to name the event by")
        made["metric"] = own
    elif own is not None:
        made.setdefault("unique_id", own)
    return resource(made, context)


TRACK = Action(
    name="track",
    summary="Track, as Klaviyo's retired API had it: an event under the names of that API.",
    operation=events.BULK,
    other_operations=events.CALLS,
    resource=track,
    deliver=events.deliver,
    profile_of=events.profile_of,
    normalize=unpacked_track,
    options={"backfill": OPTIONS["backfill"]},
)


# Identify -------------------------------------------------------------------------------------------------------------


def identify(fields: Record, context: Context) -> Iterator[Step]:
    """The profile, its lists, and its consent where the option says so.

    Raises:
        RejectedRecord: ``$consent`` has a word that nobody knows.
    """
    lists = fields.get("lists", ())
    yield from _profile(fields, lists)
    if context.options["consent"] == "subscribe" and (channels := _consented(fields.get("consent", ()))):
        yield from _subscriptions(fields, lists, channels)


def _sifted(fields: Record, faults: Mapping[str, RejectedRecord], context: Context) -> tuple[Record, Note | None]:
    """All identifiers, and consent only where it is sent.

    Raises:
        RejectedRecord: an identifier is wrong.
    """
    made, note = require_valid_identifiers(fields, faults, context)
    if context.options["consent"] == "ignore":
        made = {name: value for name, value in made.items() if name not in ("consent", "custom_source")}
    return made, note


def _consented(words: Iterable[str]) -> list[str]:
    """The channels that ``$consent`` means."""
    words = list(words)
    if not _CHANNELS.keys() >= set(words):
        expected = ", ".join(_CHANNELS)
        raise RejectedRecord("invalid_field", f"consent must be a list of words out of {expected}", pointer="/consent")
    return [channel for word in words for channel in _CHANNELS[word]]


def _profile(fields: Record, lists: Any) -> Iterator[Step]:
    """An import with a list does what one without does; several lists take one each."""
    person = {name: value for name, value in fields.items() if name not in _NOT_OF_PROFILE}
    if not lists:
        yield Step("upsert_profile", person)
    for name in lists:
        yield Step("list_members", {**person, "list_id": name, "list_name": name})


def _subscriptions(fields: Record, lists: Any, channels: list[str]) -> Iterator[Step]:
    known = {name: fields[name] for name in ("email", "phone_number", "custom_source") if name in fields}
    for name in lists or (None,):
        of_list = {} if name is None else {"list_id": name, "list_name": name}
        yield Step("subscribe", {**known, **of_list, "channels": channels})


_NOT_OF_PROFILE = ("lists", "consent", "custom_source", "confirm_opt_in", "event")

IDENTIFY = Action(
    name="identify",
    summary="Identify, as Klaviyo's retired API had it: a profile under the names of that API, its lists, its consent.",
    operation=IMPORT,
    other_operations=(
        *CALLS,
        *lists.find_calls(field="lists"),
        lists.CREATE_LIST,
        Call(SUBSCRIBE, "to subscribe", option="consent", values=("subscribe",)),
    ),
    steps=identify,
    select_fields=_sifted,
    options={**_CREATE, **_CONSENT},
)


# klaviyoConnect -------------------------------------------------------------------------------------------------------


def unpacked_form(record: Record) -> dict[str, Any]:
    """A form's fields (`event[name]`, `lists[]`, `extra[colour]`) as objects and lists."""
    made: dict[str, Any] = {}
    for name, value in record.items():
        found = _IN_BRACKETS.fullmatch(name)
        if not found:
            made[name] = value
        elif found[2]:
            held = made.setdefault(found[1], {})
            made[found[1]] = {**(held if isinstance(held, Mapping) else {}), found[2]: value}
        else:
            made[found[1]] = value
    return made


def update_profile(fields: Record, context: Context) -> Iterator[Step]:  # noqa: ARG001 - every action's signature
    """The profile, its lists, and an event: what a form of klaviyoConnect sent at once.

    Raises:
        RejectedRecord: the event has no name.
    """
    lists = fields.get("lists", ())
    yield from _profile(fields, lists)
    if lists and fields.get("confirm_opt_in"):
        yield from _subscriptions(fields, lists, ["email"])
    if "event" in fields:
        yield Step("track_event", _event(fields))


def _event(fields: Record) -> dict[str, Any]:
    said = fields["event"]
    if not isinstance(said.get("name"), str) or not said["name"].strip():
        raise RejectedRecord("no_metric", "event has no name", pointer="/event/name")
    names = {"name": "metric", "event_id": "unique_id", "value": "value", "value_currency": "value_currency"}
    made = {names[name]: value for name, value in said.items() if name in names}
    extra = said.get("extra")
    if isinstance(extra, Mapping):
        made["properties"] = dict(extra)
    return {**{name: fields[name] for name in _IDENTIFIERS if name in fields}, **made}


UPDATE_PROFILE = Action(
    name="update_profile",
    summary="What a form of klaviyoConnect sent at once: a profile, lists to join, and an event.",
    operation=IMPORT,
    other_operations=(
        *CALLS,
        *lists.find_calls(field="lists"),
        lists.CREATE_LIST,
        Call(SUBSCRIBE, "to subscribe", field="confirm_opt_in"),
        Call(events.BULK, "to record the event", field="event"),
        Call(events.SINGLE, "to record it where that was refused", field="event"),
    ),
    steps=update_profile,
    normalize=unpacked_form,
    options={**_CREATE, "backfill": OPTIONS["backfill"]},
)
