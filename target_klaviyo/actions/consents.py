"""Consent: subscribe people, unsubscribe them. Only ever done by the action's name, never beside another."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from klaviyo_client.protocol import utc_text
from target_klaviyo import consents, lists, people
from target_klaviyo.actions.profiles import LIST_OPTIONS
from target_klaviyo.model import Action, Context, Record, Terms, Unfit
from target_klaviyo.moments import moment

# What the options call it -> (channel, kind) in Klaviyo's body. Push is missing: it is about tokens, not people.
_KINDS = {
    "email": ("email", "marketing"),
    "email_open_tracking": ("email", "open_tracking"),
    "sms": ("sms", "marketing"),
    "sms_transactional": ("sms", "transactional"),
    "whatsapp": ("whatsapp", "marketing"),
    "whatsapp_transactional": ("whatsapp", "transactional"),
    "whatsapp_conversational": ("whatsapp", "conversational"),
}
_SUBSCRIBABLE = tuple(name for name in _KINDS if name != "whatsapp_conversational")
_NEEDS = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}


def _channels(names: Iterable[str], what: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"type": "string", "enum": list(names)},
        "minItems": 1,
        "default": ["email"],
        "description": f"What people are {what} ({', '.join(names)}); a record's own channels go before it.",
    }


def _profile(fields: Record, context: Context, consent: str) -> dict[str, Any]:
    """The person as a resource, with no more identifiers than the channels need: others would be written to them."""
    kinds = [_KINDS[name] for name in fields.get("channels") or context.options["channels"]]
    attributes: dict[str, Any] = {}
    subscriptions: dict[str, Any] = {}
    for channel, kind in kinds:
        needed = _NEEDS[channel]
        if needed not in fields:
            raise Unfit(f"no_{needed}", f"consent to {channel} needs the field {needed}", pointer=f"/{needed}")
        attributes[needed] = fields[needed]
        subscriptions.setdefault(channel, {})[kind] = {"consent": consent}
    return {"type": "profile", "attributes": {**attributes, "subscriptions": subscriptions}}


def _subscribed(fields: Record, context: Context) -> dict[str, Any]:
    made = _profile(fields, context, "SUBSCRIBED")
    if "id" in fields:
        made = {"type": "profile", "id": fields["id"], "attributes": made["attributes"]}
    if "age_gated_date_of_birth" in fields:
        made["attributes"]["age_gated_date_of_birth"] = fields["age_gated_date_of_birth"][:10]
    consented_at = _consented_at(fields, context)
    if consented_at is not None:
        for kinds in made["attributes"]["subscriptions"].values():
            for kind, consent in kinds.items():
                if kind != "open_tracking":  # Klaviyo has no place for it there
                    consent["consented_at"] = utc_text(consented_at)
    return made


def _consented_at(fields: Record, context: Context) -> datetime | None:
    there, historical = "consented_at" in fields, context.options["historical_import"]
    place = "/consented_at"
    if there and not historical:
        raise Unfit("not_historical", "consented_at is only taken with the option historical_import", pointer=place)
    if historical and not there:
        raise Unfit("no_consented_at", "historical_import needs the field consented_at", pointer=place)
    if not historical:
        return None
    when = moment(fields["consented_at"], "consented_at")
    if when >= context.now:
        raise Unfit("invalid_time", "consented_at is not in the past", pointer=place)
    return when


def _subscribed_terms(fields: Record, context: Context) -> Terms:
    custom_source = fields.get("custom_source") or context.options.get("custom_source")
    return custom_source, context.options["historical_import"]


def _unsubscribed(fields: Record, context: Context) -> dict[str, Any]:
    return _profile(fields, context, "UNSUBSCRIBED")


def _unsubscribed_terms(_fields: Record, context: Context) -> Terms:
    return (consents.GLOBAL,) if context.options[consents.GLOBAL] else ()


SUBSCRIBE = Action(
    name="subscribe",
    summary="Subscribe people to e-mail, SMS or WhatsApp; this lifts unsubscriptions, spam reports and suppressions.",
    operation=consents.SUBSCRIBE,
    calls=(*lists.find(option="list"), lists.MAKE),
    resource=_subscribed,
    terms=_subscribed_terms,
    deliver=consents.subscribe,
    lanes=3,  # requests hold a thousand people, and their budget is twelve of them a second
    options={
        "channels": _channels(_SUBSCRIBABLE, "subscribed to"),
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
    operation=consents.UNSUBSCRIBE,
    calls=(*lists.find(option="list"), people.find("to know who is on the list", on_list=True, option="list")),
    resource=_unsubscribed,
    terms=_unsubscribed_terms,
    deliver=consents.unsubscribe,
    takes_deleted=True,
    lanes=4,  # requests hold a hundred people, and may each need two questions first
    options={
        "channels": _channels(_KINDS, "unsubscribed from"),
        "list": {**LIST_OPTIONS["list"], "description": "The list to unsubscribe from, by its name or Klaviyo's id."},
        consents.GLOBAL: {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether people who are not on the list are unsubscribed everywhere, as Klaviyo does it. By default "
                "they are rejected."
            ),
        },
    },
)
