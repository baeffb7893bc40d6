"""The seeded account: the same seed and numbers give the same account, byte for byte.

Everything in it lies in the two years before ``END``; what is written later bears the real time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.filters import moment
from klaviyo_sandbox.ids import short_id
from klaviyo_sandbox.seeded_events import events, metrics
from klaviyo_sandbox.seeded_profiles import profiles
from klaviyo_sandbox.store import Row, Store, Table

END = datetime(2026, 6, 1, tzinfo=UTC)
START = END - timedelta(days=730)

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


def build(seed: int, profile_count: int, event_count: int, clock: Callable[[], float]) -> Store:
    """The account that belongs to a seed. Without profiles it has no events."""
    # Each part draws from its own numbers, so more events do not change the profiles.
    store = Store(clock)
    store.accounts = Table([_account(random.Random(f"{seed} account"))])
    rows = profiles(random.Random(f"{seed} profiles"), profile_count, START, END)
    store.metrics = Table(metrics(random.Random(f"{seed} metrics"), START))
    last_seen: dict[str, str] = {}
    if rows:
        made = events(random.Random(f"{seed} events"), event_count, rows, list(store.metrics.rows.values()), END)
        store.events = Table(made.rows)
        store.attributions = made.attributions
        last_seen = made.last_seen
    groups = random.Random(f"{seed} groups")
    store.lists, store.list_members = _groups(groups, _LISTS, rows, _list_attributes)
    store.segments, store.segment_members = _groups(groups, _SEGMENTS, rows, _segment_attributes)
    list_ids = list(store.lists.rows)
    for row in rows:
        store.put_profile({**_with_list_suppressions(row, list_ids), "last_event_date": last_seen.get(row["id"])})
    return store


def _account(rng: random.Random) -> Row:
    return {
        "id": short_id(rng),
        "test_account": True,
        "contact_information": {
            "default_sender_name": "Sandbox Store",
            "default_sender_email": "hello@example.com",
            "website_url": "https://www.example.com",
            "organization_name": "Sandbox Store",
            "street_address": {
                "address1": "1 Example Street",
                "address2": None,
                "city": "Boston",
                "region": "MA",
                "country": "United States",
                "zip": "02110",
            },
        },
        "industry": "Software / SaaS",
        "timezone": "America/New_York",
        "preferred_currency": "USD",
        "public_api_key": short_id(rng),
        "locale": "en-US",
    }


def _groups(
    rng: random.Random,
    names: Sequence[str],
    rows: Sequence[Row],
    attributes: Callable[[random.Random], dict[str, Any]],
) -> tuple[Table, dict[str, Table]]:
    """Lists or segments and their members; the last of them is empty."""
    groups: list[Row] = []
    members: dict[str, Table] = {}
    for name in names:
        created = START + timedelta(seconds=rng.randrange(86_400 * 60))
        updated = created + timedelta(seconds=rng.randrange(int((END - created).total_seconds())))
        group = {
            "id": short_id(rng),
            "name": name,
            "created": moment(created),
            "updated": moment(updated),
            **attributes(rng),
        }
        share = 0.0 if name == names[-1] else rng.choice((0.02, 0.1, 0.3, 0.6))
        groups.append(group)
        members[group["id"]] = Table(_members(rng, share, rows))
    return Table(groups), members


def _members(rng: random.Random, share: float, rows: Sequence[Row]) -> list[Row]:
    made: list[Row] = []
    # Some groups are filled in one go, so that many members joined in the same second.
    together = END - timedelta(days=rng.randrange(1, 90)) if rng.random() < 0.3 else None
    for row in rows:
        if rng.random() >= share:
            continue
        created = datetime.fromisoformat(row["created"])
        joined = created + timedelta(seconds=rng.randrange(int((END - created).total_seconds())))
        if together is not None and together > created:
            joined = together
        made.append({"id": row["id"], "joined_group_at": moment(joined)})
    return made


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


def _with_list_suppressions(row: Row, list_ids: Sequence[str]) -> Row:
    """The profile with its list suppressions on real lists: they were drawn as positions."""
    marketing = row["subscriptions"]["email"]["marketing"]
    suppressions = [{**entry, "list_id": list_ids[entry["list_id"]]} for entry in marketing["list_suppressions"]]
    marketing = {**marketing, "list_suppressions": suppressions}
    email = {**row["subscriptions"]["email"], "marketing": marketing}
    return {**row, "subscriptions": {**row["subscriptions"], "email": email}}
