"""The latest requests, and what is used of each operation's budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice

from klaviyo_sandbox.http import oauth
from klaviyo_sandbox.http.quotas import Quotas
from klaviyo_sandbox.http.request_log import Asked
from klaviyo_sandbox.page.model import Badge, Cell, Meter, Moment, Table

# Requests that the strip shows, and the most that one answer to its script brings.
SHOWN = 40
# How far back writes are looked for; reads stand between them.
_LOOKED_THROUGH = 5_000


def requests(asked: Iterable[Asked]) -> Table:
    """Requests in the order given: the latest first."""
    columns = ("Time", "Request", "Status", "ms")
    rows = [(_time(one), _name(one), _status(one), round(one.seconds * 1000) if one.seconds else None) for one in asked]
    return Table("Latest requests", columns, rows, "Nothing was asked yet.", "live-requests", numeric=("ms",))


def since(asked: Sequence[Asked], total: int, cursor: int) -> list[Asked]:
    """Requests after the first ``cursor`` of ``total``, the latest first; as many as the strip shows at most.

    A cursor beyond the total is of another sandbox, that listened here before: it is taken for 0.
    """
    count = total - cursor if 0 <= cursor <= total else total
    return list(islice(reversed(asked), min(count, SHOWN)))


def budgets(quotas: Quotas | None) -> Table:
    """Of every operation that was asked for, what is used; the fullest first."""
    used = quotas.usage() if quotas else []
    used.sort(key=lambda entry: (-entry[3] / entry[1].steady, str(entry[0])))
    rows = [
        (
            str(name),
            Meter(second, budget.burst, f"{name}: requests in its latest second"),
            Meter(minute, budget.steady, f"{name}: requests in this minute"),
        )
        for name, budget, second, minute in used
    ]
    columns = ("Operation", "Second", "Minute")
    empty = "No operation was asked for yet." if quotas else "No limits: this sandbox counts nothing."
    note = "The present minute, and the latest second that was used." if quotas else ""
    return Table("Budget used", columns, rows, empty, "live-budget", numeric=columns[1:], note=note)


def writes(asked: Sequence[Asked], count: int) -> Table:
    """What was pushed lately, the latest first."""
    found = (one for one in islice(reversed(asked), _LOOKED_THROUGH) if _is_write(one))
    rows: list[Sequence[Cell]] = [
        (_time(one), one.operation or f"{one.method} {one.path}", _status(one), one.items or None)
        for one in islice(found, count)
    ]
    columns = ("Time", "Operation", "Status", "Items")
    return Table("Pushed lately", columns, rows, "Nothing was written yet.", numeric=("Items",))


def _is_write(one: Asked) -> bool:
    # Whoever signs in changes nothing.
    return one.method not in ("GET", "HEAD", "OPTIONS") and one.path != oauth.PATH


def _name(one: Asked) -> str:
    return f"{one.method} {one.path.removeprefix('/api')}"


def _time(one: Asked) -> Moment:
    return Moment(datetime.fromtimestamp(one.at, UTC).strftime("%H:%M:%S"))


def _status(one: Asked) -> Badge:
    """The status, and the fault that was made of it or came between."""
    fault = "fault" if one.fault == str(one.status) else one.fault
    tone = "good" if 200 <= one.status < 300 and not fault else "busy" if one.status in (200, 429) else "bad"
    return Badge(" ".join(filter(None, (str(one.status or ""), fault))), tone)
