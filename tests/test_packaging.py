"""What is built is whole: schemas and facts are found from a wheel, far from the checkout."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from klaviyo_client.plugin import settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("klaviyo_audience", "klaviyo_client", "klaviyo_sandbox", "tap_klaviyo", "target_klaviyo")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents in a folder of their own."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where only the wheel's copy of our packages can be found."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def tracked() -> set[str]:
    """What is under version control, relative to the checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone, so nobody says which files belong to it")
    return set(listed.stdout.split("\n")) - {""}


def test_wheel_holds_the_five_packages_and_nothing_else(built: Path) -> None:
    """Every file of the packages and every schema is in the wheel once, and what lies about is not."""
    (wheel,) = built.glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    modules = {name for name in tracked() if name.partition("/")[0] in PACKAGES}
    schemas = {
        f"{plugin}_klaviyo/schemas/{path.name}"
        for plugin in ("tap", "target")
        for path in (ROOT / "schemas" / plugin).glob("*.json")
    }
    assert sorted(names) == sorted(modules | schemas)


def test_sdist_holds_what_it_takes_to_build_test_and_change(built: Path) -> None:
    """The sdist is the checkout without what only the repository's host needs."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names - {"PKG-INFO", ".gitignore"} == {name for name in tracked() if not name.startswith((".ci/", ".git"))}


def test_what_is_built_would_be_taken_by_an_index(built: Path) -> None:
    """twine finds nothing to say of the metadata and of the README as its long description."""
    files = [str(path) for path in built.iterdir() if path.suffix in (".whl", ".gz")]
    assert len(files) == 2
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_version_stands_in_one_place(built: Path) -> None:
    """`pyproject.toml` says it; files, plugins and the newest head of the changelog follow."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert sorted(path.name for path in built.glob("singer*")) == [
        f"singer_klaviyo-{version}-py3-none-any.whl",
        f"singer_klaviyo-{version}.tar.gz",
    ]
    assert settings.version() == version
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_a_distribution_says_where_it_lives() -> None:
    """Whoever finds the package finds the code, what changed, the documents and where to ask, all in one repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["urls"]) == {"Repository", "Documentation", "Changelog", "Issues"}
    home = project["urls"]["Repository"]
    assert re.fullmatch(r"https://github\.com/[\w-]+/singer-klaviyo", home)
    assert [url for url in project["urls"].values() if not f"{url}/".startswith(f"{home}/")] == []
    assert [
        name
        for name in re.findall(r"/blob/main/(\S+)", " ".join(project["urls"].values()))
        if not (ROOT / name).is_file()
    ] == []


def entries_of(text: str) -> list[tuple[Requirement, list[str]]]:
    """What a file of requirements pins, each with its hashes."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = [entry.split(" --hash=") for entry in lines.replace(" \\\n    ", " ").splitlines()]
    return [(Requirement(pin), [entry.strip() for entry in hashes]) for pin, *hashes in entries]


def locked() -> dict[str, Version]:
    """What `requirements.lock` pins for this Python on this machine: name -> version."""
    entries = [entry for entry, _ in entries_of((ROOT / "requirements.lock").read_text())]
    assert all(str(entry.specifier).startswith("==") for entry in entries)
    return {
        canonicalize_name(entry.name): Version(str(entry.specifier).removeprefix("=="))
        for entry in entries
        if entry.marker is None or entry.marker.evaluate()
    }


def test_the_lock_says_what_each_file_is() -> None:
    """A mirror that hands out something else under a name and version is found out: each pin has its hashes."""
    entries = entries_of((ROOT / "requirements.lock").read_text())
    assert len(entries) > 100
    wrong = {
        entry.name: hashes
        for entry, hashes in entries
        if not hashes or not all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes)
    }
    assert wrong == {}


EXTRAS = ("demo", "test", "lint", "release")


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_an_extra_installs_is_locked_whole(extra: str) -> None:
    """pip refuses a file of hashes that lacks one package that another needs: none is missing, and none is too many."""
    done = subprocess.run(
        [sys.executable, "scripts/locked.py", "build", extra], cwd=ROOT, capture_output=True, text=True, check=True
    )
    entries = entries_of(done.stdout)
    assert all(hashes for _, hashes in entries)
    pinned = {canonicalize_name(entry.name) for entry, _ in entries if entry.marker is None or entry.marker.evaluate()}
    asked = needed(f"singer-klaviyo[build,{extra}]")
    assert asked - pinned == set()
    assert pinned <= locked().keys()
    if extra == "demo":
        assert not pinned & {"schemathesis", "klaviyo-api", "ruff"}


def needed(text: str) -> set[str]:
    """All that a distribution that is installed here needs on this machine, by its metadata, other extras included."""
    open_, seen = [Requirement(text)], set()
    while open_:
        wanted = open_.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        with contextlib.suppress(metadata.PackageNotFoundError):
            for line in metadata.requires(wanted.name) or ():
                entry = Requirement(line)
                extras = wanted.extras or {""}
                if entry.marker is None or any(entry.marker.evaluate({"extra": extra}) for extra in extras):
                    entry.marker = None
                    open_.append(entry)
    return {canonicalize_name(Requirement(entry).name) for entry in seen} - {"singer-klaviyo"}


def test_make_installs_by_the_hashes() -> None:
    """What a clone installs is what the lock says, or nothing; and the project itself is built with what is locked."""
    makefile = (ROOT / "Makefile").read_text()
    assert "--require-hashes" in makefile
    assert "--no-build-isolation" in makefile
    assert "--generate-hashes" in makefile


def test_the_lock_allows_what_the_project_asks_for() -> None:
    """Each requirement, of each extra, is pinned to a version that it allows; `make lock` makes the file anew."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    pins = locked()
    for requirement in (Requirement(entry) for entry in asked):
        if requirement.name != project["name"]:
            assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lock_names_no_place() -> None:
    """Names, versions and hashes only: who installs says where from."""
    assert not re.search(r"://|--(?!hash=)|@", (ROOT / "requirements.lock").read_text())


def test_both_plugins_run_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The tap discovers its tables and the target describes itself, from copies that are not the checkout's."""
    packages = ", ".join(PACKAGES)
    where = run(installed, tmp_path, "-c", f"import {packages}\nfor p in ({packages}): print(p.__file__)")
    assert [line.startswith(str(installed)) for line in where.stdout.splitlines()] == [True] * len(PACKAGES), (
        where.stderr
    )

    (tmp_path / "config.json").write_text('{"api_key": "pk_test", "api_url": "http://127.0.0.1:9"}')
    discovered = run(installed, tmp_path, "-m", "tap_klaviyo", "--discover", "--config", "config.json")
    assert discovered.returncode == 0, discovered.stderr
    streams = {entry["tap_stream_id"] for entry in json.loads(discovered.stdout)["streams"]}
    schemas = {path.stem for path in (ROOT / "schemas" / "tap").glob("*.json")}
    assert streams == schemas
    assert len(streams) >= 7

    about = run(installed, tmp_path, "-m", "tap_klaviyo", "--about", "--format", "json")
    assert about.returncode == 0, about.stderr
    assert "api_key" in json.loads(about.stdout)["settings"]["properties"]

    about = run(installed, tmp_path, "-m", "target_klaviyo", "--about", "--format", "json")
    assert about.returncode == 0, about.stderr
    assert "streams" in json.loads(about.stdout)["settings"]["properties"]

    contracts = (
        "from klaviyo_client.plugin.schema_files import schema_folder; from target_klaviyo.intake import contracts; "
        "print(schema_folder('target'), sorted(contracts.load('list_members').fields))"
    )
    loaded = run(installed, tmp_path, "-c", contracts)
    assert loaded.stdout.startswith(str(installed)), loaded.stderr
    assert "list_name" in loaded.stdout


def test_backoff_comes_as_python_backoff() -> None:
    """The package `backoff` would overwrite the module that singer-sdk brings; nothing asks for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    names = {entry.split(";")[0].split("[")[0].rstrip("0123456789.,<>=~! ") for entry in asked}
    assert "python-backoff" in names
    assert "backoff" not in names
