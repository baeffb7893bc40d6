"""Errors as live Klaviyo was seen to write them."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
import requests
from support.calls import KEY, REVISION, Caller, import_job, problem
from support.patience import PATIENCE
from support.scripts import script

from klaviyo_sandbox.http.quotas import Budget
from klaviyo_sandbox.spec import errors
from klaviyo_sandbox.spec.facts import load

HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
# Every recorded error has these.
ALWAYS = {"id", "status", "code", "title", "detail", "source"}


def get(sandbox, path="profiles", **headers):
    return requests.get(f"{sandbox.url}/api/{path}", headers={**HEADERS, **headers}, timeout=PATIENCE)


def test_errors_that_are_not_about_the_request_have_no_links_and_no_meta(make_sandbox):
    """A 401, 403, 404 and 500 say what they are, and nothing beside."""
    sandbox = make_sandbox(key="pk_right", scopes="profiles:read")
    key = {"Authorization": "Klaviyo-API-Key pk_right"}
    answers = [get(sandbox), get(sandbox, Authorization="pk_right"), get(sandbox, "lists", **key)]
    answers.append(get(sandbox, "profiles/NOPE", **key))
    assert [answer.status_code for answer in answers] == [401, 401, 403, 404]
    for answer in answers:
        assert set(answer.json()["errors"][0]) == ALWAYS
    assert set(errors.server_error().document()["errors"][0]) == ALWAYS


def test_an_error_about_the_request_has_links_and_meta(reading):
    """A 400 has both, empty or not."""
    assert set(get(reading, "profiles?page[size]=0").json()["errors"][0]) == ALWAYS | {"links", "meta"}


@pytest.mark.parametrize("given", ["pk_wrong", "sk_wrong", ""])
def test_a_wrong_private_key_is_not_authenticated(make_sandbox, given):
    """The scheme is right and the key is not: a code and a text of their own, with the header that names the scheme."""
    refused = get(make_sandbox(key="pk_right"), Authorization=f"Klaviyo-API-Key {given}")
    assert problem(refused)[:2] == (401, "not_authenticated")
    assert refused.json()["errors"][0]["detail"] == "Missing or invalid private key."
    assert "Klaviyo-API-Key" in refused.headers["www-authenticate"]


@pytest.mark.parametrize("faults", ["", "429=1"])
def test_a_throttled_request_is_told_where_to_read_why(make_sandbox, faults):
    """`links.type` of a 429 is an address, whether the budget is spent or a fault was asked for."""
    sandbox = make_sandbox(include_limit=Budget(1, 1), faults=faults)
    answers = [get(sandbox, "events?include=metric") for _ in range(3)]
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert throttled.json()["errors"][0]["links"]["type"].startswith("https://developers.klaviyo.com/")


@pytest.mark.parametrize(
    "path",
    [
        *("events/NOPE", "events/not-an-id", "flow-actions/NOPE", "flow-actions/NOPE/flow-messages"),
        *("flow-actions/NOPE/relationships/flow-messages", "mapped-metrics/NOPE"),
    ],
)
def test_an_id_that_cannot_be_one_is_bad_input(reading, path):
    """Events, flow actions and mapped metrics answer 400 with a pointer for an id that no such resource can have."""
    assert problem(get(reading, path)) == (400, "invalid", {"pointer": "/data/id"})


@pytest.mark.parametrize("path", ["events/4vRpBT00000", "flow-actions/1", "flow-actions/1/flow-messages"])
def test_an_id_that_could_be_one_is_not_there(reading, path):
    """A well-formed id of nothing stays a 404."""
    assert problem(get(reading, path)) == (404, "not_found", {"pointer": "/data/"})


@pytest.mark.parametrize("kind", ["create", "delete"])
def test_an_unknown_list_of_consents_is_bad_input(make_sandbox, kind):
    """The list stands in the body, so it is a 400 that points there, and nobody's consent is changed."""
    sandbox = make_sandbox()
    caller = Caller(sandbox.url)
    path = f"profile-subscription-bulk-{kind}-jobs"
    consent = {"email": {"marketing": {"consent": "SUBSCRIBED" if kind == "create" else "UNSUBSCRIBED"}}}
    person = {"type": "profile", "attributes": {"email": "ada@example.com", "subscriptions": consent}}
    data = {"type": path.removesuffix("s"), "attributes": {"profiles": {"data": [person]}}}
    body = {"data": {**data, "relationships": {"list": {"data": {"type": "list", "id": "NOLIST"}}}}}
    before = len(sandbox.store.profiles)
    refused = caller.post(path, body)
    assert problem(refused) == (400, "invalid", {"pointer": "/data/relationships/list/data/id"})
    assert len(sandbox.store.profiles) == before


def test_an_unknown_list_of_an_import_is_bad_input(make_sandbox):
    """The pointer names which of the lists it is."""
    refused = Caller(make_sandbox().url).post(
        "profile-bulk-import-jobs", import_job([{"email": "a@example.com"}], ["X"])
    )
    assert problem(refused) == (400, "invalid", {"pointer": "/data/relationships/lists/data/0/id"})


@pytest.mark.parametrize("who", [{"email": "nobody@example.com"}, {"phone_number": "+15005550006"}, {"id": "01NOBODY"}])
def test_deleting_somebody_who_is_not_there_is_not_found(make_sandbox, who):
    """A 404, whichever identifier names them."""
    profile = {"type": "profile", "attributes": {name: who[name] for name in who if name != "id"}}
    profile |= {"id": who["id"]} if "id" in who else {}
    body = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": profile}}}}
    assert problem(Caller(make_sandbox().url).post("data-privacy-deletion-jobs", body))[:2] == (404, "not_found")


def unserved():
    """(operation, method, path) of what the vendor's document has and the sandbox does not serve."""
    document = json.loads(lzma.decompress(script("openapi").kept_path().read_bytes()))
    for path, method, operation in script("openapi").operations(document):
        if operation["operationId"] not in load().operations:
            yield operation["operationId"], method.upper(), path.replace("{", "").replace("}", "")


def test_what_the_sandbox_does_not_serve_is_a_501(reading):
    """It is Klaviyo's, so neither its 404 nor its 405 may speak of it: the answer says who does not serve what."""
    caller = Caller(reading.url)
    tried = list(unserved())
    assert len(tried) > 100
    assert ("create_template", "POST", "/api/templates") in tried
    for operation, method, path in tried:
        answer = caller.session.request(method, f"{reading.url}{path}", timeout=PATIENCE)
        assert (answer.status_code, method) == (501, method), path
        assert answer.json()["errors"][0]["detail"] == f"klaviyo-sandbox does not serve {operation}"


def test_what_klaviyo_does_not_have_is_no_501(reading):
    """A path of nobody is a 404, and a method that no operation of the path has a 405, also where none is served."""
    caller = Caller(reading.url)
    assert caller.get("template-renders").status_code == 404
    for path in ("templates", "template-render", "client/events"):
        base = reading.url if path.startswith("client") else f"{reading.url}/api"
        assert caller.session.put(f"{base}/{path}", timeout=PATIENCE).status_code == 405


def test_the_page_says_how_much_is_served():
    """How many of how many operations, as the vendor's document counts them."""
    page = (Path(__file__).parents[2] / "docs" / "sandbox" / "operations.md").read_text(encoding="utf-8")
    served, missing = len(load().operations), len(list(unserved()))
    assert f"{served} of {served + missing} operations" in page
