"""Consent: subscribe people, unsubscribe them. Only ever done by the action's name, never beside another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from klaviyo_client.api.filters import utc_text
from target_klaviyo.actions.profiles import LIST_OPTIONS
from target_klaviyo.delivery import lists
from target_klaviyo.delivery.action import Action, BatchKey
from target_klaviyo.endpoints import consent, people
from target_klaviyo.endpoints.consent import IDENTIFIER_OF_CHANNEL
from target_klaviyo.endpoints.consent_states import SUBSCRIBED, UNSUBSCRIBED
from target_klaviyo.model.identifiers import note_left_out
from target_klaviyo.model.records import CHANNEL_LEFT_OUT, Context, Note, Record, RejectedRecord
from target_klaviyo.model.times import parse_time

# What the options call it -> (channel, kind) in Klaviyo's body. Push is missing: it is about tokens, not people.
KINDS = {
    "email": ("email", "marketing"),
    "email_open_tracking": ("email", "open_tracking"),
    "email_click_tracking": ("email", "click_tracking"),
    "sms": ("sms", "marketing"),
    "sms_transactional": ("sms", "transactional"),
    "whatsapp": ("whatsapp", "marketing"),
    "whatsapp_transactional": ("whatsapp", "transactional"),
    "whatsapp_conversational": ("whatsapp", "conversational"),
}
# Klaviyo has no place for the time at which consent to these was given.
_UNDATED_KINDS = frozenset({"open_tracking", "click_tracking"})
SUBSCRIBABLE = tuple(name for name in KINDS if name != "whatsapp_conversational")
# Stands for the channels whose identifier a record has. WhatsApp is not among them: not every number has it.
AUTO = "auto"
_AUTO_CHANNELS = {"email": "email", "sms": "phone_number"}


def channels_option(names: Iterable[str], verb: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"type": "string", "enum": [AUTO, *names]},
        "minItems": 1,
        "default": ["email"],
        "description": (
            f"What people are {verb} ({', '.join(names)}); auto: email for records with an e-mail address, sms "
            "for records with a phone number. A record's own channels take precedence."
        ),
    }


def expand_channels(channels: Any, identifiers: Collection[str]) -> Any:
    """The channels, with those that ``auto`` stands for in its place; what is no list stays.

    Args:
        channels: as an option or a record has them.
        identifiers: those of the record, in whatever state.

    Raises:
        RejectedRecord: no identifier has a channel.
    """
    if not isinstance(channels, list) or AUTO not in channels:
        return channels
    found = [channel for channel, identifier in _AUTO_CHANNELS.items() if identifier in identifiers]
    expanded = [name for entry in channels for name in (found if entry == AUTO else [entry])]
    if not expanded:
        raise RejectedRecord("no_identifier", "consent by channels: auto needs the field email or phone_number")
    return list(dict.fromkeys(expanded))


def select_fields(fields: Record, faults: Mapping[str, RejectedRecord], context: Context) -> tuple[Record, Note | None]:
    """The fields that the channels need, and no more identifiers: others would be written to the person.

    A channel whose identifier is missing or wrong is left out, and the others are done all the same.

    Raises:
        RejectedRecord: no channel is left, or a bad value is to reject the record.
    """
    channels = expand_channels(fields.get("channels", context.options["channels"]), {*fields, *faults})
    are_known = isinstance(channels, list) and all(isinstance(name, str) and name in KINDS for name in channels)
    if not channels or not are_known:
        return fields, None  # the contract says what is wrong
    needed = {name: IDENTIFIER_OF_CHANNEL[KINDS[name][0]] for name in channels}
    if not context.drops_bad_values:
        for fault in (faults[identifier] for identifier in needed.values() if identifier in faults):
            raise fault
    left_out = {name: identifier for name, identifier in needed.items() if identifier not in fields}
    if len(left_out) == len(needed):
        channel, identifier = next(iter(left_out.items()))
        raise faults.get(identifier) or _missing_identifier(channel, identifier)
    used = {identifier for name, identifier in needed.items() if name not in left_out}
    unused = {identifier for identifier in IDENTIFIER_OF_CHANNEL.values() if identifier not in used}
    selected = {name: value for name, value in fields.items() if name not in unused}
    note = note_left_out(faults)
    if left_out:
        first = next(iter(left_out.values()))
        reason = faults[first].reason if first in faults else f"the record has no {first}"
        note = Note(CHANNEL_LEFT_OUT, f"/{first}", f"{', '.join(left_out)} was left out: {reason}")
    return {**selected, "channels": [name for name in channels if name not in left_out]}, note


def _missing_identifier(channel: str, identifier: str) -> RejectedRecord:
    reason = f"consent to {channel} needs the field {identifier}"
    return RejectedRecord(f"no_{identifier}", reason, pointer=f"/{identifier}")


def profile_with_consent(fields: Record, states: Mapping[str, str]) -> dict[str, Any]:
    """The person as a resource, by the identifiers that the channels need. ``states``: channel -> what is asked for."""
    attributes: dict[str, Any] = {}
    subscriptions: dict[str, Any] = {}
    for (channel, kind), state in ((KINDS[name], state) for name, state in states.items()):
        attributes[IDENTIFIER_OF_CHANNEL[channel]] = fields[IDENTIFIER_OF_CHANNEL[channel]]
        subscriptions.setdefault(channel, {})[kind] = {"consent": state}
    return {"type": "profile", "attributes": {**attributes, "subscriptions": subscriptions}}


def _subscribe_resource(fields: Record, context: Context) -> dict[str, Any]:
    profile = profile_with_consent(fields, dict.fromkeys(fields["channels"], SUBSCRIBED))
    attributes = profile["attributes"]
    if "id" in fields:
        profile = {"type": "profile", "id": fields["id"], "attributes": attributes}
    add_terms(attributes, fields, parse_consented_at(fields, context))
    return profile


def add_terms(attributes: dict[str, Any], fields: Record, consented_at: datetime | None) -> None:
    """Add to a person's attributes what belongs to consent that is given: the date of birth, and when it was given."""
    if "age_gated_date_of_birth" in fields:
        attributes["age_gated_date_of_birth"] = fields["age_gated_date_of_birth"][:10]
    if consented_at is None:
        return
    for kinds in attributes["subscriptions"].values():
        for kind, subscription in kinds.items():
            if kind not in _UNDATED_KINDS and subscription["consent"] == SUBSCRIBED:
                subscription["consented_at"] = utc_text(consented_at)


def parse_consented_at(fields: Record, context: Context) -> datetime | None:
    """When consent was given, where it is historical; None where it is not.

    Raises:
        RejectedRecord: it has no time, or one that is not past; or it has one and is not historical.
    """
    has_time, is_historical = "consented_at" in fields, context.options["historical_import"]
    pointer = "/consented_at"
    if has_time and not is_historical:
        reason = "consented_at is only taken with the option historical_import"
        raise RejectedRecord("not_historical", reason, pointer=pointer)
    if is_historical and not has_time:
        raise RejectedRecord("no_consented_at", "historical_import needs the field consented_at", pointer=pointer)
    if not is_historical:
        return None
    when = parse_time(fields["consented_at"], "consented_at")
    if when >= context.now:
        raise RejectedRecord("invalid_time", "consented_at is not in the past", pointer=pointer)
    return when


def _subscribe_batch_key(fields: Record, context: Context) -> BatchKey:
    custom_source = fields.get("custom_source") or context.options.get("custom_source")
    return custom_source, context.options["historical_import"]


def _unsubscribe_resource(fields: Record, context: Context) -> dict[str, Any]:  # noqa: ARG001 - every action's signature
    return profile_with_consent(fields, dict.fromkeys(fields["channels"], UNSUBSCRIBED))


def _unsubscribe_batch_key(_fields: Record, context: Context) -> BatchKey:
    return (consent.GLOBAL,) if context.options[consent.GLOBAL] else ()


SUBSCRIBE = Action(
    name="subscribe",
    summary="Subscribe people to e-mail, SMS or WhatsApp; this lifts unsubscriptions, spam reports and suppressions.",
    operation=consent.SUBSCRIBE,
    other_operations=(*lists.find_calls(option="list"), lists.CREATE_LIST),
    resource=_subscribe_resource,
    select_fields=select_fields,
    batch_key=_subscribe_batch_key,
    deliver=consent.subscribe,
    adds=frozenset({"profile", "consent", "list"}),
    concurrency_factor=3,  # requests hold a thousand people, and their budget is twelve of them a second
    options={
        "channels": channels_option(SUBSCRIBABLE, "subscribed to"),
        "list": {
            **LIST_OPTIONS["list"],
            "description": "The list that people subscribe to, by its name or Klaviyo's id; its opt-in process holds.",
        },
        "create_list": LIST_OPTIONS["create_list"],
        "custom_source": {
            "type": "string",
            "pattern": "\\S",
            "description": "Where consent comes from, as Klaviyo shows it; a record's own goes before it.",
        },
        "historical_import": {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether the consent was given in the past, at the record's consented_at: nobody is asked to confirm "
                "it, and no flow begins."
            ),
        },
    },
)

UNSUBSCRIBE = Action(
    name="unsubscribe",
    summary="Unsubscribe people: from a list if they are on it, everywhere where no list is named.",
    operation=consent.UNSUBSCRIBE,
    other_operations=(
        *lists.find_calls(option="list"),
        people.find_call("to know who is on the list", on_list=True, option="list"),
    ),
    resource=_unsubscribe_resource,
    select_fields=select_fields,
    batch_key=_unsubscribe_batch_key,
    deliver=consent.unsubscribe,
    removes=lambda _batch_key: frozenset({"consent", "list"}),
    accepts_deleted=True,
    concurrency_factor=4,  # requests hold a hundred people, and may each need two questions first
    options={
        "channels": channels_option(KINDS, "unsubscribed from"),
        "list": {**LIST_OPTIONS["list"], "description": "The list to unsubscribe from, by its name or Klaviyo's id."},
        consent.GLOBAL: {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether people who are not on the list are unsubscribed everywhere, as Klaviyo does it. By default "
                "they are rejected."
            ),
        },
    },
)
