"""Tables of templates, their translations, images and web feeds, of sign-up forms, and of product reviews."""

from __future__ import annotations

from typing import Any

from tap_klaviyo.model import Collection, Root, Table, each

TEMPLATES = Collection("templates", "get_templates", "template", bookmark="updated")
UNIVERSAL_CONTENT = Collection(
    "template_universal_content", "get_all_universal_content", "template-universal-content", bookmark="updated"
)
# Hidden images are left out unless they are asked for.
IMAGES = Collection(
    "images", "get_images", "image", bookmark="updated_at", filter_sets=({"hidden": False}, {"hidden": True})
)
# The state of a feed's copy changes every night, and does not move the bookmark.
WEB_FEEDS = Collection("web_feeds", "get_web_feeds", "web-feed", bookmark="updated", reread=True)
FORMS = Collection("forms", "get_forms", "form", bookmark="updated_at")
FORM_VERSIONS = Collection(
    "form_versions", "get_versions_for_form", "form-version", bookmark="updated_at", parent="forms"
)
# A review is published, replied to or rejected after it was written, and Klaviyo filters only by when it was written.
REVIEWS = Collection(
    "reviews", "get_reviews", "review", bookmark="created", filter_sets=({"status": "all"},), reread=True
)
TRANSLATIONS = Collection("translations", "get_translations", "translation")


def translated_type(translation_id: Any) -> str | None:
    """The type of what is translated, of an id such as ``template::email::Abc123``."""
    kind, separator, _ = translation_id.partition("::") if isinstance(translation_id, str) else ("", "", "")
    return kind if separator else None


TABLES = (
    Table(
        "templates",
        TEMPLATES,
        key=("template_id",),
        bookmark="updated",
        deletion_note="A deleted template stays as it was last read.",
    ),
    Table(
        "template_universal_content",
        UNIVERSAL_CONTENT,
        key=("template_universal_content_id",),
        bookmark="updated",
        deletion_note="Deleted universal content stays as it was last read.",
    ),
    Table(
        "images",
        IMAGES,
        key=("image_id",),
        bookmark="updated_at",
        deletion_note="The API only hides images: `hidden` says so.",
    ),
    Table(
        "web_feeds",
        WEB_FEEDS,
        key=("web_feed_id",),
        bookmark="updated",
        deletion_note="A deleted web feed stays as it was last read.",
    ),
    Table(
        "forms",
        FORMS,
        key=("form_id",),
        bookmark="updated_at",
        deletion_note="A deleted form stays as it was last read.",
    ),
    Table(
        "form_versions",
        FORM_VERSIONS,
        key=("form_version_id",),
        bookmark="updated_at",
        deletion_note="A version of a deleted form stays as it was last read.",
    ),
    Table(
        "reviews",
        REVIEWS,
        key=("review_id",),
        bookmark="created",
        deletion_note="A deleted review stays as it was last read.",
    ),
    Table(
        "review_events",
        REVIEWS,
        key=("review_id", "event_id"),
        bookmark="review_created",
        roots=(each("event", "/relationships/events/data"),),
        deletion_note="An event that is no longer part of a review stays.",
    ),
    Table(
        "translations",
        TRANSLATIONS,
        key=("translation_id",),
        roots=(Root("resource", ("/id",), translated_type),),
        deletion_note="A translation that was taken away stays as it was last read.",
    ),
)
