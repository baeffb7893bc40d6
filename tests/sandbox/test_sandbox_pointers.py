"""How much a 400 says of what is wrong."""

from __future__ import annotations

import pytest
from support.calls import Caller

from klaviyo_sandbox import serve

JOBS = "profile-bulk-import-jobs"
ROWS = "/data/attributes/profiles/data"


def job(*emails):
    profiles = [{"type": "profile", "attributes": {"email": email}} for email in emails]
    return {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}}


@pytest.mark.parametrize(
    ("pointers", "expected"),
    [
        ("all", [f"{ROWS}/1/attributes/email", f"{ROWS}/2/attributes/email"]),
        ("first", [f"{ROWS}/1/attributes/email"]),
        ("none", ["/data"]),
    ],
)
@pytest.mark.parametrize("bad", ["bad", 5])
def test_a_refusal_names_all_or_the_first_or_nothing(make_sandbox, pointers, expected, bad):
    """Faults of shape and of sense are told alike, and the good row is never imported."""
    sandbox = make_sandbox(limits=False, job_seconds=0, pointers=pointers)
    caller = Caller(sandbox.url)
    refused = caller.post(JOBS, job("good@example.com", bad, bad))
    assert refused.status_code == 400
    assert [error["source"]["pointer"] for error in refused.json()["errors"]] == expected
    assert sandbox.store.find_profile_id("email", "good@example.com") is None
    assert caller.post(JOBS, job("good@example.com")).status_code == 202
    caller.close()


def test_other_refusals_stay_as_they_are(make_sandbox):
    """A 404, a 409 and a bad parameter say what they always say."""
    caller = Caller(make_sandbox(limits=False, pointers="none").url)
    profile = {"data": {"type": "profile", "attributes": {"email": "a@example.com"}}}
    caller.post("profiles", profile)
    assert caller.post("profiles", profile).json()["errors"][0]["meta"]["duplicate_profile_id"]
    assert "NOPE00" in caller.post("lists/NOPE00/relationships/profiles", {"data": []}).json()["errors"][0]["detail"]
    assert caller.get("profiles", sort="shoe_size").json()["errors"][0]["source"] == {"parameter": "sort"}
    caller.close()


@pytest.mark.parametrize("wrong", [{"job_end": "failed"}, {"repeats": "always"}, {"pointers": "some"}])
def test_unknown_choices_are_refused(wrong):
    """A mistyped argument is told at once."""
    with pytest.raises(ValueError, match="must be one of"), serve(profiles=1, events=0, **wrong):
        pass
