"""Fixtures that start sandboxes, and the check that all they answer is what the specification allows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.conformance import VARIABLE, Recorder

from klaviyo_sandbox import RunningSandbox, serve

RECORDER = pytest.StashKey[Recorder]()
SELECTED_ALL = pytest.StashKey[bool]()

MakeSandbox = Callable[..., RunningSandbox]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDER] = Recorder()
    config.stash[SELECTED_ALL] = True


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[SELECTED_ALL] = False


def _ran_everything(session: pytest.Session) -> bool:
    """Was the whole suite asked for, and nothing of it left out or broken off?"""
    config = session.config
    return (
        config.stash[SELECTED_ALL]
        and config.args_source is not pytest.Config.ArgsSource.ARGS
        and not config.option.collectonly
        and not session.shouldstop
        and not session.shouldfail
    )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.stash[RECORDER].verdict(complete=_ran_everything(session)) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    recorder = config.stash[RECORDER]
    complete = _ran_everything(terminalreporter._session)
    names = " and ".join(document.name for document in recorder.documents)
    terminalreporter.write_line(
        f"conformance: {recorder.validated} responses of {len(recorder.served)} operations held to {names}"
    )
    for line in recorder.verdict(complete=complete):
        terminalreporter.write_line(f"conformance: {line}", red=True)


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Recorder:
    return pytestconfig.stash[RECORDER]


@pytest.fixture(scope="module")
def specification() -> dict[str, Any]:
    """The vendor's OpenAPI document. Without it a test is skipped; in CI it must be there."""
    path = os.environ.get(VARIABLE)
    if not path:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{VARIABLE} must name the specification in CI")
        pytest.skip(f"{VARIABLE} is not set")
    document: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return document


@contextlib.contextmanager
def _factory(recorder: Recorder) -> Iterator[MakeSandbox]:
    with contextlib.ExitStack() as running:

        def make(**arguments: Any) -> RunningSandbox:
            arguments = {"profiles": 60, "events": 200, **arguments}
            return running.enter_context(serve(observer=recorder.observe, **arguments))

        yield make


@pytest.fixture
def make_sandbox(recorder: Recorder) -> Iterator[MakeSandbox]:
    """Starts sandboxes (the arguments are those of ``serve``) that run until the test ends."""
    with _factory(recorder) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_sandbox(recorder: Recorder) -> Iterator[MakeSandbox]:
    """As ``make_sandbox``, until the tests of the module end: for tests that only read."""
    with _factory(recorder) as make:
        yield make


@pytest.fixture
def sandbox(make_sandbox: MakeSandbox) -> RunningSandbox:
    """A small account of the test's own, with Klaviyo's limits."""
    return make_sandbox()
