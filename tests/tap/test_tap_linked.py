"""Includes are dear: ids come without them, and metrics' names from the list of metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tap_support import config, discovered, run_tap, select

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.model import SelectedTable
from tap_klaviyo.reading.account_reader import AccountReader
from tap_klaviyo.rows import schema_files
from tap_klaviyo.tables import COLLECTIONS, TABLES

BY_NAME = {table.name: table for table in TABLES}
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
IDS = ("id", "event_datetime", "profile_data_id", "metric_data_id")


class Account:
    """Two pages of events over a transport; in old answers nothing is linked but what is included."""

    def __init__(self, *, links: bool = True, names: bool = True) -> None:
        self.links, self.names = links, names
        self.metrics = {"M1": "Placed Order", "M2": "Opened Email"}
        self.listed = ["M1", "M2"]
        self.requests: list[tuple[str, Mapping[str, str]]] = []

    def send(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        query = {**dict(parse_qsl(parts.query)), **request.query}
        self.requests.append((parts.path, query))
        if parts.path == "/api/events":
            return self._answer(self._events(query))
        if parts.path == "/api/metrics":
            status = 200 if self.names else 403
            return self._answer({"data": [self._metric(name) for name in self.listed]}, status)
        metric = parts.path.rpartition("/")[2]
        is_there = metric in self.metrics
        return self._answer({"data": self._metric(metric)} if is_there else {}, 200 if is_there else 404)

    def _answer(self, document: dict[str, Any], status: int = 200) -> Response:
        errors = {"errors": [{"status": status, "code": "permission_denied", "title": "No", "detail": "Missing scope"}]}
        return Response(status, {}, json.dumps(document if status == 200 else errors).encode())

    def _metric(self, metric: str) -> dict[str, Any]:
        return {"type": "metric", "id": metric, "attributes": {"name": self.metrics[metric], "integration": None}}

    def _events(self, query: Mapping[str, str]) -> dict[str, Any]:
        asked = query.get("include", "").split(",")
        page = int(query.get("page[cursor]", 0))
        rows = []
        for number, metric in enumerate(("M1", "M2", "M3")):
            links = {"profile": {"type": "profile", "id": "P"}, "metric": {"type": "metric", "id": metric}}
            relationships = {
                name: {"data": link} if self.links or name in asked else {"links": {}} for name, link in links.items()
            }
            attributes = {"datetime": f"2026-01-0{page + 1}T00:00:0{number}Z", "event_properties": {}}
            event = {
                "type": "event",
                "id": f"E{page}{number}",
                "attributes": attributes,
                "relationships": relationships,
            }
            rows.append(event)
        link = "https://a.klaviyo.com/api/events?page[cursor]=1" + (f"&include={','.join(asked)}" if asked[0] else "")
        included = [self._metric(name) for name in self.metrics] if "metric" in asked else []
        return {"data": rows, "included": included, "links": {"next": None if page else link}}

    def rows(self, *columns: str) -> list[dict[str, Any]]:
        """The rows of a read of these columns of events."""
        table = BY_NAME["events"]
        selected = [SelectedTable(table, schema_files.load("events"), columns)]
        run = AccountReader(KlaviyoClient(api_key="pk_test", transport=self), _NOW, selected, COLLECTIONS)
        return [row for batch in run.read(table.collection, {"events": None}) for row in batch.rows.get("events", ())]

    def asked(self, path: str) -> list[str]:
        return [query.get("include", "") for found, query in self.requests if found == path]


def test_ids_need_no_include() -> None:
    """Klaviyo names the profile and the metric of an event in any case."""
    account = Account()
    assert {(row["profile_data_id"], row["metric_data_id"]) for row in account.rows(*IDS)} == {
        ("P", "M1"),
        ("P", "M2"),
        ("P", "M3"),
    }
    assert account.asked("/api/events") == ["", ""]
    assert account.asked("/api/metrics") == []


@pytest.mark.parametrize(
    ("column", "include"),
    [
        ("profile_email", "profile"),
        ("profile_external_id", "profile"),
        ("profile_phone_number", "profile"),
        ("metric_name", ""),
        ("attribution_flow", "attributions"),
    ],
)
def test_only_what_a_column_needs_is_included(column: str, include: str) -> None:
    """Of profiles any attribute, of attributions any column, of metrics nothing."""
    account = Account()
    account.rows(*IDS, column)
    assert set(account.asked("/api/events")) == {include}


def test_names_come_from_the_list_and_what_it_lacks_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """One request for all names; one for each metric that was made since, and a warning for one that is deleted."""
    account = Account()
    account.metrics["M3"] = "Made Since"
    assert [row["metric_name"] for row in account.rows(*IDS, "metric_name")] == [*account.metrics.values()] * 2
    assert [path for path, _ in account.requests].count("/api/metrics") == 1
    assert [path for path, _ in account.requests].count("/api/metrics/M3") == 1
    assert not caplog.messages

    account = Account()
    rows = account.rows(*IDS, "metric_name")
    assert [row["metric_name"] for row in rows] == [*account.metrics.values(), None] * 2
    assert [path for path, _ in account.requests].count("/api/metrics/M3") == 1
    assert any("metric M3 was deleted" in line for line in caplog.messages)


def test_answers_without_ids_are_asked_for_again_with_the_include() -> None:
    """As older answers of Klaviyo lack them: one page is read twice, and no id is lost."""
    account = Account(links=False)
    rows = account.rows(*IDS, "metric_name")
    assert [(row["id"], row["profile_data_id"], row["metric_data_id"]) for row in rows] == [
        (f"E{page}{number}", "P", f"M{number + 1}") for page in (0, 1) for number in (0, 1, 2)
    ]
    assert account.asked("/api/events") == ["", "metric,profile", "metric,profile"]


def test_a_list_of_metrics_that_is_refused_leaves_the_include() -> None:
    """What a key may read that way is read."""
    account = Account(names=False)
    rows = account.rows(*IDS, "metric_name")
    assert [row["metric_name"] for row in rows] == [*account.metrics.values(), None] * 2
    assert set(account.asked("/api/events")) == {"metric"}


@pytest.mark.parametrize("processes", [0, 2])
def test_rows_are_the_same_without_includes(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, processes: int
) -> None:
    """Tables that are made of metrics' names, whichever way these come, and wherever rows are made."""
    sandbox = make_sandbox(profiles=20, events=300, limits=False)
    tables: dict[str, Any] = dict.fromkeys(("events", "esp_opens", "esp_events", "event_attribution_group_ids"))
    run = run_tap(tmp_path, config(sandbox, processes=processes), catalog=select(discovered(), tables))
    assert run.code == 0, run.errors
    names = {row["id"]: row["name"] for row in sandbox.store.metrics.rows.values()}
    metric_of = {row["id"]: row["metric_id"] for row in sandbox.store.events.rows.values()}
    rows = run.rows("events")
    assert {row["id"]: row["metric_name"] for row in rows} == {
        row_id: names[metric] for row_id, metric in metric_of.items()
    }
    assert run.rows("esp_opens")
    asked = {request.query.get("include", "") for request in sandbox.requests if request.path.startswith("/api/events")}
    assert all("metric" not in include for include in asked)
