"""Which rows the hand-made pages of collections that revision 2026-10-15 is the first to have give."""

from __future__ import annotations

import pytest
from page_support import columns, rows

from tap_klaviyo.model import Table
from tap_klaviyo.tables import BY_DEFAULT, STREAMS


def test_billing_usage() -> None:
    """A row for each kind of usage, whose periods need not be the same."""
    assert columns("billing_usage", "usage_type", "usage_used", "usage_max", "unit") == [
        ("email_sends", 12345, 50000, "messages"),
        ("sms_credits", 1234.5678, 2000, "credits"),
    ]
    assert [start for (start,) in columns("billing_usage", "period_start")] == [
        "2026-05-15T00:00:00+00:00",
        "2026-05-01T00:00:00+00:00",
    ]


def test_text_messaging_senders() -> None:
    """With its registration; a name needs none, and a sender that is not registered has no number yet."""
    names = ("sender_type", "country", "sender_identifier", "registration_id", "registration_status")
    assert columns("text_messaging_senders", *names) == [
        ("toll_free", "US", "+18005550100", "01REGISTERED00000000000000", "approved"),
        ("toll_free", "US", None, "01REJECTED0000000000000000", "action_required"),
        ("alpha", "DE", "CafeSohn", None, None),
    ]
    _, failed, _ = rows("text_messaging_senders")
    assert failed["registration_failures"] == [{"detail": "The website has no terms."}]
    assert failed["registration_decided_at"] is None


def test_translations() -> None:
    """Each leads to what is translated, whose type is in the id, also where it is no resource that can be read."""
    kinds = ("campaign_variation", "flow_message", "template", "template_universal_content")
    found = columns("translations", "resource_type", *(f"{kind}_id" for kind in kinds))
    assert [kind.replace("-", "_") for kind, *_ in found] == [*kinds, "consent_page"]
    assert [[kind for kind, row_id in zip(kinds, ids, strict=True) if row_id] for _, *ids in found] == [
        *([kind] for kind in kinds),
        [],
    ]
    first, *_ = rows("translations")
    assert (first["channel"], first["target_locales"], first["metadata"]) == (
        "sms",
        ["de-DE", "fr-FR"],
        {"tone": "familiär"},
    )
    assert first["updated"] == "2026-03-02T07:00:00+00:00"


@pytest.mark.parametrize("table", STREAMS["brands"], ids=lambda table: table.collection.name)
def test_brands(table: Table) -> None:
    """One stream of all types; what has a column of its own is in the attributes, too."""
    first, *_ = rows(table)
    assert first["brand_asset_type"] == table.collection.resource
    assert first["name"] == first["attributes"].get("name")
    linked = {name for name in first if name.endswith("_id") and first[name]} - {"brand_asset_id"}
    assert linked == {
        "brand_logos": {"image_id"},
        "brand_email_defaults": {"brand_button_id", "brand_logo_id", "brand_social_group_id"},
    }.get(table.collection.name, set())


def test_none_is_read_unless_it_is_selected() -> None:
    """They need scopes that few keys have."""
    assert not BY_DEFAULT & {"billing_usage", "brands", "text_messaging_senders", "translations"}
