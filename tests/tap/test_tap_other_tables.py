"""The tables that are not read by default, all at once: each holds exactly what the account has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.others import OTHERS, profile_jobs
from support.second_path import witness
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tables import STREAMS


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    made = make_shared_sandbox(profiles=40, events=300, seed=7, limits=False, job_seconds=0.0)
    profile_jobs.ask(made)
    return made


@pytest.fixture(scope="module")
def run(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of all of them."""
    catalog = select(discovered(), dict.fromkeys(OTHERS))
    # Of some of them Klaviyo allows fifteen requests a minute.
    found = run_tap(tmp_path_factory.mktemp("others"), config(account), catalog=catalog, impatient=True)
    assert found.code == 0, found.errors
    assert found.said("WARNING", "ERROR") == []
    return found


def test_every_table_has_a_witness() -> None:
    """A table that is neither read by default nor V1's is counted by a second path."""
    names = {name for name, tables in STREAMS.items() if not tables[0].by_default and not name.startswith("esp_")}
    assert names == OTHERS.keys()
    assert {name: STREAMS[name][0].key for name in OTHERS} == {name: key for name, (key, _) in OTHERS.items()}


@pytest.mark.parametrize("stream", OTHERS)
def test_a_table_holds_exactly_the_account(stream: str, run: Run, account: RunningSandbox) -> None:
    """Each key once, and no other; the account has some."""
    key, truth = OTHERS[stream]
    expected = sorted(set(truth(witness(account))))
    assert expected
    assert sorted(tuple(row[name] for name in key) for row in run.rows(stream)) == expected
