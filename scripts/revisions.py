"""Which revision of the API each operation is asked for in.

An operation is asked for in the revision of the document that ``tests/specification`` keeps, unless it stands here. An
id that both revisions have gets a name for each: ``get_campaigns`` and ``get_campaigns@2026-10-15``.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import openapi

# Revision -> ids of the operations that are asked for in it.
OTHERS: Mapping[str, tuple[str, ...]] = {
    "2026-10-15": (
        # Campaigns of every channel, and of several at once: another shape under the same paths.
        "get_campaigns",
        "get_campaign",
        "get_messages_for_campaign",
        "get_campaign_message",
        "get_campaign_messages",
        "get_campaign_audience",
        "get_campaign_audiences_for_campaign",
        "get_campaign_variation",
        "get_variations_for_campaign_message",
        # What is new.
        "list_billing_usage",
        "get_billing_usage",
        "get_brand_buttons",
        "get_brand_button",
        "get_brand_colors",
        "get_brand_color",
        "get_brand_email_defaults",
        "get_brand_email_default",
        "get_brand_logos",
        "get_brand_logo",
        "get_brand_social_groups",
        "get_brand_social_group",
        "get_brand_voice",
        "get_text_messaging_senders",
        "get_text_messaging_sender",
        "get_translations",
        "get_translation",
        # What takes other parameters or another body than before.
        "get_profiles",
        "get_profile",
        "get_profiles_for_list",
        "get_profiles_for_segment",
        "get_profiles_for_bulk_import_profiles_job",
        "get_profile_for_push_token",
        "create_or_update_profile",
        "create_profile",
        "update_profile",
        "create_event",
        "get_message_ids_for_campaign",
        "get_template_for_campaign_message",
        "get_flow_message",
        "get_template_for_flow_message",
        "get_templates",
        "get_template",
        "get_coupons",
        "get_coupon",
        "get_coupon_codes",
        "get_coupon_code",
        "get_coupon_codes_for_coupon",
        "get_coupon_code_ids_for_coupon",
        "get_coupon_for_coupon_code",
        "get_data_sources",
    ),
}
# (revision, operation id) -> parameters that its document has and the vendor's SDK of that revision has not.
NOT_SHOWN: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("2026-10-15", "get_campaign_messages"): ("fields[campaign-variation]",),
}
_SCHEMA = "#/schemas/"


def names(revision: str, default_ids: Container[str]) -> dict[str, str]:
    """Our name of each operation that is asked for in a revision -> its id.

    Args:
        revision: one of ``OTHERS``.
        default_ids: those of the document that is kept.
    """
    return {f"{op}@{revision}" if op in default_ids else op: op for op in OTHERS[revision]}


def as_shown(operation: Mapping[str, Any], revision: str) -> dict[str, Any]:
    """An operation of a revision's document, without the parameters that the vendor's SDK does not show."""
    hidden = NOT_SHOWN.get((revision, operation["operationId"]), ())
    parameters = [parameter for parameter in operation.get("parameters", ()) if parameter["name"] not in hidden]
    return {**operation, "parameters": parameters}


def own_schemas(schemas: Mapping[str, Any], default_schemas: Mapping[str, Any]) -> set[str]:
    """The names of those schemas that are not, with all that they refer to, as in the document that is kept."""
    own = {name for name, schema in schemas.items() if schema != default_schemas.get(name)}
    while more := {
        name for name in schemas if name not in own and not own.isdisjoint(openapi.references(schemas[name]))
    }:
        own |= more
    return own


def renamed(facts: Any, revision: str, own: Container[str]) -> Any:
    """Facts whose references lead to their revision's own schemas, which have its name: ``Campaign@2026-10-15``."""
    if isinstance(facts, dict):
        return {key: renamed(value, revision, own) for key, value in facts.items()}
    if isinstance(facts, list):
        return [renamed(value, revision, own) for value in facts]
    is_own = isinstance(facts, str) and facts.startswith(_SCHEMA) and facts.removeprefix(_SCHEMA) in own
    return f"{facts}@{revision}" if is_own else facts
