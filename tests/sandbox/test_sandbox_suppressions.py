"""Suppression by hand, and its jobs."""

from __future__ import annotations

import pytest
from support.calls import Caller, problem

SUPPRESS, UNSUPPRESS = "profile-suppression-bulk-create-jobs", "profile-suppression-bulk-delete-jobs"
ROWS = "/data/attributes/profiles/data"


def job(path, emails=None, **groups):
    attributes = {}
    if emails is not None:
        rows = [{"type": "profile", "attributes": {"email": email}} for email in emails]
        attributes = {"profiles": {"data": rows}}
    data = {"type": path.removesuffix("s"), "attributes": attributes}
    if groups:
        data["relationships"] = {name: {"data": {"type": name, "id": one}} for name, one in groups.items()}
    return {"data": data}


def finished(call, path, emails=None, **groups):
    accepted = call.post(path, job(path, emails, **groups))
    assert accepted.status_code == 202, accepted.text
    return call.get(f"{path}/{accepted.json()['data']['id']}").json()["data"]


def counts(done):
    names = ("status", "total_count", "completed_count", "skipped_count")
    return tuple(done["attributes"][name] for name in names)


def make(call, *names):
    for name in names:
        attributes = {"email": f"{name}@example.com"}
        call.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})


def reasons(call, email):
    query = {"filter": f'equals(email,"{email}")', "additional_fields__profile": "subscriptions"}
    (row,) = call.get("profiles", **query).json()["data"]
    marketing = row["attributes"]["subscriptions"]["email"]["marketing"]
    assert marketing["can_receive_email_marketing"] is not bool(marketing["suppression"])
    return [entry["reason"] for entry in marketing["suppression"]]


def withdraw(call, address, list_id=None, **subscriptions):
    digit = address[0]
    attributes = {"email": address, "phone_number": f"+1202555010{digit}", "subscriptions": subscriptions}
    data = {"type": "profile-subscription-bulk-delete-job", "attributes": {"profiles": {"data": []}}}
    data["attributes"]["profiles"]["data"].append({"type": "profile", "attributes": attributes})
    if list_id is not None:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    answer = call.post("profile-subscription-bulk-delete-jobs", {"data": data})
    assert answer.status_code == 202, answer.text


def test_people_are_suppressed_and_back(call, writing):
    """Who is unknown, or suppressed already, is skipped, which is all that the job tells."""
    make(call, "a", "b")
    before = len(writing.store.profiles)
    done = finished(call, SUPPRESS, ["A@Example.com", "b@example.com", "nobody@example.com"])
    assert counts(done) == ("complete", 3, 2, 1)
    assert (reasons(call, "a@example.com"), len(writing.store.profiles)) == (["USER_SUPPRESSED"], before)
    assert counts(finished(call, SUPPRESS, ["a@example.com"])) == ("complete", 1, 0, 1)
    assert counts(finished(call, UNSUPPRESS, ["a@example.com", "nobody@example.com"])) == ("complete", 2, 1, 1)
    assert (reasons(call, "a@example.com"), reasons(call, "b@example.com")) == ([], ["USER_SUPPRESSED"])


@pytest.mark.parametrize("path", [SUPPRESS, UNSUPPRESS])
@pytest.mark.parametrize("job_end", ["complete", "cancelled", "never"])
def test_what_is_accepted_is_processed_and_not_yet_counted(make_sandbox, path, job_end):
    """The 202 says so whatever becomes of the job; a read of the job counts."""
    caller = Caller(make_sandbox(limits=False, job_seconds=3600, job_end=job_end).url)
    accepted = caller.post(path, job(path, ["a@example.com", "b@example.com"]))
    assert accepted.status_code == 202
    assert counts(accepted.json()["data"]) == ("processing", 0, 0, 0)
    assert counts(caller.get(f"{path}/{accepted.json()['data']['id']}").json()["data"])[1:] == (2, 0, 0)
    caller.close()


def test_only_suppression_by_hand_is_taken_back(call, writing):
    """Who unsubscribed stays so."""
    store = writing.store
    profile_id = next(
        row["id"]
        for row in store.profiles.rows.values()
        if [entry["reason"] for entry in row["subscriptions"]["email"]["marketing"]["suppression"]] == ["UNSUBSCRIBE"]
    )
    address = store.profiles.rows[profile_id]["email"]
    assert counts(finished(call, SUPPRESS, [address])) == ("complete", 1, 1, 0)
    assert counts(finished(call, UNSUPPRESS, [address])) == ("complete", 1, 1, 0)
    assert reasons(call, address) == ["UNSUBSCRIBE"]


@pytest.mark.parametrize("group", ["list", "segment"])
def test_a_whole_group_can_be_suppressed(call, writing, group):
    """All members at the time are meant, and the job names the group."""
    members_by_id = writing.store.list_members if group == "list" else writing.store.segment_members
    group_id, members = next((one, rows) for one, rows in members_by_id.items() if len(rows))
    done = finished(call, SUPPRESS, **{group: group_id})
    assert done["attributes"]["total_count"] == len(members)
    for member_id in members.rows:
        marketing = writing.store.profiles.rows[member_id]["subscriptions"]["email"]["marketing"]
        assert "USER_SUPPRESSED" in [entry["reason"] for entry in marketing["suppression"]]
    listed = call.get(SUPPRESS, filter=f'equals({group}_id,"{group_id}")').json()["data"]
    assert [row["id"] for row in listed] == [done["id"]]
    assert call.get(SUPPRESS, filter=f'equals({group}_id,"OTHER0")').json()["data"] == []


@pytest.mark.parametrize("path", [SUPPRESS, UNSUPPRESS])
def test_what_a_request_must_be(call, path):
    """One kind of whom, a hundred sound addresses at most, and groups that exist."""
    addresses = [f"{n}@example.com" for n in range(101)]
    assert problem(call.post(path, job(path)))[2] == {"pointer": "/data"}
    assert problem(call.post(path, job(path, addresses[:1], list="X")))[2] == {"pointer": "/data"}
    assert problem(call.post(path, job(path, addresses))) == (400, "invalid", {"pointer": ROWS})
    assert problem(call.post(path, job(path, [])))[2] == {"pointer": ROWS}
    refused = call.post(path, job(path, ["bad", addresses[0], "worse"]))
    pointers = [error["source"]["pointer"] for error in refused.json()["errors"]]
    assert pointers == [f"{ROWS}/0/attributes/email", f"{ROWS}/2/attributes/email"]
    assert problem(call.post(path, job(path, list="NOPE00")))[:2] == (404, "not_found")
    assert finished(call, path, addresses[:100])["attributes"]["skipped_count"] == 100
    assert call.get(f"{path}/NOPE").status_code == 404


def test_jobs_are_listed_in_their_order(make_sandbox):
    """Jobs are found by status and sorted by when they were made; the two kinds are apart."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(limits=False, job_seconds=8, clock=lambda: now[0])
    caller = Caller(sandbox.url)
    ids = []
    for _ in range(3):
        ids.append(caller.post(SUPPRESS, job(SUPPRESS, ["a@example.com"])).json()["data"]["id"])
        now[0] += 3
    assert [row["id"] for row in caller.rows(SUPPRESS, sort="created")] == ids
    assert [row["id"] for row in caller.rows(SUPPRESS, sort="-created")] == ids[::-1]
    by_status = {
        status: [row["id"] for row in caller.get(SUPPRESS, filter=f'equals(status,"{status}")').json()["data"]]
        for status in ("complete", "processing", "queued", "cancelled")
    }
    assert by_status == {"complete": ids[:1], "processing": sorted(ids[1:]), "queued": [], "cancelled": []}
    assert caller.get(UNSUPPRESS).json()["data"] == []
    caller.close()


OLD = "2026-01-01T00:00:00+00:00"
MARKETING = "subscriptions.email.marketing"


@pytest.mark.parametrize("quiet", [False, True])
def test_suppressions_may_leave_the_time_of_the_last_change(make_sandbox, quiet):
    """By hand, by unsubscribing, by a bounce: each moves `updated`, unless `quiet_suppressions` is on.

    The time of the suppression finds the profile in any case, and a text message that is not wanted any more moves it.
    """
    sandbox = make_sandbox(profiles=6, events=0, limits=False, job_seconds=0)
    caller, store, control = Caller(sandbox.url), sandbox.store, sandbox.control
    control.change(quiet_suppressions=quiet)
    ids, since = list(store.profiles.rows), store.now_text()
    list_id = next(iter(store.lists.rows))
    for number, row_id in enumerate(ids):
        row = store.profiles.rows[row_id]
        email = {"marketing": {**row["subscriptions"]["email"]["marketing"], "suppression": []}}
        email["marketing"]["list_suppressions"] = []
        named = {"email": f"{number}@example.com", "phone_number": f"+1202555010{number}", "updated": OLD}
        store.put_profile({**row, **named, "subscriptions": {**row["subscriptions"], "email": email}})
    store.add_to_list(list_id, ids[2])
    finished(caller, SUPPRESS, ["0@example.com"])
    withdraw(caller, "1@example.com", email={"marketing": {"consent": "UNSUBSCRIBED"}})
    withdraw(caller, "2@example.com", list_id, email={"marketing": {"consent": "UNSUBSCRIBED"}})
    control.suppress(ids[3], "SPAM_COMPLAINT")
    control.suppress(ids[3], "HARD_BOUNCE")
    withdraw(caller, "4@example.com", sms={"marketing": {"consent": "UNSUBSCRIBED"}})

    moved = {ids.index(row["id"]) for row in caller.rows("profiles", filter=f"greater-than(updated,{OLD[:19]}Z)")}
    assert moved == ({4} if quiet else {0, 1, 2, 3, 4})
    found = caller.rows("profiles", filter=f"greater-or-equal({MARKETING}.suppression.timestamp,{since})")
    assert {ids.index(row["id"]) for row in found} == {0, 1, 3}
    terms = f"equals({MARKETING}.list_suppressions.list_id,'{list_id}')"
    terms += f",greater-or-equal({MARKETING}.list_suppressions.timestamp,{since})"
    assert [ids.index(row["id"]) for row in caller.rows("profiles", filter=terms)] == [2]
    caller.close()


def test_a_profile_is_found_by_any_of_its_suppressions_and_stands_where_its_latest_is(make_sandbox):
    """Who has none is found by no time, and stands first; a time that is null finds nobody."""
    sandbox = make_sandbox(profiles=4, events=0, limits=False)
    caller, store = Caller(sandbox.url), sandbox.store
    times = [["2026-02-01T00:00:00+00:00", "2026-05-01T00:00:00+00:00"], ["2026-03-01T00:00:00+00:00"], [], [None]]
    ids = list(store.profiles.rows)
    for row_id, of_one in zip(ids, times, strict=True):
        row = store.profiles.rows[row_id]
        entries = [{"reason": "HARD_BOUNCE", "timestamp": when} for when in of_one]
        email = {"marketing": {**row["subscriptions"]["email"]["marketing"], "suppression": entries}}
        store.put_profile({**row, "subscriptions": {**row["subscriptions"], "email": email}})

    def found(condition):
        field = f"{MARKETING}.suppression.timestamp"
        rows = caller.rows("profiles", filter=condition.format(field), sort=field)
        return [ids.index(row["id"]) for row in rows]

    assert found("greater-than({},2026-04-01T00:00:00Z)") == [0]
    assert found("less-than({},2026-02-15T00:00:00Z)") == [0]
    assert found("greater-or-equal({},2026-01-01T00:00:00Z)") == [1, 0]
    everybody = caller.rows("profiles", sort=f"{MARKETING}.suppression.timestamp")
    assert [ids.index(row["id"]) for row in everybody][2:] == [1, 0]
    caller.close()
