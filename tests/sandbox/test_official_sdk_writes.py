"""The vendor's own client writes to the sandbox, and reads back what it wrote."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.official import to_dict, wait_for_job

WHO = {"email": "sdk@example.com"}


@pytest.fixture
def api(make_sandbox, official):
    """The SDK, pointed at a small account."""
    with official.client(make_sandbox(limits=False, job_seconds=0.1)) as api:
        yield api


def profile(attributes=WHO, **more):
    return {"type": "profile", "attributes": attributes, **more}


def event(**more):
    return {"properties": {"n": 1}, "metric": {"data": {"type": "metric", "attributes": {"name": "Tried On"}}}, **more}


def found(api, email=WHO["email"]):
    """The profiles with an address."""
    asked = {"filter": f'equals(email,"{email}")', "additional_fields_profile": ["subscriptions"]}
    return to_dict(api.Profiles.get_profiles(**asked))["data"]


def events_of(api, profile_id):
    return to_dict(api.Events.get_events(filter=f'equals(profile_id,"{profile_id}")'))["data"]


def marketing(api):
    return found(api)[0]["attributes"]["subscriptions"]["email"]["marketing"]


def test_it_creates_and_updates_a_profile(api):
    """A profile that it makes can be changed by its id."""
    made = to_dict(api.Profiles.create_profile({"data": profile()}))["data"]
    change = {"data": profile({"title": "Dr."}, id=made["id"])}
    assert to_dict(api.Profiles.update_profile(made["id"], change))["data"]["id"] == made["id"]
    assert [row["attributes"]["title"] for row in found(api)] == ["Dr."]


def test_it_writes_an_event(api):
    """An event that it creates can be read with its value."""
    attributes = event(unique_id="1", value=9.5, value_currency="EUR", time="2026-01-31T12:00:00Z", backfill=True)
    attributes["profile"] = {"data": profile()}
    api.Events.create_event({"data": {"type": "event", "attributes": attributes}})
    (row,) = events_of(api, found(api)[0]["id"])
    assert row["attributes"]["event_properties"] == {"n": 1, "$event_id": "1", "$value": 9.5, "$value_currency": "EUR"}
    assert row["attributes"]["datetime"] == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_it_writes_events_in_bulk(api):
    """Events that it creates in one request can all be read."""
    events = {"data": [{"type": "event", "attributes": event(unique_id=str(n))} for n in range(3)]}
    entry = {"type": "event-bulk-create", "attributes": {"profile": {"data": profile()}, "events": events}}
    attributes = {"events-bulk-create": {"data": [entry]}}
    api.Events.bulk_create_events({"data": {"type": "event-bulk-create-job", "attributes": attributes}})
    assert len(events_of(api, found(api)[0]["id"])) == 3


def test_it_subscribes_and_unsubscribes(api):
    """Consent that it gives puts the profile on a list and can be withdrawn again."""
    attributes = {"name": "Ours", "opt_in_process": "single_opt_in"}
    made = api.Lists.create_list({"data": {"type": "list", "attributes": attributes}})
    list_id = to_dict(made)["data"]["id"]
    seen = []
    for kind, consent, write in (
        ("create", "SUBSCRIBED", api.Profiles.bulk_subscribe_profiles),
        ("delete", "UNSUBSCRIBED", api.Profiles.bulk_unsubscribe_profiles),
    ):
        row = profile({**WHO, "subscriptions": {"email": {"marketing": {"consent": consent}}}})
        data = {"type": f"profile-subscription-bulk-{kind}-job", "attributes": {"profiles": {"data": [row]}}}
        if kind == "create":
            data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
        write({"data": data})
        members = to_dict(api.Lists.get_profile_ids_for_list(list_id))["data"]
        seen.append((marketing(api)["consent"], [row["id"] for row in members] == [found(api)[0]["id"]]))
    assert seen == [("SUBSCRIBED", True), ("UNSUBSCRIBED", True)]


def test_it_suppresses_and_unsuppresses(api):
    """Jobs are waited for and listed, and their effect is seen."""
    api.Profiles.create_profile({"data": profile()})
    rows = {"profiles": {"data": [profile(), profile({"email": "nobody@example.com"})]}}
    calls = api.Profiles
    for kind, write, read, list_all, reasons in (
        (
            "create",
            calls.bulk_suppress_profiles,
            calls.get_bulk_suppress_profiles_job,
            calls.get_bulk_suppress_profiles_jobs,
            ["USER_SUPPRESSED"],
        ),
        (
            "delete",
            calls.bulk_unsuppress_profiles,
            calls.get_bulk_unsuppress_profiles_job,
            calls.get_bulk_unsuppress_profiles_jobs,
            [],
        ),
    ):
        body = {"data": {"type": f"profile-suppression-bulk-{kind}-job", "attributes": rows}}
        job_id = to_dict(write(body))["data"]["id"]
        done = wait_for_job(read, job_id)
        assert (done["total_count"], done["completed_count"], done["skipped_count"]) == (2, 1, 1)
        assert [row["id"] for row in to_dict(list_all(sort="created"))["data"]] == [job_id]
        assert [entry["reason"] for entry in marketing(api)["suppression"]] == reasons


def test_it_deletes_a_profile(api):
    """Whom it asks to forget is gone, and the list of import jobs is empty all the while."""
    api.Profiles.create_profile({"data": profile()})
    attributes = {"profile": {"data": profile()}}
    api.Data_Privacy.request_profile_deletion({"data": {"type": "data-privacy-deletion-job", "attributes": attributes}})
    assert found(api) == []
    assert to_dict(api.Profiles.get_bulk_import_profiles_jobs())["data"] == []
