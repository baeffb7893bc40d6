"""Which actions are shown together, on the page of all actions and in the site's navigation. Pure."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "Profiles": ("upsert_profile", "delete_profile", "merge_profiles"),
    "Lists": ("list_members", "audience_manifest"),
    "Events": ("track_event", "order_completed"),
    "Consent": ("subscribe", "unsubscribe", "consent", "suppress", "unsuppress"),
    "Catalog, coupons and objects": (
        "catalog_items",
        "catalog_variants",
        "catalog_categories",
        "coupon",
        "coupon_codes",
        "object_records",
    ),
    "Names of retired APIs": ("identify", "track", "update_profile"),
}
