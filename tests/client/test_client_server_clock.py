"""Klaviyo's clock beside ours: told of once when they disagree, and the earlier of both is taken for now."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.threads import run_at_once

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.server_clock import ServerClock
from klaviyo_client.http.transport import Request, Response

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Dated:
    """A transport whose answers have this much other a date than this machine; None for none."""

    def __init__(self, ahead: float | str | None, headers: Mapping[str, str] | None = None) -> None:
        self.ahead = ahead
        self.headers = dict(headers or {})

    def send(self, request: Request) -> Response:
        headers = dict(self.headers)
        if isinstance(self.ahead, str):
            headers["date"] = self.ahead
        elif self.ahead is not None:
            headers["date"] = format_datetime(datetime.now(UTC) + timedelta(seconds=self.ahead), usegmt=True)
        return Response(200, headers, b'{"data": []}')


@pytest.mark.parametrize(
    ("ahead", "said", "moved"),
    [(-3600, "ahead of", -3600), (-20, "ahead of", -20), (3600, "behind", 0), (86400 * 40, "behind", 0)],
)
def test_clocks_that_disagree_are_told_of_once(
    ahead: float, said: str, moved: float, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning a client, whatever the number of answers and threads; now is the earlier of both clocks."""
    client = KlaviyoClient(api_key="pk_test", transport=Dated(ahead))
    assert client.server_clock.earlier(NOON) == NOON
    with caplog.at_level(logging.WARNING):
        run_at_once(4, lambda: client.page("get_lists"))
        client.page("get_lists")
    [line] = caplog.messages
    assert said in line
    assert abs((client.server_clock.earlier(NOON) - NOON).total_seconds() - moved) <= 5


@pytest.mark.parametrize("ahead", [0, None, "soon", "", "Mon, 99 Jun 2026 12:00:00 GMT"])
def test_clocks_that_agree_are_not(ahead: float | str | None, caplog: pytest.LogCaptureFixture) -> None:
    """A second of rounding is none, nor is a date that is none."""
    client = KlaviyoClient(api_key="pk_test", transport=Dated(ahead))
    with caplog.at_level(logging.WARNING):
        client.page("get_lists")
    assert caplog.messages == []
    assert client.server_clock.earlier(NOON) == NOON


def test_an_answer_out_of_a_cache_says_nothing_about_a_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Its date is that of its making."""
    client = KlaviyoClient(api_key="pk_test", transport=Dated(-3600, {"age": "3600"}))
    client.page("get_lists")
    assert caplog.messages == []
    assert client.server_clock.earlier(NOON) == NOON


SENT = NOON


@pytest.mark.parametrize(
    ("second", "received_after", "skew"),
    [
        (0, 0.5, 0),
        (-1, 0.0, 0),
        (-6, 0.0, 0),
        (-7, 0.0, -6),
        (5, 0.0, 0),
        (7, 0.0, 7),
        (50, 60.0, 0),
        (-1, 60.0, 0),
        (70, 60.0, 10),
        (-60, 60.0, -59),
    ],
)
def test_an_answer_on_its_way_is_no_difference(second: float, received_after: float, skew: float) -> None:
    """The date was written between sending and receiving, in whole seconds: only what cannot be so is a difference."""
    clock = ServerClock()
    date = {"date": format_datetime(SENT + timedelta(seconds=second), usegmt=True)}
    clock.compare(date, SENT, SENT + timedelta(seconds=received_after))
    assert clock.skew == timedelta(seconds=skew)
