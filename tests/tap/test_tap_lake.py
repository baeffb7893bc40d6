"""The lake of the examples, filled from an account: by its one command, and whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
import pytest
from chaos_support import SOUND
from support import warm
from support.lake import fill, program, query
from support.second_path import KEYS, forget, truth
from tap_support import config, discovered, select

from klaviyo_sandbox.account import changes
from klaviyo_sandbox.server import RunningSandbox

MakeSandbox = Callable[..., RunningSandbox]
TABLES = {"profiles": {"first_name"}, "events": {"subject"}, "list_profiles": {"email"}}
KILLS = 6
# The process is killed before so many words to the disk.
KILLED = """
import os, signal
left = {steps}
def step(function):
    def counted(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted
os.fsync, os.replace, os.rename = step(os.fsync), step(os.replace), step(os.rename)
"""
# The loader as it is, but that a STATE waits for nothing.
BROKEN = f"import land; land.STATE_ROWS = 1{KILLED}"
# Files of few rows, so that there are some to announce.
BATCHES = {"encoding": {"format": "parquet"}, "batch_size": 200}


class Trial:
    """An account, a lake, and runs of tap and loader between them."""

    def __init__(self, account: RunningSandbox, folder: Path, *, is_batched: bool) -> None:
        self.lake = folder / "lake"
        self.batches = folder / "batches"
        self._folder = folder
        storage = {"root": f"file://{self.batches}", "prefix": ""}
        settings = {"batch_config": {**BATCHES, "storage": storage}} if is_batched else {}
        files = {"config": {**config(account), **settings}, "catalog": select(discovered(), TABLES)}
        for name, document in files.items():
            (folder / f"{name}.json").write_text(json.dumps(document))
        self._options = [part for name in files for part in (f"--{name}", str(folder / f"{name}.json"))]
        self._state = folder / "state.json"

    def run(self, *, messages: int = 0, tap_steps: int = 0, steps: int = 0) -> tuple[int, int]:
        """One run from the STATE on disk; the exit codes of tap and loader.

        Args:
            messages: after so many the tap is killed.
            tap_steps: before so many words to the disk the tap is killed.
            steps: after so many the loader is killed.
        """
        tap_command = [sys.executable, "-c", SOUND.format(broken=KILLED.format(steps=tap_steps)), *self._options]
        if self._state.exists():
            tap_command += ["--state", str(self._state)]
        loader_command = [*program("land", BROKEN.format(steps=steps)), str(self.lake)]
        with (
            (self._folder / "errors.txt").open("a") as errors,
            warm.Popen(tap_command, stdout=warm.PIPE, stderr=errors) as tap,
            warm.Popen(loader_command, stdin=warm.PIPE, stdout=warm.PIPE, stderr=errors) as loader,
        ):
            keeper = threading.Thread(target=self._keep, args=(loader.stdout,))
            keeper.start()
            assert tap.stdout is not None
            assert loader.stdin is not None
            try:
                for count, line in enumerate(tap.stdout, 1):
                    loader.stdin.write(line)
                    if count == messages:
                        tap.kill()
                        break
                loader.stdin.close()
            except BrokenPipeError:
                tap.kill()
                with suppress(BrokenPipeError):
                    loader.stdin.close()
            keeper.join()
            return tap.wait(), loader.wait()

    def _keep(self, states: IO[bytes]) -> None:
        for state in states:
            if state.endswith(b"\n"):
                self._state.write_bytes(state)

    @property
    def said(self) -> str:
        return (self._folder / "errors.txt").read_text()[-2000:]


def keys(lake: Path, table: str) -> list[tuple[Any, ...]]:
    rows = query(lake, f"select {', '.join(KEYS[table])} from {table}")
    return sorted(
        tuple(it.astimezone(UTC).isoformat() if isinstance(it, datetime) else it for it in row) for row in rows
    )


def written_by_the_tap(lake: Path) -> bool:
    """Whether the files of rows are those of BATCH messages."""
    files = [pq.ParquetFile(path).metadata for path in lake.glob("*/*.parquet")]
    return all(b"singer.time_extracted" in file.metadata for file in files if file.num_rows)


@pytest.mark.parametrize(("is_batched", "seed"), [*((True, seed) for seed in range(5)), (False, 5), (False, 6)])
def test_kills_lose_nothing_and_double_nothing(
    make_sandbox: MakeSandbox, tmp_path: Path, is_batched: bool, seed: int
) -> None:
    """Six times each the tap is killed after a message, or tap or loader amid words to the disk, while people change.

    With files of the tap, thirty times in all; with lines, twelve times.
    """
    rng = random.Random(seed)
    account = make_sandbox(profiles=250, events=1500, seed=4, limits=False)
    trial = Trial(account, tmp_path, is_batched=is_batched)
    moments = (
        (("messages", 40), ("tap_steps", 40), ("steps", 50)) if is_batched else (("messages", 2000), ("steps", 50))
    )
    kills = 0
    files: set[Path] = set()
    while kills < KILLS:
        moment, most = rng.choice(moments)
        # Rather early, when little is on disk; what has ended before it was killed is killed earlier the next time.
        tap, loader = trial.run(**{moment: int((most >> kills) ** rng.random()) + 1})
        kills += 1
        assert -9 in (tap, loader) or (tap, loader) == (0, 0), trial.said
        assert loader in (0, 1, -9), trial.said
        # Nothing that is landed is ever taken away.
        found = set(trial.lake.glob("*/*.parquet"))
        assert files <= found
        files = found
        with account.store.lock:
            for _ in range(20):
                person = rng.choice(list(account.store.profiles.rows))
                changes.touch_profile(account.store, person, first_name=str(rng.random()))
                metric = rng.choice(list(account.store.metrics.rows))
                late = account.store.now() - timedelta(days=rng.uniform(0, 5))
                changes.add_event(account.store, rng, person, metric, late)
    assert trial.run() == (0, 0), trial.said
    for table in TABLES:
        assert keys(trial.lake, table) == truth(account, table), table
    people = query(trial.lake, "select profile_id, first_name, epoch_us(updated) from profiles")
    assert {key: (name, moment) for key, name, moment in people} == {
        key: (row["first_name"], int(datetime.fromisoformat(row["updated"]).timestamp() * 1_000_000))
        for key, row in account.store.profiles.rows.items()
    }
    assert not (trial.lake / "_incoming").exists()
    # Of what no run has announced nothing is left.
    assert not [path for path in trial.batches.glob(".*") if path.is_file()]


def test_the_one_command_brings_an_account_and_then_what_is_new(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """All tables that are read by default, by settings of the environment; the second run goes on from the first."""
    account = make_sandbox(profiles=60, events=500, seed=6, limits=False)
    first = fill(tmp_path / "lake", account.url)
    assert first.returncode == 0, first.stderr
    for table in KEYS:
        assert keys(tmp_path / "lake", table) == truth(account, table), table
    assert "rows/s" in first.stderr
    assert "connect('" in first.stdout
    assert written_by_the_tap(tmp_path / "lake")
    assert json.loads((tmp_path / "lake" / "state.json").read_text())["bookmarks"]
    asked = len(account.requests)
    someone = next(iter(account.store.profiles.rows))
    changes.touch_profile(account.store, someone, first_name="New")
    second = fill(tmp_path / "lake", account.url)
    assert second.returncode == 0, second.stderr
    assert len(account.requests) - asked < asked
    forget(account)
    for table in KEYS:
        assert keys(tmp_path / "lake", table) == truth(account, table), table
    assert query(tmp_path / "lake", f"select first_name from profiles where profile_id = '{someone}'") == [("New",)]


@pytest.mark.parametrize("name", ["50% off", "#1"])
def test_a_lake_may_have_any_name(make_sandbox: MakeSandbox, tmp_path: Path, name: str) -> None:
    """One that an address of a BATCH message cannot have is filled by lines, in place of files."""
    account = make_sandbox(profiles=10, events=20, seed=2, limits=False)
    done = fill(tmp_path / name, account.url)
    assert done.returncode == 0, done.stderr
    assert keys(tmp_path / name, "events") == truth(account, "events")
    assert not written_by_the_tap(tmp_path / name)


def test_what_is_deleted_is_gone_from_the_views(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """With emit_activate_version_messages a list that was deleted between two runs is in no view."""
    account = make_sandbox(profiles=20, events=50, seed=2, limits=False)
    on = {"TAP_KLAVIYO_EMIT_ACTIVATE_VERSION_MESSAGES": "true"}
    assert fill(tmp_path / "lake", account.url, **on).returncode == 0
    assert keys(tmp_path / "lake", "lists") == truth(account, "lists")
    gone = next(iter(account.store.lists.rows))
    account.control.delete("lists", gone)
    forget(account)
    done = fill(tmp_path / "lake", account.url, **on)
    assert done.returncode == 0, done.stderr
    found = keys(tmp_path / "lake", "lists")
    assert found == truth(account, "lists")
    assert (gone,) not in found


def test_a_tap_that_fails_is_told(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """Its words and its exit code are those of the command; what had come before is there."""
    account = make_sandbox(profiles=10, events=20, seed=2, limits=False)
    done = fill(tmp_path / "lake", account.url, TAP_KLAVIYO_START_DATE="tomorrow")
    assert done.returncode == 2
    assert "start_date" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_settings_come_from_a_file_too(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """A config and a catalog, as the tap takes them."""
    account = make_sandbox(profiles=10, events=20, seed=2, limits=False)
    files = {"config": config(account), "catalog": select(discovered(), {"profiles": None})}
    for name, document in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    options = [part for name in files for part in (f"--{name}", str(tmp_path / f"{name}.json"))]
    done = fill(tmp_path / "lake", account.url, *options)
    assert done.returncode == 0, done.stderr
    assert keys(tmp_path / "lake", "profiles") == truth(account, "profiles")
    assert {path.name for path in (tmp_path / "lake").iterdir() if path.is_dir()} == {"profiles"}


def test_a_killed_command_goes_on(make_sandbox: MakeSandbox, tmp_path: Path) -> None:
    """Of the command that runs both, too, nothing is left that is in the next one's way."""
    account = make_sandbox(profiles=120, events=600, seed=3, limits=False)
    for steps in (5, 60, 80):
        done = fill(tmp_path / "lake", account.url, before=BROKEN.format(steps=steps))
        assert done.returncode == -9
    assert list((tmp_path / "lake" / "_incoming").iterdir())
    done = fill(tmp_path / "lake", account.url)
    assert done.returncode == 0, done.stderr
    for table in KEYS:
        assert keys(tmp_path / "lake", table) == truth(account, table), table
    assert not (tmp_path / "lake" / "_incoming").exists()
    assert os.stat(tmp_path / "lake" / "state.json").st_mode & 0o777 == 0o600  # noqa: PTH116
