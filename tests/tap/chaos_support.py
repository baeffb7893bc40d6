"""Kills the tap again and again while its account fails and changes, and holds what arrived to the account.

A trial is made of its seed: what is read, which requests fail, what changes meanwhile, where the tap is killed.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from support import warm
from support.second_path import KEYS
from tap_support import config, discovered, select

from klaviyo_sandbox import Exchange, RunningSandbox, serve
from klaviyo_sandbox.account import changes
from klaviyo_sandbox.account.store import Store

# Few columns: what is lost is rows.
WANTED: dict[str, set[str] | None] = {"profiles": {"email"}, "events": {"subject"}, "list_profiles": {"email"}}
FAULTS = (
    "429=0.02,storm=0.02,503=0.03,reset=0.03,truncate=0.03,stall=0.02,stall_seconds=0.15,challenge=0.02,disorder=0.1,"
    "trickle=0.01,trickle_seconds=0.1"
)
# How late an event may come and still be read: as far as the tap looks back, or while its second settles.
LATE = timedelta(days=6)
MOST_KILLS = 5

# The tap as its users run it, but for waits of a fiftieth, the patience that goes with them (a storm is not over in a
# fiftieth of its time), and a STATE wherever one may be written.
SOUND = """
import sys, time
from klaviyo_client.http.clock import Clock
Clock.__init__.__defaults__ = (time.monotonic, lambda seconds: time.sleep(seconds / 50))
sys.argv[0] = "tap-klaviyo"
import klaviyo_client.client
klaviyo_client.client.RetryPolicy.__init__.__defaults__ = (40, 600.0, 120, 0.5, 2.0, 0.25)
import tap_klaviyo.streams.run
tap_klaviyo.streams.run.STATE_SECONDS = 0.0
{broken}
from tap_klaviyo.__main__ import main
main()
"""
# The bookmark one page too early: every batch carries the bookmark of the one after it, whose rows are still to come.
EARLY = """
from dataclasses import replace
from tap_klaviyo.reading.account_reader import AccountReader
read = AccountReader.read
def read_early(*arguments, **options):
    batches = read(*arguments, **options)
    last = next(batches)
    for batch in batches:
        yield replace(last, bookmark=batch.bookmark)
        last = batch
    yield last
AccountReader.read = read_early
"""


class Restless:
    """An account in which something happens after about every second answer, until it is ``calm``."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.store: Store | None = None
        self.calm = False

    def observe(self, _: Exchange) -> None:
        """Called in the serving thread, between an answer and the next request."""
        if self.store is not None and not self.calm and self._rng.random() < 0.5:
            self.change(self.store, self._rng.randint(1, 3))

    def change(self, store: Store, times: int) -> None:
        """Let so many things happen."""
        with store.lock:
            for _ in range(times):
                self._change(store)

    def _change(self, store: Store) -> None:
        rng, now = self._rng, store.now()
        # Nothing is ever taken away, so what a run has seen stays true.
        person = rng.choice(list(store.profiles.rows))
        what = rng.choice(("profile", "profile", "member", "late event", "event ahead"))
        if what == "profile":
            changes.touch_profile(store, person, first_name=str(rng.random()))
        elif what == "member":
            store.add_to_list(rng.choice(list(store.lists.rows)), person)
        else:
            away = rng.random() * (-LATE if what == "late event" else timedelta(days=30))
            changes.add_event(store, rng, person, rng.choice(list(store.metrics.rows)), now + away)


@dataclass
class Target:
    """What a loader holds: the rows that it has stored (the last of a key wins), and the STATE that it echoed last."""

    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]]
    state: dict[str, Any] | None = None
    _unvouched: list[dict[str, Any]] = field(default_factory=list)

    def take(self, message: dict[str, Any]) -> None:
        """Read one message. Rows are stored for good when a STATE after them is echoed."""
        if message["type"] == "RECORD":
            self._unvouched.append(message)
        elif message["type"] == "STATE":
            self.settle(keep=True)
            self.state = message["value"]
            for entry in self.state["bookmarks"].values():
                if edge := entry.get("replication_key_value"):
                    assert datetime.fromisoformat(edge) <= datetime.now(UTC), f"a bookmark of the future: {edge}"

    def settle(self, *, keep: bool) -> None:
        """What came after the last STATE is stored, or was still in the loader's memory and is gone."""
        for message in self._unvouched if keep else ():
            row = message["record"]
            self.rows[message["stream"]][tuple(row[name] for name in KEYS[message["stream"]])] = row
        self._unvouched.clear()

    def missing(self, store: Store) -> list[str]:
        """One line for each table that lacks something of the account."""
        lost = {name: keys - self.rows[name].keys() for name, keys in _held(store).items() if name in self.rows}
        # A profile that is held as it once was is lost, too.
        lost["profiles"] = lost.get("profiles", set()) | {
            key
            for key, row in self.rows.get("profiles", {}).items()
            if datetime.fromisoformat(row["updated"]) != datetime.fromisoformat(store.profiles.rows[key[0]]["updated"])
        }
        return [f"{name}: {len(lost[name])} lost, such as {min(lost[name])}" for name in self.rows if lost[name]]


@dataclass(frozen=True)
class Kill:
    """When the tap is killed: once so many messages were read, or milliseconds after the first."""

    messages: int | None = None
    milliseconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: kills, requests that met a fault, and what is lost, a line for each table."""

    kills: int
    faults: int
    missing: list[str]


def trial(seed: int, folder: Path, *, broken: str = "", kills: int = MOST_KILLS) -> Outcome:
    """Kill the tap until a run ends by itself or it was killed often enough, run it once more in peace, compare.

    Args:
        seed: what the trial is made of.
        folder: an empty place for files.
        broken: a program text that spoils the tap.
        kills: after so many it is left alone.
    """
    rng = random.Random(f"{seed} kills")
    restless = Restless(random.Random(f"{seed} changes"))
    tables = rng.sample(list(WANTED), rng.randint(1, len(WANTED)))
    target = Target({table: {} for table in tables})
    with serve(
        profiles=500,
        events=3300,
        limits=False,
        latency=0.004,
        faults=f"{FAULTS},seed={seed}",
        observer=restless.observe,
    ) as sandbox:
        restless.store = sandbox.store
        program = SOUND.format(broken=broken)
        command = _command(folder, sandbox, tables, program)
        rows = sum(len(keys) for name, keys in _held(restless.store).items() if name in tables)
        killed, ended = 0, False
        while not ended:
            ended = _run(command, folder, target, Kill() if killed == kills else _kill(rng, rows))
            # What happens between runs may be late enough to lie before the bookmark's own run.
            restless.change(sandbox.store, 5)
            if not ended:
                target.settle(keep=rng.random() < 0.5)
                killed += 1
        restless.calm = True
        # The run of the next day: it reads again what an hour's leaves to it.
        command = _command(folder, sandbox, tables, program, lookback_schedule="always")
        assert _run(command, folder, target, Kill())
        faults = sum(asked.fault is not None for asked in sandbox.requests)
        return Outcome(killed, faults, target.missing(sandbox.store))


def _kill(rng: random.Random, rows: int) -> Kill:
    # Rather early, so that several fit into a trial.
    if rng.random() < 0.75:
        return Kill(messages=int(rows * 10 ** rng.uniform(-2, -0.3)) + 1)
    return Kill(milliseconds=rng.uniform(0, 0.05 * rows))


def _held(store: Store) -> dict[str, set[tuple[Any, ...]]]:
    """The keys that each table must hold."""
    return {
        "profiles": {(row_id,) for row_id in store.profiles.rows},
        "events": {(row_id,) for row_id in store.events.rows},
        "list_profiles": {(group, who) for group, members in store.list_members.items() for who in members.rows},
    }


def _command(folder: Path, sandbox: RunningSandbox, tables: list[str], program: str, **settings: str) -> list[str]:
    catalog = select(discovered(), {table: WANTED[table] for table in tables})
    files = {"config": config(sandbox, **settings), "catalog": catalog}
    for name, document in files.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    options = [part for name in files for part in (f"--{name}", str(folder / f"{name}.json"))]
    return [sys.executable, "-c", program, *options]


def _run(command: list[str], folder: Path, target: Target, kill: Kill) -> bool:
    """One run of the tap from the target's STATE; whether it ended by itself."""
    if target.state is not None:
        (folder / "state.json").write_text(json.dumps(target.state))
        command = [*command, "--state", str(folder / "state.json")]
    with (
        (folder / "errors.txt").open("w") as errors,
        warm.Popen(command, stdout=warm.PIPE, stderr=errors, text=True) as tap,
    ):
        assert tap.stdout is not None
        for count, message in enumerate(_messages(tap.stdout), 1):
            if count == 1 and kill.milliseconds is not None:
                timer = threading.Timer(kill.milliseconds / 1000, tap.kill)
                timer.daemon = True
                timer.start()
            target.take(message)
            if count == kill.messages:
                tap.kill()
                return False
    if tap.returncode == -9:
        return False
    assert tap.returncode == 0, (folder / "errors.txt").read_text()[-2000:]
    target.settle(keep=True)
    return True


def _messages(lines: IO[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        # A line that a kill cut short was never read.
        if line.endswith("\n"):
            yield json.loads(line)
