"""Accounts that are only read are shared by the tests of a module; whoever writes starts one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from support.calls import Caller
from support.environments import RegistryOutOfReach
from support.official import EDITIONS, INSTALLED, official_client
from support.official_elsewhere import SdkElsewhere

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


class Official:
    """An edition of the vendor's SDK.

    Attributes:
        client: makes of an account what calls it with the SDK, until the block ends.
        revision: the one that it asks in.
    """

    def __init__(self, client: Callable[[RunningSandbox], AbstractContextManager[Any]], revision: str) -> None:
        self.client = client
        self.revision = revision


@contextmanager
def _installed_client(sandbox: RunningSandbox) -> Iterator[Any]:
    api, manager = official_client(sandbox)
    yield api
    manager.clear()


@pytest.fixture(
    scope="session",
    params=["installed", *(pytest.param(edition, marks=pytest.mark.exhaustive) for edition in EDITIONS)],
)
def official(request) -> Iterator[Official]:
    """The SDK that the tests have installed, and every edition in an environment of its own."""
    if request.param == "installed":
        yield Official(_installed_client, INSTALLED)
        return
    try:
        sdk = SdkElsewhere(request.param)
    except RegistryOutOfReach:
        pytest.skip(f"no package registry answers, and {request.param} is not here yet")
    yield Official(lambda sandbox: nullcontext(sdk.client(sandbox)), EDITIONS[request.param])
    sdk.close()
