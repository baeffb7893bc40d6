"""Fixtures that start sandboxes, the check that all they answer is what the specification allows, and the suite's end.

The suite runs in several processes (pytest-xdist): what the recorders of the workers have seen is added up in the
process that started them, which also says what a selection has left out.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from support.conformance import Recorder, committed_facts, vendor_document
from support.demo import load as load_demo
from support.scripts import script

from klaviyo_sandbox import RunningSandbox, serve

pytest_plugins = ["klaviyo_sandbox.pytest_plugin"]
openapi = script("openapi")
RECORDER = pytest.StashKey[Recorder]()
DESELECTED = pytest.StashKey[dict[str, int]]()
# What `make test` leaves out takes so long beside what it runs, on two cores that have nothing else to do.
TEST_ALL_TAKES = "about 12 minutes on two cores"

MakeSandbox = Callable[..., RunningSandbox]

# How long an example takes says how fast the machine is, and nothing of what is tested.
_ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", _ANY_MACHINE, derandomize=True, database=None, max_examples=50)
settings.register_profile("thorough", _ANY_MACHINE, print_blob=True, max_examples=100)
settings.load_profile("fast")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDER] = Recorder(
        [committed_facts(), *map(vendor_document, (openapi.load(), *openapi.others().values()))]
    )
    config.stash[DESELECTED] = {"all": 0, "exhaustive": 0}


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        counts = items[0].config.stash[DESELECTED]
        counts["all"] += len(items)
        counts["exhaustive"] += sum(item.get_closest_marker("exhaustive") is not None for item in items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test's log end the run: half a surrogate pair in it cannot be sent to the process that reports."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: take over what it has seen. One that died has nothing to hand on, and fails the session."""
    output = getattr(node, "workeroutput", {})
    if "seen" in output:
        node.config.stash[RECORDER].add(output["seen"])
        # Every worker collects the same tests.
        node.config.stash[DESELECTED] = output["deselected"]


def _ran_everything(session: pytest.Session) -> bool:
    """Was the whole suite asked for, and nothing of it left out or broken off?"""
    config = session.config
    return (
        not config.stash[DESELECTED]["all"]
        and config.args_source is not pytest.Config.ArgsSource.ARGS
        and not config.option.collectonly
        and not session.shouldstop
        and not session.shouldfail
    )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    recorder = session.config.stash[RECORDER]
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output.update(seen=recorder.seen, deselected=session.config.stash[DESELECTED])
    elif recorder.verdict(complete=_ran_everything(session)) and exitstatus == pytest.ExitCode.OK:
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
    if left := config.stash[DESELECTED]["exhaustive"]:
        terminalreporter.write_line(f"left to `make test-all`, which takes {TEST_ALL_TAKES}: {left} exhaustive tests")


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Recorder:
    return pytestconfig.stash[RECORDER]


@pytest.fixture(scope="module")
def specification() -> dict[str, Any]:
    """The vendor's OpenAPI document."""
    document: dict[str, Any] = openapi.load()
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


@pytest.fixture(scope="session")
def make_database() -> Iterator[Callable[[], str]]:
    """Makes empty databases in one PostgreSQL of this process; gives their addresses."""
    with load_demo().postgres() as uri:
        names = (f"test_{number}" for number in itertools.count())

        def make() -> str:
            name = next(names)
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute(f"create database {name}")
            return urlsplit(uri)._replace(path=f"/{name}").geturl()

        yield make


@pytest.fixture(scope="module")
def database(make_database: Callable[[], str]) -> str:
    """The address of a database of the module's own."""
    return make_database()
