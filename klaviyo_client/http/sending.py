"""Sends requests within the rate limits, and tells the rate limiter what the answers say. Nothing else sends any."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from klaviyo_client.api import protocol
from klaviyo_client.http.permits import Permit
from klaviyo_client.http.rate_limits import RateLimiter
from klaviyo_client.http.server_clock import ServerClock
from klaviyo_client.http.transport import Request, Response, Transport


class Sender:
    """Sends requests. Safe to share between threads.

    Attributes:
        transport: what sends them; nothing else of the client uses it.
        server_clock: what the answers show of Klaviyo's clock.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.server_clock = ServerClock()

    def send(self, request: Request, rate_limiter: RateLimiter, permit: Permit) -> Response:
        """Send one request with the permit, which is waited for where it is not valid.

        Raises:
            TransportError: there was no whole answer.
            DailyLimitReached, Throttled: it was not sent.
        """
        rate_limiter.start_request(permit)
        sent = datetime.now(UTC)
        response = self.transport.send(request)
        self.server_clock.compare(response.headers, sent, datetime.now(UTC))
        if limits := protocol.announced_limits(response.headers):
            rate_limiter.set_limits(*limits)
        seconds = protocol.retry_after(response.headers, datetime.now(UTC))
        if response.status == 429:
            rate_limiter.back_off(permit, seconds)
        elif response.status >= 500 and seconds:
            rate_limiter.pause(seconds)
        elif response.status < 500:
            rate_limiter.add_success(permit)
        return response if seconds is None else replace(response, retry_after=seconds)
