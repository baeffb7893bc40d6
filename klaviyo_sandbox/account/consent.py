"""What a profile's ``subscriptions`` become when consent is given or withdrawn. Pure: nothing is changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Subscriptions = Mapping[str, Any]

# Channel of a request -> where it is shown.
_SHOWN_AS = {"push": "mobile_push"}
_LIFTED = frozenset({"UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED"})
_MANUAL = "USER_SUPPRESSED"


@dataclass(frozen=True)
class Consent:
    """Consent that is given or withdrawn.

    Attributes:
        channel, kind: as the request names them: "email", "marketing".
        given: or withdrawn.
        at: when; ``now`` is when it is written down.
        list_id: the list that it is about, None when it is about all.
        source: what the caller says of where it comes from.
        phone_number: whose it is, where that is shown.
    """

    channel: str
    kind: str
    given: bool
    at: str
    now: str
    list_id: str | None = None
    source: str | None = None
    phone_number: str | None = None


def changed(subscriptions: Subscriptions, consent: Consent) -> dict[str, Any]:
    """The subscriptions after a consent."""
    place = _SHOWN_AS.get(consent.channel, consent.channel)
    held = subscriptions.get(place) or {}
    old = held.get(consent.kind) or {}
    if (consent.channel, consent.kind) == ("email", "marketing"):
        new = _email_marketing(old, consent)
    elif consent.channel == "sms":
        new = _text_messages(consent)
    elif consent.channel == "push":
        new = {"can_receive_push_marketing": consent.given, **_said(consent)}
    else:
        new = _channel(old, consent)
    return {**subscriptions, place: {**held, consent.kind: new}}


def unsubscribed_from_list(subscriptions: Subscriptions, list_id: str, now: str) -> dict[str, Any]:
    """No e-mail to this list any more; consent stays."""
    entry = {"list_id": list_id, "reason": "UNSUBSCRIBE", "timestamp": now}
    marketing = subscriptions["email"]["marketing"]
    others = [other for other in marketing["list_suppressions"] if other["list_id"] != list_id]
    return _with_email(subscriptions, {**marketing, "list_suppressions": [*others, entry], "last_updated": now})


def suppressed(subscriptions: Subscriptions, now: str) -> dict[str, Any]:
    """No e-mail any more, whatever was consented to; the same when that is so already."""
    marketing = subscriptions["email"]["marketing"]
    if any(entry["reason"] == _MANUAL for entry in marketing["suppression"]):
        return dict(subscriptions)
    entry = {"reason": _MANUAL, "timestamp": now}
    return _with_email(subscriptions, _with_suppression(marketing, [*marketing["suppression"], entry], now))


def unsuppressed(subscriptions: Subscriptions, now: str) -> dict[str, Any]:
    """Without the suppression by hand; any other stays."""
    marketing = subscriptions["email"]["marketing"]
    left = [entry for entry in marketing["suppression"] if entry["reason"] != _MANUAL]
    if left == marketing["suppression"]:
        return dict(subscriptions)
    return _with_email(subscriptions, _with_suppression(marketing, left, now))


def _with_email(subscriptions: Subscriptions, marketing: Mapping[str, Any]) -> dict[str, Any]:
    return {**subscriptions, "email": {**subscriptions["email"], "marketing": marketing}}


def _with_suppression(marketing: Mapping[str, Any], suppression: list[Any], now: str) -> dict[str, Any]:
    reach = {"suppression": suppression, "can_receive_email_marketing": not suppression}
    return {**marketing, **reach, "last_updated": now}


def _said(consent: Consent) -> dict[str, Any]:
    return {"consent": "SUBSCRIBED" if consent.given else "UNSUBSCRIBED", "consent_timestamp": consent.at}


def _method(consent: Consent) -> dict[str, Any]:
    return {"last_updated": consent.now, "method": "API", "method_detail": consent.source}


def _email_marketing(old: Mapping[str, Any], consent: Consent) -> dict[str, Any]:
    suppression, lists = old["suppression"], old["list_suppressions"]
    if consent.given:
        suppression = [entry for entry in suppression if entry["reason"] not in _LIFTED]
        lists = [entry for entry in lists if entry["list_id"] != consent.list_id]
    elif not any(entry["reason"] == "UNSUBSCRIBE" for entry in suppression):
        suppression = [*suppression, {"reason": "UNSUBSCRIBE", "timestamp": consent.at}]
    said = {**_said(consent), **_method(consent), "custom_method_detail": consent.source, "list_suppressions": lists}
    if consent.given:
        said["double_optin"] = False
    return _with_suppression({**old, **said}, suppression, consent.now)


def _text_messages(consent: Consent) -> dict[str, Any]:
    return {f"can_receive_sms_{consent.kind}": consent.given, **_said(consent), **_method(consent)}


def _channel(old: Mapping[str, Any], consent: Consent) -> dict[str, Any]:
    new = {
        "can_receive": consent.given,
        **_said(consent),
        "created_timestamp": old.get("created_timestamp") or consent.now,
        "last_updated": consent.now,
        "metadata": {},
        "valid_until": None,
    }
    return {**new, "phone_number": consent.phone_number} if consent.channel == "whatsapp" else new
