"""Every query that the specification allows is answered, and every other is refused, operation by operation."""

from __future__ import annotations

import pytest
from support.calls import Caller
from support.conformance import revision_of
from support.declared import READS, allowed_queries, forbidden_queries, minimal_query
from support.full_account import fill_account
from support.walks import of_each_kind


@pytest.fixture(scope="module")
def account(make_shared_sandbox):
    """A call to an operation by its name, in an account that has rows of every type."""
    sandbox = make_shared_sandbox(profiles=130, events=400, limits=False, job_seconds=0.0)
    paths, caller = fill_account(sandbox), Caller(sandbox.url)
    yield lambda operation, query: caller.get(paths[operation], revision_of(operation), **query)
    caller.close()


def blamed(answer):
    """(status, parameters that the errors name)."""
    if answer.status_code < 400:
        return answer.status_code, None
    return answer.status_code, [error["source"].get("parameter") for error in answer.json()["errors"]]


@pytest.mark.parametrize("operation", of_each_kind(READS))
def test_what_is_declared_is_answered(account, operation):
    """Every declared filter, sort, include, field, additional field and page size is a 200."""
    queries = [minimal_query(operation), *allowed_queries(operation)]
    refused = {str(query): answer.text for query in queries if (answer := account(operation, query)).status_code != 200}
    assert refused == {}


@pytest.mark.parametrize("operation", of_each_kind(READS))
def test_what_is_not_declared_is_refused(account, operation):
    """What only other operations have, or none, is a 400 that names the parameter: filters, sorts, includes, sizes."""
    tried = list(forbidden_queries(operation))
    assert len(tried) > 15
    wrong = {str(query): got for query, name in tried if (got := blamed(account(operation, query))) != (400, [name])}
    assert wrong == {}
