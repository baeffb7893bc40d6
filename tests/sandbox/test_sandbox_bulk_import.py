from __future__ import annotations

import pytest
from support.calls import Caller, import_job, problem

JOBS = "profile-bulk-import-jobs"
ROWS = "/data/attributes/profiles/data"


def finished(call, rows, lists=()):
    accepted = call.post(JOBS, import_job(rows, lists))
    assert accepted.status_code == 202, accepted.text
    return call.get(f"{JOBS}/{accepted.json()['data']['id']}").json()["data"]


def test_a_job_creates_updates_and_joins(call, writing):
    """A job writes every row and puts the profiles on its lists, those that are there already once only."""
    list_id = next(name for name, members in writing.store.list_members.items() if len(members))
    member_id = next(iter(writing.store.list_members[list_id].rows))
    before = len(writing.store.list_members[list_id])
    member = {"external_id": "crm-x", "email": writing.store.profiles.rows[member_id]["email"] or "m@example.com"}
    done = finished(call, [{"email": "a@example.com", "properties": {"n": 1}}, member], [list_id])
    counts = {name: done["attributes"][name] for name in ("status", "total_count", "completed_count", "failed_count")}
    assert counts == {"status": "complete", "total_count": 2, "completed_count": 2, "failed_count": 0}
    text = 'any(email,["a@example.com"])'
    (row,) = call.get(f"lists/{list_id}/profiles", filter=text).json()["data"]
    assert row["attributes"]["properties"] == {"n": 1}
    assert row["attributes"]["joined_group_at"] > "2026-06-01"
    assert len(writing.store.list_members[list_id]) in (before + 1, before + 2)


def test_a_job_takes_its_time(make_sandbox):
    """A job is queued, then processing, then complete, and is applied when it completes and not before."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(limits=False, job_seconds=8, clock=lambda: now[0])
    caller = Caller(sandbox.url)
    accepted = caller.post(JOBS, import_job([{"email": "a@example.com"}])).json()["data"]
    assert accepted["attributes"]["status"] == "queued"
    path = f"{JOBS}/{accepted['id']}"
    seen = []
    for moment in (1, 3, 7.9, 8):
        now[0] = 1_800_000_000.0 + moment
        attributes = caller.get(path).json()["data"]["attributes"]
        there = bool(caller.get("profiles", filter='equals(email,"a@example.com")').json()["data"])
        seen.append((attributes["status"], attributes["completed_count"], there))
    assert seen == [("queued", 0, False), ("processing", 0, False), ("processing", 0, False), ("complete", 1, True)]
    assert attributes["started_at"] < attributes["completed_at"]
    caller.close()


def test_the_store_shows_jobs_that_are_due(make_sandbox):
    """Who looks at the store finds a job applied although nothing was asked meanwhile."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(limits=False, job_seconds=8, clock=lambda: now[0])
    caller = Caller(sandbox.url)
    caller.post(JOBS, import_job([{"email": "a@example.com"}]))
    caller.close()
    assert sandbox.store.find_profile_id("email", "A@Example.com") is None
    now[0] += 8
    assert sandbox.store.find_profile_id("email", "A@Example.com")


def test_one_bad_row_refuses_the_whole_request(call, writing):
    """Malformed rows are a 400 with one error for each, and none of the good ones is imported."""
    rows = [
        {"email": "good@example.com"},
        {"email": "bad"},
        {"first_name": "Nobody"},
        {"phone_number": "12"},
        {"email": "also@example.com", "phone_number": "12"},
    ]
    refused = call.post(JOBS, import_job(rows))
    assert refused.status_code == 400
    pointers = [error["source"]["pointer"] for error in refused.json()["errors"]]
    fields = ("/attributes/email", "/attributes", "/attributes/phone_number", "/attributes/phone_number")
    assert pointers == [f"{ROWS}/{position}{field}" for position, field in enumerate(fields, start=1)]
    assert writing.store.find_profile_id("email", "good@example.com") is None
    assert call.get(JOBS).json()["data"] == []


def test_rows_of_another_shape_are_pointed_at_once(call):
    """Rows with several faults give one error each."""
    rows = [{"email": 5, "shoe_size": 9}, {"email": "a@example.com"}, {"email": "b@example.com", "anonymous_id": "x"}]
    refused = call.post(JOBS, import_job(rows))
    pointers = [error["source"]["pointer"] for error in refused.json()["errors"]]
    assert pointers == [f"{ROWS}/0/attributes/email", f"{ROWS}/2/attributes/anonymous_id"]


def test_an_unknown_list_refuses_the_request(call, writing):
    """The 400 points at the list, not at any row."""
    known = next(iter(writing.store.lists.rows))
    refused = call.post(JOBS, import_job([{"email": "a@example.com"}], [known, "NOPE00"]))
    assert problem(refused) == (400, "invalid", {"pointer": "/data/relationships/lists/data/1/id"})


def test_the_bounds_of_a_request(call):
    """Too many profiles, too large a profile or body, and no profile at all are 400s."""
    many = [{"external_id": str(number)} for number in range(10_001)]
    assert problem(call.post(JOBS, import_job(many))) == (400, "invalid", {"pointer": ROWS})
    assert problem(call.post(JOBS, import_job([]))) == (400, "invalid", {"pointer": ROWS})
    large = {"email": "a@example.com", "properties": {"x": "x" * 100_000}}
    assert problem(call.post(JOBS, import_job([large]))) == (400, "invalid", {"pointer": f"{ROWS}/0"})
    parts = [{"external_id": str(number), "properties": {"x": "x" * 90_000}} for number in range(56)]
    assert problem(call.post(JOBS, import_job(parts))) == (400, "invalid", {"pointer": "/data"})
    assert finished(call, many[:10_000])["attributes"]["completed_count"] == 10_000


def test_conflicts_are_import_errors(call):
    """Rows whose identifiers belong to two profiles fail in the job, the others are written."""
    for attributes in ({"email": "a@example.com"}, {"external_id": "b"}):
        finished(call, [attributes])
    clash = {"email": "a@example.com", "external_id": "b", "title": "Dr."}
    done = finished(call, [clash, {"email": "c@example.com"}])
    counts = {name: done["attributes"][name] for name in ("completed_count", "failed_count", "status")}
    assert counts == {"completed_count": 1, "failed_count": 1, "status": "complete"}
    (error,) = call.get(f"{JOBS}/{done['id']}/import-errors").json()["data"]
    assert error["attributes"]["code"] == "duplicate_profile"
    assert error["attributes"]["original_payload"] == clash


def test_import_errors_come_in_pages(call):
    """Import errors are paged by 20, at most 100, and every row that failed is among them once."""
    for attributes in ({"email": "a@example.com"}, {"external_id": "b"}):
        finished(call, [attributes])
    clash = {"email": "a@example.com", "external_id": "b"}
    done = finished(call, [{**clash, "title": str(number)} for number in range(105)])
    path = f"{JOBS}/{done['id']}/import-errors"
    assert [len(page["data"]) for page in call.pages(path)] == [20, 20, 20, 20, 20, 5]
    assert [len(page["data"]) for page in call.pages(path, page__size=100)] == [100, 5]
    assert problem(call.get(path, page__size=101))[2] == {"parameter": "page_size"}
    titles = {row["attributes"]["original_payload"]["title"] for row in call.rows(path)}
    assert titles == {str(number) for number in range(105)}


def test_nulls_are_ignored_in_bulk(call):
    """A null in a bulk row leaves the field as it was, at any depth."""
    finished(call, [{"email": "a@example.com", "title": "Dr.", "properties": {"x": 1}, "location": {"city": "Bern"}}])
    nulls = {"title": None, "phone_number": None, "properties": {"x": None, "y": 2}, "location": {"city": None}}
    finished(call, [{"email": "a@example.com", **nulls}])
    stored = call.get("profiles", filter='equals(email,"a@example.com")').json()["data"][0]["attributes"]
    assert (stored["title"], stored["properties"], stored["location"]) == ("Dr.", {"x": 1, "y": 2}, {"city": "Bern"})


def test_the_same_person_twice_in_one_job(call, writing):
    """Rows of one job are written in their order; the second finds the profile that the first made."""
    before = len(writing.store.profiles)
    finished(call, [{"email": "a@example.com", "title": "1"}, {"email": "A@example.com", "title": "2"}])
    assert len(writing.store.profiles) == before + 1
    stored = call.get("profiles", filter='equals(email,"A@example.com")').json()["data"][0]["attributes"]
    assert stored["title"] == "2"


def test_jobs_are_listed_filtered_and_included(call, writing):
    """Jobs are found by status, and a job's lists can be included."""
    list_id = next(iter(writing.store.lists.rows))
    ids = {finished(call, [{"email": f"{n}@example.com"}], [list_id])["id"] for n in range(3)}
    assert {row["id"] for row in call.rows(JOBS, page__size=2, sort="-created_at")} == ids
    assert len(call.get(JOBS, filter='equals(status,"complete")').json()["data"]) == 3
    assert call.get(JOBS, filter='any(status,["queued","processing"])').json()["data"] == []
    assert call.get(JOBS, filter='equals(status,"cancelled")').status_code == 400
    document = call.get(f"{JOBS}/{next(iter(ids))}", include="lists").json()
    assert document["data"]["relationships"]["lists"]["data"] == [{"type": "list", "id": list_id}]
    assert [resource["id"] for resource in document["included"]] == [list_id]


def test_a_job_knows_whom_it_touched(call, writing):
    """Everybody whom it made or changed, once, and nobody whose row failed; who was deleted since is not listed."""
    person = call.post("profile-import", {"data": {"type": "profile", "attributes": {"external_id": "x"}}}).json()
    torn = {"email": "a@example.com", "external_id": "x"}
    done = finished(call, [{"email": "a@example.com"}, {"external_id": "x"}, {"external_id": "x"}, torn])
    path = f"{JOBS}/{done['id']}"
    whole = call.rows(f"{path}/profiles", page__size=1)
    assert {row["attributes"]["email"] for row in whole} == {"a@example.com", None}
    assert [row["id"] for row in whole] == [row["id"] for row in call.rows(f"{path}/relationships/profiles")]
    writing.store.profiles.drop(person["data"]["id"])
    assert [row["attributes"]["email"] for row in call.rows(f"{path}/profiles")] == ["a@example.com"]


@pytest.mark.parametrize("identifier", [{"email": "a@example.com"}, {"phone_number": "+14155550142"}])
def test_rows_may_name_their_profile_by_id(call, identifier):
    """A row with an id updates that profile, one with an unknown id is an import error."""
    profile_id = call.post("profile-import", {"data": {"type": "profile", "attributes": identifier}}).json()["data"][
        "id"
    ]
    body = import_job([{"title": "Dr."}, {"title": "Mx."}])
    rows = body["data"]["attributes"]["profiles"]["data"]
    rows[0]["id"], rows[1]["id"] = profile_id, "01NOBODY"
    done = call.get(f"{JOBS}/{call.post(JOBS, body).json()['data']['id']}").json()["data"]
    assert call.get(f"profiles/{profile_id}").json()["data"]["attributes"]["title"] == "Dr."
    (error,) = call.get(f"{JOBS}/{done['id']}/import-errors").json()["data"]
    assert error["attributes"]["original_payload"] == {"id": "01NOBODY", "title": "Mx."}


def test_jobs_that_are_due_together_are_done_in_their_order(make_sandbox):
    """Of two imports of one person between which nobody asked, the later one's values stay."""
    now = [1_800_000_000.0]
    caller = Caller(make_sandbox(limits=False, job_seconds=8, clock=lambda: now[0]).url)
    for title in ("first", "second"):
        assert caller.post(JOBS, import_job([{"email": "a@example.com", "title": title}])).status_code == 202
        now[0] += 1
    now[0] += 60
    (row,) = caller.get("profiles", filter='equals(email,"a@example.com")').json()["data"]
    assert row["attributes"]["title"] == "second"
    caller.close()
