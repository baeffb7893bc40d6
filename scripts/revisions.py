"""Which revision of the API each operation is asked for in.

An operation is asked for in the revision of the document that ``tests/specification`` keeps, unless it stands here. An
id that both revisions have gets a name for each: ``get_campaigns`` and ``get_campaigns@2026-10-15``. Whichever has the
plain one: to keep an operation on an older revision when the others move on, its plain name is put here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import openapi

# Revision -> names of the operations that are asked for in it: ids, with the revision where another has the plain name.
OTHERS: Mapping[str, tuple[str, ...]] = {
    "2026-10-15": (
        # Campaigns of every channel, and of several at once: another shape under the same paths.
        "get_campaigns@2026-10-15",
        "get_campaign@2026-10-15",
        "get_messages_for_campaign@2026-10-15",
        "get_campaign_message@2026-10-15",
        "get_campaign_messages",
        "get_campaign_audience",
        "get_campaign_audiences_for_campaign",
        "get_campaign_variation",
        "get_variations_for_campaign_message",
        # More than July's: consent to the tracking of clicks, and when a coupon is assigned anew.
        "bulk_subscribe_profiles@2026-10-15",
        "bulk_unsubscribe_profiles@2026-10-15",
        "get_coupons@2026-10-15",
        "get_coupon@2026-10-15",
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
        "get_profiles@2026-10-15",
        "get_profile@2026-10-15",
        "get_profiles_for_list@2026-10-15",
        "get_profiles_for_segment@2026-10-15",
        "get_profiles_for_bulk_import_profiles_job@2026-10-15",
        "get_profile_for_push_token@2026-10-15",
        "create_or_update_profile@2026-10-15",
        "create_profile@2026-10-15",
        "update_profile@2026-10-15",
        "create_event@2026-10-15",
        "get_message_ids_for_campaign@2026-10-15",
        "get_template_for_campaign_message@2026-10-15",
        "get_flow_message@2026-10-15",
        "get_template_for_flow_message@2026-10-15",
        "get_templates@2026-10-15",
        "get_template@2026-10-15",
        "get_coupon_codes@2026-10-15",
        "get_coupon_code@2026-10-15",
        "get_coupon_codes_for_coupon@2026-10-15",
        "get_coupon_code_ids_for_coupon@2026-10-15",
        "get_coupon_for_coupon_code@2026-10-15",
        "get_data_sources@2026-10-15",
    ),
}
# (revision, operation id) -> parameters that its document has and the vendor's SDK of that revision has not.
NOT_SHOWN: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("2026-10-15", "get_campaign_messages"): ("fields[campaign-variation]",),
}
_SCHEMA = "#/schemas/"


def names(default: str, default_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Revision -> our name of each operation that is asked for in it -> its id.

    A name that another revision has taken is no name of the default's operation: that one has the revision behind it.

    Args:
        default: the revision of the document that is kept.
        default_ids: the ids in that document.
    """
    found = {revision: {name: name.partition("@")[0] for name in OTHERS[revision]} for revision in OTHERS}
    taken = {name for revision, listed in found.items() if revision != default for name in listed}
    of_default = {f"{op}@{default}" if op in taken else op: op for op in default_ids}
    # When the default has come to a revision that was asked for by name, code may go on to do so.
    return {**found, default: {**of_default, **found.get(default, {})}}


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
