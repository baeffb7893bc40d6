"""The parts of an account that seeded and procedural accounts share: settings, groups, tags, campaigns and flows.

The same seed gives the same, byte for byte. All of it lies in the two years before ``END``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from klaviyo_sandbox.account.ids import short_id
from klaviyo_sandbox.account.rows import Row
from klaviyo_sandbox.account.seeded.campaigns import campaigns
from klaviyo_sandbox.account.seeded.events import metrics
from klaviyo_sandbox.account.seeded.flows import FlowReferences, flows
from klaviyo_sandbox.account.seeded.groups import lists, segments
from klaviyo_sandbox.account.seeded.mailings import Mailings, campaign_mailings, deleted_mailings, flow_mailings
from klaviyo_sandbox.account.seeded.tags import Tagger, tag_groups, tags
from klaviyo_sandbox.account.seeded.templates import templates
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.account.table import Table


def rng_factory(seed: int) -> Callable[[str], random.Random]:
    """Part of an account -> random numbers of its own, so that more events do not change the profiles."""
    return lambda part: random.Random(f"{seed} {part}")


def fill_common(store: Store, rng_for: Callable[[str], random.Random], rows: Sequence[Row]) -> Mailings:
    """Fill in all but profiles (which are ``rows``), events and resources; returns what was sent."""
    store.accounts = Table([_account(rng_for("account"))])
    store.metrics = Table(metrics(rng_for("metrics"), START))
    _fill_groups(store, rng_for, rows)
    return _fill_messaging(store, rng_for)


def _fill_groups(store: Store, rng_for: Callable[[str], random.Random], rows: Sequence[Row]) -> None:
    store.tag_groups = Table(tag_groups(rng_for("tag groups")))
    store.tags = Table(tags(rng_for("tags"), list(store.tag_groups.rows.values())))
    rng, tagger = rng_for("groups"), _tagger(store, rng_for("tagged groups"))
    list_rows, store.list_members = lists(rng, rows)
    segment_rows, store.segment_members = segments(rng, rows)
    store.lists = Table(map(tagger.with_tags, list_rows))
    store.segments = Table(map(tagger.with_tags, segment_rows))


def _fill_messaging(store: Store, rng_for: Callable[[str], random.Random]) -> Mailings:
    """Fill in templates, campaigns and flows; returns what was sent."""
    store.templates = Table(templates(rng_for("templates"), START, END))
    list_ids, segment_ids, template_ids = list(store.lists.rows), list(store.segments.rows), list(store.templates.rows)
    campaign_rows, message_rows = campaigns(
        rng_for("campaigns"),
        _tagger(store, rng_for("tagged campaigns")),
        [*list_ids, *segment_ids],
        template_ids,
        (START, END),
    )
    store.campaigns, store.campaign_messages = Table(campaign_rows), Table(message_rows)
    references = FlowReferences(list_ids, segment_ids, list(store.metrics.rows), template_ids)
    generated = flows(rng_for("flows"), _tagger(store, rng_for("tagged flows")), references, START, END)
    store.flows, store.flow_actions, store.flow_messages = map(
        Table, (generated.flows, generated.actions, generated.messages)
    )
    return Mailings(
        [
            *campaign_mailings(campaign_rows, store.campaign_messages.rows),
            *flow_mailings(store.flows.rows, generated.actions, store.flow_messages.rows),
            *deleted_mailings(rng_for("deleted mailings"), START),
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
                "address2": "2. Etage",
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
