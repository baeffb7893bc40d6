"""The one way to the wire: no request goes out but with a place in its budget, and none that is not counted."""

from __future__ import annotations

from datetime import UTC, datetime

from klaviyo_client.api import protocol
from klaviyo_client.http.rate_limits import Budget, Turn
from klaviyo_client.http.transport import Request, Response, Transport


class Sender:
    """Sends requests when it is their turn, and tells their budget what came of it. Safe to share between threads.

    Attributes:
        transport: what sends them; nothing else of the client uses it.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def send(self, request: Request, budget: Budget, turn: Turn) -> Response:
        """Send one request with the place that the turn holds, or when it has waited for one.

        Raises:
            Broken: there was no whole answer.
            DayIsFull, Closed: it was not sent.
        """
        budget.enter(turn)
        response = self.transport.send(request)
        if rates := protocol.announced_rates(response.headers):
            budget.announced(*rates)
        seconds = asked_for(response)
        if response.status == 429:
            budget.throttled(turn, seconds)
        elif response.status >= 500 and seconds:
            budget.paused(seconds)
        elif response.status < 500:
            budget.passed(turn)
        return response


def asked_for(response: Response) -> int | None:
    """Whole seconds that an answer asks to wait; None when it names no time."""
    return protocol.retry_after(response.headers, datetime.now(UTC))
