"""A profile's ``subscriptions`` after consent is given or withdrawn. Pure: nothing is changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Subscriptions = Mapping[str, Any]

# Channel of a request -> its name among the subscriptions.
_SUBSCRIPTION_NAMES = {"push": "mobile_push"}
_LIFTED_BY_CONSENT = frozenset({"UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED"})
_BY_HAND = "USER_SUPPRESSED"


@dataclass(frozen=True)
class Consent:
    """Consent that is given or withdrawn.

    Attributes:
        channel, kind: as the request names them: "email", "marketing".
        given: True when consent is given, False when it is withdrawn.
        consented_at: when; ``recorded_at`` is when it is written down.
        list_id: the list that it is about; None when it is about all lists.
        source: where it comes from, as the caller names it.
        phone_number: shown for channels that show it.
        confirmed: whether it was given again in answer to a message (double opt-in).
    """

    channel: str
    kind: str
    given: bool
    consented_at: str
    recorded_at: str
    list_id: str | None = None
    source: str | None = None
    phone_number: str | None = None
    confirmed: bool = False


def with_consent(subscriptions: Subscriptions, consent: Consent) -> dict[str, Any]:
    """The subscriptions after a consent."""
    channel = _SUBSCRIPTION_NAMES.get(consent.channel, consent.channel)
    kinds = subscriptions.get(channel) or {}
    old = kinds.get(consent.kind) or {}
    if (consent.channel, consent.kind) == ("email", "marketing"):
        new = _email_marketing(old, consent)
    elif consent.channel == "sms":
        new = _sms(consent)
    elif consent.channel == "push":
        new = {"can_receive_push_marketing": consent.given, **_consent_fields(consent)}
    else:
        new = _channel(old, consent)
    return {**subscriptions, channel: {**kinds, consent.kind: new}}


def with_list_suppression(subscriptions: Subscriptions, list_id: str, now: str) -> dict[str, Any]:
    """The subscriptions after e-mail to this list is suppressed; consent stays."""
    entry = {"list_id": list_id, "reason": "UNSUBSCRIBE", "timestamp": now}
    marketing = subscriptions["email"]["marketing"]
    others = [other for other in marketing["list_suppressions"] if other["list_id"] != list_id]
    return _with_email(subscriptions, {**marketing, "list_suppressions": [*others, entry], "last_updated": now})


def with_suppression(subscriptions: Subscriptions, now: str) -> dict[str, Any]:
    """The subscriptions after e-mail is suppressed by hand; unchanged when it was already."""
    marketing = subscriptions["email"]["marketing"]
    if any(entry["reason"] == _BY_HAND for entry in marketing["suppression"]):
        return dict(subscriptions)
    entry = {"reason": _BY_HAND, "timestamp": now}
    return _with_email(subscriptions, _set_suppressions(marketing, [*marketing["suppression"], entry], now))


def without_suppression(subscriptions: Subscriptions, now: str) -> dict[str, Any]:
    """The subscriptions without the suppression by hand; any other stays."""
    marketing = subscriptions["email"]["marketing"]
    others = [entry for entry in marketing["suppression"] if entry["reason"] != _BY_HAND]
    if others == marketing["suppression"]:
        return dict(subscriptions)
    return _with_email(subscriptions, _set_suppressions(marketing, others, now))


def _with_email(subscriptions: Subscriptions, marketing: Mapping[str, Any]) -> dict[str, Any]:
    return {**subscriptions, "email": {**subscriptions["email"], "marketing": marketing}}


def _set_suppressions(marketing: Mapping[str, Any], suppression: list[Any], now: str) -> dict[str, Any]:
    fields = {"suppression": suppression, "can_receive_email_marketing": not suppression}
    return {**marketing, **fields, "last_updated": now}


def _consent_fields(consent: Consent) -> dict[str, Any]:
    return {"consent": "SUBSCRIBED" if consent.given else "UNSUBSCRIBED", "consent_timestamp": consent.consented_at}


def _method_fields(consent: Consent) -> dict[str, Any]:
    return {"last_updated": consent.recorded_at, "method": "API", "method_detail": consent.source}


def _email_marketing(old: Mapping[str, Any], consent: Consent) -> dict[str, Any]:
    suppression, lists = old["suppression"], old["list_suppressions"]
    if consent.given:
        suppression = [entry for entry in suppression if entry["reason"] not in _LIFTED_BY_CONSENT]
        lists = [entry for entry in lists if entry["list_id"] != consent.list_id]
    elif not any(entry["reason"] == "UNSUBSCRIBE" for entry in suppression):
        suppression = [*suppression, {"reason": "UNSUBSCRIBE", "timestamp": consent.consented_at}]
    fields = {
        **_consent_fields(consent),
        **_method_fields(consent),
        "custom_method_detail": consent.source,
        "list_suppressions": lists,
    }
    if consent.given:
        fields["double_optin"] = consent.confirmed
    return _set_suppressions({**old, **fields}, suppression, consent.recorded_at)


def _sms(consent: Consent) -> dict[str, Any]:
    return {f"can_receive_sms_{consent.kind}": consent.given, **_consent_fields(consent), **_method_fields(consent)}


def _channel(old: Mapping[str, Any], consent: Consent) -> dict[str, Any]:
    new = {
        "can_receive": consent.given,
        **_consent_fields(consent),
        "created_timestamp": old.get("created_timestamp") or consent.recorded_at,
        "last_updated": consent.recorded_at,
        "metadata": {},
        "valid_until": None,
    }
    return {**new, "phone_number": consent.phone_number} if consent.channel == "whatsapp" else new
