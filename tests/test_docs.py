"""What the README says exists, and what exists is in the README."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from support.markdown import sections
from test_architecture import FLOORS

from klaviyo_sandbox.__main__ import parser as sandbox_options
from tap_klaviyo.reports.declaration import OPERATIONS as REPORTS
from tap_klaviyo.settings import SETTINGS as TAP
from tap_klaviyo.tables import FAMILIES, TABLES
from target_klaviyo.actions import ACTIONS
from target_klaviyo.settings import SETTINGS as TARGET

ROOT = Path(__file__).parents[1]
README = sections((ROOT / "README.md").read_text())


def rows(title: str) -> dict[str, list[str]]:
    """The section's table: first cell, without backticks -> all cells."""
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", README[title], flags=re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


def test_the_page_of_tables_is_made_of_the_schemas() -> None:
    """`python scripts/update_tables.py` brings it up to date, and the README's list of families."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "update_tables.py", "--check"], check=False)
    assert done.returncode == 0, "docs/tables.md or the README differs from the schemas"
    page = (ROOT / "docs" / "tables.md").read_text()
    assert all(f"\n### {table.name}\n" in page for table in TABLES)
    listed = "".join(re.findall(r"^\| \[.*$", README["Tables"], flags=re.MULTILINE))
    assert {table.name for table in TABLES} == set(re.findall(r"`(\w+)`", listed))


def test_the_page_of_tables_says_which_columns_grow_old() -> None:
    """Those of the person in a membership, and of the person and the metric in an event; none where all is read."""
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    sections = {name: text for name, _, text in (part.partition("\n") for part in page.split("\n### ")[1:])}
    aging = {
        name: found[1].replace("`", "").split(", ")
        for name, text in sections.items()
        if (found := re.search("^- As last read: (.*);", text, re.MULTILINE))
    }
    assert aging["list_profiles"] == ["list_name", "email", "phone_number", "external_id"]
    assert aging["segment_profiles"] == ["segment_name", "email", "phone_number", "external_id"]
    assert aging["events"] == ["metric_name", "profile_email", "profile_phone_number", "profile_external_id"]
    assert aging["esp_opens"] == ["email"]
    assert not {"member_lists", "esp_member_lists", "stg_member_lists", "profiles", "lists"} & aging.keys()


def test_every_table_is_of_one_family() -> None:
    """A module of tables that is in no family would not be read; the tables of one name are all of one family."""
    families = [family.tables for family in FAMILIES]
    declared = [
        table
        for file in sorted((ROOT / "tap_klaviyo" / "tables").glob("[!_]*.py"))
        for table in getattr(import_module(f"tap_klaviyo.tables.{file.stem}"), "TABLES", ())
    ]
    assert {id(table) for tables in families for table in tables} == {id(table) for table in declared}
    assert len(TABLES) == len(declared)
    names = [{table.name for table in tables} for tables in families]
    assert sum(map(len, names)) == len(set().union(*names))


def test_the_page_of_actions_is_made_of_the_catalogue() -> None:
    """`python scripts/update_actions.py` brings it up to date; it shows the example of each action that has one."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "update_actions.py", "--check"], check=False)
    assert done.returncode == 0, "docs/actions.md differs from the actions and their contracts"
    page = (ROOT / "docs" / "actions.md").read_text()
    for action in ACTIONS:
        assert f"\n## {action}\n" in page
        assert (f"](../examples/{action}.jsonl)" in page) is (ROOT / "examples" / f"{action}.jsonl").exists()


def test_the_page_of_the_sandbox_lists_what_is_served() -> None:
    """`python scripts/update_sandbox.py` brings it up to date; its commands have options that there are."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "update_sandbox.py", "--check"], check=False)
    assert done.returncode == 0, "docs/sandbox.md differs from the sandbox's facts"
    page = (ROOT / "docs" / "sandbox.md").read_text()
    commands = re.findall(r"^\$ klaviyo-sandbox (.*)$", page, flags=re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        sandbox_options().parse_args(shlex.split(command))


def test_each_promise_names_a_test_that_there_is() -> None:
    """What docs/reliability.md promises is held by tests of these names."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "reliability.md").read_text())
    assert len(named) >= 20
    missing = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []


def test_whoever_comes_from_elsewhere_finds_names_that_there_are() -> None:
    """In docs/migration.md, what stands under "Here" are tables, columns of those beside them, and settings."""
    page = (ROOT / "docs" / "migration.md").read_text()
    cells = re.findall(r"^\| (?!There|---).*\| (.*) \|$", page, flags=re.MULTILINE)
    assert len(cells) >= 35
    columns = {path.stem: set(json.loads(path.read_text())["properties"]) for path in ROOT.glob("schemas/tap/*.json")}
    for cell in cells:
        names = re.findall(r"`(\w+)`", cell)
        tables = [name for name in names if name in columns]
        known = {*columns, *TAP["properties"], *REPORTS, *(column for table in tables for column in columns[table])}
        assert set(names) - known - {"select", "stream_maps", "_sdc_batched_at"} == set(), cell


def test_every_action_is_in_the_readme() -> None:
    """Each action and the streams that take it by name."""
    expected = {action.name: ", ".join(f"`{stream}`" for stream in action.streams) for action in ACTIONS.values()}
    assert {name: cells[-1] for name, cells in rows("Actions").items()} == expected


def test_the_page_of_settings_is_made_of_the_schemas() -> None:
    """`python scripts/update_settings.py` brings it up to date; and the README says of its few whose they are."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "update_settings.py", "--check"], check=False)
    assert done.returncode == 0, "docs/settings.md differs from the settings"
    lines = re.findall(r"^\| (`[^|]*`) \|([^|]*)\|([^|]*)\|", README["Settings"], flags=re.MULTILINE)
    found = {name: (tap, target) for names, tap, target in lines for name in re.findall(r"`(\w+)`", names)}
    assert len(found) >= 8
    expected = {
        name: ("yes" if name in TAP["properties"] else "", "yes" if name in TARGET["properties"] else "")
        for name in found
    }
    assert {name: (tap.strip(), target.strip()) for name, (tap, target) in found.items()} == expected


def test_no_page_tells_to_set_a_revision() -> None:
    """A revision belongs to an operation: the page of settings says that the old setting does nothing."""
    assert "| `revision` | string |  | Does nothing: " in (ROOT / "docs" / "settings.md").read_text()
    for name in ("meltano.yml", "docs/meltano-hub/tap-klaviyo.yml", "docs/meltano-hub/target-klaviyo.yml"):
        assert "name: revision" not in (ROOT / name).read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/meltano.md", "meltano.yml"])
def test_each_selection_selects_something(page: str) -> None:
    """A pattern with what Meltano does not know, such as braces, would match no column, without a word."""
    schemas = {path.stem: json.loads(path.read_text()) for path in (ROOT / "schemas" / "tap").glob("*.json")}
    columns = [f"{table}.{name}" for table, schema in schemas.items() for name in schema["properties"]]
    listed = re.findall(r"^ *select:\n((?: *(?:- [^:\n]+|#.*)\n)+)", (ROOT / page).read_text(), flags=re.MULTILINE)
    patterns = [pattern for block in listed for pattern in yaml.safe_load(textwrap.dedent(block))]
    ours = [pattern for pattern in patterns if not pattern.startswith("audience-")]
    assert len(ours) >= 2
    assert [pattern for pattern in ours if not fnmatch.filter(columns, pattern.removeprefix("!"))] == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/README.md")]
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link points to a file or folder of the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


WALK = re.compile(r"^\d+\. `([\w/]+\.py)`: (.*)$", re.MULTILINE)


def test_the_walks_of_the_architecture_lead_to_what_they_name() -> None:
    """Each step is a file that exists and holds the names that the step says; other files it mentions exist, too."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    steps = WALK.findall(text)
    assert len(steps) == 31
    for path, words in steps:
        package, source = path.split("/")[0], (ROOT / path).read_text("utf-8")
        for name in re.findall(r"`([\w/.]+)`", words):
            if name.endswith(".py"):
                assert any((ROOT / place / name).is_file() for place in (package, Path(path).parent)), (path, name)
            elif name[0].isupper() or "_" in name:
                assert re.search(rf"\b(?:def|class) {name}\b", source), (path, name)


def test_the_floors_of_the_architecture_are_those_of_its_test() -> None:
    """The page says the order of imports that the test of the architecture holds the packages to."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for package, floors in FLOORS.items():
        (row,) = re.findall(rf"^\| `{package}` \| (.*) \|$", text, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row) == [name for name in " ".join(floors).split() if not name.startswith("__")]
