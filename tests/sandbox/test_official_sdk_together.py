"""Two editions of the vendor's SDK, which speak two revisions, use one account at the same time."""

from __future__ import annotations

import pytest
from support.environments import RegistryOutOfReach
from support.official import EDITIONS, call
from support.official_elsewhere import SdkElsewhere
from support.threads import run_at_once


@pytest.fixture(scope="module")
def editions():
    """Edition of the SDK -> a process that has it."""
    try:
        started = {edition: SdkElsewhere(edition) for edition in EDITIONS}
    except RegistryOutOfReach:
        pytest.skip("no package registry answers, and an edition is not here yet")
    yield started
    for sdk in started.values():
        sdk.close()


def profile(email):
    return {"data": {"type": "profile", "attributes": {"email": email}}}


def event(email):
    metric = {"data": {"type": "metric", "attributes": {"name": "Waved"}}}
    attributes = {"properties": {"by": email}, "metric": metric, "profile": profile(email), "unique_id": email}
    return {"data": {"type": "event", "attributes": attributes}}


@pytest.mark.exhaustive
def test_both_editions_read_and_write_one_account(make_sandbox, editions):
    """Each reads campaigns in the shape of its own revision, and people and events that the other has written."""
    sandbox = make_sandbox(limits=False, job_seconds=0.0, other_revisions="refuse")
    api = {revision: editions[edition].client(sandbox) for edition, revision in EDITIONS.items()}
    people = {revision: [f"{revision}-{number}@example.com" for number in range(2)] for revision in api}
    by_channel = 'equals(messages.channel,"email")'
    shapes = {revision: set() for revision in api}

    def use(revision):
        query = {"filter": by_channel} if revision == "2026-07-15" else {}
        for email in people[revision]:
            call(api[revision], "create_profile", profile(email))
            call(api[revision], "create_event", event(email))
            for row in call(api[revision], "get_campaigns", **query)["data"]:
                shapes[revision] |= {name for name, value in row["attributes"].items() if value is not None}

    waiting = list(api)
    run_at_once(len(api), lambda: use(waiting.pop()))

    assert {"name", "audiences", "status"} <= shapes["2026-07-15"]
    assert shapes["2026-10-15"] == {"created_at", "updated_at", "definition"}
    written = {email for emails in people.values() for email in emails}
    for revision, sdk in api.items():
        [other] = people.keys() - {revision}
        found = call(sdk, "get_profiles", filter=f'any(email,["{people[other][0]}","{people[revision][0]}"])')
        assert {row["attributes"]["email"] for row in found["data"]} == {people[other][0], people[revision][0]}
    assert {row["email"] for row in sandbox.store.profiles.rows.values()} >= written
    waved = [row for row in sandbox.store.events.rows.values() if row["event_properties"].get("by") in written]
    assert len(waved) == len(written)
    assert {request.status for request in sandbox.requests} <= {200, 201, 202}
