"""The client and the local account."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.patience import PATIENCE
from support.threads import run_at_once

from klaviyo_client import errors
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.transport import Request, RequestsTransport, Response
from klaviyo_sandbox.server import RunningSandbox


def client(sandbox: RunningSandbox, **options: Any) -> KlaviyoClient:
    return KlaviyoClient(api_key=options.pop("api_key", "pk_test"), api_url=sandbox.url, **options)


class InRevision(RequestsTransport):
    """Sends every request in one revision, as a version of another time would."""

    def __init__(self, revision: str) -> None:
        super().__init__(timeout=PATIENCE)
        self._revision = revision

    def send(self, request: Request) -> Response:
        return super().send(replace(request, headers={**request.headers, "revision": self._revision}))


def test_an_operation_is_asked_for_in_its_own_revision(
    make_sandbox: Callable[..., RunningSandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """One client reads both shapes of a path side by side, and the answers are of the revisions that it asked for."""
    speaker = client(make_sandbox(profiles=1, events=0, other_revisions="refuse"))
    july = speaker.page("get_campaigns", query={"filter": 'equals(messages.channel,"email")'}).data[0]["attributes"]
    october = speaker.page("get_campaigns@2026-10-15").data[0]["attributes"]
    assert "audiences" in july
    assert october.keys() == {"created_at", "updated_at", "definition"}
    assert speaker.page("get_campaign_messages").data[0]["attributes"].keys() == {"created", "updated", "definition"}
    assert speaker.usage()["get_campaigns"].requests == 2
    assert not caplog.records


def test_an_answer_in_another_revision_is_a_warning(
    make_sandbox: Callable[..., RunningSandbox], caplog: pytest.LogCaptureFixture
) -> None:
    """Once for an operation and what answered, however often: columns may be empty then, and nobody would know why."""
    speaker = client(make_sandbox(profiles=30, events=0), transport=InRevision("2026-10-15"))
    for _ in range(2):
        assert len(list(speaker.pages("get_profiles", query={"page[size]": "10"}))) == 3
        speaker.page("get_lists")
        speaker.page("get_campaigns@2026-10-15")
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(":")[0] for line in said] == ["get_profiles", "get_lists"]
    assert all("2026-07-15" in line and "2026-10-15" in line for line in said)


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
    with pytest.raises(errors.RevisionRetired, match="2023-09-15 is no longer available"):
        client(sandbox, api_key="pk_right", transport=InRevision("2023-09-15")).page("get_lists")


def test_what_the_sandbox_does_not_serve_is_said_at_once(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """A 501 is an answer for good: it names the operation, and is asked for once."""
    sandbox = make_sandbox(profiles=1, events=0)
    with pytest.raises(errors.Refused, match="klaviyo-sandbox does not serve get_image_for_campaign_message"):
        client(sandbox).call("get_image_for_campaign_message", path={"id": "X"})
    assert [request.status for request in sandbox.requests] == [501]


def test_a_refused_revision_is_said_to_be_one(make_sandbox: Callable[..., RunningSandbox]) -> None:
    """A 400 about the header is no fault of what was asked: it says which revision is spoken, and ends the run."""
    sandbox = make_sandbox(profiles=1, events=0, other_revisions="refuse")
    with pytest.raises(errors.RevisionRetired, match=r"update singer-klaviyo .*speaks 2026-07-15") as refused:
        client(sandbox, transport=InRevision("2099-10-15")).page("get_lists")
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
