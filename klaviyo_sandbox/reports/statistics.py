"""Computes the statistics of a report from its activities. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from klaviyo_sandbox.reports.activities import SMS, Activity

# Name of a statistic -> its value.
Numbers = Mapping[str, float]


def message_statistics(activities: Iterable[Activity]) -> Numbers:
    """Every statistic of campaigns and flows. Rates are fractions, and 0 where there is nothing to divide by."""
    activities = list(activities)
    counts, profiles = _count(activities)
    value = sum(activity.value for activity in activities)
    text_messages = (activity for activity in activities if activity.source.attributes["send_channel"] == SMS)
    segments = sum(activity.segments for activity in text_messages if activity.kind == "delivered")
    delivered, opened, clicked = counts["delivered"], profiles["opens"], profiles["clicks"]
    undelivered = counts["bounced"] + counts["failed"]
    recipients = delivered + undelivered
    return {
        "average_order_value": _ratio(value, counts["conversions"]),
        "bounce_rate": _ratio(counts["bounced"], recipients),
        "bounced": counts["bounced"],
        "bounced_or_failed": undelivered,
        "bounced_or_failed_rate": _ratio(undelivered, recipients),
        "click_rate": _ratio(clicked, delivered),
        "click_to_open_rate": _ratio(clicked, opened),
        "clicks": counts["clicks"],
        "clicks_unique": clicked,
        "conversion_rate": _ratio(profiles["conversions"], delivered),
        "conversion_uniques": profiles["conversions"],
        "conversion_value": value,
        "conversions": counts["conversions"],
        "delivered": delivered,
        "delivery_rate": _ratio(delivered, recipients),
        "failed": counts["failed"],
        "failed_rate": _ratio(counts["failed"], recipients),
        "message_segment_count_sum": segments,
        "open_rate": _ratio(opened, delivered),
        "opens": counts["opens"],
        "opens_unique": opened,
        "recipients": recipients,
        "revenue_per_recipient": _ratio(value, recipients),
        "spam_complaint_rate": _ratio(counts["spam_complaints"], delivered),
        "spam_complaints": counts["spam_complaints"],
        # Each segment of a text message costs one credit and no money.
        "text_message_credit_usage_amount": segments,
        "text_message_roi": 0.0,
        "text_message_spend": 0.0,
        "unsubscribe_rate": _ratio(profiles["unsubscribes"], delivered),
        "unsubscribe_uniques": profiles["unsubscribes"],
        "unsubscribes": counts["unsubscribes"],
    }


def form_statistics(activities: Iterable[Activity]) -> Numbers:
    """Every statistic of forms."""
    counts, profiles = _count(activities)
    names = ("closed_form", "qualified_form", "submitted_form_step", "viewed_form", "viewed_form_step")
    return {
        **{name: counts[name] for name in (*names, "submits")},
        **{f"{name}_uniques": profiles[name] for name in names},
        "submit_rate": _ratio(counts["submits"], counts["viewed_form"]),
    }


def segment_statistics(activities: Iterable[Activity]) -> Numbers:
    """Every statistic of segments. Who left is not known; ``total_members`` counts those who joined before, too."""
    counts, _ = _count(activities)
    joined = counts["members_added"]
    return {
        "members_added": joined,
        "members_removed": 0,
        "net_members_changed": joined,
        "total_members": joined + counts["member_before"],
    }


STATISTICS_OF: Mapping[str, Callable[[Iterable[Activity]], Numbers]] = {
    "campaign": message_statistics,
    "flow": message_statistics,
    "form": form_statistics,
    "segment": segment_statistics,
}


def _count(activities: Iterable[Activity]) -> tuple[Counter[str], Counter[str]]:
    """How many activities of each kind there are, and of how many profiles."""
    counts: Counter[str] = Counter()
    kinds_and_profiles: set[tuple[str, str]] = set()
    for activity in activities:
        counts[activity.kind] += 1
        kinds_and_profiles.add((activity.kind, activity.profile_id))
    return counts, Counter(kind for kind, _ in kinds_and_profiles)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
