"""The target against every fault of the sandbox: what arrived, what was lost (nothing), what was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from target_support import KEY, SPEED, Command, records

from klaviyo_sandbox import RunningSandbox, serve
from klaviyo_sandbox.http import faults
from klaviyo_sandbox.http.asgi import Message
from klaviyo_sandbox.http.fault_settings import Fault
from klaviyo_sandbox.http.faults import FaultMiddleware

Make = Callable[..., RunningSandbox]
STREAMS = {
    "people": {"action": "upsert_profile", "list": "Made", "create_list": True},
    "orders": {"action": "track_event"},
    "joined": {"action": "subscribe", "list": "Made", "create_list": True},
}
COUNT = 90
STATE = {"type": "STATE", "value": {"at": COUNT}}
CASES = {
    "storm": ("429=0.2,storm=20", "429", "Klaviyo asks to slow down"),
    "challenge": ("challenge=0.2", "challenge", "a proxy or firewall answered 403"),
    "trickle": ("trickle=0.3,trickle_seconds=20", "trickle", ""),
    "huge": ("huge=0.2,huge_megabytes=20", "huge", ""),
    "other app": ("other_app=0.5", "", ""),
    "pages": ("disorder=0.5,repeat=0.2,expired=0.2", "", ""),
}


def lines() -> list[dict[str, Any]]:
    return list(_lines())


def _lines() -> Iterator[dict[str, Any]]:
    text = {"type": ["string", "null"]}
    rows: dict[str, Callable[[int], dict[str, Any]]] = {
        "people": lambda at: {"email": f"p{at}@example.com", "first_name": f"Name {at}"},
        "orders": lambda at: {"email": f"p{at}@example.com", "metric": "Waved", "unique_id": f"e{at}"},
        "joined": lambda at: {"email": f"p{at}@example.com"},
    }
    for stream, row in rows.items():
        yield {"type": "SCHEMA", "stream": stream, "key_properties": [],
               "schema": {"properties": dict.fromkeys(row(0), text)}}  # fmt: skip
        yield from records(stream, (row(at) for at in range(COUNT)))
    yield STATE


def arrived(sandbox: RunningSandbox) -> tuple[set[str], Counter[str], set[str]]:
    """Who is there with a name, how often each event is there, and who is on the list."""
    store = sandbox.store
    people = {row["email"] for row in store.profiles.rows.values() if str(row.get("first_name")).startswith("Name ")}
    waved = [row["id"] for row in store.metrics.rows.values() if row["name"] == "Waved"]
    events = Counter(
        store.profiles.rows[row["profile_id"]]["email"]
        for row in store.events.rows.values()
        if row["metric_id"] in waved
    )
    on_list = {
        store.profiles.rows[who]["email"]
        for row in store.lists.rows.values()
        if row["name"] == "Made"
        for who in store.list_members[row["id"]].rows
    }
    return people, events, on_list


@pytest.mark.parametrize(("given", "met", "said"), CASES.values(), ids=CASES.keys())
def test_one_run_delivers_everything(make_sandbox: Make, tmp_path: Path, given: str, met: str, said: str) -> None:
    """Whatever requests meet now and then: each record arrives, once, none is rejected, and STATE comes out."""
    sandbox = make_sandbox(
        profiles=0, events=0, limits="other_app" in given, job_seconds=0.05, speed=SPEED, faults=given
    )
    run = Command(tmp_path, {"api_key": KEY, "api_url": sandbox.url})(lines(), streams=STREAMS)
    assert run.code == 0, run.stderr
    assert run.rejected == []
    assert run.states[-1] == STATE["value"]
    everybody = {f"p{at}@example.com" for at in range(COUNT)}
    assert arrived(sandbox) == (everybody, Counter(dict.fromkeys(everybody, 1)), everybody)
    assert met in {request.fault for request in sandbox.requests} or not met
    assert said in run.stderr


@pytest.mark.parametrize(
    ("refuse", "code", "said"),
    [
        ("bulk_create_events:503+create_event:503", 1, "Klaviyo answered 503"),
        ("bulk_import_profiles:500", 1, "Klaviyo answered 500"),
        ("bulk_import_profiles:403", 2, "lists:write and profiles:write"),
        ("bulk_import_profiles:401", 2, "does not accept the api_key"),
    ],
)
def test_an_operation_that_refuses_for_good_ends_the_run(
    make_sandbox: Make, tmp_path: Path, refuse: str, code: int, said: str
) -> None:
    """No STATE speaks of what did not arrive, and when it is over the next run delivers it."""
    sandbox = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED, faults=f"refuse={refuse}")
    target = Command(tmp_path, {"api_key": KEY, "api_url": sandbox.url})
    run = target(lines(), streams=STREAMS)
    assert run.code == code, run.stderr
    assert said in run.stderr
    assert STATE["value"] not in run.states
    sandbox.control.change(faults="")
    assert target(lines(), streams=STREAMS).code == 0
    everybody = {f"p{at}@example.com" for at in range(COUNT)}
    assert arrived(sandbox) == (everybody, Counter(dict.fromkeys(everybody, 1)), everybody)


MIRROR = {"action": "list_members", "mode": "mirror", "list": "Made", "owns_list": True, "max_removals": "100%"}


@pytest.mark.parametrize("kind", ["expired", "repeat", "disorder"])
def test_a_mirror_knows_every_member(
    make_sandbox: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Although one of the pages of its members is not as it should be: who is absent goes, and nobody else."""
    met: list[str] = []
    place_of_scope = faults._place

    def choose(middleware: FaultMiddleware, scope: Message) -> Fault | None:
        place = place_of_scope(scope)
        is_further = scope["method"] == "GET" and any(name == "page[cursor]" for name, _ in place[1])
        if met or not is_further:
            return Fault("expired") if place in middleware._expired else None
        met.append(scope["path"])
        if kind == "expired":
            middleware._expired.add(place)
        return Fault(kind, fraction=0.7)

    monkeypatch.setattr(FaultMiddleware, "_choose", choose)
    sandbox = make_sandbox(profiles=350, events=0, limits=False, job_seconds=0.05, speed=SPEED)
    store = sandbox.store
    with store.lock:
        row = next(iter(store.lists.rows.values()))
        store.lists.put({**row, "name": "Made"})
        emails = [profile["email"] for profile in store.profiles.rows.values() if profile.get("email")]
        for position, profile in enumerate(list(store.profiles.rows.values())):
            joined = f"2026-01-01T00:{position // 60:02}:{position % 60:02}+00:00"
            store.list_members[row["id"]].put({"id": profile["id"], "joined_group_at": joined})
    wanted = emails[::2]
    rows = [{"email": email, "size": len(wanted)} for email in wanted]
    schema = {"type": "SCHEMA", "stream": "vips", "key_properties": [],
              "schema": {"properties": {"email": {"type": "string"}, "size": {"type": "integer"}}}}  # fmt: skip
    run = Command(tmp_path, {"api_key": KEY, "api_url": sandbox.url})(
        [schema, *records("vips", rows), STATE], streams={"vips": {**MIRROR, "size_field": "size"}}
    )
    assert run.code == 0, run.stderr
    members = [sandbox.store.profiles.rows[who] for who in sandbox.store.list_members[row["id"]].rows]
    assert {member["email"] for member in members} == set(wanted)
    assert len(met) == 1


def test_an_account_with_odd_values_takes_everything(tmp_path: Path) -> None:
    """Names and properties that nobody can write down are in nobody's way."""
    account = {"profiles": 20, "events": 20, "limits": False, "job_seconds": 0.05, "speed": SPEED}
    # Without the judge of answers: such an answer is none that the specification knows.
    with serve(**account, odd_values=True) as sandbox:
        run = Command(tmp_path, {"api_key": KEY, "api_url": sandbox.url})(lines(), streams=STREAMS)
        assert run.code == 0, run.stderr
        everybody = {f"p{at}@example.com" for at in range(COUNT)}
        assert arrived(sandbox) == (everybody, Counter(dict.fromkeys(everybody, 1)), everybody)


@pytest.mark.parametrize("reaches_account", [True, False])
def test_an_append_is_not_repeated_where_it_may_have_been_done(
    make_sandbox: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reaches_account: bool
) -> None:
    """In an account where twice is twice: the run ends and says so, and nothing was appended a second time."""

    def choose(_: FaultMiddleware, scope: Message) -> Fault | None:
        is_first = not sandbox.requests
        return Fault("503", reaches_account=reaches_account) if is_first and scope["method"] == "POST" else None

    sandbox = make_sandbox(profiles=0, events=0, limits=False, job_seconds=0.05, speed=SPEED, append="list")
    monkeypatch.setattr(FaultMiddleware, "_choose", choose)
    rows = [{"email": f"p{at}@example.com", "append": {"sizes": at}} for at in range(5)]
    schema = {"type": "SCHEMA", "stream": "people", "key_properties": [],
              "schema": {"properties": {"email": {"type": "string"}, "append": {"type": "object"}}}}  # fmt: skip
    streams = {"people": {"action": "upsert_profile", "mapping": {"email": "email", "append": "append"}}}
    run = Command(tmp_path, {"api_key": KEY, "api_url": sandbox.url})(
        [schema, *records("people", rows), STATE], streams=streams
    )
    assert run.code == 1, run.stderr
    assert run.states == []
    assert "Klaviyo answered 503" in run.stderr
    sizes = [row["properties"]["sizes"] for row in sandbox.store.profiles.rows.values()]
    assert sizes == ([[0]] if reaches_account else [])
