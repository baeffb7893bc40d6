"""Consent of a table with a status for each person, or for each of their channels. Only ever done by its name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from klaviyo_client.plugin.booleans import BOOLEAN_WORDS, parse_boolean
from target_klaviyo.actions.consents import (
    AUTO,
    KINDS,
    SUBSCRIBABLE,
    SUBSCRIBE,
    UNSUBSCRIBE,
    add_terms,
    channels_option,
    expand_channels,
    parse_consented_at,
    profile_with_consent,
    select_fields,
)
from target_klaviyo.delivery.action import Action
from target_klaviyo.endpoints import consent, consent_states
from target_klaviyo.endpoints.consent_states import SUBSCRIBED, UNSUBSCRIBED, ConsentKey
from target_klaviyo.model.records import Call, Context, Note, OutcomeKind, Record, RejectedRecord
from target_klaviyo.model.texts import parse_id
from target_klaviyo.model.times import parse_time

# Channel -> the field that says what the person has said to it.
_STATUS_FIELDS = {"email": "email_status", "sms": "sms_status", "whatsapp": "whatsapp_status"}
_NEVER_SUBSCRIBED = "NEVER_SUBSCRIBED"
# Klaviyo's words, folded; whatever else is no boolean is not guessed at.
_WORDS = {"subscribed": SUBSCRIBED, "unsubscribed": UNSUBSCRIBED, "neversubscribed": _NEVER_SUBSCRIBED}
_SEPARATORS = re.compile(r"[\s_-]+")


def _parse_status(value: Any, field: str) -> str | None:
    """What a status means, in Klaviyo's words; None where it says nothing.

    Raises:
        RejectedRecord: it is no word that is known.
    """
    if parse_id(value) is None:
        return None
    word = _SEPARATORS.sub("", value.casefold()) if isinstance(value, str) else ""
    with contextlib.suppress(ValueError):
        answer = None if word in _WORDS else parse_boolean(value)
        if answer is not None:
            return SUBSCRIBED if answer else UNSUBSCRIBED
    if word in _WORDS:
        return _WORDS[word]
    reason = f"{field} must be subscribed, unsubscribed or never_subscribed, or one of {BOOLEAN_WORDS}"
    raise RejectedRecord("invalid_field", reason, pointer=f"/{field}")


def _said(fields: Record, channels: Any) -> dict[str, str]:
    """Channel -> what the person has said to it, as far as anything.

    ``channels`` are those that ``status`` is about.

    Raises:
        RejectedRecord: a word is not known.
    """
    general = _parse_status(fields.get("status"), "status")
    said: dict[str, str | None] = dict.fromkeys(channels, general)
    for channel, field in _STATUS_FIELDS.items():
        own = _parse_status(fields.get(field), field)
        said[channel] = own or said.get(channel)
    return {channel: state for channel, state in said.items() if state is not None and state != _NEVER_SUBSCRIBED}


def _select_fields(
    fields: Record, faults: Mapping[str, RejectedRecord], context: Context
) -> tuple[Record, Note | None]:
    """The fields that the channels need of which something is said, with these as ``channels``.

    Raises:
        RejectedRecord: a word is not known, nothing is said, or no channel has its identifier.
    """
    channels = fields.get("channels", context.options["channels"])
    if not channels or not _are_channels(channels):
        return fields, None  # the contract says what is wrong
    said = _said(fields, channels)
    if AUTO in said:
        said = _said(fields, expand_channels(channels, {*fields, *faults}))
    if not said:
        reason = "the record has neither status, subscribed or unsubscribed, so nothing is sent"
        raise RejectedRecord("nothing_said", reason, pointer="/status", kind=OutcomeKind.LEFT_OUT)
    selected, note = select_fields({**fields, "channels": list(said)}, faults, context)
    if SUBSCRIBED in _states(selected).values() and context.options["historical_import"]:
        parse_consented_at(selected, context)
    return selected, note


def _are_channels(channels: Any) -> bool:
    return isinstance(channels, list) and all(isinstance(name, str) and name in (*KINDS, AUTO) for name in channels)


def _states(fields: Record) -> dict[str, str]:
    """Channel -> what is asked for, of fields that were selected."""
    channels = fields["channels"]
    return {channel: state for channel, state in _said(fields, channels).items() if channel in channels}


def _resource(fields: Record, context: Context) -> dict[str, Any]:
    """The person, with what is asked for each channel; the two states are sent in two requests."""
    _said_at(fields)
    states = _states(fields)
    profile = profile_with_consent(fields, states)
    if SUBSCRIBED in states.values():
        is_historical = context.options["historical_import"]
        add_terms(profile["attributes"], fields, parse_consented_at(fields, context) if is_historical else None)
    return profile


def _said_at(fields: Record) -> float | None:
    return parse_time(fields["consented_at"], "consented_at").timestamp() if "consented_at" in fields else None


def _batch_key(fields: Record, context: Context) -> ConsentKey:
    options = context.options
    return ConsentKey(
        custom_source=fields.get("custom_source") or options.get("custom_source"),
        is_historical=options["historical_import"],
        is_global=options[consent.GLOBAL],
        said_at=_said_at(fields),
        states=tuple(sorted(_states(fields).items())),
    )


def _removes(batch_key: tuple[Any, ...]) -> frozenset[str]:
    withdraws = isinstance(batch_key, ConsentKey) and batch_key.withdraws
    return frozenset({"consent", "list"} if withdraws else ())


CONSENT = Action(
    name="consent",
    summary="Subscribe and unsubscribe people as a table says it: a status for each, or for each of their channels.",
    operation=consent.SUBSCRIBE,
    other_operations=(
        Call(consent.UNSUBSCRIBE, "to unsubscribe"),
        *SUBSCRIBE.other_operations,
        *(call for call in UNSUBSCRIBE.other_operations if call not in SUBSCRIBE.other_operations),
    ),
    resource=_resource,
    select_fields=_select_fields,
    batch_key=_batch_key,
    deliver=consent_states.deliver,
    adds=SUBSCRIBE.adds,
    removes=_removes,
    needs_field=("status", *_STATUS_FIELDS.values()),
    concurrency_factor=SUBSCRIBE.concurrency_factor,
    options={
        **SUBSCRIBE.options,
        "channels": channels_option(SUBSCRIBABLE, "subscribed to or unsubscribed from by status"),
        "list": {
            **SUBSCRIBE.options["list"],
            "description": "The list to subscribe to and to unsubscribe from, by its name or Klaviyo's id.",
        },
        consent.GLOBAL: UNSUBSCRIBE.options[consent.GLOBAL],
    },
)
