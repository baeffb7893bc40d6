"""Older connectors: Track and Identify, and the forms of klaviyoConnect. Made of the other actions.

The names are those of Klaviyo's Track and Identify API, retired on 2024-06-30: `$email`, `$event_id`,
`customer_properties` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from target_klaviyo.actions.events import OPTIONS, resource
from target_klaviyo.actions.form_fields import event_fields, normalize_form
from target_klaviyo.actions.person_fields import LOCATION_FIELDS, PROFILE_FIELDS, lift_from_properties, lift_person
from target_klaviyo.actions.profiles import LIST_OPTIONS
from target_klaviyo.delivery import lists
from target_klaviyo.delivery.action import Action
from target_klaviyo.delivery.resending import CONFLICT_OPTION
from target_klaviyo.endpoints import events
from target_klaviyo.endpoints.consent import SUBSCRIBE
from target_klaviyo.endpoints.profile_imports import CALLS, IMPORT
from target_klaviyo.model.identifiers import IDENTIFIERS, require_valid_identifiers
from target_klaviyo.model.names import KnownNames
from target_klaviyo.model.records import Call, Context, Note, Record, RejectedRecord, Step
from target_klaviyo.model.texts import is_blank, parse_object

# Names of identifiers in `customer_properties` -> the column that holds them.
_IDENTIFIER_COLUMNS = {
    **dict.fromkeys(("$email", "email"), "$email"),
    **dict.fromkeys(("$phone_number", "phone_number"), "$phone_number"),
    **dict.fromkeys(("$id", "id", "external_id"), "$id"),
    **dict.fromkeys(("$anonymous", "anonymous_id"), "$anonymous"),
    **dict.fromkeys(("$exchange_id", "_kx"), "_kx"),
}
# Names of fields there -> the column that holds them.
_FIELD_COLUMNS = {
    **{name: f"profile_{name}" for name in PROFILE_FIELDS},
    **{name: f"profile_location_{name}" for name in LOCATION_FIELDS},
}
_CUSTOMER = KnownNames(
    {**_IDENTIFIER_COLUMNS, **_FIELD_COLUMNS, **{f"${name}": to for name, to in _FIELD_COLUMNS.items()}}
)
# The columns that say the same, by other names.
_COLUMNS = KnownNames({
    **{name: column for name, column in _IDENTIFIER_COLUMNS.items() if name != "id"},
    "profile_email": "$email", "profile_phone_number": "$phone_number", "profile_external_id": "$id",
    **{column: column for column in _FIELD_COLUMNS.values()},
})  # fmt: skip
_OBJECTS = KnownNames(("customer_properties", "profile_properties"))
# What `$consent` may name, and the channel that it means today; web, mobile and directmail mean none.
_CHANNELS = {"email": ("email",), "sms": ("sms",), "web": (), "mobile": (), "directmail": ()}

# Objects whose members a form names one by one.
_FORM_OBJECTS = KnownNames(("extra", "properties"))

_CREATE = {"create_list": LIST_OPTIONS["create_list"], "on_conflict": CONFLICT_OPTION}
_CONSENT = {
    "consent": {
        "type": "string",
        "enum": ["ignore", "subscribe"],
        "default": "ignore",
        "description": "Whether $consent subscribes people: subscribe takes email and sms from it.",
    }
}


# Track ----------------------------------------------------------------------------------------------------------------


def normalize_track(record: Record) -> dict[str, Any]:
    """A Track call as columns of track_event: `customer_properties` are of the person.

    Raises:
        RejectedRecord: they are no object.
    """
    columns = dict(_OBJECTS.rename(record))
    customer_properties = parse_object(columns.pop("customer_properties", None), "customer_properties")
    if customer_properties is None:
        return columns
    said = {column for name, column in _COLUMNS.find_all(columns) if not is_blank(columns[name])}
    customer = _CUSTOMER.rename(customer_properties)
    for name, column in _CUSTOMER.find_all(customer):
        if column not in said and not is_blank(customer[name]):
            columns[column] = customer[name]
            said.add(column)
    properties = {name: value for name, value in customer.items() if _CUSTOMER.find(name) != name and name[:1] != "$"}
    if properties:
        given = parse_object(columns.get("profile_properties"), "profile_properties") or {}
        columns["profile_properties"] = {**properties, **given}
    return columns


def track(fields: Record, context: Context) -> dict[str, Any]:
    """The event; `$event_id` is its name where there is no other (Daasity), and its unique id beside one.

    Raises:
        RejectedRecord: it has no name, or Klaviyo would not take it.
    """
    event_fields = {name: value for name, value in fields.items() if name != "event_id"}
    event_id = fields.get("event_id")
    if "metric" not in event_fields:
        if event_id is None:
            raise RejectedRecord("no_metric", "the record has no event, metric_name or $event_id to name the event by")
        event_fields["metric"] = event_id
    elif event_id is not None:
        event_fields.setdefault("unique_id", event_id)
    return resource(event_fields, context)


TRACK = Action(
    name="track",
    summary="Track, as Klaviyo's retired API had it: an event under the names of that API.",
    operation=events.BULK,
    other_operations=events.CALLS,
    resource=track,
    deliver=events.deliver,
    profile_of=events.profile_of,
    normalize=normalize_track,
    arrange=lift_person,
    options={"backfill": OPTIONS["backfill"]},
)


# Identify -------------------------------------------------------------------------------------------------------------


def normalize_identify(record: Record) -> Record:
    """The record with a form's `extra[colour]` in the object `extra`; other names with brackets stay."""
    held = {name: value for name, value in record.items() if _FORM_OBJECTS.find(name.partition("[")[0])}
    if not any("[" in name for name in held):
        return record
    return {**{name: value for name, value in record.items() if name not in held}, **normalize_form(held)}


def identify(fields: Record, context: Context) -> Iterator[Step]:
    """The profile, its lists, and its consent where the option says so.

    Raises:
        RejectedRecord: ``$consent`` has a word that nobody knows.
    """
    lists = fields.get("lists", ())
    yield from _profile_steps(fields, lists)
    if context.options["consent"] == "subscribe" and (channels := _consent_channels(fields.get("consent", ()))):
        yield from _subscribe_steps(fields, lists, channels)


def _select_fields(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
    """All identifiers, and consent only where it is sent.

    Raises:
        RejectedRecord: an identifier is wrong.
    """
    selected, note = require_valid_identifiers(fields, faults, context)
    if context.options["consent"] == "ignore":
        selected = {name: value for name, value in selected.items() if name not in ("consent", "custom_source")}
    return selected, note


def _consent_channels(words: Iterable[str]) -> list[str]:
    """The channels that ``$consent`` means."""
    words = list(words)
    if not _CHANNELS.keys() >= set(words):
        expected = ", ".join(_CHANNELS)
        raise RejectedRecord("invalid_field", f"consent must be a list of words out of {expected}", pointer="/consent")
    return [channel for word in words for channel in _CHANNELS[word]]


def _profile_steps(fields: Record, lists: Any) -> Iterator[Step]:
    """One step for each list, which also imports the profile; without a list an upsert."""
    person = {name: value for name, value in fields.items() if name not in _NOT_PROFILE_FIELDS}
    if not lists:
        yield Step("upsert_profile", person)
    for name in lists:
        yield Step("list_members", {**person, "list_id": name, "list_name": name})


def _subscribe_steps(fields: Record, lists: Any, channels: list[str]) -> Iterator[Step]:
    known = {name: fields[name] for name in ("email", "phone_number", "custom_source") if name in fields}
    for name in lists or (None,):
        list_fields = {} if name is None else {"list_id": name, "list_name": name}
        yield Step("subscribe", {**known, **list_fields, "channels": channels})


_NOT_PROFILE_FIELDS = ("lists", "consent", "custom_source", "confirm_opt_in", "event")

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
    normalize=normalize_identify,
    arrange=lift_from_properties,
    select_fields=_select_fields,
    options={**_CREATE, **_CONSENT},
)


# klaviyoConnect -------------------------------------------------------------------------------------------------------


def update_profile(fields: Record, context: Context) -> Iterator[Step]:  # noqa: ARG001 - every action's signature
    """The profile, its lists, and an event: what a form of klaviyoConnect sent at once.

    Raises:
        RejectedRecord: the event has no name.
    """
    lists = fields.get("lists", ())
    yield from _profile_steps(fields, lists)
    if lists and fields.get("confirm_opt_in"):
        yield from _subscribe_steps(fields, lists, ["email"])
    event = event_fields(fields.get("event", {}))
    if event is not None:
        who = {name: fields[name] for name in IDENTIFIERS if name in fields}
        yield Step("track_event", {**who, **event}, field="event")


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
    normalize=normalize_form,
    options={**_CREATE, "backfill": OPTIONS["backfill"]},
)
