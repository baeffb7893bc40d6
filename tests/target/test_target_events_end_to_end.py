"""Events from Singer lines to the sandbox's account."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import run_command, singer_lines
from support.patience import until
from target_support import KEY, SPEED, Command, records

from klaviyo_sandbox import RunningSandbox

SCHEMA = {
    "type": "SCHEMA",
    "stream": "events",
    "key_properties": [],
    "schema": {
        "type": "object",
        "properties": {
            "email": {"type": ["string", "null"]},
            "metric": {"type": ["string", "null"]},
            "time": {"type": ["string", "null"]},
            "value": {"type": ["number", "null"]},
            "n": {"type": ["integer", "null"]},
        },
    },
}
STATE = {"type": "STATE", "value": {"at": 1}}


def event(number: int, **more: Any) -> dict[str, Any]:
    made = {"email": f"p{number % 7}@example.com", "metric": "Viewed Lamp", "n": number}
    return {**made, "time": f"2026-05-01T10:{number % 60:02d}:00Z", **more}


def held(account: RunningSandbox) -> list[dict[str, Any]]:
    """The properties of the events that the account has."""
    return [dict(row["event_properties"]) for row in account.store.events.rows.values()]


def test_events_arrive_once_each(target: Command, account: RunningSandbox) -> None:
    """Every record is an event of its person, and a second run adds none."""
    lines = [SCHEMA, *records("events", map(event, range(40))), STATE]
    for _ in range(2):
        done = target(lines)
        assert done.code == 0, done.stderr
        assert done.states == [{"at": 1}]
    assert sorted(found["n"] for found in held(account)) == list(range(40))
    assert {found["pushed_by"] for found in held(account)} == {"target-klaviyo"}


def test_repeats_that_klaviyo_judges_over_all_history_are_kept_once(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Where a bulk is refused for what is there already, its events go one by one, and the new ones arrive."""
    account = make_sandbox(profiles=5, events=0, limits=False, repeats="history", speed=SPEED)
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    target([SCHEMA, *records("events", map(event, range(20)))])
    done = target([SCHEMA, *records("events", map(event, range(10, 30))), STATE])
    assert done.code == 0, done.stderr
    assert done.states == [{"at": 1}]
    assert sorted(found["n"] for found in held(account)) == list(range(30))


def test_bad_events_are_rejected_alone(target: Command, account: RunningSandbox) -> None:
    """One bad row never sinks the others, and each is on file with its reason."""
    bad = [event(90, metric=None), event(91, email="nobody"), event(92, time="1980-01-01"), event(93, metric="x" * 128)]
    done = target([SCHEMA, *records("events", [event(1), *bad, event(2)]), STATE])
    assert done.code == 0
    assert done.states == [{"at": 1}]
    assert [line["code"] for line in done.rejected] == ["invalid_field", "invalid_email", "invalid_time", "limit"]
    assert sorted(found["n"] for found in held(account)) == [1, 2]


@pytest.mark.parametrize("settings", [{"on_reject": "fail"}, {"max_rejects": 1}, {"max_rejects": "10%"}])
def test_too_many_rejects_fail_the_run(target: Command, account: RunningSandbox, settings: dict[str, Any]) -> None:
    """The settings decide the exit code; what was taken before is there, and vouched for as far as it goes."""
    lines = [SCHEMA, *records("events", [event(1)]), STATE, *records("events", [event(2, metric=None)] * 3)]
    done = target(lines, **settings)
    assert done.code == 1
    assert "max_rejects" in done.stderr
    assert done.rejected


def test_killed_and_run_again_each_event_is_there_once(account: RunningSandbox, tmp_path: Path) -> None:
    """Kill -9 at some moment, then the same lines again: nothing is missing and nothing is there twice."""
    config = {"api_key": KEY, "api_url": account.url, "batch_size_rows": 20}
    (tmp_path / "config.json").write_text(json.dumps(config))
    messages = [SCHEMA, *records("events", map(event, range(400))), STATE]
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    with warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(singer_lines(messages))
        process.stdin.flush()
        until(lambda: account.store.events.rows)
        process.send_signal(signal.SIGKILL)
    done = run_command(command, messages, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(found["n"] for found in held(account)) == list(range(400))


@pytest.mark.parametrize("count", [998, 999, 1000, 2500, 4000, 4001])
def test_an_order_of_any_length_lands_whole(count: int, target: Command, account: RunningSandbox) -> None:
    """Its lines go in as many requests as they need; it counts once, and a second run adds nothing."""
    long = {"email": "ada@example.com", "order_id": "L", "items": [{"sku": f"S{n}", "price": 1} for n in range(count)]}
    short = {"email": "ada@example.com", "order_id": "S", "items": [{"sku": "A", "price": 1}]}
    schema = {"type": "SCHEMA", "stream": "orders", "schema": {"properties": {name: {} for name in long}}}
    run = target([schema, *records("orders", [short, long, {**short, "order_id": "T"}]), STATE])
    assert (run.code, run.rejected, run.states) == (0, [], [{"at": 1}]), run.stderr
    skus = [properties["sku"] for properties in held(account) if "sku" in properties]
    assert sorted(skus) == sorted(["A", "A", *(f"S{n}" for n in range(count))])
    [products] = [found["products"] for found in held(account) if found.get("order_id") == "L" and "products" in found]
    assert len(products) == min(count, 4000)
    assert ("products_left_out" in run.stderr) == (count > 4000)
    assert len([r for r in account.requests if r.operation == "bulk_create_events"]) <= count // 1000 + 3


def test_an_order_of_large_lines_lands_whole(target: Command, account: RunningSandbox) -> None:
    """What is too large for one request by its bytes is sent in several, too."""
    items = [{"sku": f"S{n}", "text": "x" * 20_000} for n in range(200)]
    order = {"email": "ada@example.com", "order_id": "L", "items": items, "note": "y" * 20_000}
    schema = {"type": "SCHEMA", "stream": "orders", "schema": {"properties": {name: {} for name in order}}}
    run = target([schema, *records("orders", [order]), STATE])
    assert (run.code, run.rejected, run.states) == (0, [], [{"at": 1}]), run.stderr
    assert sum("sku" in properties for properties in held(account)) == 200


def test_a_bad_line_of_a_long_order_rejects_the_order_only(target: Command, account: RunningSandbox) -> None:
    """One record has one outcome, whatever the number of its requests."""
    items: list[dict[str, Any]] = [{"sku": f"S{n}", "price": 1} for n in range(2500)]
    orders = [{"email": "ada@example.com", "order_id": "L", "value_currency": "nope", "items": items},
              {"email": "ada@example.com", "order_id": "S", "value_currency": "EUR", "items": items[:1]}]  # fmt: skip
    schema = {"type": "SCHEMA", "stream": "orders", "schema": {"properties": {name: {} for name in orders[0]}}}
    run = target([schema, *records("orders", orders), STATE], streams={"orders": {"on_bad_value": "reject"}})
    assert run.code == 0
    assert [line["record"]["order_id"] for line in run.rejected] == ["L"]
    assert {found["order_id"] for found in held(account)} == {"S"}


@pytest.mark.parametrize("count", [399, 400])
def test_an_event_may_have_as_many_properties_as_klaviyo_takes(
    count: int, target: Command, account: RunningSandbox
) -> None:
    """Our own mark is left out where it has no room."""
    record = {"email": "ada@example.com", "metric": "Waved", "properties": {f"p{n}": n for n in range(count)}}
    schema = {"type": "SCHEMA", "stream": "events", "schema": {"properties": {name: {} for name in record}}}
    run = target([schema, *records("events", [record, {**record, "properties": {**record["properties"], "q": 1,
                                                                               "r": 1}}]), STATE])  # fmt: skip
    assert [line["code"] for line in run.rejected] == ["limit"]
    [properties] = held(account)
    assert {name for name in properties if not name.startswith("$")} == {
        *record["properties"],
        *(["pushed_by"] if count == 399 else []),
    }


def test_the_orders_properties_do_not_keep_its_lines_out(target: Command, account: RunningSandbox) -> None:
    """A line has its own, and as many of the order's as there is room for."""
    order = {"email": "ada@example.com", "order_id": "L", "items": [{"sku": "A", **{f"q{n}": n for n in range(50)}}],
             "properties": {f"p{n}": n for n in range(390)}}  # fmt: skip
    schema = {"type": "SCHEMA", "stream": "orders", "schema": {"properties": {name: {} for name in order}}}
    run = target([schema, *records("orders", [order]), STATE])
    assert (run.code, run.rejected) == (0, [])
    [line] = [found for found in held(account) if "sku" in found]
    assert {"sku", "order_id", "q0", "q49", "p0"} <= line.keys()
    assert len([name for name in line if not name.startswith("$")]) == 400
