"""Content beside templates: universal content, images and web feeds of messages, and reviews by customers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.relations import references
from klaviyo_sandbox.account.resources.read_operation import ReadOperation, all_rows
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import random_time, with_microseconds
from klaviyo_sandbox.account.store import Relation, Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

READS: Mapping[str, ReadOperation] = {
    "get_all_universal_content": ReadOperation("template-universal-content", all_rows("template-universal-content")),
    "get_universal_content": ReadOperation("template-universal-content"),
    # The real API leaves hidden images out (recorded), unless the filter names them.
    "get_images": ReadOperation("image", all_rows("image"), default_filters={"hidden": False}),
    "get_image": ReadOperation("image"),
    "get_web_feeds": ReadOperation("web-feed", all_rows("web-feed")),
    "get_web_feed": ReadOperation("web-feed"),
    "get_reviews": ReadOperation(
        "review",
        all_rows("review"),
        stored_paths={"status": "status.value", "item.id": "item_id"},
        match_all={"status": "all"},
    ),
    "get_review": ReadOperation("review"),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {("review", "events"): references("event", "event_ids")}

_PRODUCTS = ("Linen Shirt", "Crème brûlée set", "Größentabelle-Poster", "Travel Mug", "Wool Socks 🧦")
_QUOTES = ("Love it.", "Größe passt nicht", "Très bien !", "Came late, but is fine", "最高です")
_STATUSES = ("published", "published", "published", "featured", "unpublished", "pending", "rejected")
_REASONS = (
    {"reason": "other", "status_explanation": "The same text stands below another product."},
    {"reason": "other", "status_explanation": None},
    {"reason": "profanity_or_inappropriate"},
)
# More than one page of each.
_IMAGES, _FEEDS, _REVIEWS = 110, 23, 120


def rows(store: Store, rng_for: Callable[[str], random.Random], start: datetime, end: datetime) -> Mapping[str, Table]:
    """Universal content of several kinds, images (some hidden), web feeds, and reviews of a few products."""
    people = list(itertools.islice(store.profiles.rows.values(), 40))
    event_ids = list(itertools.islice(store.events.in_memory, 40))
    return {
        "template-universal-content": Table(_universal(rng_for("universal content"), start, end)),
        "image": Table(_images(rng_for("images"), start, end)),
        "web-feed": Table(_feeds(rng_for("web feeds"), start, end)),
        "review": Table(_reviews(rng_for("reviews"), people, event_ids, start, end)),
    }


def _universal(rng: random.Random, start: datetime, end: datetime) -> list[Row]:
    text = {
        "content_type": "block",
        "type": "text",
        "data": {
            "content": "<p>Grüße aus Zürich</p>",
            "display_options": {"show_on": "all", "visible_check": None, "content_repeat": None},
            "styles": {"color": "#222222", "font_size": 14},
        },
    }
    definitions: tuple[tuple[str, dict[str, Any] | None], ...] = (
        ("Footer", text),
        ("Call to action", {"content_type": "block", "type": "button", "data": None}),
        ("Header with logo", {"content_type": "section", "type": "section", "data": None}),
        ("Old block", {"content_type": "block", "type": "unsupported", "data": None}),
        ("Été: bandeau", None),
    )
    contents: list[Row] = []
    for name, definition in definitions:
        created = random_time(rng, start, end)
        status = rng.choice(("completed", "stale", "never_generated"))
        content_id = f"{rng.getrandbits(128):032x}"
        contents.append(
            {
                "id": content_id,
                "name": name,
                "definition": definition,
                "created": format_datetime(with_microseconds(created)),
                "updated": format_datetime(with_microseconds(random_time(rng, created, end))),
                "screenshot_status": status,
                "screenshot_url": "" if status == "never_generated" else f"https://images.example.com/{content_id}.png",
            }
        )
    return contents


def _images(rng: random.Random, start: datetime, end: datetime) -> list[Row]:
    images: list[Row] = []
    for number in range(_IMAGES):
        kind = rng.choice(("jpeg", "png", "gif"))
        image_id = str(10_000_000 + number * 7)
        images.append(
            {
                "id": image_id,
                "name": f"{rng.choice(('hero', 'produit été', 'logo'))}-{number}",
                "image_url": f"https://images.example.com/{image_id}.{kind}",
                "format": kind,
                "size": rng.randrange(900, 5_000_000),
                "hidden": number % 16 == 3,
                "updated_at": format_datetime(random_time(rng, start, end)),
            }
        )
    return images


def _feeds(rng: random.Random, start: datetime, end: datetime) -> list[Row]:
    feeds: list[Row] = []
    for number in range(_FEEDS):
        created = random_time(rng, start, end)
        feeds.append(
            {
                "id": str(300_000 + number * 11),
                "name": f"{rng.choice(('best_sellers', 'nouveautés', 'blog'))}_{number}",
                "url": f"https://www.example.com/feeds/{number}.json",
                "request_method": rng.choice(("get", "get", "post")),
                "content_type": rng.choice(("json", "xml")),
                "created": format_datetime(created),
                "updated": format_datetime(random_time(rng, created, end)),
                "status": rng.choice(("ok", "ok", "disabled", "critical_nightly_refresh_timeout", None)),
            }
        )
    return feeds


def _reviews(rng: random.Random, people: list[Row], event_ids: list[str], start: datetime, end: datetime) -> list[Row]:
    return [_review(rng, number, people, event_ids, random_time(rng, start, end), end) for number in range(_REVIEWS)]


def _review(
    rng: random.Random, number: int, people: list[Row], event_ids: list[str], created: datetime, end: datetime
) -> Row:
    kind = rng.choice(("review", "review", "rating", "question", "store"))
    author = rng.choice(people) if people else {}
    quote = None if kind == "rating" else rng.choice(_QUOTES)
    replied = kind == "question" or rng.random() < 0.2
    status = rng.choice(_STATUSES)
    return {
        "id": str(20_000_000 + number * 3),
        "email": author.get("email"),
        "status": {"value": status, **({"rejection_reason": rng.choice(_REASONS)} if status == "rejected" else {})},
        "verified": rng.random() < 0.7,
        "review_type": kind,
        "created": format_datetime(created),
        "updated": format_datetime(random_time(rng, created, end)),
        "images": [f"https://images.example.com/review/{number}.jpg"] if number % 9 == 0 else [],
        "product": None if kind == "store" else _product(rng),
        "rating": None if kind == "question" else rng.randrange(1, 6),
        "author": author.get("first_name"),
        "content": quote,
        "title": None if quote is None else rng.choice((None, "Nice", "Schön")),
        "smart_quote": quote if number % 11 == 0 else None,
        "public_reply": _reply(created + timedelta(days=1), end) if replied else None,
        "event_ids": rng.sample(event_ids, min(rng.randrange(3), len(event_ids))),
        "item_id": f"$custom:::$default:::SKU-{number % len(_PRODUCTS)}",
    }


def _product(rng: random.Random) -> dict[str, Any]:
    index = rng.randrange(len(_PRODUCTS))
    return {
        "url": f"https://www.example.com/products/{index}",
        "name": _PRODUCTS[index],
        "image_url": rng.choice((None, f"https://images.example.com/products/{index}.jpg")),
        "external_id": rng.choice((None, f"SKU-{index}")),
    }


def _reply(when: datetime, end: datetime) -> dict[str, Any]:
    return {
        "content": "Danke für die Rückmeldung!",
        "author": "Sandbox Store",
        "updated": format_datetime(min(when, end)),
    }
