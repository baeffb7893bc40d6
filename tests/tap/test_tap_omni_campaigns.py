"""An account with campaigns of every channel, and of several at once: what the tables of each revision have of it."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable, KeysView
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tap_support import Run, config, discovered, run_tap, run_tap_until, select

from klaviyo_sandbox import Exchange, RunningSandbox
from klaviyo_sandbox.account import changes
from klaviyo_sandbox.account.store import Store
from tap_klaviyo.tables import campaigns, omni_campaigns

OMNI = tuple(table.name for table in omni_campaigns.TABLES)
JULY = tuple(table.name for table in campaigns.TABLES)
MESSAGE, VARIATION = "omni-campaign-message", "campaign-variation"
OWN_CHANNELS = {"email": "email", "sms": "sms", "mobile_push": "push"}
Make = Callable[..., RunningSandbox]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Make) -> RunningSandbox:
    return make_shared_sandbox(profiles=20, events=0, seed=3, limits=False)


@pytest.fixture(scope="module")
def asked(account: RunningSandbox) -> list[tuple[str, str]]:
    """(operation, revision) of every request about campaigns; added to."""
    seen: list[tuple[str, str]] = []
    observe = account._sandbox._observer

    def note(exchange: Exchange) -> None:
        seen.append((str(exchange.operation), exchange.request_headers["revision"]))
        if observe is not None:
            observe(exchange)

    account._sandbox._observer = note
    return seen


@pytest.fixture(scope="module")
def run(account: RunningSandbox, asked: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of all tables of campaigns, old and new."""
    assert asked == []
    catalog = select(discovered(), dict.fromkeys((*OMNI, *JULY)))
    found = run_tap(tmp_path_factory.mktemp("omni"), config(account), catalog=catalog)
    assert found.code == 0, found.errors
    assert found.said("WARNING", "ERROR") == []
    return found


def channels_of(store: Store) -> dict[str, set[str]]:
    """Campaign id -> the channels that its variations have."""
    found: dict[str, set[str]] = defaultdict(set)
    for variation in store.resources[VARIATION].rows.values():
        message = store.resources[MESSAGE].rows[variation["message_id"]]
        found[message["campaign_id"]].add(variation["definition"]["details"]["channel"])
    return dict(found)


def rows_of(sandbox: RunningSandbox, kind: str) -> KeysView[str]:
    """The ids that the account has of a type."""
    return sandbox.store.resources[kind].rows.keys()


def by_key(run: Run, stream: str, key: str) -> dict[str, dict[str, Any]]:
    """The stream's rows, each of which came once."""
    found = {row[key]: row for row in run.rows(stream)}
    assert len(found) == len(run.rows(stream))
    return found


def test_campaigns_of_every_channel_are_read(run: Run, account: RunningSandbox) -> None:
    """Also those of WhatsApp, and of two channels and more, archived or not: each with the channels it has."""
    expected = channels_of(account.store)
    kinds = {frozenset(channels) for channels in expected.values()}
    assert {frozenset([name]) for name in ("email", "sms", "push", "whatsapp")} < kinds
    assert max(map(len, kinds)) == 4
    campaign_rows = by_key(run, "omni_campaigns", "campaign_id")
    assert campaign_rows.keys() == expected.keys()
    assert {row["archived"] for row in campaign_rows.values()} == {True, False}
    read: dict[str, set[str]] = defaultdict(set)
    for row in run.rows("campaign_variations"):
        read[row["campaign_id"]].add(row["channel"])
    assert read == expected


def test_tables_of_july_have_those_that_july_can_show(run: Run, account: RunningSandbox) -> None:
    """One channel, and not WhatsApp; they are the same campaigns in both."""
    shown = {
        campaign_id
        for campaign_id, channels in channels_of(account.store).items()
        if len(channels) == 1 and "whatsapp" not in channels
    }
    old = by_key(run, "campaigns", "campaign_id")
    new = by_key(run, "omni_campaigns", "campaign_id")
    assert old.keys() == shown
    assert old.keys() < new.keys()
    for name in ("name", "archived", "created_at", "updated_at"):
        assert {key: row[name] for key, row in old.items()} == {key: new[key][name] for key in old}
    variations = {row["campaign_id"]: row["channel"] for row in run.rows("campaign_variations")}
    assert {key: OWN_CHANNELS[row["channel"]] for key, row in old.items()} == {key: variations[key] for key in old}


def test_parts_agree_with_those_of_july(run: Run) -> None:
    """Tags, groups and subjects of what both can show; a test's messages of July are variations of one message."""
    old = {row["campaign_id"] for row in run.rows("campaigns")}

    def pairs(stream: str, *names: str, **having: str) -> list[tuple[Any, ...]]:
        rows = [row for row in run.rows(stream) if row[names[0]] in old]
        return sorted(tuple(row[name] for name in names) for row in rows if having.items() <= row.items())

    assert pairs("omni_campaign_tags", "campaign_id", "tag_id") == pairs("campaign_tags", "campaign_id", "tag_id")
    for side in ("included", "excluded"):
        groups = pairs("campaign_audience_groups", "campaign_id", "group_id", side=side)
        assert groups == pairs(f"campaign_audiences_{side}", "campaign_id", "audience_id")
    mails = [
        (row["campaign_id"], row["subject"]) for row in run.rows("campaign_variations") if row["channel"] == "email"
    ]
    subjects = [
        (row["campaign_data_id"], row["content_subject"] or "")
        for row in run.rows("campaign_messages")
        if row["channel"] == "email"
    ]
    assert sorted(mail for mail in mails if mail[0] in old) == sorted(subjects)
    tests = {row["campaign_id"] for row in run.rows("omni_campaign_messages") if row["is_ab_test"]} & old
    assert tests == {
        row["campaign_id"] for row in run.rows("campaigns") if row["send_strategy_method"] == "ab_test_campaign"
    }


def test_each_table_is_asked_for_in_its_revision(run: Run, asked: list[tuple[str, str]]) -> None:
    """Old tables in July's, new ones in October's; variations come with the pages of messages."""
    assert run.code == 0
    assert {entry for entry in asked if "campaign" in entry[0]} == {
        ("get_campaigns", "2026-07-15"),
        ("get_messages_for_campaign", "2026-07-15"),
        ("get_campaigns@2026-10-15", "2026-10-15"),
        ("get_campaign_messages", "2026-10-15"),
    }


def test_only_messages_that_changed_come_again(make_sandbox: Make, tmp_path: Path) -> None:
    """Campaigns and variations come all, for a tag or a text may move no time, unless the user says otherwise."""
    sandbox = make_sandbox(profiles=5, events=0, seed=3, limits=False)
    catalog = select(discovered(), dict.fromkeys(OMNI))
    first = run_tap(tmp_path, config(sandbox), catalog=catalog)
    messages = [row["campaign_message_id"] for row in first.rows("omni_campaign_messages")]
    store = sandbox.store
    with store.lock:
        latest = max(messages, key=lambda key: store.resources[MESSAGE].rows[key]["updated"])
        changed = next(key for key in messages if key != latest)
        changes.edit(store, MESSAGE, changed)
        variation_id, row = next(iter(store.resources[VARIATION].rows.items()))
        store.resources[VARIATION].put({**row, "definition": {**row["definition"], "name": "Renamed"}})
    second = run_tap(tmp_path, config(sandbox), catalog=catalog, state=first.state)
    assert second.code == 0, second.errors
    assert by_key(second, "omni_campaign_messages", "campaign_message_id").keys() == {latest, changed}
    assert len(second.rows("omni_campaigns")) == len(first.rows("omni_campaigns"))
    assert by_key(second, "campaign_variations", "campaign_variation_id")[variation_id]["name"] == "Renamed"
    third = run_tap(tmp_path, config(sandbox, reread=[]), catalog=catalog, state=first.state)
    assert {row["campaign_message_id"] for row in third.rows("campaign_variations")} == {latest, changed}
    assert len(third.rows("omni_campaigns")) < len(first.rows("omni_campaigns"))


def test_a_run_that_is_ended_goes_on_from_its_state(make_sandbox: Make, tmp_path: Path) -> None:
    """In the middle of some pages of messages: the run and the next one have all of them."""
    sandbox = make_sandbox(profiles=5, events=0, seed=3, limits=False)
    table = sandbox.store.resources[MESSAGE]
    row = next(iter(table.rows.values()))
    for number in range(250):
        table.put(
            {
                **row,
                "id": f"{row['id'][:-4]}{number:04}",
                "updated": f"2026-05-01T00:{number // 60:02}:{number % 60:02}+00:00",
            }
        )
    catalog = select(discovered(), {"omni_campaign_messages": None})
    first = run_tap_until(
        tmp_path,
        config(sandbox),
        catalog,
        lambda message: message["type"] == "RECORD",
        lambda tap: tap.send_signal(signal.SIGTERM),
    )
    assert first.code != 0
    second = run_tap(tmp_path, config(sandbox), catalog=catalog, state=first.state)
    assert second.code == 0, second.errors
    read = {message["campaign_message_id"] for run in (first, second) for message in run.rows("omni_campaign_messages")}
    assert read == table.rows.keys()


def test_a_refused_include_costs_a_request_for_each_message(make_sandbox: Make, tmp_path: Path) -> None:
    """Klaviyo's SDK does not know the include of variations: where it is a 400, each message is asked for its own."""
    sandbox = make_sandbox(profiles=5, events=0, seed=3, limits=False)
    facts = sandbox._sandbox._facts
    known = facts.operations["get_campaign_messages"]
    include = {**known.parameters["include"], "schema": {"items": {"enum": ["campaign"]}}}
    without = replace(known, parameters={**known.parameters, "include": include})
    sandbox._sandbox._facts = replace(facts, operations={**facts.operations, known.id: without})
    catalog = select(discovered(), dict.fromkeys(("campaign_variations", "omni_campaign_messages")))
    run = run_tap(tmp_path, config(sandbox), catalog=catalog)
    assert run.code == 0, run.errors
    assert len(run.said("WARNING")) == 1
    for stream, kind in (("omni_campaign_messages", MESSAGE), ("campaign_variations", VARIATION)):
        assert by_key(run, stream, f"{kind.removeprefix('omni-').replace('-', '_')}_id").keys() == rows_of(
            sandbox, kind
        )
    assert all(row["campaign_id"] and row["channel"] for row in run.rows("campaign_variations"))
    asked = [request.operation for request in sandbox.requests]
    assert asked.count("get_variations_for_campaign_message") == len(rows_of(sandbox, MESSAGE))
