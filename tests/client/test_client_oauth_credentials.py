"""The client as an OAuth app, against the sandbox's token endpoint."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.oauth_app import REFRESH, SECRET, client_app, sandbox_app
from support.patience import PATIENCE, until
from support.threads import run_at_once

from klaviyo_client import errors
from klaviyo_client.auth.token_file import TokenFile
from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_client.http.sending import Sender
from klaviyo_client.http.transport import Request, RequestsTransport, Response
from klaviyo_client.privacy import private_files
from klaviyo_sandbox.server import RunningSandbox

Make = Callable[..., RunningSandbox]


@dataclass
class Account:
    """An account that has authorised an app, the app's clients, and a clock that all of them share."""

    make: Make
    now: float = 1_780_000_000.0
    sandbox: RunningSandbox = field(init=False)

    def start(self, *, rotates: bool = False, **options: Any) -> RunningSandbox:
        arguments = {"profiles": 3, "events": 0, "limits": False, "clock": lambda: self.now, **options}
        self.sandbox = self.make(oauth=sandbox_app(rotates=rotates), **arguments)
        return self.sandbox

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def client(
        self, path: Path | None = None, *, secret: str = SECRET, refresh: str = REFRESH, **options: Any
    ) -> KlaviyoClient:
        app = client_app(secret=secret, refresh=refresh, path=str(path) if path else None)
        options = {"clock": Clock(lambda: self.now, self.sleep), "retry_policy": RetryPolicy(attempts=3), **options}
        return KlaviyoClient(app=app, api_url=self.sandbox.url, **options)

    @property
    def log(self) -> list[tuple[str, int]]:
        """(last part of the path, status) of every request that came."""
        return [(request.path.rpartition("/")[2], request.status) for request in self.sandbox.requests]

    @property
    def sign_ins(self) -> int:
        return sum(path == "token" for path, _ in self.log)


@pytest.fixture
def account(make_sandbox: Make) -> Account:
    return Account(make_sandbox)


def at_once(count: int, work: Callable[[], object]) -> list[object]:
    """What each of so many threads gets that begin together: a result or an error of the client."""

    def result_or_error() -> object:
        try:
            return work()
        except errors.KlaviyoError as error:
            return error

    return run_at_once(count, result_or_error)


def test_one_sign_in_serves_64_threads(account: Account) -> None:
    """They begin together without a token, and one of them fetches it."""
    account.start()
    client = account.client()
    at_once(64, lambda: client.page("get_lists"))
    assert account.log == [("token", 200), *[("lists", 200)] * 64]


def test_the_scopes_that_were_granted_are_known(account: Account) -> None:
    """What the endpoint said of them, for checks; before it was asked, and of a key, nothing is known."""
    account.start(scopes="lists:read")
    client = account.client()
    assert client.credentials.scopes is None
    client.page("get_lists")
    assert client.credentials.scopes == {"lists:read"}
    assert KlaviyoClient("pk_test").credentials.scopes is None


def test_a_token_is_renewed_before_its_end(account: Account) -> None:
    """No request meets a 401: renewal comes five minutes before the hour is over, and not sooner."""
    account.start()
    client = account.client()
    for passing in (0, 3299, 2, 3301):
        account.now += passing
        client.page("get_lists")
    signing, reading = ("token", 200), ("lists", 200)
    assert account.log == [signing, reading, reading, signing, reading, signing, reading]


def test_a_401_is_renewed_once_by_64_threads(account: Account) -> None:
    """The token was ended early: each thread repeats its request once, and one of them signs in for all."""
    account.start()
    client = account.client()
    client.page("get_lists")
    account.sandbox.control.end_tokens("access")
    results = at_once(64, lambda: client.page("get_lists"))
    assert [error for error in results if isinstance(error, Exception)] == []
    assert account.sign_ins == 2
    assert account.log.count(("lists", 200)) == 65


def test_a_write_is_repeated_after_a_401(account: Account) -> None:
    """It was certainly not done, so that it may be sent again although it may not be done twice."""
    account.start()
    client = account.client()
    client.page("get_lists")
    account.sandbox.control.end_tokens("access")
    body = {"data": {"type": "list", "attributes": {"name": "Newly made"}}}
    client.call("create_list", body=body)
    assert [row["name"] for row in account.sandbox.store.lists.rows.values()].count("Newly made") == 1


def test_a_second_401_is_the_users_to_act_on(account: Account) -> None:
    """A fresh token that is refused is not renewed again: one sign-in, one repetition, one error."""
    account.start()
    transport = RequestsTransport(timeout=PATIENCE)
    asked: list[str] = []

    class Deaf:
        def send(self, request: Request) -> Response:
            asked.append(request.url.rpartition("/")[2])
            return transport.send(request) if asked[-1] == "token" else Response(401, {}, b"")

    with pytest.raises(errors.InvalidKey, match="access token that it has just given"):
        account.client(transport=Deaf()).page("get_lists")
    assert asked == ["token", "lists", "token", "lists"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"refresh": "another"}, "Authorise the app again"), ({"secret": "another"}, "client_id and client_secret")],
)
def test_wrong_settings_are_sent_once(account: Account, options: dict[str, str], said: str) -> None:
    """Every thread gets the error of what the user must change, and the endpoint gets no second request."""
    account.start()
    client = account.client(**options)
    results = [*at_once(8, lambda: client.page("get_lists")), *at_once(1, lambda: client.page("get_lists"))]
    assert len(results) == 9
    assert all(isinstance(error, errors.SettingsError) and said in str(error) for error in results)
    assert account.sign_ins == 1


def test_an_app_that_was_uninstalled_meanwhile_must_be_authorised_again(account: Account) -> None:
    """The access token ends with the grant; the renewal says what to do."""
    account.start()
    client = account.client()
    client.page("get_lists")
    account.sandbox.control.end_tokens("all")
    with pytest.raises(errors.GrantRefused, match="Authorise the app again"):
        client.page("get_lists")


def test_a_busy_endpoint_is_tried_again_in_the_one_retry_place(account: Account) -> None:
    """Also for a request that must not be sent twice, for it was not sent yet; in the end the error is raised."""
    account.start(faults="503=1")
    client = account.client()
    with pytest.raises(errors.SignInFault, match="503"):
        client.call("create_list", body={"data": {"type": "list", "attributes": {"name": "Never"}}})
    assert [path for path, _ in account.log] == ["token"] * 3
    account.sandbox.control.change(faults="")
    client.page("get_lists")


def test_threads_that_wait_share_a_fault(account: Account) -> None:
    """64 threads do not hammer an endpoint that is down: of those that waited for one request, none sends its own."""
    account.start(faults="503=1")
    transport = RequestsTransport(timeout=PATIENCE)
    lock = threading.Lock()
    came: list[None] = []

    class Queue:
        """The lock that threads wait behind; each leaves a mark when it comes."""

        def __enter__(self) -> None:
            came.append(None)
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    class Late:
        """Is answered when all the others wait for that answer."""

        def send(self, request: Request) -> Response:
            until(lambda: len(came) == 64)
            return transport.send(request)

    client = account.client(transport=Late(), retry_policy=RetryPolicy(attempts=1))
    client.credentials._lock = Queue()  # type: ignore[attr-defined]
    results = at_once(64, lambda: client.page("get_lists"))
    assert len(results) == 64
    assert {type(error) for error in results} == {errors.SignInFault}
    assert account.sign_ins == 1


def test_a_token_that_still_holds_bears_an_endpoint_that_is_down(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the last five minutes requests go on, a renewal is tried every ten seconds, and then it is an error."""
    account.start()
    client = account.client()
    client.page("get_lists")
    account.now += 3400
    original = client.credentials._sender  # type: ignore[attr-defined]

    class Down:
        asked = 0

        def send(self, request: Request) -> Response:
            Down.asked += 1
            return Response(503, {}, b"")

    client.credentials._sender = Sender(Down())  # type: ignore[attr-defined]
    for passing in (0, 1, 10):
        account.now += passing
        client.page("get_lists")
    assert Down.asked == 2
    assert caplog.text.count("continuing with the access token, which is still valid") == 2
    account.now += 300
    with pytest.raises(errors.SignInFault):
        client.page("get_lists")
    client.credentials._sender = original  # type: ignore[attr-defined]
    client.page("get_lists")


def test_a_rotated_token_goes_from_run_to_run_through_the_file(account: Account, tmp_path: Path) -> None:
    """Each run begins with the last one's token although the config still has the first, and no warning is due."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    for _ in range(3):
        client = account.client(path)
        client.page("get_lists")
        account.now += 4000
        client.page("get_lists")
    assert account.sign_ins == 6
    assert {status for _, status in account.log} == {200}


def test_a_rotated_token_is_on_file_before_the_new_one_is_used(account: Account, tmp_path: Path) -> None:
    """A kill right after the answer loses nothing."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    kept: list[str] = []
    transport = RequestsTransport(timeout=PATIENCE)

    class Watching:
        def send(self, request: Request) -> Response:
            if not request.url.endswith("/oauth/token"):
                kept.append(TokenFile(path, REFRESH).latest())
            return transport.send(request)

    account.client(path, transport=Watching()).page("get_lists")
    assert len(kept) == 1
    assert kept[0] != REFRESH


def test_two_runs_at_once_share_the_file(account: Account, tmp_path: Path) -> None:
    """One run rotates the token that the other has begun with; the other finds the new one on file."""
    account.start(rotates=True)
    tap, target = account.client(tmp_path / "token.json"), account.client(tmp_path / "token.json")
    for _ in range(2):
        tap.page("get_lists")
        target.page("get_lists")
        account.now += 4000
    assert {status for _, status in account.log} == {200}


@pytest.mark.parametrize("runs", [2, 3, 8])
def test_runs_that_sign_in_at_once_are_never_told_to_authorise_again(
    account: Account, tmp_path: Path, runs: int
) -> None:
    """Each waits until the one before it has written its token down, and asks with that one."""
    account.start(rotates=True)
    for _ in range(3):
        # Really slept, for the others need time to write down.
        clock = Clock(lambda: account.now, time.sleep)
        clients = iter([account.client(tmp_path / "token.json", clock=clock) for _ in range(runs)])
        results = at_once(runs, lambda clients=clients: next(clients).page("get_lists"))  # type: ignore[misc]
        assert [error for error in results if isinstance(error, Exception)] == []
        account.now += 4000
    assert {status for _, status in account.log} == {200}
    assert [entry.name for entry in tmp_path.iterdir()] == ["token.json"]


def test_a_run_that_hangs_with_the_lock_stops_nobody_for_ever(account: Account, tmp_path: Path) -> None:
    """After a minute one goes on without it, as one does where a file system knows no locks."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    before = account.now
    with private_files.file_lock(path, account.sleep, 60):
        account.client(path).page("get_lists")
    assert account.now - before == pytest.approx(60, abs=1)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A killed run leaves a file at most, which locks nothing."""
    path = tmp_path / "token.json"
    hold = (
        "import os, pathlib, sys, time; from klaviyo_client.privacy import private_files\n"
        "with private_files.file_lock(pathlib.Path(sys.argv[1]), time.sleep, 60):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(path)], stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        waited: list[float] = []
        with private_files.file_lock(path, waited.append, 1):
            assert sum(waited) >= 1
        held.kill()
        held.wait()
    with private_files.file_lock(path, waited.clear, 1):  # type: ignore[arg-type]
        assert waited


def test_a_token_rotated_between_reading_and_asking_is_found(account: Account, tmp_path: Path) -> None:
    """The refused one was the file's of a moment ago, so that the file is read once more."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    late = account.client(path)
    transport = RequestsTransport(timeout=PATIENCE)

    class Overtaken:
        done = False

        def send(self, request: Request) -> Response:
            if not self.done:
                self.done = True
                account.client(path).page("get_lists")
            return transport.send(request)

    late.credentials._sender = Sender(Overtaken())  # type: ignore[attr-defined]
    late.page("get_lists")
    assert account.log == [("token", 200), ("lists", 200), ("token", 400), ("token", 200), ("lists", 200)]


def test_a_token_that_another_run_is_about_to_write_down_is_waited_for(account: Account, tmp_path: Path) -> None:
    """A tap and a target that begin together ask with the same token; the refused one gives the other two seconds."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    first = account.client()
    first.page("get_lists")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        TokenFile(path, REFRESH).keep(first.credentials._refresh_token)  # type: ignore[attr-defined]

    second = account.client(path)
    second.credentials._clock = Clock(lambda: account.now, sleep)  # type: ignore[attr-defined]
    second.page("get_lists")
    assert slept == [2.0]


def test_a_file_that_is_lost_to_the_disk_stops_the_run(account: Account, tmp_path: Path) -> None:
    """The new token could not be kept: better told now than by a refusal at the next night."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    client = account.client(path)
    path.mkdir()
    with pytest.raises(errors.SettingsError, match="refresh_token_path"):
        client.page("get_lists")


def test_without_a_file_one_warning_tells_of_the_rotation(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on with the new token in memory; the warning does not hold it, and comes once."""
    account.start(rotates=True)
    client = account.client()
    for _ in range(3):
        client.page("get_lists")
        account.now += 4000
    assert account.sign_ins == 3
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "set refresh_token_path" in warning


def test_no_warning_where_nothing_rotates(account: Account, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """The same refresh token comes back each time, and no file is made of it."""
    account.start()
    for path in (None, tmp_path / "token.json"):
        account.client(path).page("get_lists")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All loggers at DEBUG, as ``LOGLEVEL=DEBUG`` sets them."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_no_secret_is_logged_at_debug(
    account: Account, everything_logged: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Neither by us nor by the libraries below us, with no mask applied yet."""
    account.start(rotates=True)
    path = tmp_path / "token.json"
    client = account.client(path)
    client.page("get_lists")
    account.sandbox.control.end_tokens("all")
    with pytest.raises(errors.GrantRefused):
        client.page("get_lists")
    kept = json.loads(path.read_text())["refresh_token"]
    access = client.credentials._current.token.access  # type: ignore[attr-defined]
    assert "oauth/token" in everything_logged.text
    for secret in (SECRET, REFRESH, kept, access):
        assert secret not in everything_logged.text


def test_a_key_and_an_app_do_not_go_together() -> None:
    """Nobody could say whose limits and scopes hold."""
    with pytest.raises(errors.SettingsError, match="set either api_key or the OAuth app"):
        KlaviyoClient("pk_test", app=client_app())
