"""Each revision that the sandbox speaks has its own shapes; another is answered with a warning, or refused."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import requests
from support.calls import KEY, REVISION, Caller, problem
from support.conformance import revision_of
from support.declared import OPERATIONS, WITH_MORE_FIELDS, minimal_query
from support.full_account import fill_account
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.http.control_fields import InvalidChange

NEWEST = "2026-10-15"
OTHERS = ["2026-10-15.pre", "2026-04-15", "2026-07-15.pre", "2099-01-15", "2023-09-15"]
NEWER = ["2026-10-16", "2026-10-15.pre", "2099-01-15"]
OPT_OUT = {"X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1"}


def get(sandbox, revision=REVISION, path="profiles", **headers):
    given = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": revision, **headers}
    return requests.get(f"{sandbox.url}/api/{path}", headers=given, timeout=PATIENCE)


def event_of(attributes):
    """The body of an event of a person."""
    metric = {"data": {"type": "metric", "attributes": {"name": "Waved"}}}
    profile = {"data": {"type": "profile", "attributes": attributes}}
    return {"data": {"type": "event", "attributes": {"properties": {}, "metric": metric, "profile": profile}}}


def profile_of(event):
    return event["data"]["attributes"]["profile"]["data"]


def page(sandbox):
    return requests.get(sandbox.url, headers={"Accept": "text/html"}, timeout=PATIENCE).text


@pytest.mark.parametrize("revision", OTHERS)
def test_another_revision_is_answered_with_a_warning(make_sandbox, caplog, revision):
    """In the log and on the page, which name both; the answer is that of the revision that is spoken."""
    sandbox = make_sandbox()
    assert get(sandbox).status_code == 200
    assert not caplog.records
    assert revision not in page(sandbox)
    with caplog.at_level(logging.WARNING):
        assert get(sandbox, revision).json()["data"] == get(sandbox).json()["data"]
    [record] = [record for record in caplog.records if record.name == "klaviyo_sandbox"]
    assert revision in record.getMessage()
    assert REVISION in record.getMessage()
    assert revision in page(sandbox)
    assert f"speaks {REVISION}" in page(sandbox)


def test_a_client_of_another_revision_is_warned_of_once(make_sandbox, caplog):
    """The log has a line for each revision, not for each request; the page counts them; a reset forgets."""
    sandbox = make_sandbox()
    for _ in range(3):
        for revision in ("2026-11-15", "2026-04-15", NEWEST):
            get(sandbox, revision)
    assert len([record for record in caplog.records if record.name == "klaviyo_sandbox"]) == 2
    assert dict(sandbox.other_revisions) == {"2026-11-15": 3, "2026-04-15": 3}
    sandbox.control.reset()
    assert dict(sandbox.other_revisions) == {}


@pytest.mark.parametrize("headers", [{}, OPT_OUT])
@pytest.mark.parametrize("revision", OTHERS)
def test_another_revision_is_refused_where_that_is_asked_for(make_sandbox, revision, headers):
    """A 400 about the header, whose text says which revision the sandbox speaks."""
    sandbox = make_sandbox(other_revisions="refuse")
    refused = get(sandbox, revision, **headers)
    assert problem(refused) == (400, "invalid", {"parameter": "revision"})
    assert f"speaks {REVISION}" in refused.json()["errors"][0]["detail"]
    assert get(sandbox, **headers).status_code == 200


@pytest.mark.parametrize("other_revisions", ["warn", "refuse"])
@pytest.mark.parametrize("revision", NEWER)
def test_a_newer_revision_is_never_retired(make_sandbox, other_revisions, revision):
    """Also not for a client that opts out of being answered in another one."""
    answer = get(make_sandbox(other_revisions=other_revisions), revision, **OPT_OUT)
    assert answer.status_code == (200 if other_revisions == "warn" else 400)
    assert "retired" not in answer.text
    assert "no longer" not in answer.text


def test_a_retired_revision_says_what_is_spoken(make_sandbox):
    """A client that opts out is told by a 410, as Klaviyo tells it of one that is two years old."""
    sandbox = make_sandbox()
    refused = get(sandbox, "2023-09-15", **OPT_OUT)
    assert refused.status_code == 410
    assert REVISION in refused.json()["errors"][0]["detail"]
    assert get(sandbox, "2025-10-15", **OPT_OUT).status_code == 200


def test_what_becomes_of_other_revisions_can_be_changed(make_sandbox):
    """While it runs, and by no other word."""
    sandbox = make_sandbox()
    assert sandbox.control.settings["other_revisions"] == "warn"
    assert sandbox.control.change(other_revisions="refuse")["other_revisions"] == "refuse"
    assert get(sandbox, "2026-11-15").status_code == 400
    sandbox.control.change(other_revisions="warn")
    assert get(sandbox, "2026-11-15").status_code == 200
    with pytest.raises(InvalidChange):
        sandbox.control.change(other_revisions="ignore")
    with pytest.raises(ValueError, match="other_revisions"), serve(profiles=1, events=0, other_revisions="ignore"):
        pass


def test_the_command_warns_on_stderr_and_takes_the_option():
    """A line for a person to see, and a refusal with `--other-revisions refuse`."""
    for option, status in (("warn", 200), ("refuse", 400)):
        command = [sys.executable, "-m", "klaviyo_sandbox", "--port", "0", "--profiles", "2", "--events", "0"]
        with subprocess.Popen(
            [*command, "--other-revisions", option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            url = process.stdout.readline().split()[4]
            headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-11-15"}
            assert requests.get(f"{url}/api/profiles", headers=headers, timeout=PATIENCE).status_code == status
            process.terminate()
            _, err = process.communicate(timeout=PATIENCE)
        assert ("2026-11-15" in err, REVISION in err) == ((status == 200,) * 2)


@pytest.fixture(scope="module")
def strict(make_shared_sandbox):
    """A sandbox that answers what it speaks, and nothing else; it is only read."""
    return make_shared_sandbox(other_revisions="refuse", limits=False)


def attributes(sandbox, revision, path):
    data = get(sandbox, revision, path).json()["data"]
    return {name for row in (data if isinstance(data, list) else [data]) for name in row["attributes"]}


def test_one_path_has_the_shape_of_each_revision(strict):
    """Campaigns and their messages, of which the revisions differ, come as the header of the request asks for them."""
    campaign, message = (
        next(iter(rows)) for rows in (strict.store.campaigns.rows, strict.store.campaign_messages.rows)
    )
    email = 'campaigns?filter=equals(messages.channel,"email")'
    assert {"name", "audiences", "status"} < attributes(strict, REVISION, email)
    assert {"name", "audiences", "status"} < attributes(strict, REVISION, f"campaigns/{campaign}")
    for path in ("campaigns", f"campaigns/{campaign}"):
        assert attributes(strict, NEWEST, path) == {"created_at", "updated_at", "definition"}
    assert attributes(strict, NEWEST, f"campaign-messages/{message}") == {"created", "updated", "definition"}
    assert "created_at" in attributes(strict, REVISION, f"campaign-messages/{message}")


@pytest.mark.parametrize(
    ("revision", "path", "status"),
    [
        (REVISION, "campaigns", 400),  # without a channel
        (NEWEST, "campaigns", 200),
        (NEWEST, 'campaigns?filter=equals(messages.channel,"email")', 400),
        (NEWEST, "campaigns?fields[campaign]=definition.name&include=campaign-messages", 200),
        (NEWEST, "campaigns?fields[campaign]=audiences", 400),
        (REVISION, 'campaigns?filter=equals(messages.channel,"email")&fields[campaign]=definition.name', 400),
        (REVISION, "campaign-messages", 404),
        (NEWEST, "campaign-messages?page[size]=100&sort=-updated", 200),
        (NEWEST, "campaign-messages?page[size]=101", 400),
        (NEWEST, "profiles?additional-fields[profile]=subscriptions", 200),
    ],
)
def test_a_revision_has_its_own_rules(strict, revision, path, status):
    """Paths, filters, fields, includes and page sizes are those of the revision that is asked for."""
    answer = get(strict, revision, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["x-klaviyo-api-revision"] == revision


def test_what_is_included_has_the_shape_of_the_revision_too(strict):
    """A message that comes with its campaign is the one that its own path gives."""
    document = get(strict, NEWEST, "campaigns?include=campaign-messages").json()
    included = document["included"][0]
    alone = get(strict, NEWEST, f"campaign-messages/{included['id']}").json()["data"]
    assert included["attributes"] == alone["attributes"]


def test_what_a_revision_has_more_can_be_asked_for(make_shared_sandbox):
    """All fields and includes of each operation that has some more than in the revision before, at once."""
    sandbox = make_shared_sandbox(limits=False, job_seconds=0.0, other_revisions="refuse")
    paths, caller = fill_account(sandbox), Caller(sandbox.url)
    reads = [name for name in WITH_MORE_FIELDS if OPERATIONS[name]["method"] == "GET"]
    assert len(reads) > 10
    for operation in reads:
        schemas = {name: parameter["schema"] for name, parameter in OPERATIONS[operation]["parameters"].items()}
        query = {name: ",".join(schema["items"]["enum"]) for name, schema in schemas.items() if "items" in schema}
        answer = caller.get(paths[operation], revision_of(operation), **query, **minimal_query(operation))
        assert answer.status_code == 200, (operation, answer.text)
        assert sandbox.requests[-1].operation == operation
    caller.close()


def test_the_profile_of_an_event_has_its_meta_where_the_revision_wants_it(make_sandbox):
    """Beside the attributes since 2026-10-15, and among them before; elsewhere it is a 400."""
    sandbox = make_sandbox(limits=False)
    caller, meta = Caller(sandbox.url), {"patch_properties": {"append": {"colors": "red"}}}
    for revision, status in ((REVISION, 400), (NEWEST, 202)):
        beside, within = [event_of({"email": f"{revision}@example.com"}) for _ in range(2)]
        profile_of(beside)["meta"] = profile_of(within)["attributes"]["meta"] = meta
        assert caller.post("events", beside, revision=revision).status_code == status
        assert caller.post("events", within, revision=revision).status_code == {400: 202, 202: 400}[status]
        [profile] = [row for row in sandbox.store.profiles.rows.values() if row["email"] == f"{revision}@example.com"]
        assert profile["properties"]["colors"] == ["red"]
    caller.close()


def test_the_revisions_of_an_operation_share_its_limits(make_sandbox):
    """Klaviyo limits an endpoint, not a shape: what one revision has spent is gone for the other."""
    sandbox = make_sandbox(clock=lambda: 1_800_000_000.0)
    campaign = next(iter(sandbox.store.campaigns.rows))
    left = [
        get(sandbox, revision, f"campaigns/{campaign}").headers["ratelimit-remaining"]
        for revision in (REVISION, NEWEST)
    ]
    assert left == ["9", "8"]


def test_a_fault_is_given_to_the_operation_of_one_revision(make_sandbox):
    """A refusal of an operation by its name with a revision leaves the other shape of the path readable."""
    sandbox = make_sandbox(limits=False, faults="refuse=get_campaign@2026-10-15:503")
    campaign = next(iter(sandbox.store.campaigns.rows))
    answers = {revision: get(sandbox, revision, f"campaigns/{campaign}") for revision in (REVISION, NEWEST)}
    assert {revision: answer.status_code for revision, answer in answers.items()} == {REVISION: 200, NEWEST: 503}
    assert answers[NEWEST].headers["x-klaviyo-api-revision"] == NEWEST
    assert [request.operation for request in sandbox.requests] == ["get_campaign", "get_campaign@2026-10-15"]
