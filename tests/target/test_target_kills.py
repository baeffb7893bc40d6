"""Runs that are killed again and again, and go on from the last STATE that came out."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.commands import singer_lines
from support.patience import PATIENCE, until
from target_support import KEY, SPEED, Command, records
from test_target_mirror import MIRROR, Pusher, numbered, on_list, people, schema

from klaviyo_sandbox import RunningSandbox

EVERY_SO_MANY, ROWS = 10, 7
COUNT = 240
BAD = range(0, COUNT, 6)


def row(number: int, action: str) -> dict[str, Any]:
    """A record of somebody; every sixth names nobody, and has its number all the same."""
    email = f"nobody {number}" if number in BAD else f"p{number}@example.com"
    more = {"metric": "Waved", "unique_id": f"e{number}"} if action == "track_event" else {}
    return {"email": email, **more}


@dataclass
class Feed:
    """A tap that goes on from a place: ``COUNT`` records with a STATE now and then.

    Attributes:
        is_new: whether a run that goes on has a new version; tap-postgres ends the one of before.
    """

    stream: str
    rows: Sequence[Mapping[str, Any]]
    is_new: bool = False
    runs: int = field(default=0, init=False)

    def lines(self, start: int) -> list[dict[str, Any]]:
        self.runs += 1
        version = self.runs if self.is_new else 1
        found: list[dict[str, Any]] = [self.schema]
        for number in range(start, len(self.rows)):
            found.append({"type": "RECORD", "stream": self.stream, "record": self.rows[number], "version": version})
            if (number + 1) % EVERY_SO_MANY == 0:
                found.append({"type": "STATE", "value": {"bookmarks": {self.stream: {"at": number + 1}}}})
        return [*found, {"type": "ACTIVATE_VERSION", "stream": self.stream, "version": version}]

    @property
    def schema(self) -> dict[str, Any]:
        text = {"type": ["string", "null"]}
        columns = dict.fromkeys(("metric", "unique_id"), text)
        return schema(self.stream, **columns)


@dataclass
class Killer:
    """Kills a target somewhere in its run, so many times, and lets it go on from its last STATE; then lets it end."""

    target: Command
    account: RunningSandbox
    dice: random.Random
    before_each: Callable[[], None]

    def __call__(self, feed: Feed, kills: int, **config: Any) -> None:
        settings = {**self.target.config, **config, "batch_size_rows": ROWS}
        (self.target.folder / "config.json").write_text(json.dumps(settings))
        at = 0
        for _ in range(kills):
            self.before_each()
            at = self._killed(feed.lines(at), at)
        self.before_each()
        done = self.target(feed.lines(at), **settings)
        assert done.code == 0, done.stderr

    def _killed(self, lines: Sequence[Mapping[str, Any]], at: int) -> int:
        """Where the run that was killed lets the next one begin."""
        command = [sys.executable, "-m", "target_klaviyo", "--config", "config.json"]
        before = len(self.account.requests)
        with warm.Popen(
            command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=warm.PIPE, text=True, cwd=self.target.folder
        ) as process:
            assert process.stdin is not None
            # A part of the feed: so the kills are spread over all of it.
            cut = self.dice.randrange(2, min(len(lines), 100))
            process.stdin.write(singer_lines(lines[:cut]))
            process.stdin.flush()
            # So many are asked at least: one for each batch that is full.
            good = sum("@" in line.get("record", {}).get("email", "") for line in lines[:cut])
            wanted = self.dice.randint(0, min(3, good // ROWS))
            until(lambda: len(self.account.requests) >= before + wanted)
            process.send_signal(self.dice.choice([signal.SIGKILL, signal.SIGTERM]))
            out, _ = process.communicate(timeout=PATIENCE)
        states = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        return states[-1]["bookmarks"].get("s", {}).get("at", 0) if states else at


def rejected(folder: Path) -> Counter[str]:
    """How often each rejected record is on file, over all runs."""
    texts = [file.read_text() for file in folder.glob("*rejects*")]
    whole = [json.loads(line) for text in texts for line in text.splitlines() if line.endswith("}")]
    return Counter(line["record"]["email"] for line in whole if line["type"] == "RECORD")


ACTIONS: dict[str, dict[str, Any]] = {
    "upsert_profile": {},
    "track_event": {},
    "subscribe": {"list": "Made", "create_list": True},
    "unsubscribe": {},
    "remove": {"action": "list_members", "mode": "remove", "list": "VIP"},
}


def consents(account: RunningSandbox) -> Mapping[str, str]:
    rows = [row for row in account.store.profiles.rows.values() if row.get("email")]
    return {row["email"]: row["subscriptions"]["email"]["marketing"]["consent"] for row in rows}


@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("action", ACTIONS)
def test_killed_runs_do_all_of_it(target: Command, account: RunningSandbox, action: str, kills: int) -> None:
    """Everybody has what was asked for, and whatever was rejected is on file, over all runs."""
    everyone = [number for number in range(COUNT) if number not in BAD]
    if action == "remove":
        before = {"s": {"action": "list_members", "list": "VIP", "create_list": True}}
        assert target([schema("s"), *records("s", people(range(COUNT)))], streams=before).code == 0
    rows = [row(number, action) for number in range(COUNT)]
    kill = Killer(target, account, random.Random(kills), lambda: None)
    kill(Feed("s", rows), kills, streams={"s": {"action": action, **ACTIONS[action]}})
    assert set(rejected(target.folder)) == {f"nobody {number}" for number in BAD}
    emails = numbered(*everyone)
    match action:
        case "upsert_profile":
            assert emails <= {one.get("email") for one in account.store.profiles.rows.values()}
        case "track_event":
            ids = Counter(event["unique_id"] for event in account.store.events.rows.values())
            assert ids == Counter(f"e{number}" for number in everyone)
        case "subscribe":
            assert emails == on_list(account, "Made")
            assert {consents(account)[email] for email in emails} == {"SUBSCRIBED"}
        case "unsubscribe":
            assert {consents(account)[email] for email in emails} == {"UNSUBSCRIBED"}
        case "remove":
            assert on_list(account) == numbered(*BAD)


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("is_new", [False, True], ids=["the same version", "a new version"])
def test_a_killed_mirror_takes_nobody_off_who_is_in_the_audience(
    make_sandbox: Callable[..., RunningSandbox], tmp_path: Path, is_new: bool, kills: int
) -> None:
    """After every kill the audience is on the list, and in the end nobody else."""
    account = make_sandbox(profiles=5, events=0, limits=False, job_seconds=0.02, speed=SPEED)
    target = Command(tmp_path, {"api_key": KEY, "api_url": account.url})
    push = Pusher(target, account)
    push(people(range(COUNT + 9)))
    audience = numbered(*range(COUNT))

    def look() -> None:
        assert audience <= on_list(account)
        push.settle()

    entry = {name: value for name, value in MIRROR.items() if name != "size_field"}
    kill = Killer(target, account, random.Random(kills), look)
    rows = [{"email": f"p{number}@example.com"} for number in range(COUNT)]
    kill(Feed("s", rows, is_new=is_new), kills, streams={"s": entry})
    assert on_list(account) == audience
