"""schemathesis makes requests from the vendor's own document, and nothing of ours, and judges the answers by it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from support.calls import KEY, REVISION
from support.conformance import revision_of
from support.declared import OPERATIONS, allowed_filters
from support.full_account import fill_account
from support.live_differences import allow_live_differences
from support.patience import PATIENCE
from support.scripts import script
from support.walks import of_each_kind

openapi = script("openapi")
HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION}
load_all_checks()
JUDGES = CHECKS.get_by_names(["not_a_server_error", "status_code_conformance", "content_type_conformance"])
# An answer with some fields only lacks what the document requires of a whole one: the recorder holds it to the rest.
JUDGES_OF_WHOLE_ANSWERS = [*JUDGES, *CHECKS.get_by_names(["response_schema_conformance"])]
# An example is a request, and there are as many tests as operations: more of each would take longer than all the rest.
EXAMPLES = settings(max_examples=10, suppress_health_check=list(HealthCheck))


def as_meant(node):
    """The vendor's schemas as they can be kept: a reference may be null, and several forms may fit one value.

    By the letter of OpenAPI 3.0 what stands beside a ``$ref`` does not count, and an e-mail's definition, all of whose
    members are optional, is one of a text message as well, which ``oneOf`` forbids. An empty relationship to one is
    null in the real API, and some times of consent have a blank in place of their ``T``.
    """
    if isinstance(node, list):
        return [as_meant(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {"anyOf" if name == "oneOf" else name: as_meant(value) for name, value in node.items()}
    if isinstance(node.get("$ref"), str) and "nullable" in node:
        return {"allOf": [{"$ref": node["$ref"]}], "nullable": node["nullable"]}
    if isinstance(node.get("properties"), dict) and node["properties"].keys() == {"type", "id"}:
        node["nullable"] = True
    if isinstance(node.get("properties"), dict) and "consent_timestamp" in node["properties"]:
        node["properties"]["consent_timestamp"].pop("format", None)
    return node


# What the document says of these in its prose only; a body of random texts names nobody, and is never taken.
PROSE = {"email": {"format": "email"}, "phone_number": {"pattern": r"^\+1202555[0-9]{4}$"}}


def close_bodies(document):
    """Let requests hold declared members only, in place: an unknown one is a 400, but the document does not say so."""
    bodies = [operation.get("requestBody") for *_, operation in openapi.operations(document)]
    for schema in openapi.reachable(bodies, document["components"]["schemas"].__getitem__).values():
        _close(schema)


def _close(node):
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _close(child)
    if isinstance(node, dict) and isinstance(node.get("properties"), dict):
        node["additionalProperties"] = False
        for name in PROSE.keys() & node["properties"].keys():
            node["properties"][name].update(PROSE[name])


@pytest.fixture(scope="module")
def operations(specification):
    """The served operations of the vendor's document, by id."""
    served = {}
    for path, item in specification["paths"].items():
        kept = {method: held for method, held in item.items() if held.get("operationId") in OPERATIONS}
        if kept:
            served[path] = kept
    document = as_meant({**specification, "paths": served})
    close_bodies(document)
    allow_live_differences(document["components"]["schemas"], "")
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.mark.parametrize("name", of_each_kind(name for name in OPERATIONS if revision_of(name) == REVISION))
def test_no_request_gets_an_undeclared_answer(make_sandbox, operations, name):
    """Whatever follows the document, or breaks it, is answered with a declared status and shape, and never a 500."""
    sandbox = make_sandbox(limits=False, job_seconds=0.0)
    path = fill_account(sandbox)[name].split("/")
    ids = {part[1:-1]: path[place] for place, part in enumerate(OPERATIONS[name]["path"].split("/")[2:]) if "{" in part}
    filters = [{}, *({"filter": text} for text in allowed_filters(name))]
    right_and_wrong = st.one_of(*(operations[name].as_strategy(generation_mode=mode) for mode in GenerationMode))

    @EXAMPLES
    @given(right_and_wrong, st.sampled_from([ids, {}]), st.sampled_from(filters))
    def run(case, known, narrowed):
        case.path_parameters = {**(case.path_parameters or {}), **known}
        if narrowed:
            case.query = {**(case.query or {}), **narrowed}
        sparse = any(parameter.startswith("fields[") for parameter in case.query or ())
        judges = JUDGES if sparse else JUDGES_OF_WHOLE_ANSWERS
        case.call_and_validate(base_url=sandbox.url, headers=HEADERS, checks=judges, timeout=PATIENCE)

    run()
