"""Lists and segments, and their members."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

_LISTS = (
    "Newsletter",
    "SMS Subscribers",
    "VIP Customers",
    "Wholesale",
    "Back in Stock",
    "Café Regulars",
    "Event Guests",
    "Beta Testers",
    "Preview List",
    "Birthday Club",
    "Reactivation",
    "Not Used Yet",
)
_SEGMENTS = (
    "Engaged (30 days)",
    "Engaged (90 days)",
    "Never Purchased",
    "Repeat Buyers",
    "High Spenders",
    "At Risk",
    "Win-back",
    "SMS Reachable",
    "Europe: Österreich",
    "Opened, Not Clicked",
    "New This Month",
    "Nobody",
)


def lists(rng: random.Random, rows: Sequence[Row]) -> tuple[list[Row], dict[str, Table]]:
    """The lists, and list id -> members out of the profiles (``rows``); the last list is empty."""
    return _groups(rng, _LISTS, rows, _list_attributes)


def segments(rng: random.Random, rows: Sequence[Row]) -> tuple[list[Row], dict[str, Table]]:
    """The segments, and segment id -> members out of the profiles (``rows``); the last segment is empty."""
    return _groups(rng, _SEGMENTS, rows, _segment_attributes)


def _groups(
    rng: random.Random,
    names: Sequence[str],
    rows: Sequence[Row],
    attributes: Callable[[random.Random], dict[str, Any]],
) -> tuple[list[Row], dict[str, Table]]:
    groups: list[Row] = []
    members: dict[str, Table] = {}
    for name in names:
        created = START + timedelta(seconds=rng.randrange(86_400 * 60))
        updated = created + timedelta(seconds=rng.randrange(int((END - created).total_seconds())))
        group = {
            "id": short_id(rng),
            "name": name,
            "created": format_datetime(created),
            "updated": format_datetime(updated),
            **attributes(rng),
        }
        share = 0.0 if name == names[-1] else rng.choice((0.02, 0.1, 0.3, 0.6))
        groups.append(group)
        members[group["id"]] = Table(_members(rng, share, rows))
    return groups, members


def _members(rng: random.Random, share: float, rows: Sequence[Row]) -> list[Row]:
    members: list[Row] = []
    # Some groups are filled at once, so that many members joined in the same second.
    joined_together = END - timedelta(days=rng.randrange(1, 90)) if rng.random() < 0.3 else None
    for row in rows:
        if rng.random() >= share:
            continue
        created = datetime.fromisoformat(row["created"])
        joined = created + timedelta(seconds=rng.randrange(int((END - created).total_seconds())))
        if joined_together is not None and joined_together > created:
            joined = joined_together
        members.append({"id": row["id"], "joined_group_at": format_datetime(joined)})
    return members


def _list_attributes(rng: random.Random) -> dict[str, Any]:
    return {"opt_in_process": rng.choice(("single_opt_in", "double_opt_in"))}


def _segment_attributes(rng: random.Random) -> dict[str, Any]:
    condition = {
        "type": "profile-property",
        "property": "properties['Loyalty Tier']",
        "filter": {"type": "string", "operator": "equals", "value": rng.choice(("Gold", "Silver", "Bronze"))},
    }
    return {
        "definition": {"condition_groups": [{"conditions": [condition]}]},
        "is_active": rng.random() < 0.9,
        "is_processing": False,
        "is_starred": rng.random() < 0.2,
    }
