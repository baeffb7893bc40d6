"""The vendor's own client, which knows nothing of this project, takes the sandbox for Klaviyo."""

from __future__ import annotations

import time

import pytest
import urllib3
from klaviyo_api import KlaviyoAPI
from support.calls import KEY, cursor_of


def official(sandbox):
    """The SDK, pointed at a sandbox, with its second hidden layer of retries off."""
    api = KlaviyoAPI(KEY, max_delay=1, max_retries=1, test_host=sandbox.url)
    manager = api.api_client.rest_client.pool_manager
    manager.connection_pool_kw["retries"] = urllib3.Retry(0, respect_retry_after_header=False, raise_on_status=False)
    return api, manager


@pytest.fixture(scope="module")
def readers(make_shared_sandbox):
    sandbox = make_shared_sandbox(profiles=130, events=400, limits=False)
    api, manager = official(sandbox)
    yield api, sandbox
    manager.clear()


@pytest.fixture
def writers(make_sandbox):
    sandbox = make_sandbox(limits=False, job_seconds=0.1)
    api, manager = official(sandbox)
    yield api, sandbox
    manager.clear()


def plain(document):
    return document if isinstance(document, dict) else document.to_dict()


def pages(read, **arguments):
    """Every page. The SDK only takes a cursor out of an https link, so it gets the bare cursor."""
    cursor = None
    while True:
        document = plain(read(**arguments, **({"page_cursor": cursor} if cursor else {})))
        yield document
        link = document.get("links", {}).get("next")
        if not link:
            return
        cursor = cursor_of(link)


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


def test_it_writes_a_profile(writers):
    """A profile that it creates or updates is in the account."""
    api, sandbox = writers
    body = {"data": {"type": "profile", "attributes": {"email": "sdk@example.com", "properties": {"n": 1}}}}
    written = plain(api.Profiles.create_or_update_profile(body))
    assert sandbox.store.identified_by("email", "sdk@example.com") == written["data"]["id"]


def test_it_writes_an_import_job_and_waits_for_it(writers):
    """A job that it spawns is polled to its end, and what failed is read."""
    api, sandbox = writers
    for attributes in ({"email": "a@example.com"}, {"external_id": "b"}):
        api.Profiles.create_or_update_profile({"data": {"type": "profile", "attributes": attributes}})
    rows = [{"email": f"bulk{number}@example.com"} for number in range(5)]
    rows.append({"email": "a@example.com", "external_id": "b"})
    profiles = [{"type": "profile", "attributes": row} for row in rows]
    body = {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}}
    job_id = plain(api.Profiles.bulk_import_profiles(body))["data"]["id"]
    deadline = time.monotonic() + 10
    status = None
    while str(getattr(status, "value", status)) != "complete":
        assert time.monotonic() < deadline
        attributes = plain(api.Profiles.get_bulk_import_profiles_job(job_id))["data"]["attributes"]
        status = attributes["status"]
        time.sleep(0.02)
    assert (attributes["completed_count"], attributes["failed_count"]) == (5, 1)
    errors = plain(api.Profiles.get_errors_for_bulk_import_profiles_job(job_id))["data"]
    assert [error["attributes"]["original_payload"] for error in errors] == [rows[-1]]
    assert sandbox.store.identified_by("email", "bulk4@example.com")
