"""What a project of one's own takes from here: the definitions for Meltano Hub, and the file to include."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from support.demo import ROOT
from support.documented import copy_checkout
from support.scripts import script

HUB = ROOT / "docs" / "meltano-hub"
EXAMPLE = "examples/project"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIP_URL = f"git+{PROJECT['urls']['Repository']}@v{PROJECT['version']}"
# What the Hub's own schemas allow in the definition of an extractor; a loader has no `select`.
LEGAL_IN_THE_HUB = {
    *("name", "variant", "namespace", "label", "description", "executable", "pip_url", "docs", "repo", "logo_url"),
    *("hidden", "settings", "settings_group_validation", "commands", "capabilities", "metadata", "schema", "select"),
    *("requires", "maintenance_status", "domain_url", "keywords", "definition", "next_steps", "settings_preamble"),
    *("usage", "prereq", "quality", "python", "supported_python_versions", "log_parser"),
}
KINDS = {"tap-klaviyo": "extractors", "target-klaviyo": "loaders"}


def hub(name: str) -> dict[str, Any]:
    definition: dict[str, Any] = yaml.safe_load((HUB / f"{name}.yml").read_text())
    return definition


def entry(file: str, name: str) -> dict[str, Any]:
    """A plugin of a project, or of a file that projects include."""
    plugins: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / file).read_text())["plugins"]
    (found,) = [each for each in plugins[KINDS[name]] if each["name"] == name]
    return found


@pytest.mark.parametrize("name", KINDS)
def test_the_hub_would_take_a_definition(name: str) -> None:
    """Its keys are those of the Hub's schema, but for `variants`, which is for `meltano add --from-ref` alone."""
    definition = hub(name)
    assert set(definition) - {"variants"} <= LEGAL_IN_THE_HUB
    assert {"name", "namespace", "variant", "label", "quality", "pip_url", "executable"} <= set(definition)
    assert ("select" in definition) == (name == "tap-klaviyo")


@pytest.mark.parametrize("name", KINDS)
def test_a_definition_installs_the_tag_of_its_own_repository(name: str) -> None:
    """And not a package of that name in a registry, which would be somebody else's."""
    assert hub(name)["pip_url"] == PIP_URL
    assert shlex.split(PIP_URL) == [PIP_URL]
    assert hub(name)["repo"] == PROJECT["urls"]["Repository"]


def test_the_hub_selects_the_tables_that_the_project_of_the_checkout_selects() -> None:
    """Without `select` Meltano would read all tables, and every column that costs look-ups."""
    selection = entry("meltano.yml", "tap-klaviyo")["select"]
    assert len([pattern for pattern in selection if pattern.startswith("!")]) >= 5
    assert hub("tap-klaviyo")["select"] == selection
    assert [variant["select"] for variant in hub("tap-klaviyo")["variants"]] == [selection]


def test_the_variant_of_a_definition_is_the_definition() -> None:
    """What `meltano add --from-ref` takes from the variant is what stands above it."""
    definition = hub("tap-klaviyo")
    (variant,) = definition["variants"]
    assert variant.pop("name") == definition["variant"]
    assert variant == {key: definition[key] for key in variant}
    assert set(variant) >= {"pip_url", "executable", "capabilities", "settings", "settings_group_validation"}


@pytest.mark.parametrize(
    "file", ["meltano.yml", "examples/audience/meltano.yml", f"{EXAMPLE}/meltano.yml", f"{EXAMPLE}/klaviyo.meltano.yml"]
)
def test_projects_are_what_meltano_takes_for_one(file: str) -> None:
    """Meltano's own schema knows every key, kind of setting and capability."""
    check_against_the_schema(ROOT / file)


def test_the_file_to_include_holds_the_two_plugins_and_nothing_else() -> None:
    """Nothing of the demo's; what the definitions for the Hub say, as far as a project may say it."""
    included = yaml.safe_load((ROOT / EXAMPLE / "klaviyo.meltano.yml").read_text())
    assert included.keys() == {"plugins"}
    names = {kind: [plugin["name"] for plugin in plugins] for kind, plugins in included["plugins"].items()}
    assert names == {kind: [name] for name, kind in KINDS.items()}
    for name in KINDS:
        plugin, definition = entry(f"{EXAMPLE}/klaviyo.meltano.yml", name), hub(name)
        definition["capabilities"] = [word for word in definition["capabilities"] if word != "validate-records"]
        left_out = {"variants", "maintenance_status", "quality", "keywords", "domain_url"}
        assert plugin == {key: value for key, value in definition.items() if key not in left_out}


def test_the_whole_project_includes_it_and_has_the_environments_of_meltano_init() -> None:
    """What it sets for an environment are settings of the plugins, and its loader is the one of the checkout."""
    project = yaml.safe_load((ROOT / EXAMPLE / "meltano.yml").read_text())
    assert project["include_paths"] == ["klaviyo.meltano.yml"]
    assert [environment["name"] for environment in project["environments"]] == ["dev", "staging", "prod"]
    assert project["default_environment"] == "dev"
    known = {name: {setting["name"] for setting in hub(name)["settings"]} for name in KINDS}
    for environment in project["environments"]:
        for plugins in environment.get("config", {}).get("plugins", {}).values():
            for plugin in plugins:
                assert plugin["config"].keys() <= known[plugin["name"]]
    (loader,) = project["plugins"]["loaders"]
    checkout = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["loaders"]
    assert loader in checkout


def check_against_the_schema(path: Path) -> None:
    schema = json.loads((files("meltano.schemas") / "meltano.schema.json").read_text())
    errors = Draft202012Validator(schema).iter_errors(yaml.safe_load(path.read_text()))
    assert [(list(error.absolute_path), error.message[:200]) for error in errors] == []


def test_pip_makes_the_plugins_from_the_tag(tmp_path: Path) -> None:
    """The `pip_url` as it stands, with git led to a repository of this machine: both plugins, and the schemas."""
    home = copy_checkout(tmp_path)
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "As it is"],
        ["tag", f"v{PROJECT['version']}"],
    ):
        subprocess.run(["git", *arguments], cwd=home, check=True)
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{home.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": PROJECT["urls"]["Repository"],
    }
    make = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    make += ["--wheel-dir", str(tmp_path), *shlex.split(hub("tap-klaviyo")["pip_url"])]
    done = subprocess.run(make, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / f"singer_klaviyo-{PROJECT['version']}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
        (programs,) = [wheel.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert "tap_klaviyo/schemas/events.json" in names
    assert {"tap-klaviyo", "target-klaviyo"} <= {line.partition(" = ")[0] for line in programs.splitlines()}


def test_addresses_in_documents_name_the_version_that_there_is() -> None:
    """Whoever copies a line gets the tag of these documents; `scripts/update_meltano.py` brings them up to date."""
    addresses = script("addresses")
    assert addresses.with_tag("singer_klaviyo-0.0.9-py3-none-any.whl") == (
        f"singer_klaviyo-{PROJECT['version']}-py3-none-any.whl"
    )
    old = f"curl {PROJECT['urls']['Repository']}/raw/v0.0.9/a.yml, git+{PROJECT['urls']['Repository']}@v0.0.9 or v0.0.9"
    new = addresses.with_tag(old)
    assert new.count(f"v{PROJECT['version']}") == 2
    assert new.endswith("or v0.0.9")
