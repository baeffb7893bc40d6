"""Which revision of the API each operation is asked for in.

An operation is asked for in the revision of the document that ``tests/specification`` keeps, unless it stands here. An
id that both revisions have gets a name for each: ``get_campaigns`` and ``get_campaigns@2026-10-15``. Whichever has the
plain one: to keep an operation on an older revision when the others move on, its plain name is put here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

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
    ),
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


def with_own_schemas(facts: Any, revision: str) -> Any:
    """Facts whose references lead to the schemas of their revision, which have its name: ``Campaign@2026-10-15``."""
    if isinstance(facts, dict):
        return {key: with_own_schemas(value, revision) for key, value in facts.items()}
    if isinstance(facts, list):
        return [with_own_schemas(value, revision) for value in facts]
    if isinstance(facts, str) and re.fullmatch(rf"{_SCHEMA}\w+", facts):
        return f"{facts}@{revision}"
    return facts
