"""The second opinion itself: does it see what is wrong?"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import requests
from support.calls import KEY, REVISION
from support.conformance import FACTS, Recorder, vendor_document

from klaviyo_sandbox import serve


@pytest.fixture(scope="module")
def exchange():
    """A real answer to a read of profiles."""
    seen = []
    with serve(profiles=3, events=0, limits=False, observer=seen.append) as sandbox:
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        requests.get(f"{sandbox.url}/api/profiles", headers=headers, timeout=10)
    return seen[0]


def observed(exchange, **changes):
    recorder = Recorder(environment={})
    names = ("operation", "method", "path", "query", "status", "headers", "body")
    parts = {name: getattr(exchange, name) for name in names}
    recorder.observe(SimpleNamespace(**{**parts, **changes}))
    return recorder.findings


def changed(exchange, change):
    document = json.loads(exchange.body)
    change(document["data"][0])
    return json.dumps(document).encode()


def test_a_right_answer_is_no_finding(exchange):
    """What the sandbox answers passes."""
    assert observed(exchange) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["attributes"].update(shoe_size=9),
        lambda row: row["attributes"]["location"].update(planet="Mars"),
        lambda row: row["attributes"].update(created="yesterday"),
        lambda row: row["attributes"].update(email=5),
        lambda row: row.update(type="person"),
        lambda row: row.pop("links"),
        lambda row: row["relationships"]["lists"]["links"].pop("related"),
    ],
)
def test_a_wrong_answer_is_a_finding(exchange, change):
    """Unknown, missing and mistyped members at any depth are found, and the finding says where."""
    (finding,) = observed(exchange, body=changed(exchange, change))
    assert "$.data[0]" in finding


def test_other_faults_are_findings(exchange):
    """A body that is no JSON, a status or an operation that nobody declared, and a body too many are found."""
    assert observed(exchange, body=b"<html>")
    assert observed(exchange, status=203)
    assert observed(exchange, operation="get_wishes")
    assert observed(exchange, operation=None)
    assert observed(exchange, operation="add_profiles_to_list", status=204)


def test_in_ci_the_vendors_document_must_be_there(tmp_path):
    """In CI a missing or unreadable document makes the session fail; elsewhere it may be missing."""
    assert Recorder(environment={}).verdict(complete=False) == []
    assert "not set" in Recorder(environment={"CI": "true"}).verdict(complete=False)[0]
    wrong = tmp_path / "stable.json"
    for text in (None, "{", "{}"):
        if text is not None:
            wrong.write_text(text)
        environment = {"CI": "true", "KLAVIYO_OPENAPI": str(wrong)}
        assert "cannot be read" in Recorder(environment=environment).verdict(complete=False)[0]


def test_a_vendors_document_is_read(tmp_path):
    """Answers are found by operation and status, through references to shared responses."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    failure = facts["operations"]["get_metrics"]["responses"]["4XX"]
    operation = {"operationId": "get_metrics", "responses": {"4XX": {"$ref": "#/components/responses/ClientError"}}}
    document = {
        "paths": {"/api/metrics": {"get": operation, "parameters": []}},
        "components": {
            "schemas": {},
            "responses": {"ClientError": {"content": {"application/json": {"schema": failure}}}},
        },
    }
    path = tmp_path / "stable.json"
    path.write_text(json.dumps(document))
    read = vendor_document(path)
    assert read.fault("get_metrics", 404, {"errors": []}) is None
    assert read.fault("get_metrics", 404, {"errors": [{}]}) is not None
    assert read.fault("get_metrics", 200, {}) is not None


def test_fewer_than_the_minima_are_a_finding():
    """When the whole suite ran and validated less than before, the session fails."""
    assert len(Recorder(environment={}).verdict(complete=True)) == 2


def test_a_sparse_answer_may_lack_attributes_and_nothing_else():
    """Who asks for names only gets names only, although the specification requires more of a whole segment."""
    seen = []
    with serve(profiles=3, events=0, limits=False, observer=seen.append) as sandbox:
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        requests.get(f"{sandbox.url}/api/segments?fields[segment]=name", headers=headers, timeout=10)
    assert observed(seen[0]) == []
    assert observed(seen[0], query={})
    assert observed(seen[0], body=changed(seen[0], lambda row: row.pop("links")))
    assert observed(seen[0], body=changed(seen[0], lambda row: row["attributes"].update(name=5)))
