"""A month in an account: read every day from the STATE of the day before, the tables stay what a whole read gives."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from month_account import START
from month_excuses import DOCS, EXCUSES
from month_judge import DAILY, WHOLE, Judge
from month_shop import VERBS, Shop
from support.calls import Caller
from support.catalogs import discovered, select
from support.fast_clock import AT_ONCE, fast_clock
from support.warehouse import warehouses

from klaviyo_client.http.clock import Clock
from klaviyo_sandbox import RunningSandbox, serve
from tap_klaviyo.streams import run as streams_run
from tap_klaviyo.tap import TapKlaviyo

FOLDER = Path(__file__).parent
TABLES = [name for version in ("v1", "v2") for name in json.loads((FOLDER / f"{version}_columns.json").read_text())]
DAYS = 30
# What happens in a day, so that everything happens several times in a month.
A_DAY = 7

Read = Callable[[RunningSandbox, dict[str, Any] | None], list[dict[str, Any]]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Runs the tap in this process, in the account's time and without its waits; gives the messages that it wrote."""
    clock = fast_clock(AT_ONCE)
    monkeypatch.setattr(Clock.__init__, "__defaults__", (clock.monotonic, clock.sleep))
    catalog = select(discovered(), dict.fromkeys(TABLES))

    def run(sandbox: RunningSandbox, state: dict[str, Any] | None) -> list[dict[str, Any]]:
        class AccountTime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return sandbox.control.now.astimezone(tz)

        monkeypatch.setattr(streams_run, "datetime", AccountTime)
        settings = {"api_key": "pk_month", "api_url": sandbox.url, "rate_limit_share": 1.0, "processes": 0}
        written = io.BytesIO()
        with monkeypatch.context() as patch, io.TextIOWrapper(written, write_through=True) as stdout:
            patch.setattr(sys, "stdout", stdout)
            TapKlaviyo(config=settings, catalog=catalog, state=state, parse_env_config=False).sync_all()
            return [json.loads(line) for line in written.getvalue().splitlines()]

    return run


@pytest.fixture
def live(read: Read, request: pytest.FixtureRequest) -> Callable[..., Counter[tuple[str, str]]]:
    """Lets days pass and judges each of them; tells which excuses were needed.

    A failure tells, for each table and kind of difference, the first day that shows it, in which database, and what
    had happened on that day.
    """

    def run(seed: int, days: int, verbs: Sequence[str]) -> Counter[tuple[str, str]]:
        state: dict[str, Any] | None = None
        findings: dict[tuple[str, str], list[str]] = {}
        with (
            ExitStack() as resources,
            # Not by the fixture, which holds every answer to the specification: that would take most of the time.
            serve(profiles=28, events=60, limits=False, job_seconds=0, clock=START.timestamp) as sandbox,
        ):
            stores = warehouses((DAILY, WHOLE), lambda: request.getfixturevalue("make_database"))
            judges = [(store, Judge(store, TABLES)) for store in stores]
            shop = Shop(sandbox, resources.enter_context(closing(Caller(sandbox.url))), seed)
            for store in stores:
                resources.enter_context(closing(store))
            for day in range(days + 1):
                if day:
                    shop.live_a_day(A_DAY, verbs)
                changed, everything = read(sandbox, state), read(sandbox, None)
                state = next(message["value"] for message in reversed(changed) if message["type"] == "STATE")
                for store, judge in judges:
                    store.empty(WHOLE)
                    store.load(DAILY, changed)
                    store.load(WHOLE, everything)
                    for found in judge.findings(shop):
                        where = f"day {day} ({', '.join(shop.happened)}), {type(store).__name__}"
                        line = f"{found.table}: {found.count} {found.what}: {found.examples}: {where}"
                        findings.setdefault((found.table, found.what), []).append(line)
        told = [f"{lines[0]}, and {len(lines) - 1} more" for lines in findings.values()]
        assert not told, "\n".join(told)
        return judges[0][1].excused

    return run


def test_a_month_of_daily_runs_is_what_a_whole_read_gives(live: Callable[..., Counter[tuple[str, str]]]) -> None:
    """All tables of V1 and V2, but for rows of which the reference says why they differ; each such note is needed."""
    excused = live(1, DAYS, VERBS)
    notes = {(table, excuse.note) for table, excuses in EXCUSES.items() for excuse in excuses}
    assert notes - excused.keys() == set()


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", [2])
def test_other_months(live: Callable[..., Counter[tuple[str, str]]], seed: int) -> None:
    """Whatever happens, and in whatever order, only what the docs name differs."""
    assert live(seed, 2 * DAYS, VERBS)


def test_what_may_differ_is_in_the_docs() -> None:
    """Each table's page says what becomes of a row whose source is gone, in the words by which it is excused here."""
    notes = {(table, excuse.note) for table, excuses in EXCUSES.items() for excuse in excuses}
    assert {(table, note) for table, note in notes if note not in DOCS[table]} == set()
