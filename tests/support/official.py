"""Calls a sandbox with the vendor's own SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from klaviyo_api import KlaviyoAPI

from klaviyo_sandbox import RunningSandbox
from support.calls import KEY, cursor_of
from support.official_program import client
from support.patience import until

# Group of the SDK -> the operations in it that the sandbox serves, in whichever revision.
_GROUPS = {
    "Accounts": "get_accounts get_account",
    "Campaigns": (
        "get_campaigns get_campaign get_campaign_recipient_estimation get_tags_for_campaign get_tag_ids_for_campaign "
        "get_messages_for_campaign get_message_ids_for_campaign get_campaign_message "
        "get_template_for_campaign_message get_template_id_for_campaign_message get_campaign_messages "
        "get_campaign_audience get_campaign_audiences_for_campaign get_campaign_variation "
        "get_variations_for_campaign_message"
    ),
    "Billing": "list_billing_usage get_billing_usage",
    "Brands": (
        "get_brand_buttons get_brand_button get_brand_colors get_brand_color get_brand_email_defaults "
        "get_brand_email_default get_brand_logos get_brand_logo get_brand_social_groups get_brand_social_group "
        "get_brand_voice"
    ),
    "Catalogs": (
        "get_catalog_items get_catalog_item get_catalog_variants get_catalog_variant "
        "get_catalog_categories get_catalog_category get_items_for_catalog_category "
        "get_item_ids_for_catalog_category get_variants_for_catalog_item "
        "get_variant_ids_for_catalog_item get_categories_for_catalog_item "
        "get_category_ids_for_catalog_item get_bulk_create_catalog_items_jobs "
        "get_bulk_update_catalog_items_jobs get_bulk_delete_catalog_items_jobs "
        "get_bulk_create_variants_jobs get_bulk_update_variants_jobs get_bulk_delete_variants_jobs "
        "get_bulk_create_categories_jobs get_bulk_update_categories_jobs get_bulk_delete_categories_jobs "
        "get_bulk_create_catalog_items_job get_bulk_update_catalog_items_job "
        "get_bulk_delete_catalog_items_job get_bulk_create_variants_job get_bulk_update_variants_job "
        "get_bulk_delete_variants_job get_bulk_create_categories_job get_bulk_update_categories_job "
        "get_bulk_delete_categories_job "
        "bulk_create_catalog_items bulk_update_catalog_items bulk_delete_catalog_items "
        "bulk_create_catalog_variants bulk_update_catalog_variants bulk_delete_catalog_variants "
        "bulk_create_catalog_categories bulk_update_catalog_categories bulk_delete_catalog_categories"
    ),
    "Coupons": (
        "get_coupons get_coupon get_coupon_codes get_coupon_code get_coupon_codes_for_coupon "
        "get_coupon_code_ids_for_coupon get_coupon_for_coupon_code get_coupon_id_for_coupon_code "
        "get_bulk_create_coupon_code_jobs get_bulk_create_coupon_codes_job "
        "create_coupon update_coupon update_coupon_code bulk_create_coupon_codes"
    ),
    "Custom_Objects": (
        "get_data_sources get_data_source get_object_types get_object_type get_object_schema get_object_record "
        "get_current_schema_for_object_type get_schema_versions_for_object_type "
        "get_schema_version_ids_for_object_type get_records_for_object_type get_record_ids_for_object_type "
        "get_ingestion_logs_for_object_type get_ingestion_log_ids_for_object_type "
        "bulk_create_data_source_records bulk_delete_object_records"
    ),
    "Data_Privacy": "request_profile_deletion",
    "Events": "get_events get_event create_event bulk_create_events",
    "Flows": (
        "get_flows get_flow get_tags_for_flow get_tag_ids_for_flow get_actions_for_flow "
        "get_action_ids_for_flow get_flow_action get_flow_action_messages get_message_ids_for_flow_action "
        "get_flow_message get_template_for_flow_message"
    ),
    "Forms": (
        "get_forms get_form get_versions_for_form get_version_ids_for_form get_form_version get_form_for_form_version"
    ),
    "Images": "get_images get_image",
    "Lists": (
        "get_lists get_list create_list get_profiles_for_list get_profile_ids_for_list "
        "add_profiles_to_list remove_profiles_from_list get_tags_for_list get_tag_ids_for_list "
        "get_flows_triggered_by_list"
    ),
    "Metrics": (
        "get_metrics get_metric get_custom_metrics get_custom_metric get_metrics_for_custom_metric "
        "get_mapped_metrics get_mapped_metric get_properties_for_metric get_flows_triggered_by_metric "
        "query_metric_aggregates"
    ),
    "Profiles": (
        "get_profiles get_profile create_or_update_profile create_profile update_profile merge_profiles "
        "bulk_import_profiles get_bulk_import_profiles_jobs get_bulk_import_profiles_job "
        "get_errors_for_bulk_import_profiles_job bulk_subscribe_profiles bulk_unsubscribe_profiles "
        "bulk_suppress_profiles get_bulk_suppress_profiles_jobs get_bulk_suppress_profiles_job "
        "bulk_unsuppress_profiles get_bulk_unsuppress_profiles_jobs get_bulk_unsuppress_profiles_job "
        "get_list_for_bulk_import_profiles_job get_list_ids_for_bulk_import_profiles_job "
        "get_profiles_for_bulk_import_profiles_job get_profile_ids_for_bulk_import_profiles_job "
        "get_push_tokens get_push_token get_profile_for_push_token get_push_tokens_for_profile "
        "get_push_token_ids_for_profile get_conversations_for_profile get_conversation_ids_for_profile"
    ),
    "Reporting": (
        "query_campaign_values query_flow_values query_flow_series query_form_values query_form_series "
        "query_segment_values query_segment_series"
    ),
    "Reviews": "get_reviews get_review",
    "Segments": (
        "get_segments get_segment get_profiles_for_segment get_profile_ids_for_segment "
        "get_tags_for_segment get_tag_ids_for_segment get_flows_triggered_by_segment"
    ),
    "Tags": (
        "get_tags get_tag get_tag_groups get_tag_group get_tags_for_tag_group get_list_ids_for_tag "
        "get_segment_ids_for_tag get_campaign_ids_for_tag get_flow_ids_for_tag get_tag_group_for_tag "
        "get_tag_ids_for_tag_group"
    ),
    "Templates": "get_templates get_template get_all_universal_content get_universal_content",
    "Text_Messaging": "get_text_messaging_senders get_text_messaging_sender",
    "Tracking_Settings": "get_tracking_settings get_tracking_setting",
    "Translations": "get_translations get_translation",
    "Web_Feeds": "get_web_feeds get_web_feed",
    "Webhooks": "get_webhooks get_webhook get_webhook_topics get_webhook_topic",
}
# Operation -> the group of the SDK that has it.
CALLS: Mapping[str, str] = {name: group for group, names in _GROUPS.items() for name in names.split()}
# Edition of the SDK -> the revision that it asks in.
EDITIONS: Mapping[str, str] = {"klaviyo-api==24.0.0": "2026-07-15", "klaviyo-api==25.0.0": "2026-10-15"}
INSTALLED = KlaviyoAPI._REVISION


def official_client(sandbox: RunningSandbox) -> tuple[KlaviyoAPI, Any]:
    """The SDK without the retries that it hides below its own, and its pool of connections, which the caller clears."""
    api = client(sandbox.url, KEY)
    return api, api.api_client.rest_client.pool_manager


def call(api: Any, operation: str, *arguments: Any, **query: Any) -> dict[str, Any]:
    """The answer to an operation, by our name for it.

    Args:
        arguments: the id in its path and its body, where it has them.
        query: its parameters, as the SDK calls them.

    Raises:
        KeyError: no group of the SDK is known to have the operation.
    """
    name = operation.partition("@")[0]
    return to_dict(getattr(getattr(api, CALLS[name]), name)(*arguments, **query))


def to_dict(document: Any) -> dict[str, Any]:
    """An answer as a dictionary, whatever the SDK made of it; empty when there is none."""
    return (document or {}) if isinstance(document, dict | None) else document.to_dict()


def pages(read: Callable[..., Any], **arguments: Any) -> Iterator[dict[str, Any]]:
    """Every page. The SDK only takes a cursor out of an https link, so it gets the bare cursor."""
    cursor = None
    while True:
        document = to_dict(read(**arguments, **({"page_cursor": cursor} if cursor else {})))
        yield document
        link = document.get("links", {}).get("next")
        if not link:
            return
        cursor = cursor_of(link)


def wait_for_job(read: Callable[[str], Any], job_id: str) -> dict[str, Any]:
    """Wait until a job is complete; its attributes."""
    attributes: dict[str, Any] = {}

    def complete() -> bool:
        nonlocal attributes
        attributes = to_dict(read(job_id))["data"]["attributes"]
        status = attributes["status"]
        # Some of the SDK's objects leave it a member of an enumeration.
        return bool(getattr(status, "value", status) == "complete")

    until(complete, every=0.02)
    return attributes
