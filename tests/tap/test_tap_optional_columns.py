"""Columns that are read only when somebody asks for them: raw attributes, and what costs a call for each row."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tap_support import KEY, Run, config, discovered, run_tap, select

from klaviyo_sandbox import RunningSandbox
from tap_klaviyo.tap import TapKlaviyo

OPTIONAL = {
    ("profiles", "attributes"),
    ("events", "attributes"),
    ("campaigns", "attributes"),
    ("flows", "attributes"),
    ("lists", "profile_count"),
    ("segments", "profile_count"),
    ("campaigns", "estimated_recipient_count"),
}
COUNT, ESTIMATE = "profile_count", "estimated_recipient_count"
# Stream -> its key.
RAW = {"profiles": "profile_id", "events": "id", "campaigns": "campaign_id", "flows": "flow_id"}


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=40, events=80, seed=2, limits=False)


def answer(account: RunningSandbox, path: str) -> Any:
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
    with urllib.request.urlopen(urllib.request.Request(account.url + path, headers=headers)) as reply:
        return json.load(reply)


def read(account: RunningSandbox, folder: Path, columns: Mapping[str, list[str] | None], **settings: Any) -> Run:
    run = run_tap(folder, config(account, **settings), catalog=select(discovered(), columns))
    assert run.code == 0, run.errors
    return run


def test_they_are_in_the_catalog_and_not_selected() -> None:
    """Just these; whatever selects a stream, but not its columns one by one, leaves them out."""
    found = discovered()
    optional = {
        (stream["tap_stream_id"], entry["breadcrumb"][1])
        for stream in found["streams"]
        for entry in stream["metadata"]
        if entry["breadcrumb"] and entry["metadata"].get("selected-by-default") is False
    }
    assert optional == OPTIONAL
    bare = {"streams": [{**stream, "metadata": []} for stream in found["streams"]]}
    for stream in bare["streams"]:
        stream["metadata"] = [{"breadcrumb": [], "metadata": {"selected": True}}]
    for catalog in (None, found, bare):
        tap = TapKlaviyo(config={"api_key": KEY}, catalog=catalog, parse_env_config=False)
        streams = tap.streams
        read = {(entry.table.name, column) for entry in tap.selected_tables for column in entry.columns}
        assert read
        assert not read & OPTIONAL
        for name, column in OPTIONAL:
            assert not streams[name].mask["properties", column]


def test_raw_attributes_are_what_klaviyo_sends(account: RunningSandbox, tmp_path: Path) -> None:
    """All of them, with what no column has yet; sparse fields are not asked for then, and other streams keep theirs."""
    before = len(account.requests)
    run = read(account, tmp_path, {**{name: ["attributes"] for name in RAW}, "lists": ["name"]}, processes=0)
    asked = {entry.path: entry.query for entry in list(account.requests)[before:]}
    for stream, key in (
        ("profiles", "profile_id"),
        ("events", "id"),
        ("campaigns", "campaign_id"),
        ("flows", "flow_id"),
    ):
        rows = run.rows(stream)
        assert rows
        for row in rows[:5]:
            assert row["attributes"] == answer(account, f"/api/{stream}/{row[key]}")["data"]["attributes"], stream
        assert not any(name == f"fields[{stream.removesuffix('s')}]" for name in asked[f"/api/{stream}"])
    told = {stream: f"{stream}: attributes is selected, so Klaviyo sends all attributes" for stream in RAW}
    assert all(line in run.errors for line in told.values())
    assert asked["/api/lists"]["fields[list]"] == "name,updated"


def test_lines_of_the_others_are_as_they_were(account: RunningSandbox, tmp_path: Path) -> None:
    """Who selects nothing of it sees no such column, neither in a SCHEMA nor in a request."""
    run = read(account, tmp_path, dict.fromkeys(RAW))
    for message in run.messages:
        if message["type"] == "SCHEMA":
            assert "attributes" not in message["schema"]["properties"]
    assert not any("attributes" in row for stream in RAW for row in run.rows(stream))


def test_members_are_counted_without_being_read(account: RunningSandbox, tmp_path: Path) -> None:
    """A call for each list and segment, none for their members; the counts are the account's own."""
    before = len(account.requests)
    run = read(account, tmp_path, {name: [COUNT] for name in ("lists", "segments")}, processes=0)
    store = account.store
    for stream, key, members in (
        ("lists", "list_id", store.list_members),
        ("segments", "segment_id", store.segment_members),
    ):
        assert {row[key]: row[COUNT] for row in run.rows(stream)} == {name: len(of) for name, of in members.items()}
    asked = [entry for entry in list(account.requests)[before:] if COUNT in str(entry.query)]
    assert sorted(entry.path for entry in asked) == sorted(
        [
            *(f"/api/lists/{name}" for name in store.lists.rows),
            *(f"/api/segments/{name}" for name in store.segments.rows),
        ]
    )
    assert not any("/profiles" in entry.path for entry in list(account.requests)[before:])


def test_recipients_are_estimated_where_klaviyo_does(account: RunningSandbox, tmp_path: Path) -> None:
    """A call for each campaign; one that Klaviyo has no estimate of is null, and nothing to warn of."""
    run = read(account, tmp_path, {"campaigns": [ESTIMATE]}, processes=0)
    told = {row["campaign_id"]: row[ESTIMATE] for row in run.rows("campaigns")}
    scheduled = {name for name, row in account.store.campaigns.rows.items() if row["scheduled_at"]}
    assert {name for name, count in told.items() if count is not None} == scheduled
    assert scheduled
    assert told.keys() > scheduled
    for name in sorted(scheduled)[:5]:
        said = answer(account, f"/api/campaign-recipient-estimations/{name}")["data"]["attributes"]
        assert told[name] == said[ESTIMATE]
    assert run.said("WARNING", "ERROR") == []


def test_nothing_is_counted_that_nobody_asked_for(make_sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    """While the columns are not selected, no call is made for them."""
    account = make_sandbox(profiles=5, events=0, limits=False)
    read(account, tmp_path, dict.fromkeys(("lists", "segments", "campaigns")))
    paths = {entry.path for entry in account.requests}
    assert paths == {"/api/lists", "/api/segments", "/api/campaigns"}
