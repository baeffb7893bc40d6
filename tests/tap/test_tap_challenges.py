"""A proxy or firewall before Klaviyo that challenges some requests, as it would a browser."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest
from tap_support import discovered, select

from klaviyo_client.http.clock import Clock
from klaviyo_client.http.transport import Request, RequestsTransport, Response
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tap import TapKlaviyo

CHALLENGE = Response(403, {"content-type": "text/html"}, b"<!DOCTYPE html><title>Just a moment...</title>")


@pytest.fixture
def challenged(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Every first request of a method and path is challenged, on the way to any account; nobody waits."""
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    monkeypatch.setattr(Clock.__init__, "__defaults__", (lambda: passed[0], sleep))
    seen: Counter[tuple[str, str]] = Counter()
    send = RequestsTransport.send

    def send_or_challenge(transport: RequestsTransport, request: Request) -> Response:
        way = (request.method, request.url)
        seen[way] += 1
        return CHALLENGE if seen[way] == 1 else send(transport, request)

    monkeypatch.setattr(RequestsTransport, "send", send_or_challenge)
    return seen


def test_the_tap_leaves_nothing_out(
    make_sandbox: Callable[..., RunningSandbox],
    challenged: Counter[tuple[str, str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No table is skipped, and no look-up is lost behind the bookmark."""
    sandbox = make_sandbox(profiles=12, events=20, limits=False)
    names = ("campaigns", "campaign_messages", "lists", "events")
    runs: list[Counter[str]] = []
    for _ in range(2):
        tap = TapKlaviyo(
            config={"api_key": "pk_test", "api_url": sandbox.url, "processes": 0},
            catalog=select(discovered(), dict.fromkeys(names)),
            parse_env_config=False,
        )
        tap.sync_all()
        messages = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        runs.append(Counter(json.dumps(entry["record"]) for entry in messages if entry["type"] == "RECORD"))
    assert runs[0] == runs[1] != Counter()
    assert min(challenged.values()) > 1
