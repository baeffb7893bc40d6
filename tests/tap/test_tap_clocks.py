"""A machine whose clock is not Klaviyo's: no bookmark passes the earlier of both."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from test_tap_account_reader import BY_NAME

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.transport import Request, Response
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import COLLECTIONS

HOUR = timedelta(hours=1)


class Account:
    """Full pages of profiles that were changed until now by our clock, and a clock that is this much ahead of ours."""

    def __init__(self, now: datetime, ahead: timedelta) -> None:
        self.now = now
        self.ahead = ahead
        self.lower_bounds: list[datetime] = []

    def send(self, request: Request) -> Response:
        bounds = request.query.get("filter", "").partition("greater-than(updated,")[2]
        start = datetime.fromisoformat(bounds.partition(")")[0]) if bounds else self.now - 30 * HOUR
        self.lower_bounds.append(start)
        times = [start + (self.now - start) * part / 100 for part in range(1, 101)]
        data = [
            {"type": "profile", "id": f"P{time.timestamp()}", "attributes": {"updated": time.isoformat()}}
            for time in times
        ]
        link = f"https://a.klaviyo.com/api/profiles?page[cursor]={len(self.lower_bounds)}"
        has_next = "page[cursor]" not in request.url and "page[cursor]" not in request.query
        body = json.dumps({"data": data, "links": {"next": link if has_next else None}}).encode()
        date = format_datetime((datetime.now(UTC) + self.ahead).replace(microsecond=0), usegmt=True)
        return Response(200, {"date": date}, body)


def bookmarks(account: Account) -> Iterator[datetime]:
    """All bookmarks of a read of profiles."""
    table = BY_NAME["profiles"]
    selected = [SelectedTable(table, schema_files.load(table.name), ("profile_id", "updated"))]
    client = KlaviyoClient(api_key="pk_test", transport=account)
    run = AccountReader(client, account.now, selected, COLLECTIONS)
    for batch in run.read(table.collection, {table.name: None}):
        if batch.bookmark is not None:
            yield datetime.fromisoformat(batch.bookmark)


@pytest.mark.parametrize(("ahead", "earlier"), [(-HOUR, HOUR), (HOUR, timedelta()), (timedelta(), timedelta())])
def test_no_bookmark_passes_the_earlier_clock(
    ahead: timedelta, earlier: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    """A later one would leave out for good what Klaviyo writes down until its clock is there."""
    account = Account(datetime.now(UTC), ahead)
    with caplog.at_level(logging.WARNING):
        last = max(bookmarks(account))
    settled = account.now - earlier - timedelta(seconds=10)
    assert settled - timedelta(seconds=10) <= last <= settled
    assert max(account.lower_bounds) <= settled
    assert len([line for line in caplog.messages if "clock" in line]) == (ahead != timedelta())
