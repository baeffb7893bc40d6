"""Fixtures for the tests of whatever speaks to Klaviyo.

    pytest_plugins = ["klaviyo_sandbox.pytest_plugin"]  # in conftest.py

    @pytest.mark.klaviyo(profiles=10, faults="429=0.1")
    def test_my_client(klaviyo):
        ...  # requests to klaviyo.url; klaviyo.store is the live account

The marks take the arguments of ``klaviyo_sandbox.serve``.

A test fails when what it tests has had bad manners (``klaviyo.control.breaches()``), at any account that is served in
its process, unless it says so:

    @pytest.mark.klaviyo_breaches("early", reason="it shows what impatience leads to")
"""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import pytest

from klaviyo_sandbox.manners.judge import KINDS, Breach, Judge
from klaviyo_sandbox.server import RunningSandbox, judge_listeners, serve

MakeKlaviyo = Callable[..., RunningSandbox]
T = TypeVar("T")
# A failure lists so many breaches; more show nothing new.
_SHOWN = 10


class _Watch:
    """The judges of all accounts of this process, and how many breaches each had found that are not to be told now."""

    def __init__(self) -> None:
        # Those that the present test may ask must not be gone before it is over; the others end with their accounts.
        self._present: list[Judge] = []
        self._before: weakref.WeakKeyDictionary[Judge, tuple[Counter[str], list[Breach]]] = weakref.WeakKeyDictionary()

    def add(self, judge: Judge) -> None:
        self._present.append(judge)

    def begin(self) -> None:
        """What has happened so far is no matter of the test that begins."""
        self._present = list(dict.fromkeys([*self._before, *self._present]))
        self.pass_over()

    def end(self) -> None:
        """The present test is over."""
        self.pass_over()
        self._present.clear()

    def pass_over(self) -> None:
        """What has happened so far is not to be told."""
        for judge in self._present:
            self._before[judge] = judge.counts, judge.breaches()

    def results(self) -> tuple[Counter[str], list[Breach]]:
        """How many breaches of each kind were made since then, and those of them that were kept."""
        counts: Counter[str] = Counter()
        breaches: list[Breach] = []
        for judge in self._present:
            counts_before, breaches_before = self._before.get(judge, (Counter(), []))
            # Not by their number: what is found of a client may be excused afterwards.
            seen = set(map(id, breaches_before))
            new = [breach for breach in judge.breaches() if id(breach) not in seen]
            counts += (judge.counts - counts_before) | Counter(breach.kind for breach in new)
            breaches += new
        return counts, breaches


_WATCH = pytest.StashKey[_Watch]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and hear of every account from now on."""
    config.addinivalue_line("markers", "klaviyo(**options): what klaviyo_sandbox.serve makes the account of")
    config.addinivalue_line(
        "markers", "klaviyo_breaches(*kinds, reason): the breaches of manners that the test makes; all without kinds"
    )
    config.stash[_WATCH] = _Watch()
    judge_listeners.append(config.stash[_WATCH].add)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Hear of no more accounts."""
    if _WATCH in config.stash:
        judge_listeners.remove(config.stash[_WATCH].add)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, T, T]:
    """Refuse a mark that changes nothing. Fixtures that are made for a test count as the test."""
    item.config.stash[_WATCH].begin()
    result = yield
    _check_marks(item)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, T, T]:
    """Fail a test that passes and has made a breach which no mark of it allows."""
    watch = item.config.stash[_WATCH]
    try:
        result = yield
        _fail_for_breaches(_allowed_kinds(item), watch)
    finally:
        watch.pass_over()
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, T, T]:
    """What fixtures do when a test is over, such as closing a client that still has something to send, counts too."""
    watch = item.config.stash[_WATCH]
    try:
        result = yield
        # A mark that is wrong was told of in the test.
        if watch.results()[0]:
            _fail_for_breaches(_allowed_kinds(item), watch)
    finally:
        watch.end()
    return result


def _allowed_kinds(item: pytest.Item) -> set[str]:
    """The kinds of breaches that the marks of a test allow."""
    return {kind for mark in item.iter_markers("klaviyo_breaches") for kind in _kinds_of(mark)}


def _fail_for_breaches(allowed: set[str], watch: _Watch) -> None:
    """Fail where there are breaches that are not allowed, and were not told yet."""
    counts, breaches = watch.results()
    count = sum(counts[kind] for kind in counts.keys() - allowed)
    if count:
        lines = [str(breach) for breach in breaches if breach.kind not in allowed][:_SHOWN]
        more = ["..."] if count > len(lines) else []
        pytest.fail("\n".join([f"{count} breaches of manners:", *lines, *more]), pytrace=False)


def _kinds_of(mark: pytest.Mark) -> tuple[str, ...]:
    """The kinds that a mark allows.

    Raises:
        UsageError: there is no such kind, or it has no reason.
    """
    if unknown := set(mark.args) - set(KINDS):
        raise pytest.UsageError(f"klaviyo_breaches: no such kind: {sorted(unknown)} (known: {', '.join(KINDS)})")
    if not mark.kwargs.get("reason"):
        raise pytest.UsageError("klaviyo_breaches: a reason must be given")
    return mark.args or KINDS


def _check_marks(item: pytest.Item) -> None:
    """Fail where a ``klaviyo`` mark of a test gives options that no fixture reads."""
    marks = list(item.iter_markers("klaviyo"))
    if any(mark.args for mark in marks):
        pytest.fail("the mark klaviyo: options are named, such as klaviyo(faults='429x2')", pytrace=False)
    options = [name for mark in marks for name in mark.kwargs]
    if options and not _can_read_marks(item):
        said = ", ".join(f"{name}=..." for name in dict.fromkeys(options))
        pytest.fail(
            f"the mark klaviyo({said}) changes nothing: the fixture klaviyo of this test is not klaviyo_sandbox's, and"
            " reads no marks. Use klaviyo.control.change(...), or make_klaviyo(...), in the test",
            pytrace=False,
        )


def _can_read_marks(item: pytest.Item) -> bool:
    """Whether the fixture ``klaviyo`` is the one below, leads to it, or may look at the marks itself."""
    # Pytest has no public way to ask which fixtures a test gets; without this one nothing is refused.
    found = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get("klaviyo", ())
    for definition in reversed(found):
        if definition.func.__module__ == __name__ or "request" in definition.argnames:
            return True
        if "klaviyo" not in definition.argnames:
            return False
    return True


@pytest.fixture
def klaviyo(request: pytest.FixtureRequest, make_klaviyo: MakeKlaviyo) -> RunningSandbox:
    """A fresh account for one test: 200 profiles, 1,000 events and Klaviyo's limits, unless ``klaviyo`` marks say else.

    A mark takes the arguments of ``klaviyo_sandbox.serve``; of several, the one nearest to the test wins. It is an
    error where another fixture of this name, which reads no marks, takes this one's place.
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
