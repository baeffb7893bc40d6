"""The table of the brand library: what a brand's e-mails are made of, of several types, each with a collection."""

from __future__ import annotations

from tap_klaviyo.model import Collection, Table

# Resource type -> its collection. The voice is found by the account's id.
BRAND_ASSETS = {
    collection.resource: collection
    for collection in (
        Collection("brand_buttons", "get_brand_buttons", "brand-button"),
        Collection("brand_colors", "get_brand_colors", "brand-color"),
        Collection("brand_logos", "get_brand_logos", "brand-logo"),
        Collection("brand_social_groups", "get_brand_social_groups", "brand-social-group"),
        Collection("brand_email_defaults", "get_brand_email_defaults", "brand-email-default"),
        Collection("brand_voice", "get_brand_voice", "brand-voice", parent="accounts", at_most_one=True),
    )
}

TABLES = tuple(
    Table(
        "brands",
        collection,
        key=("brand_asset_type", "brand_asset_id"),
        deletion_note="What was deleted from the library stays as it was last read.",
    )
    for collection in BRAND_ASSETS.values()
)
