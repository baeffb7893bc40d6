from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import phonenumbers
import pytest

from klaviyo_sandbox.account.build import build
from klaviyo_sandbox.account.seeded.times import END, START
from klaviyo_sandbox.account.store import Store

TABLES = (
    *("accounts", "profiles", "lists", "segments", "metrics", "events", "tags", "tag_groups", "templates"),
    *("campaigns", "campaign_messages", "flows", "flow_actions", "flow_messages"),
)


@pytest.fixture(scope="module")
def store() -> Store:
    return build(1, 2000, 4000, time.time)


def written_out(store: Store) -> str:
    groups = {**store.list_members, **store.segment_members}
    tables = {name: getattr(store, name).rows for name in TABLES} | {name: table.rows for name, table in groups.items()}
    return json.dumps({**tables, "attributions": store.attributions})


def test_what_the_page_says_of_the_account_is_so() -> None:
    """Where its events end, which list takes an address at once, and what the numbers of the command change."""
    page = (Path(__file__).parents[2] / "docs" / "start" / "sandbox.md").read_text()
    assert "--profiles 500 --events 3000 --seed 42" in page
    day = re.search(r"Made-up events end on ([\d-]+)\.", page)[1]
    ids = []
    for profiles in (500, 500, 400):
        store = build(42, profiles, 3000, time.time)
        assert max(row["datetime"] for row in store.events.rows.values())[:10] == day
        (newsletter,) = [row for row in store.lists.rows.values() if row["name"] == "Newsletter"]
        assert newsletter["opt_in_process"] == "single_opt_in"
        ids.append(sorted(store.profiles.rows))
    assert ids[0] == ids[1] != ids[2]


def test_same_seed_same_account():
    """The same seed and numbers give the same account byte for byte, another seed gives another one."""
    first, second = (build(7, 80, 200, clock) for clock in (time.time, lambda: 1.0))
    assert written_out(first) == written_out(second)
    assert written_out(build(8, 80, 200, time.time)) != written_out(first)


def test_more_events_leave_the_profiles_alone():
    """The profiles, campaigns and flows of a seed stay as they are when the account is asked to hold more events."""
    few, many = (build(7, 50, events, time.time) for events in (0, 300))
    assert list(few.profiles.rows) == list(many.profiles.rows)
    assert few.campaigns.rows == many.campaigns.rows
    assert few.flow_actions.rows == many.flow_actions.rows
    assert [row["email"] for row in few.profiles.rows.values()] == [row["email"] for row in many.profiles.rows.values()]


def test_everything_lies_before_the_end(store):
    """All seeded times lie within the two years before the account's clock, and nothing was updated before it began."""
    first, last = START.isoformat(), END.isoformat()
    for row in store.profiles.rows.values():
        assert first <= row["created"] <= row["updated"] < last
    for row in [*store.lists.rows.values(), *store.segments.rows.values()]:
        assert first <= row["created"] <= row["updated"] < last
    assert all(first <= row["datetime"] < last for row in store.events.rows.values())


def test_people_do_not_exist_but_their_numbers_are_valid(store):
    """Mail domains and phone numbers are reserved ones, each given once, and every phone number is valid E.164."""
    rows = store.profiles.rows.values()
    phones = [row["phone_number"] for row in rows if row["phone_number"]]
    emails = [row["email"] for row in rows if row["email"]]
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(phone)) and phone[5:10] == "55501" for phone in phones)
    assert {email.partition("@")[2] for email in emails} == {"example.com", "example.org", "example.net"}
    assert len(set(phones)) == len(phones)
    assert len(set(emails)) == len(emails)


def test_profiles_are_as_mixed_as_real_ones(store):
    """There are profiles without an address, equal `updated` seconds, coordinates as text, numbers and nulls."""
    rows = list(store.profiles.rows.values())
    assert any(row["phone_number"] and not row["email"] for row in rows)
    assert max(Counter(row["updated"] for row in rows).values()) > 20
    assert {type(row["location"]["latitude"]) for row in rows} == {float, str, type(None)}
    assert any(not name.isascii() for row in rows for name in [row["first_name"] or ""])
    assert any(name.startswith("$") for row in rows for name in row["properties"])
    marketing = [row["subscriptions"]["email"]["marketing"] for row in rows]
    assert any(entry["suppression"] for entry in marketing)
    assert all(s["list_id"] in store.lists for entry in marketing for s in entry["list_suppressions"])


def test_groups_need_paging_and_one_is_empty(store):
    """There are more lists and segments than fit a page, and the last of each has no members."""
    for groups, members in ((store.lists, store.list_members), (store.segments, store.segment_members)):
        assert len(groups) == 12
        assert Counter(len(table) for table in members.values())[0] == 1


def test_events_share_seconds_and_belong_to_known_profiles_and_metrics(store):
    """Some seconds hold several events; every event's profile and metric is in the account; ids sort alike anywhere."""
    events = store.events.rows.values()
    assert max(Counter(row["timestamp"] for row in events).values()) > 1
    assert {row["profile_id"] for row in events} <= store.profiles.rows.keys()
    assert {row["metric_id"] for row in events} == store.metrics.rows.keys()
    assert all(row["id"].isalnum() and row["id"] == row["id"].upper() for row in events)
    assert store.attributions


def test_an_account_without_profiles_is_empty():
    """No profiles means no events and no members, and still lists, segments, metrics, campaigns and flows."""
    store = build(1, 0, 100, time.time)
    assert not len(store.profiles)
    assert not len(store.events)
    assert len(store.lists) == 12
    assert len(store.campaigns) == 30
    assert len(store.flows) == 12
