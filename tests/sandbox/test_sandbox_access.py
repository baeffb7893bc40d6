from __future__ import annotations

import pytest
import requests
from support.calls import KEY, REVISION, Caller, problem
from support.patience import PATIENCE

from klaviyo_sandbox import serve
from klaviyo_sandbox.spec.facts import load

HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}


def get(sandbox, path="profiles", **changes):
    headers = {name: value for name, value in {**HEADERS, **changes}.items() if value is not None}
    return requests.get(f"{sandbox.url}/api/{path}", headers=headers, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        *((None, "authentication_failed"), ("Bearer pk_test", "authentication_failed")),
        *(("pk_test", "authentication_failed"), ("Klaviyo-API-Key sk_x", "not_authenticated")),
        *(("Klaviyo-API-Key ", "not_authenticated"), ("Klaviyo-API-Key pk_", "not_authenticated")),
    ],
)
def test_no_private_key_no_answer(reading, given, code):
    """Without a private key in Klaviyo's form every request is a 401."""
    assert problem(get(reading, Authorization=given))[:2] == (401, code)


def test_a_demanded_key_is_the_only_one(make_sandbox):
    """With `key` the account opens to that key alone."""
    sandbox = make_sandbox(key="pk_right")
    assert get(sandbox).status_code == 401
    assert get(sandbox, Authorization="Klaviyo-API-Key pk_right").status_code == 200


def test_scopes_narrow_what_is_answered(make_sandbox):
    """An operation all of whose scopes are granted is answered, any other is a 403 that names what is missing."""
    sandbox = make_sandbox(scopes="lists:read, profiles:read")
    list_id = next(iter(sandbox.store.lists.rows))
    assert get(sandbox, f"lists/{list_id}/profiles").status_code == 200
    refused = get(sandbox, "segments")
    assert problem(refused)[:2] == (403, "permission_denied")
    assert "segments:read" in refused.json()["errors"][0]["detail"]


def test_every_write_wants_its_scopes(make_sandbox):
    """Without them the answer is a 403 that names them, before the body is looked at."""
    caller = Caller(make_sandbox(limits=False, scopes="accounts:read").url)
    writes = [operation for operation in load().operations.values() if operation.body]
    assert len(writes) > 10
    for operation in writes:
        answer = caller.send(operation.method, operation.path.removeprefix("/api/"), {})
        assert answer.status_code == 403
        assert ", ".join(operation.scopes) in answer.json()["errors"][0]["detail"]
    caller.close()


def test_an_unknown_scope_is_refused_at_the_start():
    """A scope that no operation asks for is a mistake, told before anything is served."""
    with pytest.raises(ValueError, match="profiles:reed"), serve(profiles=1, events=0, scopes="profiles:reed"):
        pass


@pytest.mark.parametrize(
    "revision", [None, "latest", "2026-7-15", "2026-07-15.beta", "2026-13-45", "2026-02-30.pre", "0000-01-01"]
)
def test_a_revision_must_be_named_in_the_right_form(reading, revision):
    """A missing or malformed revision header is a 400."""
    assert problem(get(reading, revision=revision))[0] == 400


def test_a_retired_revision_falls_forward_unless_opted_out(reading):
    """Klaviyo serves a newer revision in place of a retired one, and answers 410 to who opts out of that."""
    assert get(reading, revision="2023-09-15").status_code == 200
    refused = get(reading, revision="2023-09-15", **{"X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1"})
    assert refused.status_code == 410
    assert get(reading, **{"X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1"}).status_code == 200


def test_unknown_paths_and_methods(reading):
    """A path that is not Klaviyo's is a 404, a method that the path does not take a 405."""
    assert problem(get(reading, "wishes"))[:2] == (404, "not_found")
    refused = requests.put(f"{reading.url}/api/lists", headers=HEADERS, timeout=PATIENCE)
    assert problem(refused)[:2] == (405, "method_not_allowed")
    assert requests.head(f"{reading.url}/api/lists", headers=HEADERS, timeout=PATIENCE).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        *("profiles/NOPE", "lists/NOPE", "segments/NOPE", "metrics/NOPE", "events/0NOBODYHERE"),
        *("lists/NOPE/profiles", "lists/NOPE/relationships/profiles", "segments/NOPE/profiles"),
        *("segments/NOPE/relationships/profiles", "profile-bulk-import-jobs/NOPE"),
        *("profile-bulk-import-jobs/NOPE/import-errors", "lists/NO%0APE"),
    ],
)
def test_what_is_not_there_is_a_404(read, path):
    """An unknown id is answered as in the recordings, with a pointer to /data/."""
    assert problem(read.get(path)) == (404, "not_found", {"pointer": "/data/"})


def test_what_was_asked_is_kept(make_sandbox):
    """The sandbox remembers each request with its query and status, in order."""
    sandbox = make_sandbox()
    caller = Caller(sandbox.url)
    caller.get("profiles", page__size=1)
    caller.get("lists/NOPE")
    caller.close()
    logged = [(one.method, one.path, dict(one.query), one.status) for one in sandbox.requests]
    assert logged == [("GET", "/api/profiles", {"page[size]": "1"}, 200), ("GET", "/api/lists/NOPE", {}, 404)]
