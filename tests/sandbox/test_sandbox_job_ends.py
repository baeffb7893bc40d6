"""Jobs that do not end well."""

from __future__ import annotations

from support.calls import Caller

JOBS, SUPPRESS = "profile-bulk-import-jobs", "profile-suppression-bulk-create-jobs"


def job(path, email):
    profiles = [{"type": "profile", "attributes": {"email": email}}]
    return {"data": {"type": path.removesuffix("s"), "attributes": {"profiles": {"data": profiles}}}}


def test_a_cancelled_job_did_nothing(make_sandbox):
    """It ends at its time with no counts, no import errors and nothing written, of either kind."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(limits=False, job_seconds=8, job_end="cancelled", clock=lambda: now[0])
    caller = Caller(sandbox.url)
    paths = [
        f"{path}/{caller.post(path, job(path, 'a@example.com')).json()['data']['id']}" for path in (JOBS, SUPPRESS)
    ]
    seen = []
    for moment in (1, 3, 9):
        now[0] = 1_800_000_000.0 + moment
        seen.append([caller.get(path).json()["data"]["attributes"]["status"] for path in paths])
    assert seen == [["queued"] * 2, ["processing"] * 2, ["cancelled"] * 2]
    done = caller.get(paths[0]).json()["data"]["attributes"]
    assert (done["completed_count"], done["failed_count"], done["completed_at"]) == (0, 0, None)
    assert caller.get(f"{paths[0]}/import-errors").json()["data"] == []
    assert sandbox.store.find_profile_id("email", "a@example.com") is None
    assert [row["id"] for row in caller.get(SUPPRESS, filter='equals(status,"cancelled")').json()["data"]] == [
        paths[1].partition("/")[2]
    ]
    caller.close()


def test_a_job_may_never_begin(make_sandbox):
    """It stays queued however long one waits; jobs that come after the attribute is set back are done."""
    now = [1_800_000_000.0]
    sandbox = make_sandbox(limits=False, job_end="never", clock=lambda: now[0])
    caller = Caller(sandbox.url)
    job_id = caller.post(JOBS, job(JOBS, "a@example.com")).json()["data"]["id"]
    sandbox.store.job_end = "complete"
    other_id = caller.post(JOBS, job(JOBS, "b@example.com")).json()["data"]["id"]
    now[0] += 10**8
    shown = [caller.get(f"{JOBS}/{one}").json()["data"]["attributes"] for one in (job_id, other_id)]
    assert [(one["status"], one["started_at"] is None) for one in shown] == [("queued", True), ("complete", False)]
    assert sandbox.store.find_profile_id("email", "a@example.com") is None
    caller.close()
