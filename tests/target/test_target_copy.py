"""An account copied into another one: the tap's own lines, and nothing said of their streams."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.catalogs import discovered, select
from support.commands import run_command
from target_support import KEY, SPEED, Command, Run, held, records

from klaviyo_sandbox import RunningSandbox

Make = Callable[..., RunningSandbox]
STREAMS = ("profiles", "list_profiles", "events")
CREATE = {"list_profiles": {"create_list": True}}
IDENTIFIERS = ("email", "phone_number", "external_id")
# Metrics that Klaviyo itself records in a seeded account begin with these.
OWN = ("Sent", "Received", "Opened", "Clicked", "Bounced", "Failed", "Subscribed", "Unsubscribed")


def extract(
    folder: Path, account: RunningSandbox, streams: Collection[str] = STREAMS, **settings: Any
) -> list[dict[str, Any]]:
    """What the tap writes of these streams, with all their columns."""
    catalog = select(discovered(), dict.fromkeys(streams))
    config = {"api_key": KEY, "api_url": account.url, **settings}
    for name, document in (("tap", config), ("catalog", catalog)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    command = [sys.executable, "-m", "tap_klaviyo", "--config", "tap.json", "--catalog", "catalog.json"]
    done = run_command(command, folder=folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def source(make_sandbox: Make) -> RunningSandbox:
    """The account to copy. One of its lists has a name that the other account's lists have not."""
    account = make_sandbox(profiles=30, events=150, seed=1, limits=False, speed=SPEED)
    with account.store.lock:
        largest = max(account.store.list_members, key=lambda name: len(account.store.list_members[name]))
        account.store.lists.put({**account.store.lists.rows[largest], "name": "Known here only"})
    return account


@pytest.fixture
def other(make_sandbox: Make) -> RunningSandbox:
    """The account to copy into: of another seed, with lists and metrics of the same names and other ids."""
    return make_sandbox(profiles=0, events=0, seed=2, limits=False, job_seconds=0.05, speed=SPEED)


@pytest.fixture
def copy(tmp_path: Path, source: RunningSandbox, other: RunningSandbox) -> Callable[[], Run]:
    """Pipes the one into the other."""
    lines = extract(tmp_path, source)
    target = Command(tmp_path, {"api_key": KEY, "api_url": other.url})
    return lambda: target(lines, streams=CREATE)


# What an account holds, by what means the same in any account --------------------------------------------------------


def names(account: RunningSandbox) -> dict[str, str]:
    """Profile's id -> what else identifies it."""
    return {
        row["id"]: next(row[name] for name in IDENTIFIERS if row.get(name))
        for row in account.store.profiles.rows.values()
    }


def memberships(account: RunningSandbox) -> set[tuple[str, str]]:
    people, lists = names(account), account.store.lists.rows
    return {
        (lists[list_id]["name"], people[member])
        for list_id, table in account.store.list_members.items()
        for member in table.rows
    }


def happened(account: RunningSandbox) -> Counter[tuple[Any, ...]]:
    """Who, metric, when and value of every event that Klaviyo did not record itself."""
    people, metrics = names(account), account.store.metrics.rows
    return Counter(
        (people[row["profile_id"]], metrics[row["metric_id"]]["name"], row["datetime"],
         row["event_properties"].get("$value"))
        for row in account.store.events.rows.values()
        if not metrics[row["metric_id"]]["name"].startswith(OWN)
    )  # fmt: skip


def known(account: RunningSandbox) -> dict[str, dict[str, Any]]:
    """Fields of every person that a copy has to have: nulls are not sent, and degrees are numbers."""
    fields = (*IDENTIFIERS, "first_name", "last_name", "organization", "locale", "title", "image")
    people = names(account)
    return {
        people[row["id"]]: {
            **{name: row.get(name) for name in fields},
            "location": {
                name: float(value) if name in ("latitude", "longitude") else value
                for name, value in (row.get("location") or {}).items()
                if value is not None
            },
            "properties": {
                name: value
                for name, value in row["properties"].items()
                if value is not None and not name.startswith("$")
            },
        }
        for row in account.store.profiles.rows.values()
    }


def test_people_events_and_memberships_arrive(
    copy: Callable[[], Run], source: RunningSandbox, other: RunningSandbox
) -> None:
    """All that is meant by a copy, as history; the lists that are there stay what they are, and one is made."""
    lists = {row["name"]: row["id"] for row in other.store.lists.rows.values()}
    done = copy()
    assert (done.code, done.rejects) == (0, []), done.stderr
    assert known(other) == known(source)
    assert memberships(other) == memberships(source)
    assert happened(other) == happened(source)
    assert len(happened(other)) > 20
    assert sum(happened(other).values()) == len(other.store.events.rows)  # none of Klaviyo's own
    assert {row["backfill"] for row in other.store.events.rows.values()} == {True}
    now = {row["name"]: row["id"] for row in other.store.lists.rows.values()}
    assert now.pop("Known here only")
    assert now == lists


def test_nothing_of_the_other_accounts_ids_arrives(
    copy: Callable[[], Run], source: RunningSandbox, other: RunningSandbox
) -> None:
    """Not as an id of anything, and not as a custom property of a person."""
    copy()
    tables = ("profiles", "lists", "metrics", "events")
    of_source = {row_id for table in tables for row_id in getattr(source.store, table).rows}
    for table in tables:
        assert not of_source & set(getattr(other.store, table).rows)
    people = json.dumps(list(other.store.profiles.rows.values()))
    assert not [row_id for row_id in of_source if f'"{row_id}"' in people]
    memberships_ = json.dumps([list(table.rows) for table in other.store.list_members.values()])
    assert not [row_id for row_id in of_source if f'"{row_id}"' in memberships_]


def test_copied_twice_is_there_once(copy: Callable[[], Run], other: RunningSandbox) -> None:
    """A second run of the same lines adds and changes nothing."""
    copy()
    before = held(other)
    assert copy().code == 0
    assert held(other) == before


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_people_who_are_there_already_are_found(
    copy: Callable[[], Run], source: RunningSandbox, other: RunningSandbox, tmp_path: Path, name: str
) -> None:
    """By e-mail address, phone number or external id alone; they keep their id and gain the rest."""
    value = next(row[name] for row in source.store.profiles.rows.values() if row.get(name))
    schema = {"type": "SCHEMA", "stream": "profiles", "schema": {"properties": {name: {"type": "string"}}}}
    target = Command(tmp_path, {"api_key": KEY, "api_url": other.url})
    assert target([schema, *records("profiles", [{name: value}])]).code == 0
    [there] = other.store.profiles.rows
    copy()
    assert other.store.find_profile_id(name, value) == there
    assert known(other) == known(source)


# What a copy must not do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_a_copy_of_an_account_into_itself_is_refused(source: RunningSandbox, tmp_path: Path, stream: str) -> None:
    """By each of the streams alone: one line that says what to do, exit code 2, no STATE, and nothing is written."""
    lines = extract(tmp_path, source, [stream])
    assert any(line["type"] == "RECORD" for line in lines)
    before, asked = held(source), len(source.requests)
    done = Command(tmp_path, {"api_key": KEY, "api_url": source.url})(lines, streams=CREATE)
    assert (done.code, done.stdout) == (2, "")
    [line] = done.said("CRITICAL", "ERROR")
    assert f"the stream {stream} comes from the account that it goes to" in line
    assert f'"streams": {{"{stream}": {{"action": ' in line
    assert {found.method for found in list(source.requests)[asked:]} == {"GET"}
    assert held(source) == before


def test_what_was_pushed_is_not_read_back(source: RunningSandbox, tmp_path: Path) -> None:
    """The target's events in an account, read by the tap with exclude_pushed_events: only the others are left."""
    own = set(source.store.events.rows)
    properties: Mapping[str, Any] = {name: {"type": "string"} for name in ("email", "metric", "time")}
    schema = {"type": "SCHEMA", "stream": "events", "schema": {"properties": properties}}
    made = [
        {"email": f"p{at}@example.com", "metric": "Placed Order", "time": f"2026-05-01T10:{at:02d}:00Z"}
        for at in range(12)
    ]
    assert Command(tmp_path, {"api_key": KEY, "api_url": source.url})([schema, *records("events", made)]).code == 0
    pushed = set(source.store.events.rows) - own
    assert len(pushed) == len(made)
    read = {
        on: {
            line["record"]["id"]
            for line in extract(tmp_path, source, ["events"], exclude_pushed_events=on)
            if line["type"] == "RECORD"
        }
        for on in (False, True)
    }
    assert read == {False: own | pushed, True: own}
