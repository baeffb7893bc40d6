"""The vendor's own client drives every operation that the sandbox serves."""

from __future__ import annotations

import pytest
from support.calls import Caller
from support.conformance import revision_of
from support.declared import OPERATIONS, READS, WRITES, in_revision, minimal_query
from support.declared_bodies import acceptable_body
from support.full_account import fill_account, ids_by_type
from support.official import CALLS, call
from support.walks import of_each_kind


@pytest.fixture(scope="module")
def reading(make_shared_sandbox, official):
    """The SDK, a plain client beside it, and paths that exist in the account of both."""
    sandbox = make_shared_sandbox(limits=False, job_seconds=0.0)
    paths = fill_account(sandbox)
    caller = Caller(sandbox.url)
    with official.client(sandbox) as api:
        yield api, caller, paths
    caller.close()


@pytest.fixture
def writing(make_sandbox, official):
    """The SDK, an account of the test's own, and paths that exist in it."""
    sandbox = make_sandbox(limits=False, job_seconds=0.0)
    paths = fill_account(sandbox)
    with official.client(sandbox) as api:
        yield api, sandbox, paths


def ids_in(path, operation):
    return [path.split("/")[1]] if "{" in OPERATIONS[operation]["path"] else []


def identities(data):
    return [(row["type"], row["id"]) for row in (data if isinstance(data, list) else [data])]


def test_the_sdk_has_a_call_for_each():
    """Whatever the sandbox serves is called here, and nothing else: a new operation needs an entry in `CALLS`."""
    assert {name.partition("@")[0] for name in CALLS} == {name.partition("@")[0] for name in OPERATIONS}


def of_each_endpoint(operations):
    """As `of_each_kind`; an SDK has one revision, in which it asks for an endpoint."""
    return of_each_kind(dict.fromkeys(name.partition("@")[0] for name in operations))


@pytest.mark.parametrize("operation", of_each_endpoint(READS))
def test_it_reads(reading, official, operation):
    """The SDK makes objects of the answer of its revision, and they are what a plain request is answered with."""
    api, caller, paths = reading
    name = in_revision(operation, official.revision)
    if name is None:
        assert caller.get(paths[operation], official.revision).status_code == 404
        return
    operation = name
    expected = identities(
        caller.get(paths[operation], revision_of(operation), **minimal_query(operation)).json()["data"]
    )
    assert expected
    found = call(
        api,
        operation,
        *ids_in(paths[operation], operation),
        **minimal_query(operation),
    )
    assert identities(found["data"]) == expected


@pytest.mark.parametrize("operation", of_each_endpoint(WRITES))
def test_it_writes(writing, official, operation):
    """The SDK takes a body with all that is declared, and the sandbox takes what the SDK makes of it."""
    api, sandbox, paths = writing
    operation = in_revision(operation, official.revision)
    ids = ids_by_type(sandbox, paths)
    if operation == "request_profile_deletion":  # of nobody it is a 404
        call(api, "create_profile", {"data": {"type": "profile", "attributes": {"email": "full@example.com"}}})
    call(api, operation, *ids_in(paths[operation], operation), acceptable_body(operation, ids))
    asked = sandbox.requests[-1]
    assert (asked.method, asked.path.strip("/")) == (OPERATIONS[operation]["method"], f"api/{paths[operation]}")
    assert asked.status in (200, 201, 202, 204)
