"""How many rows a mid-sized shop has in each collection of Klaviyo; docs/reference/tables counts calls with them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from klaviyo_client.api.operations import operation
from tap_klaviyo.model import Collection

SIZES: Mapping[str, int] = {
    "profiles": 100_000,
    "conversations": 100_000,
    "profile_predictive_analytics": 100_000,
    "push_tokens": 20_000,
    "lists": 20,
    "list_profiles": 150_000,
    "segments": 40,
    "segment_profiles": 300_000,
    "tags": 50,
    "tag_groups": 3,
    "campaigns": 500,
    "omni_campaigns": 500,
    "omni_campaign_messages": 600,
    "flows": 60,
    "metrics": 120,
    "events": 5_000_000,
    "metric_properties": 1_200,
    "custom_metrics": 5,
    "mapped_metrics": 7,
    "metric_flow_triggers": 40,
    "list_flow_triggers": 10,
    "segment_flow_triggers": 10,
    "catalog_items": 2_000,
    "catalog_categories": 50,
    "catalog_item_categories": 4_000,
    "coupons": 20,
    "coupon_codes": 50_000,
    "templates": 400,
    "template_universal_content": 20,
    "images": 2_000,
    "web_feeds": 5,
    "forms": 30,
    "form_versions": 60,
    "reviews": 5_000,
    "accounts": 1,
    "webhooks": 3,
    "webhook_topics": 20,
    "tracking_settings": 1,
    "translations": 200,
    "billing_usage": 10,
    "text_messaging_senders": 3,
    "brand_buttons": 3,
    "brand_colors": 3,
    "brand_logos": 3,
    "brand_social_groups": 1,
    "brand_email_defaults": 1,
    "brand_voice": 1,
    "data_sources": 2,
    "object_types": 3,
    "object_schemas": 6,
    "object_records": 10_000,
    "object_ingestion_logs": 100,
    "profile_bulk_import_jobs": 100,
    "profile_bulk_import_job_errors": 100,
    "profile_bulk_import_job_lists": 100,
    "profile_bulk_import_job_profiles": 50_000,
}
# Rows of a collection that is not named, such as the other kinds of jobs.
OTHERS = 100
# Rows of a page where Klaviyo chooses its size.
PAGE = 200


def calls_for(collection: Collection, collections: Mapping[str, Collection]) -> int:
    """The requests that a whole read takes: no page is shorter than it must be, and none is shared by two parents."""
    rows, size = SIZES.get(collection.name, OTHERS), operation(collection.operation).page_size or PAGE
    if collection.parent is None:
        return max(math.ceil(rows / size), len(collection.filter_sets))
    parents = SIZES.get(collections[collection.parent].name, OTHERS)
    return max(math.ceil(rows / size), parents)
