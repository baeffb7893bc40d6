"""Statistics of reports out of deeds. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from klaviyo_sandbox.reports.activities import SMS, Deed

Numbers = Mapping[str, float]


def of_messages(deeds: Iterable[Deed]) -> Numbers:
    """Every statistic of campaigns and flows; rates are fractions, and 0 of nothing."""
    deeds = list(deeds)
    counts, people = _counted(deeds)
    value = sum(deed.value for deed in deeds)
    segments = sum(
        deed.segments for deed in deeds if deed.what == "delivered" and deed.source.said["send_channel"] == SMS
    )
    delivered, opened, clicked = counts["delivered"], people["opens"], people["clicks"]
    lost = counts["bounced"] + counts["failed"]
    recipients = delivered + lost
    return {
        "average_order_value": _share(value, counts["conversions"]),
        "bounce_rate": _share(counts["bounced"], recipients),
        "bounced": counts["bounced"],
        "bounced_or_failed": lost,
        "bounced_or_failed_rate": _share(lost, recipients),
        "click_rate": _share(clicked, delivered),
        "click_to_open_rate": _share(clicked, opened),
        "clicks": counts["clicks"],
        "clicks_unique": clicked,
        "conversion_rate": _share(people["conversions"], delivered),
        "conversion_uniques": people["conversions"],
        "conversion_value": value,
        "conversions": counts["conversions"],
        "delivered": delivered,
        "delivery_rate": _share(delivered, recipients),
        "failed": counts["failed"],
        "failed_rate": _share(counts["failed"], recipients),
        "message_segment_count_sum": segments,
        "open_rate": _share(opened, delivered),
        "opens": counts["opens"],
        "opens_unique": opened,
        "recipients": recipients,
        "revenue_per_recipient": _share(value, recipients),
        "spam_complaint_rate": _share(counts["spam_complaints"], delivered),
        "spam_complaints": counts["spam_complaints"],
        # A credit for each segment, and nothing to pay for it.
        "text_message_credit_usage_amount": segments,
        "text_message_roi": 0.0,
        "text_message_spend": 0.0,
        "unsubscribe_rate": _share(people["unsubscribes"], delivered),
        "unsubscribe_uniques": people["unsubscribes"],
        "unsubscribes": counts["unsubscribes"],
    }


def of_forms(deeds: Iterable[Deed]) -> Numbers:
    """Every statistic of forms."""
    counts, people = _counted(deeds)
    told = ("closed_form", "qualified_form", "submitted_form_step", "viewed_form", "viewed_form_step")
    return {
        **{name: counts[name] for name in (*told, "submits")},
        **{f"{name}_uniques": people[name] for name in told},
        "submit_rate": _share(counts["submits"], counts["viewed_form"]),
    }


def of_segments(deeds: Iterable[Deed]) -> Numbers:
    """Every statistic of segments that joining tells; ``total_members`` is of those who joined before, too."""
    counts, _ = _counted(deeds)
    joined = counts["members_added"]
    return {
        "members_added": joined,
        "members_removed": 0,
        "net_members_changed": joined,
        "total_members": joined + counts["member_before"],
    }


MADE: Mapping[str, Callable[[Iterable[Deed]], Numbers]] = {
    "campaign": of_messages,
    "flow": of_messages,
    "form": of_forms,
    "segment": of_segments,
}


def _counted(deeds: Iterable[Deed]) -> tuple[Counter[str], Counter[str]]:
    """How often each thing was done, and by how many people."""
    counts: Counter[str] = Counter()
    who: set[tuple[str, str]] = set()
    for deed in deeds:
        counts[deed.what] += 1
        who.add((deed.what, deed.who))
    return counts, Counter(what for what, _ in who)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
