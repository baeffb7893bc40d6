"""A mirror whose run was cut off, and whose tap goes on from the STATE that came out."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE, until
from target_support import Command, records, schema_of
from test_target_mirror import MIRROR, Pusher, feed, numbered, on_list, people, schema

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.ledger import without_streams

UNSIZED = {name: value for name, value in MIRROR.items() if name != "size_field"}
OVER = {"type": "ACTIVATE_VERSION", "stream": "vips", "version": 7}
ALL = range(100)


def at(number: int, **more: Any) -> dict[str, Any]:
    """What tap-postgres writes: how far it is in the feed of ``vips``."""
    return {"type": "STATE", "value": {"bookmarks": {"vips": {"xmin": number, "version": 7}, **more}}}


def versioned(rows: Iterable[Mapping[str, Any]], version: int = 7) -> list[dict[str, Any]]:
    return [{**line, "version": version} for line in records("vips", rows)]


def begun(target: Command, lines: Sequence[Mapping[str, Any]]) -> warm.Popen:
    """The target with these lines taken in, and its input still open."""
    (target.folder / "config.json").write_text(json.dumps(target.config))
    command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
    process = warm.Popen(command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=target.folder)
    assert process.stdin is not None
    process.stdin.write(singer_lines(lines))
    process.stdin.flush()
    return process


def cut_off(
    target: Command, account: RunningSandbox, lines: Sequence[Mapping[str, Any]], number: signal.Signals
) -> list[Any]:
    """The STATEs of a target that is ended by a signal when all of this has arrived; more was to come."""
    with begun(target, lines) as process:
        came = {line["record"]["email"] for line in lines if "record" in line}
        until(lambda: came <= again(account))
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    return [json.loads(line) for line in out.splitlines()]


def again(account: RunningSandbox) -> set[str]:
    """Who has come with the cut-off run."""
    with account.store.lock:
        rows = list(account.store.profiles.rows.values())
    return {row["email"] for row in rows if row.get("first_name") == "Again"}


def place(states: Sequence[Mapping[str, Any]]) -> int:
    """Where in the feed a tap goes on that is given the last of these."""
    return int(states[-1]["bookmarks"].get("vips", {}).get("xmin", 0)) if states else 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("proof", ["the same version", "a new version", "assume_complete"])
def test_who_came_before_a_kill_stays(
    target: Command, account: RunningSandbox, proof: str, number: signal.Signals
) -> None:
    """The list equals the audience; the run is cut off with a STATE in the middle, and the next one sends the rest.

    tap-postgres goes on with the version of before, and ends it: 20 of 100 people would be taken off for having come
    in time.
    """
    push = Pusher(target, account)
    entry = {**UNSIZED, "assume_complete": proof == "assume_complete"}
    push(people(ALL))
    target.config.update(streams={"vips": entry}, batch_size_rows=20)
    lines = [schema(), *versioned(people(range(20), first_name="Again")), at(20)]
    states = cut_off(target, account, lines, number)
    push.settle()
    rest = people(range(place(states), 100))
    version = 8 if proof == "a new version" else 7
    over = [] if proof == "assume_complete" else [{**OVER, "version": version}]
    run = target([schema(), *versioned(rest, version), *over, at(100)])
    assert on_list(account) == numbered(*ALL)
    assert run.code == 0, run.stderr


def test_other_streams_go_on_where_they_were(target: Command, account: RunningSandbox) -> None:
    """A STATE in the middle goes out without the place in the mirrored feed, and keeps the others'."""
    Pusher(target, account)(people(ALL))
    target.config.update(streams={"vips": UNSIZED, "others": {"action": "upsert_profile"}}, batch_size_rows=20)
    others = [schema_of("others"), *records("others", people(range(200, 220), first_name="Again"))]
    lines = [schema(), *versioned(people(range(20), first_name="Again")), *others, at(20, others={"id": 5})]
    states = cut_off(target, account, lines, signal.SIGTERM)
    assert states == [{"bookmarks": {"others": {"id": 5}}}]


def test_a_state_from_before_the_mirrored_stream_goes_out(target: Command, account: RunningSandbox) -> None:
    """It can hold no place in a feed that had not begun, whatever it looks like."""
    target.config.update(streams={"vips": UNSIZED, "others": {"action": "upsert_profile"}}, batch_size_rows=20)
    before = {"type": "STATE", "value": {"at": 1}}
    others = [schema_of("others"), *records("others", people(range(200, 220), first_name="Again")), before]
    lines = [
        *others,
        schema(),
        *versioned(people(range(20), first_name="Again")),
        {"type": "STATE", "value": {"at": 2}},
    ]
    assert cut_off(target, account, lines, signal.SIGTERM) == [{"at": 1}]


def test_a_feed_that_shows_that_it_was_whole_has_its_state(target: Command, account: RunningSandbox) -> None:
    """What is only vouched for is read whole the next time; where the tap cannot be told so, no STATE goes out."""
    ended = [schema(), *versioned(people([1])), OVER, at(1)]
    assert target(ended, streams={"vips": UNSIZED}).states[-1] == at(1)["value"]
    vouched = {"vips": {**UNSIZED, "assume_complete": True}}
    lines = [schema(), *records("vips", people([1]))]
    run = target([*lines, at(1, others={"id": 5})], streams=vouched)
    assert (run.code, run.states) == (0, [{"bookmarks": {"others": {"id": 5}}}])
    run = target([*lines, {"type": "STATE", "value": {"at": 1}}], streams=vouched)
    assert (run.code, run.states) == (0, [])
    assert "wrote no STATE" in run.stderr


def test_half_a_feed_has_no_state(target: Command, account: RunningSandbox) -> None:
    """A tap that crashed ends its output, too; also when nobody is gone, and when more are than the cap allows."""
    states = [target(feed(people([1], size=9)), streams={"vips": MIRROR}).states]
    Pusher(target, account).settle()
    states.append(target(feed(people([2], size=9)), streams={"vips": MIRROR}).states)
    over_cap = {"vips": {**UNSIZED, "assume_complete": True, "max_removals": 0}}
    states.append(target([schema(), *records("vips", people([3])), at(3)], streams=over_cap).states)
    assert states == [[], [], [{"bookmarks": {}}]]


def test_a_stream_of_another_name_is_known_by_the_taps(target: Command, account: RunningSandbox) -> None:
    """A stream map may rename it; the tap keeps its place under its own name."""
    maps = {"vips": {"__alias__": "audience", "email": "email", "size": "size"}}
    settings = {"streams": {"audience": {**UNSIZED, "assume_complete": True}}, "stream_maps": maps}
    run = target([schema(), *records("vips", people([1])), at(1)], **settings)
    assert run.code == 0, run.stderr
    assert run.states == [{"bookmarks": {}}]
    assert on_list(account) == numbered(1)


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ({"bookmarks": {"a": 1, "b": 2}, "currently_syncing": "a"}, {"bookmarks": {"b": 2}, "currently_syncing": "a"}),
        ({"bookmarks": {"public-a": 1}}, None),
        ({"bookmarks": {"a": 1}, "positions": {"a": 1}}, None),
        ({"bookmarks": [1]}, None),
        ({"a": 1}, None),
        ({}, None),
    ],
)
def test_a_place_is_only_taken_out_where_it_is_plain(state: dict[str, Any], left: dict[str, Any] | None) -> None:
    """A tap may know its stream by another name, or keep more than bookmarks: then nothing is known."""
    before = json.dumps(state)
    assert without_streams(state, {"a"}) == left
    assert json.dumps(state) == before
