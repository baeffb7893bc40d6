"""The seeded account: the same seed and numbers give the same account, byte for byte.

Everything in it lies in the two years before ``END``; what is written later bears the real time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.resources.catalogue import SHELVES
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.campaigns import campaigns
from klaviyo_sandbox.account.seeded.consents import with_consents
from klaviyo_sandbox.account.seeded.events import events, metrics
from klaviyo_sandbox.account.seeded.flows import Account, flows
from klaviyo_sandbox.account.seeded.mailings import Mailings, of_a_deleted_flow, of_campaigns, of_flows
from klaviyo_sandbox.account.seeded.profiles import profiles
from klaviyo_sandbox.account.seeded.tags import Tagger, tag_groups, tags
from klaviyo_sandbox.account.seeded.templates import templates
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.spec.times import format_datetime

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
    store, numbers = Store(clock), numbers_of(seed)
    rows = profiles(numbers("profiles"), profile_count, START, END)
    mailings = furnish(store, numbers, rows)
    last_seen: dict[str, str] = {}
    if rows:
        known = list(store.metrics.rows.values())
        made = events(numbers("events"), event_count, rows, known, mailings, END)
        store.events = Table(made.rows)
        store.attributions = made.attributions
        last_seen = made.last_seen
    consents, list_ids = numbers("consents"), list(store.lists.rows)
    for row in rows:
        row = with_consents(consents, row, list_ids, END)
        store.put_profile({**row, "last_event_date": last_seen.get(row["id"])})
    fill_shelves(store, numbers)
    return store


def numbers_of(seed: int) -> Callable[[str], random.Random]:
    """Each part draws from its own numbers, so more events do not change the profiles."""
    return lambda part: random.Random(f"{seed} {part}")


def furnish(store: Store, numbers: Callable[[str], random.Random], rows: Sequence[Row]) -> Mailings:
    """Fill in all but profiles (``rows``), events and shelves; what was sent."""
    store.accounts = Table([_account(numbers("account"))])
    store.metrics = Table(metrics(numbers("metrics"), START))
    _fill_groups(store, numbers, rows)
    return _fill_messaging(store, numbers)


def fill_shelves(store: Store, numbers: Callable[[str], random.Random]) -> None:
    """Fill in what nobody writes; some of it belongs to profiles and events, so these come first."""
    for shelf in SHELVES:
        store.relations.update(shelf.RELATIONS)
        store.resources.update(shelf.rows(store, numbers, START, END))


def _fill_groups(store: Store, numbers: Callable[[str], random.Random], rows: Sequence[Row]) -> None:
    store.tag_groups = Table(tag_groups(numbers("tag groups")))
    store.tags = Table(tags(numbers("tags"), list(store.tag_groups.rows.values())))
    groups, tagger = numbers("groups"), _tagger(store, numbers("tagged groups"))
    lists, store.list_members = _groups(groups, _LISTS, rows, _list_attributes)
    segments, store.segment_members = _groups(groups, _SEGMENTS, rows, _segment_attributes)
    store.lists = Table(map(tagger.tagged, lists))
    store.segments = Table(map(tagger.tagged, segments))


def _fill_messaging(store: Store, numbers: Callable[[str], random.Random]) -> Mailings:
    """Templates, campaigns and flows; what was sent of them."""
    store.templates = Table(templates(numbers("templates"), START, END))
    list_ids, segment_ids, template_ids = list(store.lists.rows), list(store.segments.rows), list(store.templates.rows)
    sent, texts = campaigns(
        numbers("campaigns"),
        _tagger(store, numbers("tagged campaigns")),
        [*list_ids, *segment_ids],
        template_ids,
        (START, END),
    )
    store.campaigns, store.campaign_messages = Table(sent), Table(texts)
    referred = Account(list_ids, segment_ids, list(store.metrics.rows), template_ids)
    made = flows(numbers("flows"), _tagger(store, numbers("tagged flows")), referred, START, END)
    store.flows, store.flow_actions, store.flow_messages = map(Table, (made.flows, made.actions, made.messages))
    return Mailings(
        [
            *of_campaigns(sent, store.campaign_messages.rows),
            *of_flows(store.flows.rows, made.actions, store.flow_messages.rows),
            *of_a_deleted_flow(numbers("deleted flow"), START),
        ]
    )


def _tagger(store: Store, rng: random.Random) -> Tagger:
    return Tagger(rng, store.tag_groups.rows.values(), list(store.tags.rows.values()))


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
) -> tuple[list[Row], dict[str, Table]]:
    """Lists or segments and their members; the last of them is empty."""
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
        made.append({"id": row["id"], "joined_group_at": format_datetime(joined)})
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
