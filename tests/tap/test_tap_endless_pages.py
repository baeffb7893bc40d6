"""A cursor that never ends costs its own table, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.front import Answer, front_of
from tap_support import config, discovered, run_tap, select
from test_tap_account_reader import BY_NAME

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import BadDocument
from klaviyo_client.http.clock import Clock
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import COLLECTIONS

PROFILE_PAGE = [
    {"type": "profile", "id": f"P{second}", "attributes": {"updated": f"2026-01-01T00:00:{second:02}+00:00"}}
    for second in range(60)
]


@pytest.mark.parametrize(
    ("table", "path", "page", "reason"),
    [
        ("lists", "/api/lists", [{"type": "list", "id": "L1", "attributes": {}}], "the pages repeat"),
        ("profiles", "/api/profiles", PROFILE_PAGE, "the pages repeat"),
    ],
)
def test_pages_without_an_end_end_their_table(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, table: str, path: str, page: list[object], reason: str
) -> None:
    """With an error that says why; the other tables are whole, and the run is not green."""
    sandbox = make_sandbox(profiles=3, events=20, limits=False)
    asked: list[str] = []

    def answer(address: str) -> Answer | None:
        if address.partition("?")[0] != path:
            return None
        asked.append(address)
        link = f"{path}?page%5Bcursor%5D=c{len(asked)}"
        body = json.dumps({"data": page, "links": {"next": link}}).encode()
        return 200, {"content-type": "application/vnd.api+json", "ratelimit-limit": "999, 999;w=1, 99999;w=60"}, body

    with front_of(sandbox.url, answer) as url:
        catalog = select(discovered(), dict.fromkeys((table, "metrics", "events")))
        run = run_tap(tmp_path, {**config(sandbox), "api_url": url}, catalog=catalog)
    assert run.code == 1, run.errors
    (line,) = run.said("ERROR")
    assert f"{table}: failed, " in line
    assert reason in line
    assert len(run.rows("events")) == 20
    # Those of the slices after it, which are asked for at the same time, are as few.
    assert len(asked) < 500


class Empty:
    """Pages without a row, each with a link to another one."""

    def __init__(self) -> None:
        self.asked = 0

    def send(self, request: Request) -> Response:
        self.asked += 1
        link = f"https://a.klaviyo.com/api/tags?page[cursor]={self.asked}"
        return Response(200, {}, json.dumps({"data": [], "links": {"next": link}}).encode())


def test_empty_pages_without_an_end_end_their_table() -> None:
    """After a thousand of them."""
    account = Empty()
    client = KlaviyoClient(api_key="pk_test", transport=account, clock=Clock(lambda: float(account.asked * 60)))
    table = BY_NAME["tags"]
    selected = [SelectedTable(table, schema_files.load(table.name), ("tag_id",))]
    run = AccountReader(client, datetime.now(UTC), selected, COLLECTIONS)
    with pytest.raises(BadDocument, match="1000 pages one after the other are empty"):
        list(run.read(table.collection, {table.name: None}))
    assert account.asked == 1000
