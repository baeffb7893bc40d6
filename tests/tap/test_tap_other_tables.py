"""The tables that are not read by default, all at once: each holds exactly what the account has."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import yaml
from support.commands import singer_lines
from support.demo import ROOT, load
from support.environments import programs
from support.others import OTHERS, profile_jobs
from support.second_path import KEYS, advice_for, witness
from support.second_path import truth as default_truth
from tap_support import Run, config, discovered, run_tap, select

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tables import BY_DEFAULT, STREAMS


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    made = make_shared_sandbox(profiles=40, events=300, seed=7, limits=False, job_seconds=0.0)
    profile_jobs.create_jobs(made)
    return made


@pytest.fixture(scope="module")
def run(account: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of all of them."""
    catalog = select(discovered(), dict.fromkeys(OTHERS))
    # Of some of them Klaviyo allows fifteen requests a minute.
    found = run_tap(tmp_path_factory.mktemp("others"), config(account), catalog=catalog)
    assert found.code == 0, found.errors
    assert found.said("WARNING", "ERROR") == []
    return found


def test_every_table_has_a_witness() -> None:
    """A table that is neither read by default nor V1's is counted by a second path."""
    names = {name for name in STREAMS if name not in BY_DEFAULT and not name.startswith("esp_")}
    assert names <= OTHERS.keys(), advice_for(names - OTHERS.keys())
    assert OTHERS.keys() <= names, f"no table that has to be asked for: {sorted(OTHERS.keys() - names)}"
    assert {name: STREAMS[name][0].key for name in OTHERS} == {name: key for name, (key, _) in OTHERS.items()}


@pytest.mark.parametrize("stream", OTHERS)
def test_a_table_holds_exactly_the_account(stream: str, run: Run, account: RunningSandbox) -> None:
    """Each key once, and no other; the account has some."""
    key, truth = OTHERS[stream]
    expected = sorted(set(truth(witness(account))))
    assert expected
    assert sorted(tuple(row[name] for name in key) for row in run.rows(stream)) == expected


@pytest.mark.exhaustive
def test_postgres_holds_them_all(account: RunningSandbox, database: str, tmp_path: Path) -> None:
    """One load of every table that there is: as many rows in the database as there are keys in the account."""
    whole = run_tap(tmp_path, config(account), catalog=select(discovered(), dict.fromkeys(STREAMS)))
    assert whole.code == 0, whole.errors
    [loader] = [
        plugin
        for plugin in yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]
        if plugin["name"] == "target-postgres"
    ]
    address = load().Meltano(account.url, database).environment["TARGET_POSTGRES_SQLALCHEMY_URL"]
    (tmp_path / "target.json").write_text(json.dumps({"sqlalchemy_url": address, "default_target_schema": "k"}))
    done = subprocess.run(
        [programs("target-postgres", loader["pip_url"]) / "target-postgres", "--config", tmp_path / "target.json"],
        input=singer_lines(whole.messages),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with psycopg.connect(database) as connection:
        counted = {name: connection.execute(f"select count(*) from k.{name}").fetchone() for name in STREAMS}
    expected = {name: len(set(truth(witness(account)))) for name, (_, truth) in OTHERS.items()}
    expected |= {name: len(default_truth(account, name)) for name in KEYS}
    expected |= {name: len(whole.rows(name)) for name in STREAMS if name.startswith("esp_")}
    assert {name: found and found[0] for name, found in counted.items()} == expected
