"""Every body that the specification allows is taken, and every fault in one is refused, operation by operation."""

from __future__ import annotations

import pytest
from support.calls import Caller
from support.conformance import revision_of
from support.declared import OPERATIONS, WRITES, forbidden_queries
from support.declared_bodies import acceptable_body, acceptable_variants, faulty_bodies, full_body
from support.full_account import fill_account, ids_by_type

# Members without which the vendor's prose lets nothing through that the rest of the full body asks for. A subscription
# names its profile by an id, too, and the account knows the phone number that goes with it by then. What an aggregate
# is sorted by is among what it is grouped by.
NEEDED = {
    "bulk_subscribe_profiles": {"consented_at", "historical_import"},
    "bulk_unsubscribe_profiles": {"email", "phone_number"},
    "bulk_suppress_profiles": {"profiles"},
    "bulk_unsuppress_profiles": {"profiles"},
    "merge_profiles": {"data"},
    "request_profile_deletion": {"email"},
    "query_metric_aggregates": {"by"},
    "bulk_create_coupon_codes": {"data"},
    "bulk_create_catalog_variants": {"data"},
    "bulk_create_data_source_records": {"data-source-records", "relationships", "data-source", "data"},
    "bulk_delete_object_records": {"data"},
}


class Writer:
    """Calls writes by their names, at paths that exist."""

    def __init__(self, sandbox):
        self.paths = fill_account(sandbox)
        self.caller = Caller(sandbox.url)
        self.ids = ids_by_type(sandbox, self.paths)

    def send(self, operation, body, query=None):
        if operation == "request_profile_deletion":  # nobody is deleted twice
            person = {"type": "profile", "attributes": {"email": "full@example.com"}}
            self.caller.send("POST", self.paths["create_profile"], {"data": person})
        return self.caller.send(
            OPERATIONS[operation]["method"], self.paths[operation], body, query, revision=revision_of(operation)
        )


@pytest.fixture
def writer(make_sandbox):
    """A writer to an account of the test's own."""
    writer = Writer(make_sandbox(limits=False, job_seconds=0.0))
    yield writer
    writer.caller.close()


@pytest.fixture(scope="module")
def refused(make_shared_sandbox):
    """A writer to an account in which nothing changes, because it refuses all that it is sent."""
    writer = Writer(make_shared_sandbox(limits=False, job_seconds=0.0))
    yield writer
    writer.caller.close()


def sources(answer):
    """(status, sources of the errors), and no sources of what was taken."""
    errors = answer.json()["errors"] if answer.status_code >= 400 else []
    return answer.status_code, [error["source"] for error in errors]


@pytest.mark.parametrize("operation", WRITES)
def test_what_is_declared_is_taken(writer, operation):
    """The full body is a success, and so it is without any one optional member, or with null where null may be."""
    assert sources(writer.send(operation, acceptable_body(operation, writer.ids)))[0] in (200, 201, 202, 204)
    needed = set()
    for body, pointer in acceptable_variants(operation, writer.ids):
        # That somebody is known by now is no fault of the body.
        if writer.send(operation, body).status_code not in (200, 201, 202, 409):
            needed.add(pointer.rpartition("/")[2])
    assert needed == NEEDED.get(operation.partition("@")[0], set())


@pytest.mark.parametrize("operation", WRITES)
def test_a_fault_is_refused_where_it_is(refused, operation):
    """A member that is unknown, missing, of a wrong type, of no listed value or null is a 400 that points at it."""
    faults = list(faulty_bodies(operation))
    assert len(faults) > 10
    answers = [(sources(refused.send(operation, body)), pointer) for body, pointer in faults]
    assert [(got, pointer) for got, pointer in answers if got != (400, [{"pointer": pointer}])] == []


@pytest.mark.parametrize("operation", WRITES)
def test_an_undeclared_parameter_is_refused(refused, operation):
    """A write takes the parameters that are declared for it, with the values that are, and no other."""
    for query, parameter in forbidden_queries(operation):
        answer = refused.send(operation, full_body(operation), query)
        assert sources(answer) == (400, [{"parameter": parameter}]), query


@pytest.mark.parametrize("operation", WRITES)
def test_a_declared_parameter_is_taken(writer, operation):
    """All fields, additional fields and includes of a write's answer can be asked for at once."""
    values = {name: parameter["schema"] for name, parameter in OPERATIONS[operation]["parameters"].items()}
    query = {name: ",".join(schema["items"]["enum"]) for name, schema in values.items() if "items" in schema}
    assert writer.send(operation, acceptable_body(operation, writer.ids), query).status_code < 300
