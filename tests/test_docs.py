"""What the documents say exists, and what exists is in the documents."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
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
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("**/*.md"), *ROOT.glob("examples/**/README.md")]


def test_the_readme_is_short() -> None:
    """All else has a page of its own."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 160 and not line.startswith("|")] == []


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), *DOCS.glob("[!r]*/*.md"), *DOCS.glob("recipes/*.md")])
def test_a_page_has_one_question_as_its_title(page: Path) -> None:
    """Its answer comes first: a paragraph or a table, before any further heading."""
    title, *rest = [line for line in page.read_text().splitlines() if line and not line.startswith("<!--")]
    assert title.startswith("# ")
    assert title.endswith("?")
    assert not rest[0].startswith("#")


def test_the_pages_of_tables_are_made_of_the_schemas() -> None:
    """An index and a page for each family, and no other."""
    assert len(list((REFERENCE / "tables").glob("*.md"))) == 1 + len(FAMILIES)
    assert table_sections().keys() == {table.name for table in TABLES}
    listed = "".join(re.findall(r"^\| \[.*$", (REFERENCE / "tables" / "index.md").read_text(), flags=re.MULTILINE))
    assert {table.name for table in TABLES} == set(re.findall(r"`(\w+)`", listed))


def table_sections() -> dict[str, str]:
    """What the pages say of each table."""
    pages = (path.read_text("utf-8") for path in (REFERENCE / "tables").glob("*.md") if path.name != "index.md")
    return {title: text for page in pages for title, text in sections(page).items() if title}


def test_the_page_of_tables_says_which_columns_grow_old() -> None:
    """Those of the person in a membership, and of the person and the metric in an event; none where all is read."""
    aging = {
        name: found[1].replace("`", "").split(", ")
        for name, text in table_sections().items()
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
    assert {id(table) for tables in families for table in tables} == {id(table) for table in declared}, (
        "add the module's Family(NAME, MODULE.TABLES) to FAMILIES in tap_klaviyo/tables/__init__.py"
    )
    assert len(TABLES) == len(declared)
    names = [{table.name for table in tables} for tables in families]
    assert sum(map(len, names)) == len(set().union(*names))


def test_the_pages_of_actions_are_made_of_the_catalogue() -> None:
    """Each shows its example, and there is no other page."""
    pages = {path.stem: path.read_text() for path in (REFERENCE / "actions").glob("*.md")}
    assert {"index", *ACTIONS} <= pages.keys(), "run `make generate`"
    left = sorted(pages.keys() - {"index", *ACTIONS})
    assert not left, f"delete these pages from docs/reference/actions, whose actions there are not: {left}"
    for action in ACTIONS:
        shown = f"](../../../examples/{action}.jsonl)" in pages[action]
        assert shown is (ROOT / "examples" / f"{action}.jsonl").exists(), "run `make generate`"


@pytest.mark.parametrize("page", ["CHANGELOG.md", "docs/decisions.md", "README.md", "CONTRIBUTING.md"])
def test_pages_are_named_by_where_they_are(page: str) -> None:
    """Also where they are named without a link, which nothing else looks at, and in the words of a link."""
    text = (ROOT / page).read_text()
    assert [name for name in re.findall(r"\bdocs/[\w/-]+\.md\b", text) if not (ROOT / name).is_file()] == []
    links = re.findall(r"\[`?([\w/-]+\.md)`?\]\(([^)#\s]+)[^)]*\)", text)
    assert [(words, target) for words, target in links if Path(words).name != Path(target).name] == []


def test_the_commands_of_the_sandbox_page_have_their_options() -> None:
    """The documented commands have options that exist."""
    text = "".join(path.read_text() for path in [DOCS / "start" / "sandbox.md", *(DOCS / "sandbox").glob("*.md")])
    commands = re.findall(r"^\$ klaviyo-sandbox (.*)$", text, flags=re.MULTILINE)
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


def test_the_page_of_settings_names_every_setting() -> None:
    """It names every setting of both plugins."""
    text = (REFERENCE / "settings.md").read_text()
    assert [name for name in {**TAP["properties"], **TARGET["properties"]} if f"| `{name}` |" not in text] == []


def test_no_page_tells_to_set_a_revision() -> None:
    """A revision belongs to an operation: the page of settings says that the old setting does nothing."""
    assert "| `revision` | string |  | Does nothing: " in (REFERENCE / "settings.md").read_text()
    for name in ("meltano.yml", "docs/meltano-hub/tap-klaviyo.yml", "docs/meltano-hub/target-klaviyo.yml"):
        assert "name: revision" not in (ROOT / name).read_text()


@pytest.mark.parametrize(
    "page",
    [
        *(
            f"docs/recipes/{name}.md"
            for name in ("select", "deletions", "one-metric", "hash-emails", "leave-people-out")
        ),
        *(f"docs/recipes/{name}.md" for name in ("custom-properties", "stream-maps", "flattening")),
        "docs/start/meltano-project.md",
        "meltano.yml",
    ],
)
def test_each_selection_selects_something(page: str) -> None:
    """A pattern with what Meltano does not know, such as braces, would match no column, without a word."""
    schemas = {path.stem: json.loads(path.read_text()) for path in (ROOT / "schemas" / "tap").glob("*.json")}
    columns = [f"{table}.{name}" for table, schema in schemas.items() for name in schema["properties"]]
    listed = re.findall(r"^ *select:\n((?: *(?:- [^:\n]+|#.*)\n)+)", (ROOT / page).read_text(), flags=re.MULTILINE)
    patterns = [pattern for block in listed for pattern in yaml.safe_load(textwrap.dedent(block))]
    ours = [pattern for pattern in patterns if not pattern.startswith("audience-")]
    assert len(ours) >= 2
    assert [pattern for pattern in ours if not fnmatch.filter(columns, pattern.removeprefix("!"))] == []


def test_no_page_puts_an_address_of_a_sandbox_where_it_reaches_production() -> None:
    """What stands in .env goes before every environment of Meltano, production included."""
    said = [text for page in PAGES for text in re.split(r"\n\s*\n|\n(?=- )", page.read_text())]
    assert [text for text in said if "KLAVIYO_API_URL=" in text and re.search(r"`\.env`|> \.env", text)] == []


def test_the_environment_of_the_sandbox_leads_to_it() -> None:
    """The door to the warehouse names an environment of meltano.yml whose address is the documented sandbox's."""
    environments = {
        entry["name"]: entry for entry in yaml.safe_load((ROOT / "meltano.yml").read_text())["environments"]
    }
    named = set(re.findall(r"--environment (\w+)", (DOCS / "start" / "warehouse.md").read_text()))
    assert {"sandbox", "production"} <= named <= set(environments)
    page = (DOCS / "start" / "sandbox.md").read_text()
    port = re.findall(r"^\$ klaviyo-sandbox --port (\d+)\b", page, re.MULTILINE)[0]
    plugins = environments["sandbox"]["config"]["plugins"]
    addresses = [entry["config"]["api_url"] for kind in plugins.values() for entry in kind]
    assert addresses == [f"http://127.0.0.1:{port}"] * 2


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say behind its #."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link points to a file or folder of the repository, and to a heading that it has."""
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text())
    links += [(path, "") for path in re.findall(r"(?:src|srcset|href)=\"(?!https?:)([^\"#]+)\"", page.read_text())]
    wrong = []
    for path, anchor in links:
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(f"{path}#{anchor}")
    assert wrong == []


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
