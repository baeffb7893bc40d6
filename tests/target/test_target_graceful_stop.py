"""Asked to end, once and twice."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE, until
from target_support import PROFILE_SCHEMA, Command, Time, records, respond

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.transport import Request, Response
from target_klaviyo.delivery.graceful_stop import GRACE_SECONDS, GracefulStop, StoppableTransport, Stopped
from target_klaviyo.delivery.jobs import IMPORTS, JobPoller

MIRROR = {"action": "list_members", "mode": "mirror", "list": "XyZ123", "owns_list": True, "assume_complete": True}


def in_a_thread(work: Callable[[], object]) -> BaseException | None:
    """What the work raises in a thread that is not the main one."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - what it is is the question
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_nothing_is_sent_again_when_its_time_has_come() -> None:
    """A 503 without end is tried again until so many seconds after the signal, by any thread, and no longer."""
    time, stop_at, asked = Time(), 100.0, list[float]()
    stop = GracefulStop(lambda: time.now)
    clock = stop.clock(time.clock)

    def answer(_: Request) -> Response:
        asked.append(time.now)
        if time.now >= stop_at:
            stop.request()
        return respond(503)

    class Wire:
        send = staticmethod(answer)

    client = KlaviyoClient("pk_x", clock=clock, transport=StoppableTransport(Wire(), stop))
    assert isinstance(in_a_thread(lambda: client.call("get_lists")), Exception)  # it gives up by itself
    stop_at = time.now
    began = len(asked)
    assert isinstance(in_a_thread(lambda: client.call("get_lists")), Stopped)
    assert asked[began] == stop_at
    assert all(moment <= stop_at + GRACE_SECONDS for moment in asked)


def test_a_wait_that_would_end_too_late_is_not_begun() -> None:
    """Who is to wait a minute for the next attempt ends at once; the main thread begins nothing more at all."""
    stop = GracefulStop(lambda: 0.0)
    stop.request()
    clock = stop.clock()
    assert isinstance(in_a_thread(lambda: clock.sleep(GRACE_SECONDS + 1)), Stopped)
    assert in_a_thread(lambda: clock.sleep(0.0)) is None
    assert in_a_thread(stop.check) is None
    with pytest.raises(Stopped):
        stop.check()


def test_a_job_is_not_asked_after_any_longer() -> None:
    """Its records come again, which changes nothing."""
    time = Time()
    stop = GracefulStop(lambda: time.now)

    class Wire:
        @staticmethod
        def send(_: Request) -> Response:
            stop.request()
            return respond(200, {"data": {"id": "1", "attributes": {"status": "processing"}}})

    clock = stop.clock(time.clock)
    client = KlaviyoClient("pk_x", clock=clock, transport=StoppableTransport(Wire(), stop))
    assert isinstance(in_a_thread(lambda: JobPoller(client, 3600, IMPORTS).wait_for("1")), Stopped)
    assert time.now <= GRACE_SECONDS


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def running(target: Command, **config: object) -> warm.Popen:
    """A target that has got one record and a STATE, with its input at its end."""
    (target.folder / "config.json").write_text(json.dumps({**target.config, **config}))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    process = warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder)
    lines = [
        PROFILE_SCHEMA,
        *records("profiles", [{"email": "ada@example.com"}]),
        {"type": "STATE", "value": {"at": 1}},
    ]
    assert process.stdin is not None
    process.stdin.write(singer_lines(lines))
    process.stdin.close()
    process.stdin = None
    return process


@pytest.mark.parametrize("streams", [{}, {"profiles": MIRROR}], ids=["a batch", "the main thread"])
def test_a_second_signal_ends_at_once(target: Command, silent: socket.socket, streams: dict[str, object]) -> None:
    """Also while an answer is waited for that does not come within the hour; no STATE, and no report of the run."""
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with running(target, api_url=url, request_timeout=3600, streams=streams, report_path="run.json") as process:
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert any("waiting for the requests that are under way" in line for line in process.stderr)
            # Python sees a signal that comes just before a system call only after it, so wait until the call has begun.
            until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == ""
    assert not (target.folder / "run.json").exists()


@pytest.mark.parametrize("status", [429, 503])
def test_one_signal_ends_a_storm(target: Command, status: int) -> None:
    """Klaviyo asks for two minutes, again and again: the signal ends it, and no STATE speaks of the record."""
    asked = threading.Event()

    class Busy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Retry-After", "119")
            self.send_header("Content-Length", "0")
            self.end_headers()
            asked.set()

        do_GET = do_POST = answer  # noqa: N815 - the names that the server looks for

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with running(target, api_url=f"http://127.0.0.1:{server.server_port}") as process:
            assert asked.wait(PATIENCE)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE)
        server.shutdown()
    assert process.returncode == 143
    assert out == ""
    assert "1 record was not sent" in err
