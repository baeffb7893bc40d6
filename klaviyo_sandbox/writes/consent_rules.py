"""What Klaviyo demands of a row that gives or withdraws consent. Only looks at the account, never changes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Problem, invalid
from klaviyo_sandbox.spec.times import parse_datetime

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# The identifier that a channel needs.
NEEDS = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}


@dataclass(frozen=True)
class Wanted:
    """One consent of a row: channel and kind as the request names them, and since when, where that is said."""

    channel: str
    kind: str
    since: str | None = None
    can_be_dated: bool = False


def wanted(resource: Mapping[str, Any]) -> list[Wanted]:
    """Every consent that a row gives or withdraws."""
    return [
        Wanted(channel, kind, said.get("consented_at"), kind != "open_tracking")
        for channel, kinds in resource["attributes"]["subscriptions"].items()
        for kind, said in (kinds or {}).items()
        if isinstance(said, Mapping) and "consent" in said
    ]


def row_problem(
    store: Store, resource: Mapping[str, Any], pointer: str, *, historical: bool | None = None
) -> Problem | None:
    """The first thing wrong with a row whose identifiers are sound; ``pointer`` leads to it.

    ``historical`` is whether consent was given long ago; None when it is withdrawn.
    """
    return next(_problems(store, resource, pointer, historical), None)


def _problems(store: Store, resource: Mapping[str, Any], pointer: str, historical: bool | None) -> Iterator[Problem]:
    known = store.profiles.get(resource.get("id") or "") or {}
    if resource.get("id") and not known:
        yield invalid(f"A profile with id {resource['id']} does not exist.", f"{pointer}/id")
    attributes = resource["attributes"]
    consents = wanted(resource)
    if not consents:
        yield invalid("At least one channel must be given.", f"{pointer}/attributes/subscriptions")
    for consent in consents:
        needed = NEEDS.get(consent.channel)
        if needed and not (attributes.get(needed) or known.get(needed)):
            yield invalid(f"The channel {consent.channel} needs {needed}.", f"{pointer}/attributes/{needed}")
        if historical is not None and (detail := _date_fault(consent, historical, store.now())):
            place = f"{consent.channel}/{consent.kind}/consented_at"
            yield invalid(detail, f"{pointer}/attributes/subscriptions/{place}")
    if historical is not None:
        texted = any(consent.channel == "sms" for consent in consents)
        yield from _text_message_problems(store, attributes, known, pointer, texted=texted)


def _date_fault(consent: Wanted, historical: bool, now: datetime) -> str | None:
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
    store: Store, attributes: Mapping[str, Any], known: Mapping[str, Any], pointer: str, *, texted: bool
) -> Iterator[Problem]:
    """Age gates and regions: only consent to text messages has them, but a date must be one for any."""
    place = f"{pointer}/attributes/age_gated_date_of_birth"
    text = attributes.get("age_gated_date_of_birth")
    today = store.now().date()
    born = _day(text) if text else None
    if text is not None and born is None:
        yield invalid(f"'{text}' is not a date.", place)
    if born is not None and born > today:
        yield invalid("A date of birth must be in the past.", place)
    if not texted:
        return
    if store.age_gate and born is None:
        yield invalid("A date of birth is required to consent to text messages.", place)
    if store.age_gate and born is not None and _age(born, today) < store.age_gate:
        yield invalid("The profile does not meet the age requirement.", place)
    number = attributes.get("phone_number") or known.get("phone_number") or ""
    if number and not number.startswith(store.sms_prefixes):
        yield invalid("The account has no sending number for this region.", f"{pointer}/attributes/phone_number")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
