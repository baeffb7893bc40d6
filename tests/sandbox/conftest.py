"""Accounts that are only read are shared by the tests of a module; whoever writes starts one of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.calls import Caller

from klaviyo_sandbox import RunningSandbox


@pytest.fixture(scope="module")
def reading(make_shared_sandbox) -> RunningSandbox:
    """An account without limits, for reading only."""
    return make_shared_sandbox(profiles=130, events=400, limits=False)


@pytest.fixture(scope="module")
def read(reading) -> Iterator[Caller]:
    """Calls ``reading``."""
    caller = Caller(reading.url)
    yield caller
    caller.close()


@pytest.fixture
def writing(make_sandbox) -> RunningSandbox:
    """A small account without limits that the test may change."""
    return make_sandbox(limits=False, job_seconds=0.0)


@pytest.fixture
def call(writing) -> Iterator[Caller]:
    """Calls ``writing``."""
    caller = Caller(writing.url)
    yield caller
    caller.close()
