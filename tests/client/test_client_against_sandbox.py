"""The client and the local account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.patience import PATIENCE
from support.threads import run_at_once

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.clock import Clock
from klaviyo_sandbox.server import RunningSandbox


def client(sandbox: RunningSandbox, **options: Any) -> KlaviyoClient:
    return KlaviyoClient(api_key=options.pop("api_key", "pk_test"), api_url=sandbox.url, **options)


def test_pages_visit_every_profile_once(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Following the links from page to page gives the whole account."""
    sandbox = make_sandbox(profiles=45, events=0)
    pages = list(client(sandbox).pages("get_profiles", query={"page[size]": "20"}))
    ids = [row["id"] for page in pages for row in page.data]
    assert [len(page.data) for page in pages] == [20, 20, 5]
    assert sorted(ids) == sorted(sandbox.store.profiles.rows)


def test_what_the_account_refuses_has_its_error(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Wrong key, missing scope, unknown list, retired revision, forbidden filter."""
    sandbox = make_sandbox(profiles=5, events=0, key="pk_right", scopes="lists:read")
    with pytest.raises(errors.InvalidKey, match="private key"):
        client(sandbox).page("get_lists")
    right = client(sandbox, api_key="pk_right")
    with pytest.raises(errors.NotAllowed, match="profiles:read"):
        right.page("get_profiles")
    with pytest.raises(errors.NotFound):
        right.call("get_list", path={"id": "NOLIST"})
    with pytest.raises(errors.BadRequest, match=r"\[filter\]"):
        right.page("get_lists", query={"filter": "less-than(updated,2026-01-01T00:00:00Z)"})
    with pytest.raises(errors.RevisionRetired, match="revision"):
        client(sandbox, api_key="pk_right", revision="2023-09-15").page("get_lists")


def test_what_the_sandbox_does_not_serve_is_said_at_once(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """A 501 is an answer for good: it names the operation, and is asked for once."""
    sandbox = make_sandbox(profiles=1, events=0)
    with pytest.raises(errors.Refused, match="klaviyo-sandbox does not serve get_image_for_campaign_message"):
        client(sandbox).call("get_image_for_campaign_message", path={"id": "X"})
    assert [request.status for request in sandbox.requests] == [501]


def test_a_refused_revision_is_the_settings_fault(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """A 400 about the header is no fault of what was asked: it says which revision is spoken, and ends the run."""
    sandbox = make_sandbox(profiles=1, events=0, other_revisions="refuse")
    with pytest.raises(errors.RevisionRetired, match=r"set revision .*speaks 2026-07-15") as refused:
        client(sandbox, revision="2026-10-15").page("get_lists")
    assert "no longer" not in str(refused.value)


class Together:
    """A clock of some threads and their account: time passes when all of them sleep, until the first must wake.

    So a request is on its way for no time, however long the machine takes.
    """

    def __init__(self, threads: int) -> None:
        self.now = 1_800_000_000.25
        self._awake = threads
        self._alarms: list[float] = []
        self._rung = threading.Condition()

    def sleep(self, seconds: float) -> None:
        with self._rung:
            alarm = self.now + seconds
            self._alarms.append(alarm)
            self._rests()
            assert self._rung.wait_for(lambda: self.now >= alarm, PATIENCE)

    def leave(self) -> None:
        """A thread has ended."""
        with self._rung:
            self._rests()

    def _rests(self) -> None:
        self._awake -= 1
        if not self._awake and self._alarms:
            self.now = min(self._alarms)
            self._awake = sum(alarm <= self.now for alarm in self._alarms)
            self._alarms = [alarm for alarm in self._alarms if alarm > self.now]
            self._rung.notify_all()


@pytest.mark.klaviyo_breaches("repetition", reason="any request will do to count them")
def test_threads_within_the_budget_meet_no_429(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """Eight threads ask as fast as they may; the account, which counts, refuses none of them."""
    time = Together(8)
    sandbox = make_sandbox(profiles=5, events=0, clock=lambda: time.now)
    shared = client(sandbox, rate_limit_share=1.0, clock=Clock(lambda: time.now, time.sleep))

    def work() -> None:
        for _ in range(30):
            shared.page("get_metrics")
        time.leave()

    run_at_once(8, work)

    assert [entry.status for entry in sandbox.requests] == [200] * 240
    # As fast as they may: a second has room for ten, a minute for 150.
    assert time.now - 1_800_000_000.25 == 68
