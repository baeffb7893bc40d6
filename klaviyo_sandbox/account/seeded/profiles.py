"""Profiles of fictional people, with reserved mail domains and reserved phone numbers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.profiles import no_predictions, no_subscriptions
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time, with_microseconds
from klaviyo_sandbox.spec.times import format_datetime

_FIRST = (
    *("Ada", "Zoë", "José", "Łukasz", "Chloé", "Søren", "Mina", "Noah", "Ines", "Björn", "Anaïs", "Yuki", "Omar"),
    *("Priya", "Tomáš", "Elif", "Grace", "Mateo", "Siobhán", "李娜", "Νίκος", "Ольга", "Hana", "Ben", "Ruth"),
)
_LAST = (
    *("Müller", "O'Neil", "García", "Nowak", "Dubois", "Jensen", "Rossi", "Smith", "Okafor", "Tanaka", "Silva"),
    *("Nguyễn", "Kovács", "Brown", "Çelik", "Svensson", "van Dijk", "王", "Novák", "Haddad", "Kim", "Patel"),
)
_DOMAINS = ("example.com", "example.org", "example.net")
# (city, region, country, zip, latitude, longitude, time zone)
_PLACES = (
    ("Boston", "MA", "United States", "02110", 42.3601, -71.0589, "America/New_York"),
    ("Portland", "OR", "United States", "97201", 45.5152, -122.6784, "America/Los_Angeles"),
    ("Zürich", "ZH", "Switzerland", "8001", 47.3769, 8.5417, "Europe/Zurich"),
    ("São Paulo", "SP", "Brazil", "01000-000", -23.5505, -46.6333, "America/Sao_Paulo"),
    ("Łódź", "LD", "Poland", "90-001", 51.7592, 19.456, "Europe/Warsaw"),
    ("Sydney", "NSW", "Australia", "2000", -33.8688, 151.2093, "Australia/Sydney"),
    ("London", None, "United Kingdom", "EC1A 1AA", 51.5074, -0.1278, "Europe/London"),
    ("東京", None, "Japan", "100-0001", 35.6762, 139.6503, "Asia/Tokyo"),
)
_LOCALES = ("en-US", "en-GB", "de-DE", "fr-FR", "pl-PL", "ja-JP", None)
# Numbers 555-0100 to 555-0199 of every area code are kept for fiction.
_AREAS = (
    *(201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231),
    *(301, 302, 303, 304, 305, 307, 308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330),
    *(401, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415, 417, 419, 423, 425, 432, 434, 435, 440, 443),
)
# So many profiles can have a phone number of their own.
PHONES = len(_AREAS) * 100


def profiles(rng: random.Random, count: int, start: datetime, end: datetime) -> list[Row]:
    """Profiles in the order in which they were created.

    ``list_id`` in their list suppressions is the position of a list; ``with_consents`` replaces it by the id.
    """
    span = int((end - start).total_seconds()) - 7200
    # Imports of the last weeks, each of which updated many profiles in one second.
    imports = [end - timedelta(seconds=rng.randrange(3600, 86_400 * 40)) for _ in range(4)]
    created = sorted(rng.randrange(span) for _ in range(count))
    return [
        profile(rng, number, start + timedelta(seconds=second), end, imports) for number, second in enumerate(created)
    ]


def profile(rng: random.Random, number: int, created: datetime, end: datetime, imports: Sequence[datetime]) -> Row:
    """The profile with this number, created at ``created``; each of ``imports`` updated many profiles in one second."""
    updated = created + timedelta(seconds=int(rng.random() ** 0.5 * (end - created).total_seconds() * 0.999))
    import_time = rng.choice(imports)
    if rng.random() < 0.12 and import_time >= created:
        updated = import_time
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    phone = phone_number(number) if number < PHONES and rng.random() < 0.4 else None
    # Some have a phone number only.
    email = None if phone and rng.random() < 0.15 else f"person{number:06d}@{rng.choice(_DOMAINS)}"
    return {
        "id": ulid(int(created.timestamp() * 1000), rng),
        "email": email,
        "phone_number": phone,
        "external_id": f"crm-{number:06d}" if rng.random() < 0.3 else None,
        "first_name": first if rng.random() < 0.9 else None,
        "last_name": last if rng.random() < 0.9 else None,
        "organization": rng.choice((None, None, "Example Bakery", "Sample & Söhne GmbH")),
        "locale": rng.choice(_LOCALES),
        "title": rng.choice((None, None, None, "Dr.", "Buyer")),
        "image": f"https://www.example.com/people/{number}.png" if rng.random() < 0.1 else None,
        "created": format_datetime(created),
        "updated": format_datetime(updated),
        "location": _location(rng),
        "properties": _properties(rng, created),
        "subscriptions": _subscriptions(rng, created, end, email, phone, spaced=number % 5 == 2),
        "predictive_analytics": _predictions(rng, end),
    }


def phone_number(number: int) -> str:
    """A phone number reserved for fiction, a different one for each of the first 6,600 profiles; valid E.164."""
    return f"+1{_AREAS[number // 100 % len(_AREAS)]}55501{number % 100:02d}"


def _location(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.15:
        members = ("address1", "address2", "city", "country", "latitude", "longitude", "region", "zip")
        return dict.fromkeys((*members, "timezone", "ip"))
    city, region, country, code, latitude, longitude, zone = rng.choice(_PLACES)
    # Klaviyo shows coordinates as they were written: as numbers or as text.
    as_text = rng.random() < 0.3
    return {
        "address1": f"{rng.randrange(1, 400)} Example Street" if rng.random() < 0.5 else None,
        "address2": None,
        "city": city,
        "country": country,
        "latitude": str(latitude) if as_text else latitude,
        "longitude": str(longitude) if as_text else longitude,
        "region": region,
        "zip": code,
        "timezone": zone,
        "ip": f"192.0.2.{rng.randrange(1, 255)}" if rng.random() < 0.3 else None,
    }


def _properties(rng: random.Random, created: datetime) -> dict[str, Any]:
    candidates: dict[str, Any] = {
        "Loyalty Tier": rng.choice(("Gold", "Silver", "Bronze")),
        "Favorite Colors": rng.sample(["red", "green", "blue", "grün", "noir"], 2),
        "Points Balance": rng.randrange(5000),
        "Average Rating": round(rng.uniform(1, 5), 2),
        "Is Member": rng.random() < 0.5,
        "Birthday": f"{rng.randrange(1950, 2005)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
        "$source": rng.choice((-59, -6, "Sign-up form")),
        "$consent_timestamp": format_datetime(created),
        "preferences": {"size": rng.choice(("S", "M", "L")), "news": {"weekly": rng.random() < 0.5}},
        "Middle Name": None,
    }
    return {name: value for name, value in candidates.items() if rng.random() < 0.5}


def _subscriptions(
    rng: random.Random, created: datetime, end: datetime, email: str | None, phone: str | None, *, spaced: bool
) -> dict[str, Any]:
    subscriptions = no_subscriptions()
    consented = random_time(rng, created, end)
    if email:
        subscriptions["email"]["marketing"].update(_email_marketing(rng, consented, end))
        # Klaviyo shows some timestamps in this form, against the format that the specification declares.
        timestamp = subscriptions["email"]["marketing"]["consent_timestamp"]
        if spaced and timestamp:
            subscriptions["email"]["marketing"]["consent_timestamp"] = timestamp.replace("T", " ")
    if phone:
        agreed = rng.random() < 0.6
        if agreed:
            subscriptions["sms"]["marketing"].update(
                can_receive_sms_marketing=True,
                consent="SUBSCRIBED",
                consent_timestamp=format_datetime(consented),
                method="SIGN_UP_FORM",
                method_detail="Footer form",
                last_updated=format_datetime(consented),
            )
    return subscriptions


def _email_marketing(rng: random.Random, consented: datetime, end: datetime) -> dict[str, Any]:
    draw = rng.random()
    consent = "SUBSCRIBED" if draw < 0.6 else "UNSUBSCRIBED" if draw < 0.75 else "NEVER_SUBSCRIBED"
    reasons = {"UNSUBSCRIBED": "UNSUBSCRIBE"}
    if consent == "SUBSCRIBED" and rng.random() < 0.1:
        reasons[consent] = rng.choice(("HARD_BOUNCE", "SPAM_COMPLAINT", "USER_SUPPRESSED", "INVALID_EMAIL"))
    reason = reasons.get(consent)
    suppression = (
        [{"reason": reason, "timestamp": format_datetime(with_microseconds(random_time(rng, consented, end)))}]
        if reason
        else []
    )
    list_suppressions = []
    if rng.random() < 0.08:
        when = format_datetime(with_microseconds(random_time(rng, consented, end)))
        list_suppressions = [{"list_id": rng.randrange(3), "reason": "UNSUBSCRIBE", "timestamp": when}]
    has_consent = consent != "NEVER_SUBSCRIBED"
    return {
        "can_receive_email_marketing": not suppression,
        "consent": consent,
        "consent_timestamp": format_datetime(consented) if has_consent else None,
        "last_updated": format_datetime(consented) if has_consent else None,
        "method": rng.choice(("SIGN_UP_FORM", "MANUAL_IMPORT", "PREFERENCE_PAGE")) if has_consent else None,
        "method_detail": "Welcome form" if has_consent else None,
        "double_optin": rng.random() < 0.5 if has_consent else None,
        "suppression": suppression,
        "list_suppressions": list_suppressions,
    }


def _predictions(rng: random.Random, end: datetime) -> Mapping[str, Any]:
    if rng.random() < 0.3:
        return no_predictions()
    past, future, orders = round(rng.uniform(0, 900), 2), round(rng.uniform(0, 300), 2), rng.randrange(1, 12)
    return {
        "historic_clv": past,
        "predicted_clv": future,
        "total_clv": round(past + future, 2),
        "historic_number_of_orders": orders,
        "predicted_number_of_orders": round(rng.uniform(0, 4), 2),
        "average_days_between_orders": round(rng.uniform(5, 120), 1),
        "average_order_value": round(past / orders, 2),
        "churn_probability": round(rng.random(), 4),
        "expected_date_of_next_order": format_datetime(end + timedelta(days=rng.randrange(90))),
        "ranked_channel_affinity": rng.sample(["email", "sms", "push"], 3),
    }
