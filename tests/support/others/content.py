"""Templates, translations, images and web feeds, forms and their versions, reviews and their events."""

from __future__ import annotations

from collections.abc import Iterable

from support.second_path import Json, Key, Witness


def _templates(account: Witness) -> Iterable[Key]:
    return [(row["id"],) for row in account.rows("templates")]


def _universal(account: Witness) -> Iterable[Key]:
    return [(row["id"],) for row in account.rows("template-universal-content", page__size=2)]


def _images(account: Witness) -> Iterable[Key]:
    return [(row["id"],) for row in account.rows("images", filter="any(hidden,[true,false])", sort="name")]


def _versions(account: Witness) -> Iterable[Key]:
    return [
        (row["id"],)
        for form in account.rows("forms")
        for row in account.rows(f"forms/{form['id']}/relationships/form-versions")
    ]


def _reviews(account: Witness) -> list[Json]:
    """Asked for by each status, since whoever asks for none may not see all."""
    statuses = ("published", "unpublished", "rejected", "featured", "pending")
    return [
        row
        for status in statuses
        for row in account.rows("reviews", filter=f'equals(status,"{status}")', sort="rating")
    ]


def _translations(account: Witness) -> Iterable[Key]:
    """Asked for by each type of what is translated and each channel."""
    kinds = ("campaign-variation", "flow-message", "template", "template-universal-content")
    return [
        (row["id"],)
        for kind in kinds
        for channel in ("email", "sms", "mobile_push", "whatsapp")
        for row in account.rows(
            "translations",
            revision="2026-10-15",
            filter=f"equals(resource_type,'{kind}'),equals(channel,'{channel}')",
            page__size=5,
            sort="-id",
        )
    ]


def _events(account: Witness) -> Iterable[Key]:
    return [
        (review["id"], event["id"])
        for review in _reviews(account)
        for event in account.one(f"reviews/{review['id']}", include="events")["relationships"]["events"]["data"]
    ]


TRUTHS = {
    "templates": (("template_id",), _templates),
    "template_universal_content": (("template_universal_content_id",), _universal),
    "images": (("image_id",), _images),
    "translations": (("translation_id",), _translations),
    "web_feeds": (("web_feed_id",), lambda account: [(row["id"],) for row in account.rows("web-feeds")]),
    "forms": (("form_id",), lambda account: [(row["id"],) for row in account.rows("forms")]),
    "form_versions": (("form_version_id",), _versions),
    "reviews": (("review_id",), lambda account: [(row["id"],) for row in _reviews(account)]),
    "review_events": (("review_id", "event_id"), _events),
}
