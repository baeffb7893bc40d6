"""Several accounts, one process for each: what Dagster and Airflow share, and both of them as the README says."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import psycopg
import pytest
import yaml
from support.demo import load
from support.environments import programs
from support.markdown import commands, sections
from support.patience import PATIENCE, SCRIPT_PATIENCE, until

from klaviyo_sandbox.server import RunningSandbox

PROJECT = Path(__file__).parents[1] / "examples" / "accounts"
README = sections((PROJECT / "README.md").read_text())
ORCHESTRATORS = ("Dagster", "Airflow")
NAMES = ("europe", "america")


@pytest.fixture(scope="module")
def accounts() -> ModuleType:
    """The module that both orchestrators import."""
    spec = importlib.util.spec_from_file_location("accounts", PROJECT / "accounts.py")
    assert spec is not None
    assert spec.loader is not None
    # A dataclass looks its module up.
    sys.modules["accounts"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What both share


def test_an_account_gets_its_own_key_and_nobody_elses(accounts: ModuleType) -> None:
    """Of the variables that have keys, a process has one, under the tap's name; folder and settings are its own."""
    found = accounts.parse((PROJECT / "accounts.yml").read_text())
    variables = {"KLAVIYO_KEY_EUROPE": "pk_europe", "KLAVIYO_KEY_AMERICA": "pk_america", "MELTANO_PROJECT_ROOT": "/srv"}

    made = accounts.environment(found["europe"], found.values(), variables)

    assert made == {
        "MELTANO_PROJECT_ROOT": "/srv",
        "MELTANO_SYS_DIR_ROOT": "/srv/.meltano/accounts/europe",
        "TAP_KLAVIYO_API_KEY": "pk_europe",
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "klaviyo_europe",
    }
    assert accounts.command(found["europe"])[-3:] == ["--state-id-suffix", "europe", "extract"]


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([{"name": "a", "api_key": "pk_0123456789abcdef"}], "api_key of a is not the name"),
        ([{"name": "a/b", "api_key": "KEY"}], "needs a name of"),
        ([{"name": "a", "api_key": "KEY"}, {"name": "a", "api_key": "OTHER"}], "the same STATE"),
        ([{"name": "a", "key": "KEY"}], "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_is_refused(accounts: ModuleType, entries: Any, complaint: str) -> None:
    """Nothing is run for a file with a mistake in it, and a key that stands in it is not repeated."""
    with pytest.raises(accounts.Misconfigured, match=complaint) as refusal:
        accounts.parse(yaml.safe_dump({"accounts": entries}))
    assert "0123456789" not in str(refusal.value)


def test_an_exit_code_is_a_failure(accounts: ModuleType) -> None:
    """A process that ends with anything but 0 fails its account, so that the orchestrator tries again."""
    accounts.execute(["true"], os.environ)
    with pytest.raises(accounts.Failed, match="ended with exit code 3"):
        accounts.execute(["sh", "-c", "exit 3"], os.environ)


def test_who_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    """An interruption goes to all that was started, also to what the process itself has started."""
    # A process that a script has started with `&` does not hear an interruption unless it says so.
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{listens}; import os, accounts; accounts.execute(['sh', '-c', 'sleep 6100 & sleep 6200'], os.environ)"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stderr=subprocess.DEVNULL)
    until(lambda: len(psutil.Process(process.pid).children(recursive=True)) == 3, every=0.05)
    started = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(signal.SIGINT)
    process.wait(timeout=PATIENCE)

    _, alive = psutil.wait_procs(started, timeout=PATIENCE)
    assert len(started) == 3
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


# Both orchestrators


@pytest.fixture(scope="module")
def sandboxes(make_shared_sandbox: Callable[..., RunningSandbox]) -> dict[str, RunningSandbox]:
    """An account for each name, which opens to its own key only."""
    return {
        name: make_shared_sandbox(profiles=20 + number, events=60, seed=number, key=f"pk_{name}", limits=False)
        for number, name in enumerate(NAMES)
    }


@pytest.fixture(params=ORCHESTRATORS)
def orchestrator(
    request: pytest.FixtureRequest,
    sandboxes: dict[str, RunningSandbox],
    database: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Callable[..., subprocess.CompletedProcess[str]], Callable[[str], str]]:
    """Runs the README's commands in a copy of the project; and the schema of an account."""
    name = str(request.param).lower()
    demo = load()
    demo.WORK = tmp_path
    meltano = demo.Meltano("http://127.0.0.1:9", database)
    bin_folder = programs(name, (PROJECT / f"requirements-{name}.txt").read_text())
    folder = tmp_path / "dags"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    write_accounts(folder / "accounts.yml", sandboxes, name)
    (folder / ".dagster").mkdir()
    (folder / ".dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    del meltano.environment["TAP_KLAVIYO_API_URL"], meltano.environment["TAP_KLAVIYO_API_KEY"]
    environment = {
        **meltano.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TAP_KLAVIYO__SELECT": json.dumps(["profiles.*", "events.*"]),
        # Installed once for both; their STATE is in a database for each.
        "MELTANO_SYS_DIR_ROOT": str(tmp_path_factory.getbasetemp() / "accounts"),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    }
    # The first makes the environment, which is there.
    lines = [line.replace(f".venv-{name}/bin", str(bin_folder)) for line in commands(README[request.param])[1:]]
    tried: list[tuple[str, ...]] = []

    def run(*with_keys: str) -> subprocess.CompletedProcess[str]:
        # Airflow's own database is there when it runs again.
        script = "\n".join(line for line in lines if not (tried and line.endswith("db migrate")))
        tried.append(with_keys)
        keys = {f"KLAVIYO_KEY_{each.upper()}": f"pk_{each}" for each in with_keys}
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=folder,
            env=environment | keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SCRIPT_PATIENCE,
            check=False,
        )

    return run, lambda account: f"{name}_{account}"


def write_accounts(file: Path, sandboxes: dict[str, RunningSandbox], prefix: str) -> None:
    """The file of accounts, which are not Klaviyo's but sandboxes."""
    entries = [
        {
            "name": name,
            "api_key": f"KLAVIYO_KEY_{name.upper()}",
            "environment": {
                "TAP_KLAVIYO_API_URL": sandbox.url,
                "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": f"{prefix}_{name}",
            },
        }
        for name, sandbox in sandboxes.items()
    ]
    file.write_text(yaml.safe_dump({"accounts": entries}))


def landed(database: str, schema: str, column: str = "profiles.profile_id") -> set[str]:
    """The column's values, none where nothing landed."""
    table, name = column.split(".")
    with psycopg.connect(database) as connection, contextlib.suppress(psycopg.errors.UndefinedTable):
        return {value for (value,) in connection.execute(f"select {name} from {schema}.{table}").fetchall()}
    return set()


@pytest.mark.exhaustive
def test_accounts_land_apart_and_one_that_fails_fails_alone(
    orchestrator: Any, sandboxes: dict[str, RunningSandbox], database: str
) -> None:
    """The run fails for an account without a key, and the other lands; with a key it lands, too, beside what is new."""
    run, schema = orchestrator
    people = {name: set(sandbox.store.profiles.rows) for name, sandbox in sandboxes.items()}
    first = run("europe")
    assert first.returncode != 0
    assert "KLAVIYO_KEY_AMERICA is not set" in first.stdout
    assert landed(database, schema("europe")) == people["europe"], first.stdout[-5000:]
    assert landed(database, schema("america")) == set()

    new = {name: sandboxes[name].control.add_events(count=1, seconds=-3600)[0] for name in NAMES}
    asked = {name: len(sandbox.requests) for name, sandbox in sandboxes.items()}
    second = run(*NAMES)
    assert second.returncode == 0, second.stdout[-5000:]
    assert landed(database, schema("america")) == people["america"]
    for name in NAMES:
        assert new[name] in landed(database, schema(name), "events.id")
        filters = [each.query.get("filter", "") for each in list(sandboxes[name].requests)[asked[name] :]]
        # One reads from the beginning, the other from its bookmark: neither has the other's STATE.
        assert any("greater-than(updated," in text for text in filters) is (name == "europe")
