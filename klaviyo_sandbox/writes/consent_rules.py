"""Rules for rows that give or withdraw consent. They read the account and never change it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, invalid
from klaviyo_sandbox.spec.times import parse_datetime

# Consents of which a request cannot say when they were given.
_UNDATED_KINDS = frozenset({"open_tracking", "click_tracking"})
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# Channel -> the identifier that its consents need.
IDENTIFIER_OF_CHANNEL = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}


@dataclass(frozen=True)
class RequestedConsent:
    """A consent that a row gives or withdraws.

    Attributes:
        channel, kind: as the request names them: "email", "marketing".
        since: when consent was given, as the request has it; None without a time.
        can_be_dated: whether a historical import must say when.
    """

    channel: str
    kind: str
    since: str | None = None
    can_be_dated: bool = False


def requested_consents(resource: Mapping[str, Any]) -> list[RequestedConsent]:
    """Every consent that a row gives or withdraws."""
    return [
        RequestedConsent(channel, kind, consent.get("consented_at"), kind not in _UNDATED_KINDS)
        for channel, kinds in resource["attributes"]["subscriptions"].items()
        for kind, consent in (kinds or {}).items()
        if isinstance(consent, Mapping) and "consent" in consent
    ]


def row_problem(
    store: Store, resource: Mapping[str, Any], pointer: str, *, historical: bool | None = None
) -> Problem | None:
    """The first problem of a row whose identifiers are valid; ``pointer`` points to the row.

    ``historical`` is whether this is a historical import, of consent that was given earlier; None when consent is
    withdrawn.
    """
    return next(_problems(store, resource, pointer, historical), None)


def _problems(store: Store, resource: Mapping[str, Any], pointer: str, historical: bool | None) -> Iterator[Problem]:
    profile = store.profiles.get(resource.get("id") or "") or {}
    if resource.get("id") and not profile:
        yield invalid(f"A profile with id {resource['id']} does not exist.", f"{pointer}/id")
    attributes = resource["attributes"]
    consents = requested_consents(resource)
    if not consents:
        yield invalid("At least one channel must be given.", f"{pointer}/attributes/subscriptions")
    for consent in consents:
        identifier = IDENTIFIER_OF_CHANNEL.get(consent.channel)
        if identifier and not (attributes.get(identifier) or profile.get(identifier)):
            yield invalid(f"The channel {consent.channel} needs {identifier}.", f"{pointer}/attributes/{identifier}")
        if historical is not None and (detail := _date_error(consent, historical, store.now())):
            path = f"{consent.channel}/{consent.kind}/consented_at"
            yield invalid(detail, f"{pointer}/attributes/subscriptions/{path}")
    if historical is not None:
        has_sms = any(consent.channel == "sms" for consent in consents)
        yield from _text_message_problems(store, attributes, profile, pointer, has_sms=has_sms)


def _date_error(consent: RequestedConsent, historical: bool, now: datetime) -> str | None:
    if consent.since is None:
        return "consented_at is required for a historical import." if historical and consent.can_be_dated else None
    if not historical:
        return "consented_at is only allowed when historical_import is true."
    try:
        since = parse_datetime(consent.since).astimezone(UTC)
    except (ValueError, OverflowError):
        return f"'{consent.since}' is not a date and time of ISO 8601."
    return None if since < now else "consented_at must be in the past."


def _text_message_problems(
    store: Store, attributes: Mapping[str, Any], profile: Mapping[str, Any], pointer: str, *, has_sms: bool
) -> Iterator[Problem]:
    """Problems of the age gate and the region, of consent to text messages only; a bad date of birth is one for all."""
    date_pointer = f"{pointer}/attributes/age_gated_date_of_birth"
    text = attributes.get("age_gated_date_of_birth")
    today = store.now().date()
    birthday = _parse_day(text) if text else None
    if text is not None and birthday is None:
        yield invalid(f"'{text}' is not a date.", date_pointer)
    if birthday is not None and birthday > today:
        yield invalid("A date of birth must be in the past.", date_pointer)
    if not has_sms:
        return
    if store.age_gate and birthday is None:
        yield invalid("A date of birth is required to consent to text messages.", date_pointer)
    if store.age_gate and birthday is not None and _age(birthday, today) < store.age_gate:
        yield invalid("The profile does not meet the age requirement.", date_pointer)
    number = attributes.get("phone_number") or profile.get("phone_number") or ""
    if number and not number.startswith(store.sms_prefixes):
        yield invalid("The account has no sending number for this region.", f"{pointer}/attributes/phone_number")


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _age(birthday: date, today: date) -> int:
    return today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))
