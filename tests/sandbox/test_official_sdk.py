"""The vendor's own client, which knows nothing of this project, takes the sandbox for Klaviyo."""

from __future__ import annotations

import pytest
from support.official import pages, to_dict, wait_for_job

from klaviyo_sandbox.account.relations import related_identities, table_of


@pytest.fixture(scope="module")
def readers(make_shared_sandbox, official):
    sandbox = make_shared_sandbox(profiles=130, events=400, limits=False)
    with official.client(sandbox) as api:
        yield api, sandbox


@pytest.fixture
def writers(make_sandbox, official):
    sandbox = make_sandbox(limits=False, job_seconds=0.1)
    with official.client(sandbox) as api:
        yield api, sandbox


def test_it_reads_profiles_page_by_page(readers):
    """Every profile comes once, subscriptions included when they are asked for."""
    api, sandbox = readers
    found = [
        row
        for page in pages(api.Profiles.get_profiles, page_size=50, additional_fields_profile=["subscriptions"])
        for row in page["data"]
    ]
    assert [row["id"] for row in found] == sorted(sandbox.store.profiles.rows)
    assert all(row["attributes"]["subscriptions"]["email"]["marketing"]["consent"] for row in found)


def test_it_reads_lists_page_by_page(readers):
    """Lists come ten a page, and their members with the time they joined."""
    api, sandbox = readers
    found = [len(page["data"]) for page in pages(api.Lists.get_lists)]
    assert found == [10, 2]
    list_id, members = max(sandbox.store.list_members.items(), key=lambda item: len(item[1]))
    rows = [row for page in pages(lambda **a: api.Lists.get_profiles_for_list(list_id, **a)) for row in page["data"]]
    assert {row["id"] for row in rows} == set(members.rows)


def test_a_next_link_is_a_cursor_to_it(readers):
    """The SDK cuts the cursor out of a whole link, an equals sign before it, which Klaviyo takes all the same."""
    api, sandbox = readers
    link = to_dict(api.Lists.get_lists())["links"]["next"].replace("http://", "https://")
    assert len(to_dict(api.Lists.get_lists(page_cursor=link))["data"]) == 2
    assert sandbox.requests[-1].query["page[cursor]"].startswith("=")


def test_it_reads_events_page_by_page(readers):
    """Events come in order of time with their metric and profile."""
    api, sandbox = readers
    text = "greater-than(datetime,2025-01-01T00:00:00Z)"
    arguments = {"filter": text, "include": ["metric", "profile"], "page_size": 100, "sort": "datetime"}
    rows = [row for page in pages(api.Events.get_events, **arguments) for row in page["data"]]
    expected = [row for row in sandbox.store.events.rows.values() if row["datetime"] > "2025-01-01T00:00:00+00:00"]
    assert {row["id"] for row in rows} == {row["id"] for row in expected}
    times = [row["attributes"]["timestamp"] for row in rows]
    assert times == sorted(times)


def test_it_reads_campaigns_page_by_page(readers, official):
    """Campaigns come with their messages and tags: those of a channel, or all where a revision knows no such filter."""
    api, sandbox = readers
    is_july = official.revision == "2026-07-15"
    channels = ("email", "sms", "mobile_push") if is_july else (None,)
    kind = "campaign" if is_july else "omni-campaign"
    for channel in channels:
        of_channel = f"equals(messages.channel,'{channel}')," if channel else ""
        text = f"{of_channel}equals(archived,false)"
        arguments = {"filter": text, "include": ["campaign-messages", "tags"], "page_size": 5, "sort": "-created_at"}
        read = list(pages(api.Campaigns.get_campaigns, **arguments))
        expected = [
            row
            for row in table_of(sandbox.store, kind).rows.values()
            if not row["archived"] and (channel is None or channel == row["messages"]["channel"])
        ]
        assert [row["id"] for page in read for row in page["data"]] == [
            row["id"] for row in sorted(expected, key=lambda row: row["created_at"], reverse=True)
        ]
        included = {entry["id"] for page in read for entry in page["included"]}
        messages = [it for row in expected for it in related_identities(sandbox.store, kind, row, "campaign-messages")]
        assert {row_id for _, row_id in messages} <= included


def test_it_reads_flows_page_by_page(readers):
    """Flows come with their actions, and the messages of an action by its id."""
    api, sandbox = readers
    query = {"include": ["flow-actions", "tags"], "page_size": 5}
    read = list(pages(api.Flows.get_flows, **query))
    unarchived = sorted(row["id"] for row in sandbox.store.flows.rows.values() if not row["archived"])
    assert [row["id"] for page in read for row in page["data"]] == unarchived
    read += pages(api.Flows.get_flows, filter="equals(archived,true)", **query)
    assert {row["id"] for page in read for row in page["data"]} == sandbox.store.flows.rows.keys()
    included = {entry["id"] for page in read for entry in page["included"]}
    assert sandbox.store.flow_actions.rows.keys() <= included
    action = next(row for row in sandbox.store.flow_actions.rows.values() if row["message_ids"])
    messages = to_dict(api.Flows.get_flow_action_messages(action["id"]))["data"]
    assert [row["id"] for row in messages] == action["message_ids"]


def test_it_reads_tags_page_by_page(readers):
    """Tags come in order of their names, each with its group."""
    api, sandbox = readers
    rows = [row for page in pages(api.Tags.get_tags, page_size=3, sort="name") for row in page["data"]]
    names = [tag["name"] for tag in sandbox.store.tags.rows.values()]
    assert [row["attributes"]["name"] for row in rows] == sorted(names)
    assert to_dict(api.Tags.get_tag(rows[0]["id"], include=["tag-group"]))["included"]


def test_it_writes_a_profile(writers):
    """A profile that it creates or updates is in the account."""
    api, sandbox = writers
    body = {"data": {"type": "profile", "attributes": {"email": "sdk@example.com", "properties": {"n": 1}}}}
    written = to_dict(api.Profiles.create_or_update_profile(body))
    assert sandbox.store.find_profile_id("email", "sdk@example.com") == written["data"]["id"]


def test_it_writes_an_import_job_and_waits_for_it(writers):
    """A job that it spawns is polled to its end, and what failed is read."""
    api, sandbox = writers
    for attributes in ({"email": "a@example.com"}, {"external_id": "b"}):
        api.Profiles.create_or_update_profile({"data": {"type": "profile", "attributes": attributes}})
    rows = [{"email": f"bulk{number}@example.com"} for number in range(5)]
    rows.append({"email": "a@example.com", "external_id": "b"})
    profiles = [{"type": "profile", "attributes": row} for row in rows]
    body = {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}}
    job_id = to_dict(api.Profiles.bulk_import_profiles(body))["data"]["id"]
    attributes = wait_for_job(api.Profiles.get_bulk_import_profiles_job, job_id)
    assert (attributes["completed_count"], attributes["failed_count"]) == (5, 1)
    errors = to_dict(api.Profiles.get_errors_for_bulk_import_profiles_job(job_id))["data"]
    assert [error["attributes"]["original_payload"] for error in errors] == [rows[-1]]
    assert sandbox.store.find_profile_id("email", "bulk4@example.com")
