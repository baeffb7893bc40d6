"""What revision 2026-10-15 shows of the account: brand library, use of the plan, senders of text messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import ulid
from klaviyo_sandbox.account.relations import references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

BUTTON, COLOR, LOGO, SOCIAL = "brand-button", "brand-color", "brand-logo", "brand-social-group"
EMAIL_DEFAULT, VOICE = "brand-email-default", "brand-voice"
USAGE, SENDER, REGISTRATION = "billing-usage", "text-messaging-sender", "text-messaging-sender-registration"

READS: Mapping[str, ReadOperation] = {
    "get_brand_buttons": ReadOperation(BUTTON, all_rows(BUTTON)),
    "get_brand_button": ReadOperation(BUTTON),
    "get_brand_colors": ReadOperation(COLOR, all_rows(COLOR)),
    "get_brand_color": ReadOperation(COLOR),
    "get_brand_logos": ReadOperation(LOGO, all_rows(LOGO)),
    "get_brand_logo": ReadOperation(LOGO),
    "get_brand_social_groups": ReadOperation(SOCIAL, all_rows(SOCIAL)),
    "get_brand_social_group": ReadOperation(SOCIAL),
    "get_brand_email_defaults": ReadOperation(EMAIL_DEFAULT, all_rows(EMAIL_DEFAULT)),
    "get_brand_email_default": ReadOperation(EMAIL_DEFAULT),
    "get_brand_voice": ReadOperation(VOICE),
    "list_billing_usage": ReadOperation(USAGE, all_rows(USAGE)),
    "get_billing_usage": ReadOperation(USAGE),
    "get_text_messaging_senders": ReadOperation(SENDER, all_rows(SENDER)),
    "get_text_messaging_sender": ReadOperation(SENDER),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    (LOGO, "image"): references("image", "image_id"),
    (EMAIL_DEFAULT, BUTTON): references(BUTTON, "button_id"),
    (EMAIL_DEFAULT, LOGO): references(LOGO, "logo_id"),
    (EMAIL_DEFAULT, SOCIAL): references(SOCIAL, "social_group_id"),
    (SENDER, REGISTRATION): references(REGISTRATION, "registration_id"),
    (REGISTRATION, SENDER): references(SENDER, "sender_id"),
}

_TEXT: Mapping[str, Any] = {
    "color": "#222222",
    "font_size": 16,
    "font_style": "normal",
    "font_family": "Helvetica",
    "font_weight": 400,
    "letter_spacing": 0,
    "text_decoration": "none",
}
# (kind of usage, unit, what the plan has, day of the month on which its period begins).
_USAGES = (
    ("email_sends", "messages", 50_000, 15),
    ("email_active_profiles", "profiles", 5_000, 15),
    ("sms_credits", "credits", 2_000, 1),
    ("customer_hub_active_profiles", "profiles", 0, 1),
)
# (kind of sender, country, what messages come from, state, state of its registration), each in a form of its own.
_SENDERS: tuple[tuple[str, str, str | None, str, str | None], ...] = (
    ("toll_free", "US", "+18005550100", "active", "approved"),
    ("toll_free", "CA", None, "registration_failed", "action_required"),
    ("short_code", "US", None, "registering", "in_review"),
    ("long_code", "GB", "+442079460100", "suspended", "rejected"),
    ("alpha", "DE", "CafeSohn", "active", None),
)


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Some of each; the defaults of e-mails and the voice go by the account's id, as in the real API."""
    account_id = next(iter(store.accounts.rows))
    rng = rng_for("brands")
    images = list(store.resources["image"].rows)
    buttons, colors, logos, socials = (
        [_named(rng, kind, number, start, images) for number in range(count)]
        for kind, count in ((BUTTON, 3), (COLOR, 2), (LOGO, 2), (SOCIAL, 1))
    )
    senders, registrations = _senders(rng_for("text messaging senders"), start, end)
    return {
        BUTTON: Table(buttons),
        COLOR: Table(colors),
        LOGO: Table(logos),
        SOCIAL: Table(socials),
        EMAIL_DEFAULT: Table([_email_default(account_id, buttons[0]["id"], logos[0]["id"], socials[0]["id"])]),
        VOICE: Table([_voice(account_id)]),
        USAGE: Table(_usages(rng_for("billing usage"), end)),
        SENDER: Table(senders),
        REGISTRATION: Table(registrations),
    }


def _named(rng: random.Random, kind: str, number: int, start: datetime, images: list[str]) -> Row:
    """A row of the library; the last of three has no name."""
    details: Mapping[str, Mapping[str, Any]] = {
        BUTTON: {
            "is_primary": number == 0,
            "style": {
                "background_color": "#114477",
                "border_radius": 4,
                "box_shadow": "none",
                "is_shadow_active": False,
            },
            "border": {"border_color": "#114477", "border_style": "solid", "border_width": 1, "is_border_active": True},
            "spacing": {f"padding_{side}": 8 for side in ("top", "right", "bottom", "left")},
            "text": _TEXT,
            "preview_page_hex": None if number else "#FFFFFF",
        },
        COLOR: {"colors": [{"hex": "#FFCC00", "name": "Sonne"}, {"hex": "#0055AA", "name": "Meer 🌊"}][: number + 1]},
        LOGO: {
            "width": 160,
            "height": 40 if number else None,
            "alt_text": "Café & Söhne",
            "link_url": None if number else "https://www.example.com",
            "image_id": images[number],
        },
        SOCIAL: {
            "social_links": [
                {"link_url": "https://www.example.com/social", "platform": "x_twitter"},
                {
                    "link_url": "https://www.example.com/blog",
                    "platform": "custom",
                    "asset_id": None,
                    "asset_url": None,
                    "width": 32,
                    "height": 32,
                },
            ]
        },
    }
    name = ("Größe M", "Été", None)[number]
    return {"id": ulid(int(start.timestamp() * 1000), rng), "name": name, **details[kind]}


def _email_default(account_id: str, button_id: str, logo_id: str, social_group_id: str) -> Row:
    background, link = {"background_color": "#FFFFFF"}, {**_TEXT, "font_size": None, "font_weight": None}
    texts = {f"{name}text": _TEXT for name in ("", "h1_", "h2_", "h3_", "h4_")}
    links = [{"text": "Größentabelle", "url": "https://www.example.com/sizes"}]
    return {
        "id": account_id,
        "button_id": button_id,
        "logo_id": logo_id,
        "social_group_id": social_group_id,
        "body": {**background, "body_background_color": "#F0F0F0", **texts, "link_text": link},
        "header": {**background, "links": links, "link_text": link, "logo_max_width": 160},
        "footer": {**background, "text": _TEXT, "link_text": link, "social_group_color": "default"},
    }


def _voice(account_id: str) -> Row:
    tone = {"name": "Warm", "description": "As one speaks to a friend.", "user_modified": True}
    pattern = {"name": "Short", "description": "One thought a sentence.", "user_modified": False}
    return {"id": account_id, "version": "3", "tone_descriptors": [tone], "language_patterns": [pattern]}


def _usages(rng: random.Random, end: datetime) -> list[Row]:
    usages: list[Row] = []
    for kind, unit, most, day in _USAGES:
        begins = end.replace(day=day, hour=0, minute=0, second=0, microsecond=0)
        begins = begins if begins <= end else (begins.replace(day=1) - timedelta(days=1)).replace(day=day)
        ends = (begins.replace(day=1) + timedelta(days=32)).replace(day=day)
        used = round(rng.random() * most, 4)
        usages.append(
            {
                "id": kind,
                "usage_used": used if unit == "credits" else int(used),
                "usage_max": most,
                "unit": unit,
                "period_start": format_datetime(begins),
                "period_end": format_datetime(ends),
                "as_of": format_datetime(end),
            }
        )
    return usages


def _senders(rng: random.Random, start: datetime, end: datetime) -> tuple[list[Row], list[Row]]:
    senders: list[Row] = []
    registrations: list[Row] = []
    for kind, country, identifier, status, registered in _SENDERS:
        created = random_time(rng, start, end - timedelta(days=30))
        sender_id, registration_id = (ulid(int(created.timestamp() * 1000), rng) for _ in range(2))
        senders.append(
            {
                "id": sender_id,
                "sender_type": kind,
                "sender_details": {"country": country},
                "status": status,
                "created_at": format_datetime(created),
                "forwarding_number": "+12015550199" if status == "active" and identifier != "CafeSohn" else None,
                "sender_identifier": identifier,
                "registration_id": registration_id if registered else None,
            }
        )
        if registered:
            registrations.append(_registration(registration_id, sender_id, registered, created))
    return senders, registrations


def _registration(registration_id: str, sender_id: str, status: str, created: datetime) -> Row:
    submitted, decided = created + timedelta(days=1), created + timedelta(days=4)
    is_decided = status in ("approved", "rejected")
    return {
        "id": registration_id,
        "sender_id": sender_id,
        "status": status,
        "failures": [] if status in ("approved", "in_review") else [{"detail": "The website has no terms of use."}],
        "created_at": format_datetime(created),
        "updated_at": format_datetime(decided if is_decided else submitted),
        "submitted_at": None if status == "action_required" else format_datetime(submitted),
        "decided_at": format_datetime(decided) if is_decided else None,
    }
