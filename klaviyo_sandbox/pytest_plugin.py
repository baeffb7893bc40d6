"""Fixtures for the tests of whatever speaks to Klaviyo.

    pytest_plugins = ["klaviyo_sandbox.pytest_plugin"]  # in conftest.py

    @pytest.mark.klaviyo(profiles=10, faults="429=0.1")
    def test_my_client(klaviyo):
        ...  # requests to klaviyo.url; klaviyo.store is the live account

The marks take the arguments of ``klaviyo_sandbox.serve``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from klaviyo_sandbox.server import RunningSandbox, serve

MakeKlaviyo = Callable[..., RunningSandbox]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker ``klaviyo``."""
    config.addinivalue_line("markers", "klaviyo(**options): what klaviyo_sandbox.serve makes the account of")


@pytest.fixture
def klaviyo(request: pytest.FixtureRequest, make_klaviyo: MakeKlaviyo) -> RunningSandbox:
    """A fresh account for one test: 200 profiles, 1,000 events and Klaviyo's limits, unless ``klaviyo`` marks say else.

    A mark takes the arguments of ``klaviyo_sandbox.serve``; of several, the one nearest to the test wins.
    """
    options: dict[str, Any] = {}
    for mark in request.node.iter_markers("klaviyo"):
        options = {**mark.kwargs, **options}
    return make_klaviyo(**options)


@pytest.fixture
def make_klaviyo() -> Iterator[MakeKlaviyo]:
    """A function that serves an account, with the arguments of ``klaviyo_sandbox.serve``, until the test ends."""
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(serve(**options))


@pytest.fixture(scope="session")
def make_shared_klaviyo() -> Iterator[MakeKlaviyo]:
    """As ``make_klaviyo``, for accounts that several tests read: they are served until the session ends."""
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(serve(**options))
