"""Tables of the latest requests and of the rate limits' use, which the live strip beside a page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

from klaviyo_sandbox.browser import chart
from klaviyo_sandbox.browser.model import Badge, Cell, Chart, Meter, Table, Timestamp
from klaviyo_sandbox.http.quotas import Quotas
from klaviyo_sandbox.http.request_log import LoggedRequest
from klaviyo_sandbox.http.traffic import Traffic
from klaviyo_sandbox.manners.judge import Judge

# Requests that the strip shows, and the most that one answer to its script brings.
MAX_REQUESTS = 40
MAX_BREACHES = 10


def requests(latest: Iterable[LoggedRequest]) -> Table:
    """Requests in the order given: the latest first."""
    columns = ("Time", "Request", "Status", "ms", "Client")
    rows = [
        (
            clock_time(request.at),
            _name(request),
            status(request),
            round(request.seconds * 1000) if request.seconds else None,
            _short_client(request),
        )
        for request in latest
    ]
    return Table("Latest requests", columns, rows, "Nothing was asked yet.", "live-requests", numeric=("ms",))


def requests_after(cursor: int, log: Sequence[LoggedRequest], total: int) -> list[LoggedRequest]:
    """Requests after the first ``cursor`` of ``total``, the latest first; ``MAX_REQUESTS`` of them at most.

    A cursor beyond the total is taken for 0: it comes from another sandbox that listened at this address before.
    """
    count = total - cursor if 0 <= cursor <= total else total
    return list(islice(reversed(log), min(count, MAX_REQUESTS)))


def budgets(quotas: Quotas | None) -> Table:
    """Use of the rate limits of each operation that was called; the most used first."""
    usage = quotas.usage() if quotas else []
    usage.sort(key=lambda entry: (-entry[3] / entry[1].steady, str(entry[0])))
    idle = [index for index, (_, _, _, minute) in enumerate(usage) if not minute]
    rows = [
        (
            str(operation),
            Meter(second, budget.burst, f"{operation}: requests in its latest second"),
            Meter(minute, budget.steady, f"{operation}: requests in this minute"),
        )
        for operation, budget, second, minute in usage
    ]
    columns = ("Operation", "Second", "Minute")
    empty_text = "No operation was asked for yet." if quotas else "No limits: this sandbox counts nothing."
    note = "The present minute, and the latest second that was used." if quotas else ""
    return Table("Budget used", columns, rows, empty_text, "live-budget", numeric=columns[1:], note=note, idle=idle)


def breaches(judge: Judge) -> Table:
    """The latest breaches of good manners, the latest first."""
    rows: list[Sequence[Cell]] = [
        (
            clock_time(breach.at),
            f"{breach.method} {breach.path.removeprefix('/api')}",
            Badge(breach.kind.replace("_", " "), "bad"),
            breach.reason,
        )
        for breach in reversed(judge.breaches()[-MAX_BREACHES:])
    ]
    columns = ("Time", "Request", "Breach", "Reason")
    caption, note = "Breaches of manners", f"{judge.count:,} in all." if judge.count > MAX_BREACHES else ""
    return Table(caption, columns, rows, "Every client was well-behaved.", "live-breaches", note=note)


def _name(request: LoggedRequest) -> str:
    return f"{request.method} {request.path.removeprefix('/api')}"


def _short_client(request: LoggedRequest) -> str:
    """The first word of the client's name, without a version."""
    return request.client.partition(" ")[0].partition("/")[0][:16]


def clock_time(seconds: float, href: str = "") -> Timestamp:
    """The time of day of seconds since 1970, which leads to a page where one is given."""
    return Timestamp(datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S"), href)


def status(request: LoggedRequest) -> Badge:
    """The answer's status, and the injected fault if there was one; a fault that is only a status is called "fault"."""
    fault = "fault" if request.fault == str(request.status) else request.fault
    text = " ".join(filter(None, (str(request.status or ""), fault)))
    if 200 <= request.status < 300 and not fault:
        return Badge(text, "good")
    return Badge(text, "busy" if request.status in (200, 429) else "bad")


def other_revisions(spoken: str, requests: Mapping[str, int]) -> Sequence[Table]:
    """A warning of clients that ask for other revisions than those that are spoken; empty when there are none."""
    if not requests:
        return ()
    note = f"This sandbox speaks {spoken}, and answered each of these in the next newer of them, or the newest."
    rows = [(Badge(revision, "bad"), count) for revision, count in sorted(requests.items())]
    return (Table("Asked for in another revision", ("Revision", "Requests"), rows, numeric=("Requests",), note=note),)


def charts(traffic: Traffic, quotas: Quotas | None, now: float) -> Sequence[Chart]:
    """How many requests came in the last minutes, and, with limits, how much of a budget they took."""
    shown = [chart.requests(traffic.latest(now), now)]
    return [*shown, chart.budgets(quotas.peaks(), now)] if quotas else shown
