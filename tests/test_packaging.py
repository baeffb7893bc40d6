"""What is built is whole: schemas and facts are found from a wheel, far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = (
    "tap_klaviyo/schemas/profiles.json",
    "tap_klaviyo/schemas/events.json",
    "target_klaviyo/schemas/upsert_profile.json",
    "target_klaviyo/schemas/list_members.json",
    "klaviyo_client/operations.json",
    "klaviyo_sandbox/facts.json",
)


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


def test_wheel_and_sdist_carry_the_data(built: Path) -> None:
    """Schemas and facts are in the wheel; the sdist has what the wheel is built from, and no virtual environment."""
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in DATA if name not in names] == []
    for plugin in ("tap", "target"):
        tables = {f"{plugin}_klaviyo/schemas/{path.name}" for path in (ROOT / "schemas" / plugin).glob("*.json")}
        assert tables <= set(names)
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {
        *("klaviyo_client", "klaviyo_sandbox", "tap_klaviyo", "target_klaviyo")
    }

    with tarfile.open(sdist) as archive:
        sources = [name.partition("/")[2] for name in archive.getnames()]
    assert "schemas/tap/profiles.json" in sources
    assert "scripts/update_operations.py" in sources
    assert [name for name in sources if name.startswith((".meltano", ".venv", ".demo", "output"))] == []


def test_both_plugins_run_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The tap discovers its tables and the target describes itself, from copies that are not the checkout's."""
    packages = "klaviyo_client, klaviyo_sandbox, tap_klaviyo, target_klaviyo"
    where = run(installed, tmp_path, "-c", f"import {packages}\nfor p in ({packages}): print(p.__file__)")
    assert [line.startswith(str(installed)) for line in where.stdout.splitlines()] == [True] * 4, where.stderr

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
        "from target_klaviyo import contracts; print(contracts.folder(), sorted(contracts.load('list_members').fields))"
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
