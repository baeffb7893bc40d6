"""A Meltano project of one's own, made from nothing, and what runs in it against a sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from meltano.core.project import Project as MeltanoProject
from meltano.core.venv_service import fingerprint
from support.demo import ROOT
from support.environments import provide_plugins
from support.markdown import code_blocks, commands, sections
from support.patience import SCRIPT_PATIENCE
from support.scripts import script
from support.second_path import truth

from klaviyo_sandbox.server import RunningSandbox
from tap_klaviyo.tables import BY_DEFAULT

EXAMPLE = ROOT / "examples" / "project"
SECTIONS = sections((ROOT / "docs" / "start" / "meltano-project.md").read_text())
BEGIN, ENVIRONMENTS, SELECT, STATE, ADD, WHEEL = SECTIONS
ADDRESSES = script("addresses")
# A loader that takes no installation: keeps what it reads, and confirms every STATE.
KEEPS_LINES = f"""\
#!{sys.executable}
import json, pathlib, sys
with pathlib.Path("lines.jsonl").open("w") as kept:
    for line in sys.stdin:
        kept.write(line)
        message = json.loads(line)
        if message["type"] == "STATE":
            print(json.dumps(message["value"]), flush=True)
"""


def yaml_blocks(title: str) -> list[str]:
    """The blocks of YAML of a section of the page."""
    return [block.text for block in code_blocks(SECTIONS[title]) if block.language == "yaml"]


class Project:
    """A project in which commands are typed, and an account that its plugins find."""

    def __init__(self, folder: Path, account: RunningSandbox) -> None:
        self.folder, self.file = folder, folder / "meltano.yml"
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
            "NO_COLOR": "1",
            "TAP_KLAVIYO_API_URL": account.url,
            "TARGET_KLAVIYO_API_URL": account.url,
        }

    def type(self, *lines: str) -> None:
        """Type the lines into one shell, and Return at every prompt.

        Raises:
            AssertionError: a line failed.
        """
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
            cwd=self.folder,
            env=self.environment,
            input="\n" * 20,
            capture_output=True,
            text=True,
            timeout=SCRIPT_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def provide_loader(self, name: str, pip_url: str) -> None:
        """Let Meltano find a loader installed that takes no network."""
        home = self.folder / ".meltano" / "loaders" / name / "venv"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / name).write_text(KEEPS_LINES)
        (home / "bin" / name).chmod(0o755)
        (home / "bin" / "python").symlink_to(sys.executable)
        (home / ".meltano_plugin_fingerprint").write_text(fingerprint([pip_url]))

    def provide_plugins(self, declared: str) -> None:
        """Let Meltano find our plugins, which a text of YAML declares, where the tests run: they take no network."""
        provide_plugins(self.folder / ".meltano", declared, "tap-klaviyo", "target-klaviyo")

    def messages(self) -> list[dict[str, Any]]:
        """What the loader read."""
        return [json.loads(line) for line in (self.folder / "lines.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def account(make_shared_sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    return make_shared_sandbox(profiles=30, events=200, seed=6, limits=False)


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory, account: RunningSandbox) -> Path:
    """The folder that `meltano init` makes."""
    project = Project(tmp_path_factory.mktemp("new"), account)
    project.type("meltano init my-project --no-usage-stats")
    return project.folder / "my-project"


@pytest.fixture
def project(new_project: Path, account: RunningSandbox, tmp_path: Path) -> Project:
    """A copy of it that has a loader, as a reader's project has."""
    project = Project(shutil.copytree(new_project, tmp_path / "my-project"), account)
    loader = {"name": "target-postgres", "namespace": "target_postgres", "pip_url": "meltanolabs-target-postgres"}
    document = yaml.safe_load(project.file.read_text()) | {"plugins": {"loaders": [loader]}}
    project.file.write_text(yaml.safe_dump(document, sort_keys=False))
    project.provide_loader(loader["name"], loader["pip_url"])
    return project


def check_what_came(messages: list[dict[str, Any]], account: RunningSandbox) -> None:
    """The tables that are read by default, without the columns that must be asked for, and everybody."""
    schemas: Mapping[str, Any] = {m["stream"]: m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA"}
    assert schemas.keys() == set(BY_DEFAULT)
    assert "attributes" not in schemas["profiles"]
    came = {m["record"]["profile_id"] for m in messages if m["type"] == "RECORD" and m["stream"] == "profiles"}
    assert came == {key for (key,) in truth(account, "profiles")}


def test_a_project_that_includes_the_file_runs(project: Project, account: RunningSandbox) -> None:
    """What the page says, as it says it, in a project that has just been made."""
    fetch, key, install, run = commands(SECTIONS[BEGIN])
    (lines,) = yaml_blocks(BEGIN)
    assert install == "meltano install"

    # curl reads files too; the tag is that of the files that are here.
    project.type(fetch.replace(f"{ADDRESSES.REPOSITORY}/raw/{ADDRESSES.TAG}", ROOT.as_uri()))
    with project.file.open("a") as file:
        file.write(lines)
    project.type(key)
    project.provide_plugins((project.folder / "klaviyo.meltano.yml").read_text())
    project.type(run)

    check_what_came(project.messages(), account)


def test_plugins_that_are_added_from_their_definitions_run(project: Project) -> None:
    """`meltano add --from-ref`, with Return at every prompt, ends with our plugins, whole; an own entry inherits."""
    for line in commands(SECTIONS[ADD]):
        here = line.replace(f"{ADDRESSES.REPOSITORY}/raw/{ADDRESSES.TAG}", str(ROOT))
        project.type(here.replace("meltano add", "meltano add --no-install"))
    document = yaml.safe_load(project.file.read_text())
    added = {kind: plugins[-1] for kind, plugins in document["plugins"].items()}
    included = yaml.safe_load((EXAMPLE / "klaviyo.meltano.yml").read_text())["plugins"]
    included["loaders"][0]["capabilities"] += ["validate-records"]
    assert added == {kind: plugin for kind, (plugin,) in included.items()}

    (addition,) = yaml_blocks(SELECT)
    document["plugins"]["extractors"] += yaml.safe_load(addition)["plugins"]["extractors"]
    project.file.write_text(yaml.safe_dump(document, sort_keys=False))
    project.provide_plugins(project.file.read_text())
    project.type(commands(SECTIONS[BEGIN])[1], *commands(SECTIONS[SELECT]))

    messages = project.messages()
    schemas = {m["stream"]: m["schema"]["properties"] for m in messages if m["type"] == "SCHEMA"}
    assert schemas.keys() == {"profiles", "lists", "list_profiles"}
    assert not [table for table, columns in schemas.items() if "attributes" in columns]


def test_meltano_finds_the_plugins_of_the_whole_project(tmp_path: Path) -> None:
    """In each of its environments, with those that it includes."""
    project = MeltanoProject(shutil.copytree(EXAMPLE, tmp_path / "project"))
    for environment in ("dev", "staging", "prod"):
        project.activate_environment(environment)
        names = {plugin.name for plugin in project.plugins.plugins()}
        assert names == {"tap-klaviyo", "target-klaviyo", "target-jsonl"}


def test_the_environments_of_the_page_are_those_of_the_whole_project() -> None:
    """What a project that only reads puts in their place: the same, without the target and with no start date."""
    (block,) = yaml_blocks(ENVIRONMENTS)
    for ours, whole in zip(
        yaml.safe_load(block)["environments"],
        yaml.safe_load((EXAMPLE / "meltano.yml").read_text())["environments"],
        strict=True,
    ):
        (mine,), (theirs,) = (its["config"]["plugins"]["extractors"] for its in (ours, whole))
        theirs["config"].pop("start_date", None)
        assert (ours["name"], mine) == (whole["name"], theirs)


def test_a_wheel_takes_the_place_of_the_repository(tmp_path: Path) -> None:
    """Both plugins are installed from the file that the page has one make, wherever the project is."""
    included = shutil.copy(EXAMPLE / "klaviyo.meltano.yml", tmp_path)
    make, replace = commands(SECTIONS[WHEEL])
    assert make.split() == ["pip", "wheel", "--no-deps", "--wheel-dir", "wheels", ADDRESSES.PIP_URL]
    subprocess.run(replace, shell=True, cwd=tmp_path, check=True)
    included = yaml.safe_load(Path(included).read_text())["plugins"]
    version = ADDRESSES.TAG.removeprefix("v")
    wheel = f"$MELTANO_PROJECT_ROOT/wheels/singer_klaviyo-{version}-py3-none-any.whl"
    assert [plugin["pip_url"] for plugins in included.values() for plugin in plugins] == [wheel, wheel]


def test_every_command_and_block_of_the_page_is_tried() -> None:
    """By the tests above, and by `test_pip_makes_the_plugins_from_the_tag`; an extra is of the same tag."""
    titles = [title for title in SECTIONS if commands(SECTIONS[title])]
    assert titles == [BEGIN, SELECT, ADD, WHEEL]
    assert [title for title in SECTIONS if yaml_blocks(title)] == [BEGIN, ENVIRONMENTS, SELECT]
    assert SECTIONS[BEGIN].count("sed 's|pip_url: .*|pip_url: -e ../singer-klaviyo|'") == 1
    assert f"singer-klaviyo[parquet]@{ADDRESSES.PIP_URL}`" in SECTIONS[WHEEL]
