"""Recipes of docs/recipes that build on one another: their commands and blocks of YAML, run in one project."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from support.calls import Caller
from support.commands import singer_lines
from support.demo import DEMO, ROOT, load
from support.environments import programs, provide_plugins
from support.markdown import code_blocks, commands
from support.patience import SCRIPT_PATIENCE
from support.second_path import forget, truth

from klaviyo_sandbox.server import RunningSandbox

START, *NAMES = ("index", "select", "nightly", "backfill", "deletions", "copy-account", "push-from-postgres", "state")
RECIPES = {name: (ROOT / "docs" / "recipes" / f"{name}.md").read_text() for name in (START, *NAMES)}
SELECT, NIGHTLY, BACKFILL, GONE, COPY, PUSH, STATE = NAMES
STATE_ID = "production:tap-klaviyo-to-target-postgres"


class Project:
    """A Meltano project as a reader of the pages has it, with an account to read and one to copy into."""

    def __init__(self, folder: Path, account: RunningSandbox, other: RunningSandbox, runner: Any, database: str):
        self.folder, self.account, self.other, self.database = folder, account, other, database
        self.environment = {
            **{name: value for name, value in runner.environment.items() if name != "MELTANO_DATABASE_URI"},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MELTANO_PROJECT_ROOT": str(folder),
            "TAP_KLAVIYO_SOURCE_API_KEY": "pk_source",
            "TARGET_KLAVIYO_COPY_API_KEY": "pk_copy",
            "TARGET_KLAVIYO_COPY_API_URL": other.url,
        }

    def run(self, *lines: str) -> str:
        """The lines in one shell, which stops at the first that fails; what they wrote to stdout."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def filters(self, *lines: str) -> list[str]:
        """Run the lines; what the account was asked meanwhile, as path and filter."""
        before = len(self.account.requests)
        self.run(*lines)
        asked = list(self.account.requests)[before:]
        return [f"{entry.path} {entry.query.get('filter', '')}" for entry in asked if entry.method == "GET"]

    def state(self, state_id: str = STATE_ID) -> dict[str, Any]:
        """What the latest run that ended left; looked up where Meltano keeps it, which takes no process."""
        with contextlib.closing(sqlite3.connect(self.folder / ".meltano" / "meltano.db")) as connection:
            query = "select completed_state from state where state_id = ?"
            (text,) = connection.execute(query, (state_id,)).fetchone()
        found: dict[str, Any] = json.loads(text)["singer_state"]["bookmarks"]
        return found

    def landed(self, table: str, key: str) -> set[str]:
        with psycopg.connect(self.database) as connection:
            return {row for (row,) in connection.execute(f"select {key} from klaviyo.{table}").fetchall()}


def add(project: Any, addition: Any) -> Any:
    """The project with a block added as a reader would: entries of a list behind those that are there."""
    if isinstance(project, dict) and isinstance(addition, dict):
        both = {key: add(project[key], value) for key, value in addition.items() if key in project}
        return {**project, **addition, **both}
    if isinstance(project, list) and isinstance(addition, list):
        return [*project, *addition]
    return addition


def with_additions(project: str) -> str:
    """``meltano.yml`` with all blocks of YAML of the pages."""
    document = yaml.safe_load(project)
    for block in [block for page in RECIPES.values() for block in code_blocks(page)]:
        if block.language == "yaml":
            document = add(document, yaml.safe_load(block.text))
    return yaml.safe_dump(document, sort_keys=False)


@pytest.fixture(scope="module")
def project(
    make_shared_sandbox: Callable[..., RunningSandbox], database: str, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """With our plugins installed, which take no network."""
    demo, folder = load(), tmp_path_factory.mktemp("recipes")
    account = make_shared_sandbox(profiles=60, events=900, seed=4, limits=False)
    other = make_shared_sandbox(profiles=0, events=0, seed=5, limits=False, job_seconds=0.05)
    checkout = (ROOT / "meltano.yml").read_text().replace("pip_url: -e .", f"pip_url: -e {ROOT}")
    # Two tables for all, so that a night takes seconds; tests/test_meltano.py lands them all.
    checkout = re.sub(
        r"(?<=      select:\n        - profiles\.\*\n)(?:        - \w+\.\*\n)+", "        - events.*\n", checkout
    )
    (folder / "meltano.yml").write_text(with_additions(checkout))
    project = Project(folder, account, other, demo.Meltano(account.url, database), database)
    _path, export, install = commands(RECIPES[START])
    assert install == "meltano install"
    name, value = export.removeprefix("export ").split("=")
    project.environment[name] = value
    provide_plugins(folder / ".meltano", (folder / "meltano.yml").read_text(), "tap-klaviyo", "target-klaviyo")
    return project


@pytest.fixture(scope="module")
def installed(project: Project) -> Project:
    """With the plugins of others, which tests share; tests/test_documented_commands.py types `meltano install`."""
    provide_others(project, "target-postgres", "tap-postgres")
    return project


def provide_others(project: Project, *names: str) -> None:
    """Let Meltano find these plugins installed, unless it does already."""
    files, text = project.folder / ".meltano", (project.folder / "meltano.yml").read_text()
    provide_plugins(files, text, *(name for name in names if not list(files.glob(f"*/{name}"))))


@pytest.fixture(scope="module")
def late(installed: Project) -> str:
    """The id of an event that was recorded between the two nights that have gone by since."""
    first, second = commands(RECIPES[NIGHTLY])
    installed.run(first)
    (event,) = installed.account.control.add_events(count=1, seconds=-3600)
    installed.run(second)
    return str(event)


def test_every_block_of_the_page_is_run() -> None:
    """A block in another language, or a section that has none to run, would be a recipe that nobody tried."""
    blocks = {name: code_blocks(page) for name, page in RECIPES.items()}
    assert {block.language for page in blocks.values() for block in page} == {"console", "yaml"}
    assert [name for name, page in RECIPES.items() if not commands(page)] == []
    assert {name: page.count("```") for name, page in RECIPES.items()} == {n: 2 * len(b) for n, b in blocks.items()}


def test_the_nameless_selection_selects_nobodys_name(project: Project) -> None:
    """Meltano selects the columns that the page names, and none with an address, a number or a name of a person."""
    (line,) = commands(RECIPES[SELECT])
    output = project.run(line)
    chosen = {
        line.split("] ")[1].strip()
        for line in output.splitlines()
        if line.strip().startswith(("[selected", "[automatic"))
    }
    assert {"events.metric_name", "campaigns.name", "metrics.name"} <= chosen
    assert {name.split(".")[0] for name in chosen} == {"campaigns", "campaign_messages", "events", "metrics"}
    assert not {name for name in chosen if name.startswith("events.profile_") and name != "events.profile_data_id"}


@pytest.mark.exhaustive
def test_nights_land_what_there_is_and_then_what_is_new(project: Project, late: str) -> None:
    """The job lands the account; the schedule's run, a night later, what came since."""
    assert project.landed("profiles", "profile_id") == {key for (key,) in truth(project.account, "profiles")}
    events = project.landed("events", "id")
    assert late in events
    assert events == set(project.account.store.events.rows)


@pytest.mark.exhaustive
def test_a_backfill_leaves_the_nightly_state_alone(project: Project, late: str) -> None:
    """With a suffix it reads from its own start date, only what is selected, and goes on from its own STATE."""
    *exports, refresh, again = commands(RECIPES[BACKFILL])
    nightly = project.state()

    first = project.filters(*exports, refresh)
    second = project.filters(*exports, again)

    assert any("greater-or-equal(datetime,2024-06-01T00:00:00" in text for text in first)
    assert not any("profiles" in text for text in first + second)
    assert not any("2024-06-01" in text for text in second)
    assert project.state() == nightly
    backfill = project.state(f"{STATE_ID}:backfill")
    assert {name for name, its in backfill.items() if its} == {"events", "event_group_ids"}


def test_a_rehearsal_copies_nothing_and_the_copy_everybody(project: Project) -> None:
    """The first line sends nothing; after the second the other account has the people and the lists, and no consent."""
    rehearse, copy, *_ = commands(RECIPES[COPY])

    before = len(project.account.requests)
    project.run(rehearse)
    assert not [entry.query for entry in list(project.account.requests)[before:] if "attribution" in str(entry.query)]
    assert len(project.other.store.profiles.rows) == 0
    assert {entry.method for entry in project.other.requests} == {"GET"}

    project.run(copy)
    source, other = project.account.store, project.other.store
    assert len(other.profiles.rows) == len(source.profiles.rows)
    assert {row["name"] for row in source.lists.rows.values()} <= {row["name"] for row in other.lists.rows.values()}
    assert not any("subscription" in entry.path for entry in project.other.requests)


def test_a_plain_pipe_copies_the_same(
    project: Project, make_shared_sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    """Typed without Meltano, the rehearsal sends nothing, and the copy everybody, with STATE for the next one."""
    other = make_shared_sandbox(profiles=0, events=0, seed=2, limits=False, job_seconds=0.05)
    [source, copy, *lines] = commands(RECIPES[COPY])[2:]
    lines = [
        *(
            line.replace('"pk_..."', f'"pk_x", "api_url": "{url}"')
            for line, url in ((source, project.account.url), (copy, other.url))
        ),
        *lines,
    ]

    project.run(f"cd {tmp_path}", *lines[:-1])
    assert len(other.store.profiles.rows) == 0
    assert {entry.method for entry in other.requests} == {"GET"}

    project.run(f"cd {tmp_path}", lines[-1])
    assert len(other.store.profiles.rows) == len(project.account.store.profiles.rows)
    assert len(other.store.events.rows) > 0
    bookmarks = json.loads((tmp_path / "state.json").read_text())["bookmarks"]
    assert bookmarks.keys() >= {"profiles", "list_profiles", "events"}


@pytest.mark.exhaustive
def test_a_view_becomes_a_list(project: Project, late: str) -> None:
    """Whoever is in the view of PostgreSQL is on the list, made for it."""
    (push,) = commands(RECIPES[PUSH])
    with psycopg.connect(project.database) as connection:
        connection.execute(DEMO.with_name("audience.sql").read_text())
        (size,) = connection.execute("select count(*) from audience.vip_customers where email like '%@%'").fetchone()

    project.run(push)

    store = project.account.store
    (list_id,) = [row["id"] for row in store.lists.rows.values() if row["name"] == "VIP customers"]
    assert len(store.list_members[list_id].rows) >= size > 0


@pytest.mark.exhaustive
def test_state_moves_to_another_place_and_back_in_time(project: Project, late: str) -> None:
    """It holds moments and no person; a run goes on from it elsewhere; one table's bookmark is set back alone."""
    get, export, put, go_on, set_back, again = commands(RECIPES[STATE])
    project.run(get, export, put)
    bookmarks = json.loads((project.folder / "state.json").read_text())["singer_state"]["bookmarks"]
    moments = [its for its in bookmarks.values() if its]
    assert all(set(its) - {"looked_back"} == {"replication_key", "replication_key_value"} for its in moments)
    noted = [its["looked_back"] for its in moments if "looked_back" in its]
    assert noted
    assert all(set(its) == {"at", "seconds", "last_run"} for its in noted)
    assert all(datetime.fromisoformat(its["replication_key_value"]) < datetime.now(UTC) for its in moments)
    day = datetime.fromisoformat(bookmarks["profiles"]["replication_key_value"]) - timedelta(seconds=1)

    elsewhere = project.filters(export, go_on)
    anew = project.filters(export, set_back, again)

    assert any(f"/api/profiles greater-than(updated,{day:%Y-%m-%dT%H:%M:%S}" in text for text in elsewhere)
    assert any("/api/profiles greater-than(updated,2019-12-31T23:59:59" in text for text in anew)
    assert not any("datetime,2020" in text or "datetime,2019" in text for text in anew)
    assert list((project.folder / "state").rglob("state.json"))


# Table -> its key, of what the recipe reads whole.
WHOLE = {
    "profiles": ("profile_id",),
    "lists": ("list_id",),
    "list_profiles": ("list_id", "profile_id"),
    "segments": ("segment_id",),
    "segment_profiles": ("segment_id", "profile_id"),
    "campaigns": ("campaign_id",),
}


def test_what_is_gone_is_marked_once_a_week(project: Project, database: str, tmp_path: Path) -> None:
    """One of each table, and no other row; those that stay keep the columns that the night has written."""
    account = project.account
    provide_others(project, "target-postgres")
    forget(account)
    night = [
        message
        for table, key in WHOLE.items()
        for message in [
            {"type": "SCHEMA", "stream": table, "schema": night_schema(key), "key_properties": key},
            *(
                {"type": "RECORD", "stream": table, "record": {**dict(zip(key, row, strict=True)), "kept": "as it was"}}
                for row in truth(account, table)
            ),
        ]
    ]
    load_as_documented(night, database, tmp_path)
    before = {table: table_rows(database, table) for table in WHOLE}

    for group, members in (("lists", account.store.list_members), ("segments", account.store.segment_members)):
        account.control.delete(group, next(group_id for group_id, held in members.items() if held.rows))
    account.control.delete("campaigns", before["campaigns"][0]["campaign_id"])
    profile = {"data": {"type": "profile", "id": before["profiles"][0]["profile_id"], "attributes": {}}}
    with contextlib.closing(Caller(account.url)) as caller:
        job = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}}
        assert caller.post("data-privacy-deletion-jobs", job).status_code == 202
    (week,) = commands(RECIPES[GONE])
    project.run(week)

    forget(account)
    for table, key in WHOLE.items():
        after, there = table_rows(database, table), set(truth(account, table))
        gone = {tuple(row[name] for name in key) for row in after if row["_sdc_deleted_at"] is not None}
        assert gone == {tuple(row[name] for name in key) for row in before[table]} - there != set()
        assert {row["kept"] for row in after} == {"as it was"}
        assert len(after) == len(before[table])


def load_as_documented(messages: list[dict[str, Any]], database: str, folder: Path) -> None:
    """Load messages as meltano.yml has it."""
    [plugin] = [
        it
        for it in yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]
        if it["name"] == "target-postgres"
    ]
    loader = programs("target-postgres", plugin["pip_url"]) / "target-postgres"
    settings = {setting["name"]: setting["value"] for setting in plugin["settings"] if "value" in setting}
    address = load().Meltano("", database).environment["TARGET_POSTGRES_SQLALCHEMY_URL"]
    (folder / "target.json").write_text(json.dumps({**settings, "sqlalchemy_url": address}))
    command = [loader, "--config", folder / "target.json"]
    done = subprocess.run(command, input=singer_lines(messages), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def table_rows(database: str, table: str) -> list[dict[str, Any]]:
    """The rows of a table, in the order of their keys."""
    with psycopg.connect(database) as connection:
        query = f"select to_jsonb(t) from klaviyo.{table} t order by {', '.join(WHOLE[table])}"
        return [row for (row,) in connection.execute(query).fetchall()]


def night_schema(key: tuple[str, ...]) -> dict[str, Any]:
    """The key, and a column that no other run writes."""
    return {"type": "object", "properties": {name: {"type": "string"} for name in (*key, "kept")}}
