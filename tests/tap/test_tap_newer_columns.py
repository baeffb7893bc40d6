"""Columns that Klaviyo's answers have beside what the tables had first: consents to tracking, and whose a metric is."""

from __future__ import annotations

import pytest
from page_support import columns
from test_tap_selection import asked

PARTS = ("can_receive", "consent", "timestamp", "created_timestamp", "last_updated", "valid_until", "metadata")


@pytest.mark.parametrize("kind", ["open", "click"])
def test_consent_to_tracking(kind: str) -> None:
    """Given, until it ends by itself; all null of a profile of which Klaviyo says nothing."""
    given, unsaid, *_ = columns("profiles", *(f"email_{kind}_tracking_{part}" for part in PARTS))
    day = "2025-01-02T03:04:05+00:00"
    assert given == (
        True,
        "SUBSCRIBED",
        day,
        day,
        "2025-01-03T00:00:00+00:00",
        "2027-01-02T03:04:05+00:00",
        {"by": kind},
    )
    assert unsaid == (None,) * 7


def test_consent_to_clicks_is_asked_for_by_names_that_the_revision_knows() -> None:
    """Its own is refused in July's revision, whose answers have it with the channel's other consents."""
    made = asked("profiles", "profile_id", "email_click_tracking_consent")
    assert made["additional-fields[profile]"] == "subscriptions"
    assert made["fields[profile]"] == "subscriptions.email"
    made = asked("profiles", "profile_id", "email_open_tracking_consent")
    assert made["fields[profile]"] == "subscriptions.email.open_tracking.consent"


def test_the_key_of_a_metrics_integration() -> None:
    """A metric of one's own has none."""
    assert columns("metrics", "name", "integration_key") == [("Placed Order", "shop"), ("Own", None)]


def test_when_a_coupon_is_assigned_anew() -> None:
    """Null where Klaviyo leaves it out."""
    names = ("assigner_configuration_used", "assigner_configuration_unused_expired")
    assert columns("coupons", *names) == [("ASSIGN_IF_EXPIRED", "ALWAYS_ASSIGN"), (None, None), (None, None)]
    assert asked("coupons", "coupon_id", names[0])["fields[coupon]"] == "assigner_configuration.used"
