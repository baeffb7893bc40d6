"""The second opinion itself: does it see what is wrong?"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import requests
from support.calls import KEY, REVISION
from support.conformance import FACTS, Recorder, committed_facts, vendor_document
from support.patience import PATIENCE

from klaviyo_sandbox import serve


@pytest.fixture(scope="module")
def exchange():
    """A real answer to a read of profiles."""
    seen = []
    with serve(profiles=3, events=0, limits=False, observer=seen.append) as sandbox:
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        requests.get(f"{sandbox.url}/api/profiles", headers=headers, timeout=PATIENCE)
    return seen[0]


def observed(exchange, **changes):
    recorder = Recorder([committed_facts()])
    recorder.observe(SimpleNamespace(**{**vars_of(exchange), **changes}))
    return recorder.findings


def vars_of(exchange):
    names = ("operation", "method", "path", "query", "status", "headers", "body")
    return {name: getattr(exchange, name) for name in names}


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


def test_what_several_recorders_saw_adds_up(exchange):
    """Workers hand on what they have seen as plain values, findings and counts alike."""
    one, other = Recorder([committed_facts()]), Recorder([committed_facts()])
    one.observe(exchange)
    other.observe(SimpleNamespace(**{**vars_of(exchange), "body": b"<html>"}))
    one.add(json.loads(json.dumps(other.seen)))
    assert one.validated == 2
    assert len(one.verdict(complete=False)) == 1


def test_a_vendors_document_is_read():
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
    read = vendor_document(document)
    assert read.fault("get_metrics", 404, {"errors": []}) is None
    assert read.fault("get_metrics", 404, {"errors": [{}]}) is not None
    assert read.fault("get_metrics", 200, {}) is not None


def test_fewer_than_the_minima_are_a_finding():
    """When the whole suite ran and validated less than before, the session fails."""
    assert len(Recorder().verdict(complete=True)) == 2


def test_a_sparse_answer_may_lack_attributes_and_nothing_else():
    """Who asks for names only gets names only, although the specification requires more of a whole segment."""
    seen = []
    with serve(profiles=3, events=0, limits=False, observer=seen.append) as sandbox:
        headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
        requests.get(f"{sandbox.url}/api/segments?fields[segment]=name", headers=headers, timeout=PATIENCE)
    assert observed(seen[0]) == []
    assert observed(seen[0], query={})
    assert observed(seen[0], body=changed(seen[0], lambda row: row.pop("links")))
    assert observed(seen[0], body=changed(seen[0], lambda row: row["attributes"].update(name=5)))
