"""What is built is whole: schemas and facts are found from a wheel, far from the checkout."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import hatchling.build
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support.patience import PATIENCE

from klaviyo_client.plugin import settings

ROOT = Path(__file__).parents[1]
# Distribution -> its project's folder, and the packages that it brings.
PROJECTS = {
    "singer-klaviyo": (ROOT, ("klaviyo_audience", "klaviyo_client", "tap_klaviyo", "target_klaviyo")),
    "klaviyo-sandbox": (ROOT / "klaviyo_sandbox", ("klaviyo_sandbox",)),
}
# What the sandbox's project is made with, and no part of the package.
SANDBOX_PROJECT = {"pyproject.toml", "README.md", "LICENSE"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both sdists, and the wheels that were built from the sdists."""
    folder = tmp_path_factory.mktemp("dist")
    for project, _ in PROJECTS.values():
        with contextlib.chdir(project):
            sdist = hatchling.build.build_sdist(str(folder))
        unpacked = tmp_path_factory.mktemp("sdist")
        with tarfile.open(folder / sdist) as archive:
            archive.extractall(unpacked, filter="data")
        with contextlib.chdir(unpacked / sdist.removesuffix(".tar.gz")):
            hatchling.build.build_wheel(str(folder))
    return folder


def wheel_of(built: Path, distribution: str) -> Path:
    (wheel,) = built.glob(f"{distribution.replace('-', '_')}-*.whl")
    return wheel


def project_of(distribution: str) -> dict[str, Any]:
    """The table `project` of a distribution's `pyproject.toml`."""
    return tomllib.loads((PROJECTS[distribution][0] / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


class Environment:
    """A virtual environment that holds one of our wheels, what it asks for, and nothing else.

    What others publish is linked from where the tests run, since these have no network; pip installs the wheel.
    """

    def __init__(self, folder: Path, wheel: Path, distribution: str) -> None:
        venv.create(folder, symlinks=True, with_pip=False)
        self.bin = folder / "bin"
        self._site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
        for name in ("pip", *needed(*project_of(distribution)["dependencies"])):
            with contextlib.suppress(metadata.PackageNotFoundError):
                self._link(metadata.distribution(name))
        install = [str(self.bin / "python"), "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
        subprocess.run([*install, "--no-index", str(wheel)], env=self.variables, check=True, capture_output=True)

    def _link(self, distribution: metadata.Distribution) -> None:
        for top in {file.parts[0] for file in distribution.files or () if not file.parts[0].startswith("..")}:
            here = self._site / top
            if top != "__pycache__" and not here.exists():
                here.symlink_to(Path(str(distribution.locate_file(top))))

    def run(self, folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, from where nothing of the checkout can be found."""
        return subprocess.run(
            [str(self.bin / command), *arguments],
            cwd=folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def variables(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def plugins(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The tap and the target as somebody has them who installs `singer-klaviyo`."""
    return Environment(tmp_path_factory.mktemp("plugins"), wheel_of(built, "singer-klaviyo"), "singer-klaviyo")


@pytest.fixture(scope="module")
def sandbox_alone(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The sandbox as somebody has it who installs `klaviyo-sandbox`."""
    return Environment(tmp_path_factory.mktemp("alone"), wheel_of(built, "klaviyo-sandbox"), "klaviyo-sandbox")


def tracked() -> set[str]:
    """What is under version control, relative to the checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone, so nobody says which files belong to it")
    others = ["git", "ls-files", "--others", "--exclude-standard"]
    new = subprocess.run(others, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not new, f"what is built is held to what is under version control: git add {' '.join(new)}"
    return set(listed.stdout.split("\n")) - {""}


def files_of(wheel: Path) -> list[str]:
    """The paths in a wheel, without what describes it."""
    return sorted(name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name)


def test_each_wheel_holds_its_packages_and_nothing_else(built: Path) -> None:
    """Every file of the packages and every schema is in one wheel once, and what lies about in none."""
    modules = {
        distribution: {name for name in tracked() if name.partition("/")[0] in packages}
        for distribution, (_, packages) in PROJECTS.items()
    }
    schemas = {
        f"{plugin}_klaviyo/schemas/{path.name}"
        for plugin in ("tap", "target")
        for path in (ROOT / "schemas" / plugin).glob("*.json")
    }
    assert files_of(wheel_of(built, "singer-klaviyo")) == sorted(modules["singer-klaviyo"] | schemas)
    not_the_package = {f"klaviyo_sandbox/{name}" for name in SANDBOX_PROJECT}
    assert files_of(wheel_of(built, "klaviyo-sandbox")) == sorted(modules["klaviyo-sandbox"] - not_the_package)


def test_no_file_is_in_both_wheels(built: Path) -> None:
    """The sandbox can be installed beside the plugins, and taken away again, without breaking them."""
    plugins, sandbox = (set(files_of(wheel_of(built, distribution))) for distribution in PROJECTS)
    assert plugins & sandbox == set()
    assert set(project_of("singer-klaviyo")["scripts"]) & set(project_of("klaviyo-sandbox")["scripts"]) == set()


def names_in(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


def test_sdist_holds_what_it_takes_to_build_test_and_change(built: Path) -> None:
    """The sdist is the checkout without what only the repository's host needs; the sandbox's is its folder."""
    (sdist,) = built.glob("singer*.tar.gz")
    ours = {name for name in tracked() if not name.startswith((".ci/", ".git"))}
    assert names_in(sdist) - {"PKG-INFO", ".gitignore"} == ours
    (sdist,) = built.glob("klaviyo*.tar.gz")
    within = {name.partition("/")[2] for name in ours if name.startswith("klaviyo_sandbox/")}
    assert names_in(sdist) - {"PKG-INFO", ".gitignore"} == within


def test_the_sandbox_asks_for_what_it_imports_and_no_more() -> None:
    """Who only tests an integration gets no Singer: the requirements are the foreign modules that its files import."""
    imported = set()
    for path in (ROOT / "klaviyo_sandbox").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    # The fixtures are for those who have pytest.
    foreign = imported - sys.stdlib_module_names - {"klaviyo_sandbox", "pytest"}
    asked = {Requirement(entry).name for entry in project_of("klaviyo-sandbox")["dependencies"]}
    assert {name.replace("-", "_") for name in asked - {"tzdata"}} == foreign
    assert not needed(*project_of("klaviyo-sandbox")["dependencies"]) & {"singer-sdk", "requests"}


def test_a_checkout_asks_for_what_its_sandbox_asks_for() -> None:
    """`singer-klaviyo[demo]` and the sandbox's own project name the same versions of the same packages."""
    project = project_of("singer-klaviyo")
    asked = {*project["dependencies"], *project["optional-dependencies"]["demo"]}
    assert set(project_of("klaviyo-sandbox")["dependencies"]) - asked == set()


def test_both_projects_say_the_same_of_themselves() -> None:
    """License, Pythons and addresses are one repository's."""
    plugins, sandbox = project_of("singer-klaviyo"), project_of("klaviyo-sandbox")
    for field in ("requires-python", "license", "license-files"):
        assert sandbox[field] == plugins[field]
    assert sandbox["urls"]["Repository"] == plugins["urls"]["Repository"]
    assert (ROOT / "klaviyo_sandbox" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    pythons = [entry for entry in plugins["classifiers"] if "Python ::" in entry]
    assert [entry for entry in sandbox["classifiers"] if "Python ::" in entry] == pythons


def test_what_is_built_would_be_taken_by_an_index(built: Path) -> None:
    """twine finds nothing to say of the metadata and of the README as its long description."""
    files = [str(path) for path in built.iterdir() if path.suffix in (".whl", ".gz")]
    assert len(files) == 4
    command = [sys.executable, "-m", "twine", "check", "--strict", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_index_shows_the_readme_with_its_pictures(built: Path) -> None:
    """The long description of the wheel leads to the repository at this version: beside an index lies nothing."""
    project = project_of("singer-klaviyo")
    with zipfile.ZipFile(wheel_of(built, "singer-klaviyo")) as wheel:
        (metadata_file,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        text = wheel.read(metadata_file).decode()
    home = f"{project['urls']['Repository']}/"
    links = re.findall(r"\]\(([^)]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", text)
    assert len(links) > 20
    assert [link for pair in links if not (link := "".join(pair)).startswith("https://")] == []
    assert f"]({home}blob/v{project['version']}/docs/start/install.md)" in text
    assert f"]({home}raw/v{project['version']}/docs/end-to-end.svg)" in text


def test_version_stands_in_one_place(built: Path) -> None:
    """`pyproject.toml` says it; files, plugins and the newest head of the changelog follow."""
    version = project_of("singer-klaviyo")["version"]
    assert "version" not in project_of("klaviyo-sandbox")
    assert sorted(path.name for path in built.iterdir() if path.suffix in (".whl", ".gz")) == [
        f"klaviyo_sandbox-{version}-py3-none-any.whl",
        f"klaviyo_sandbox-{version}.tar.gz",
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


def needed(*texts: str) -> set[str]:
    """All that requirements need on this machine, themselves too, by the metadata of what is installed here."""
    open_, seen = [entry for entry in map(Requirement, texts) if entry.marker is None or entry.marker.evaluate()], set()
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
    """What a clone installs is what the lock says, or nothing; both projects are built with what is locked."""
    makefile = (ROOT / "Makefile").read_text()
    assert len(re.findall(r"--editable \S+ --editable klaviyo_sandbox$", makefile, flags=re.MULTILINE)) == 2
    assert len(re.findall(r"-m build .*", makefile)) == len(PROJECTS)
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


@pytest.fixture(scope="module")
def discovered(plugins: Environment, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the installed tap discovers without an account: the entries of its catalog."""
    folder = tmp_path_factory.mktemp("discovered")
    (folder / "config.json").write_text('{"api_key": "pk_test", "api_url": "http://127.0.0.1:9"}')
    done = plugins.run(folder, "tap-klaviyo", "--discover", "--config", "config.json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["streams"]  # type: ignore[no-any-return]


def test_the_plugins_run_from_the_wheel(plugins: Environment, discovered: list[dict[str, Any]], tmp_path: Path) -> None:
    """The tap discovers its tables and the target describes itself, from copies that are not the checkout's."""
    _, packages = PROJECTS["singer-klaviyo"]
    program = f"""
import {", ".join(packages)}
from klaviyo_client.plugin.schema_files import schema_folder
from target_klaviyo.intake import contracts
for package in ({", ".join(packages)}):
    print(package.__file__)
print(schema_folder("target"))
assert "list_name" in contracts.load("list_members").fields
"""
    where = plugins.run(tmp_path, "python", "-c", program)
    assert where.returncode == 0, where.stderr
    inside = [line.startswith(str(plugins.bin.parent)) for line in where.stdout.splitlines()]
    assert inside == [True] * (len(packages) + 1)

    schemas = {path.stem for path in (ROOT / "schemas" / "tap").glob("*.json")}
    assert {entry["tap_stream_id"] for entry in discovered} == schemas
    assert len(schemas) >= 7

    about = plugins.run(tmp_path, "target-klaviyo", "--about", "--format", "json")
    assert about.returncode == 0, about.stderr
    assert "streams" in json.loads(about.stdout)["settings"]["properties"]


def test_the_sandbox_alone_is_read_by_the_installed_tap(
    sandbox_alone: Environment, plugins: Environment, discovered: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Where nothing but the sandbox is installed it serves its API and its page; the tap of the wheel reads it."""
    command = [str(sandbox_alone.bin / "klaviyo-sandbox"), "--port", "0", "--profiles", "3", "--events", "5"]
    process = subprocess.Popen(command, cwd=tmp_path, env=sandbox_alone.variables, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.:]+", process.stdout.readline())
            assert found is not None
            with urlopen(found[0], timeout=PATIENCE) as page:
                assert b"<title>" in page.read()
            lists = [entry for entry in discovered if entry["tap_stream_id"] == "lists"]
            (tmp_path / "catalog.json").write_text(json.dumps({"streams": lists}))
            (tmp_path / "config.json").write_text(json.dumps({"api_key": "pk_test", "api_url": found[0]}))
            read = plugins.run(tmp_path, "tap-klaviyo", "--config", "config.json", "--catalog", "catalog.json")
        finally:
            process.terminate()
    assert read.returncode == 0, read.stderr
    kinds = [json.loads(line)["type"] for line in read.stdout.splitlines()]
    assert kinds.count("RECORD") > 1
    told = sandbox_alone.run(tmp_path, "klaviyo-sandbox", "--version").stdout
    assert told == f"klaviyo-sandbox {project_of('singer-klaviyo')['version']}\n"
    look = "from importlib.util import find_spec; print([find_spec(name) for name in ('singer_sdk', 'requests')])"
    assert sandbox_alone.run(tmp_path, "python", "-c", look).stdout == "[None, None]\n"


def test_backoff_comes_as_python_backoff() -> None:
    """The package `backoff` would overwrite the module that singer-sdk brings; nothing asks for it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    names = {entry.split(";")[0].split("[")[0].rstrip("0123456789.,<>=~! ") for entry in asked}
    assert "python-backoff" in names
    assert "backoff" not in names
