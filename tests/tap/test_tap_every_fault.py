"""The tap against every fault of the sandbox: what came, what was lost (nothing), what was said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.second_path import KEYS
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_sandbox.account.odd_values import COUNT
from klaviyo_sandbox.http import faults
from klaviyo_sandbox.http.asgi import Message
from klaviyo_sandbox.http.fault_settings import Fault
from klaviyo_sandbox.http.faults import FaultMiddleware
from klaviyo_sandbox.server import RunningSandbox, serve

TABLES = ("profiles", "events", "lists", "list_profiles", "metrics")
# How fast waits are over, in the tap and in the account.
SPEED = 100.0
Make = Callable[..., RunningSandbox]


@dataclass(frozen=True)
class Case:
    """A fault, and what is said of it.

    Attributes:
        faults: as the sandbox takes them.
        met: the kind of fault that some request met; "" for one that the request log does not show.
        said: what a line of the log says; "" where nothing needs to be said.
        limits: whether the account's limits hold.
    """

    faults: str
    met: str
    said: str
    limits: bool = False


CASES = {
    "storm": Case("429=0.2,storm=30", "429", "Klaviyo asks to slow down"),
    "challenge": Case("challenge=0.2", "challenge", "a proxy or firewall answered 403"),
    "disorder": Case("disorder=1", "disorder", ""),
    "trickle": Case("trickle=0.3,trickle_seconds=30", "trickle", ""),
    "huge": Case("huge=0.15,huge_megabytes=30", "huge", ""),
    "other app": Case("other_app=0.7", "", "", limits=True),
}


def held(run: Run, rows: dict[str, set[tuple[Any, ...]]]) -> None:
    """Add what came in a run to what a loader holds: keys by table."""
    for table in TABLES:
        rows.setdefault(table, set()).update(tuple(row[name] for name in KEYS[table]) for row in run.rows(table))


def of_account(sandbox: RunningSandbox) -> Mapping[str, set[tuple[Any, ...]]]:
    """The keys that each table must have."""
    store = sandbox.store
    tables = {"profiles": store.profiles, "events": store.events, "lists": store.lists, "metrics": store.metrics}
    members = {(group, who) for group, table in store.list_members.items() for who in table.rows}
    return {**{name: {(row_id,) for row_id in table.rows} for name, table in tables.items()}, "list_profiles": members}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_one_run_reads_everything(make_sandbox: Make, tmp_path: Path, case: Case) -> None:
    """Whatever requests meet now and then; no row is lost, none is another one, and the exit code is 0."""
    sandbox = make_sandbox(profiles=600, events=5000, speed=SPEED, faults=case.faults, limits=case.limits)
    rows: dict[str, set[tuple[Any, ...]]] = {}
    catalog = select(discovered(), dict.fromkeys(TABLES))
    run = run_tap(tmp_path, config(sandbox), catalog=catalog, speed=SPEED)
    held(run, rows)
    assert run.code == 0, run.errors
    assert rows == of_account(sandbox)
    assert case.met in {request.fault for request in sandbox.requests} or not case.met
    assert case.said in run.errors
    assert run.said("ERROR", "CRITICAL") == []


@pytest.mark.parametrize(("kind", "said"), [("expired", "a cursor expired"), ("repeat", "")])
def test_every_read_gets_over_a_cursor_that_leads_nowhere(
    make_sandbox: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    """Each slice of each collection meets it once: rows may come twice, and none is missing."""
    met: set[tuple[str, str]] = set()
    place_of_scope = faults._place

    def choose(middleware: FaultMiddleware, scope: Message) -> Fault | None:
        place = place_of_scope(scope)
        query = dict(place[1])
        read = (place[0], query.get("filter", ""))
        if scope["method"] != "GET" or "page[cursor]" not in query or read in met:
            return Fault("expired") if place in middleware._expired else None
        met.add(read)
        if kind == "expired":
            middleware._expired.add(place)
        return Fault(kind)

    monkeypatch.setattr(FaultMiddleware, "_choose", choose)
    sandbox = make_sandbox(profiles=600, events=5000, speed=SPEED, limits=False)
    rows: dict[str, set[tuple[Any, ...]]] = {}
    catalog = select(discovered(), dict.fromkeys(TABLES))
    run = run_tap(tmp_path, config(sandbox), catalog=catalog, speed=SPEED)
    held(run, rows)
    assert run.code == 0, run.errors
    assert rows == of_account(sandbox)
    assert {"/api/profiles", "/api/events", "/api/lists"} < {path for path, _ in met}
    assert {request.fault for request in sandbox.requests} == {None, kind}
    assert said in run.errors
    assert run.said("ERROR", "CRITICAL") == []


@pytest.mark.parametrize(
    ("lasting", "said"),
    [
        ("expired=1", "Invalid cursor provided."),
        ("repeat=1", "the pages repeat"),
        ("refuse=get_profiles:503", "Klaviyo answered 503"),
        ("refuse=get_profiles:500", "Klaviyo answered 500"),
        ("refuse=get_profiles:404", "get_profiles was refused"),
        ("refuse=get_profiles:400", "get_profiles was refused"),
    ],
)
def test_what_lasts_costs_its_table_and_is_said(make_sandbox: Make, tmp_path: Path, lasting: str, said: str) -> None:
    """Exit code 1 and a line that says why; the other tables are whole, and the next run has the rest."""
    sandbox = make_sandbox(profiles=600, events=300, speed=SPEED, faults=lasting, limits=False)
    rows: dict[str, set[tuple[Any, ...]]] = {}
    catalog = select(discovered(), dict.fromkeys(TABLES))
    first = run_tap(tmp_path, config(sandbox), catalog=catalog, speed=SPEED)
    held(first, rows)
    assert first.code == 1, first.errors
    [line] = [line for line in first.said("ERROR") if "profiles: failed, " in line and "list_profiles" not in line]
    assert said in line
    assert rows["profiles"] < of_account(sandbox)["profiles"]
    assert rows["metrics"] == of_account(sandbox)["metrics"]
    sandbox.control.change(faults="")
    second = run_tap(tmp_path, config(sandbox), catalog=catalog, state=first.state, speed=SPEED)
    held(second, rows)
    assert second.code == 0, second.errors
    assert rows == of_account(sandbox)


def test_a_refusal_of_the_key_skips_its_table_only(make_sandbox: Make, tmp_path: Path) -> None:
    """403 in Klaviyo's words is a matter of scopes, which are named; everything else is read."""
    sandbox = make_sandbox(profiles=60, events=300, speed=SPEED, faults="refuse=get_events:403", limits=False)
    catalog = select(discovered(), dict.fromkeys(TABLES))
    run = run_tap(tmp_path, config(sandbox), catalog=catalog, speed=SPEED)
    rows: dict[str, set[tuple[Any, ...]]] = {}
    held(run, rows)
    assert rows == {**of_account(sandbox), "events": set()}
    [line] = run.said("ERROR")
    assert "events: skipped" in line
    assert "events:read" in line


def test_an_answer_larger_than_any_page_is_refused(make_sandbox: Make, tmp_path: Path) -> None:
    """It does not fill the memory: an error that names the size, and the next run has the rows."""
    sandbox = make_sandbox(profiles=60, events=0, speed=SPEED, faults="huge=1,huge_megabytes=280,seed=1", limits=False)
    catalog = select(discovered(), {"profiles": None})
    small = {**config(sandbox), "request_timeout": 60}
    run = run_tap(tmp_path, small, catalog=catalog, speed=SPEED)
    assert run.code == 1
    assert "the answer is larger than 256 MB" in run.errors
    sandbox.control.change(faults="")
    assert len(run_tap(tmp_path, small, catalog=catalog, speed=SPEED).rows("profiles")) == 60


def test_an_account_with_odd_values_is_read_whole(tmp_path: Path) -> None:
    """Halves of surrogate pairs, U+0000, NaN, numbers beyond 64 bits: every row comes, and is text that JSON has."""
    rows: dict[str, set[tuple[Any, ...]]] = {}
    # Without the judge of answers: such an answer is none that the specification knows.
    with serve(profiles=60, events=300, limits=False, odd_values=True) as sandbox:
        run = run_tap(tmp_path, config(sandbox), catalog=select(discovered(), dict.fromkeys(TABLES)))
        held(run, rows)
        assert run.code == 0, run.errors
        assert rows == of_account(sandbox)
    assert run.said("WARNING", "ERROR", "CRITICAL") == []
    text = json.dumps(run.messages, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text
    for table, column in (("profiles", "properties"), ("events", "event_properties")):
        odd = [row[column] for row in run.rows(table) if "half a pair" in (row[column] or {})]
        assert len(odd) == COUNT
        assert {properties["half a pair"] for properties in odd} == {"cut ?"}
        assert {properties["null character"] for properties in odd} == {"a\ufffdb"}
        assert {properties["no number"] for properties in odd} == {None}
        assert {properties["beyond 64 bits"] for properties in odd} == {2**64 + 1}
