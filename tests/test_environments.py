"""What tests install for themselves is there once, whoever asks for it, and however many at the same time."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import environments


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The folders of environments that were made, below a folder of the test's own."""
    found: list[Path] = []

    def make(folder: Path, requirements: str) -> None:
        found.append(folder)
        folder.mkdir(exist_ok=True)
        if requirements == "broken":
            raise OSError("no network")

    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(environments, "_make", make)
    return found


def test_those_who_come_at_the_same_time_get_one(made: list[Path]) -> None:
    """One makes it, the others wait for it; other requirements are another environment."""
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _number: environments.programs("dbt", "dbt-core"), range(32)))
    assert len(made) == len(folders) == 1
    assert environments.programs("dbt", "dbt-core<2") not in folders
    assert len(made) == 2


def test_what_is_half_made_is_made_anew(made: list[Path]) -> None:
    """Nobody is given an environment whose installation failed."""
    for _ in range(2):
        with pytest.raises(OSError, match="no network"):
            environments.programs("dbt", "broken")
    assert len(made) == 2


def test_without_a_registry_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever can do without may tell a machine without network from requirements that nobody can meet."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    with pytest.raises(environments.RegistryOutOfReach, match="Failed to fetch"):
        environments.programs("nobody", "no-such-package-of-anyone")
    with pytest.raises(RuntimeError):
        environments.programs("nobody", "--no-index\nno-such-package-of-anyone")


def test_our_plugins_are_found_and_not_installed(made: list[Path], tmp_path: Path) -> None:
    """Meltano gets a folder with the programs of this environment, and others' programs by their requirement."""
    project = """
plugins:
  extractors: [{name: tap-klaviyo, pip_url: -e ., executable: tap-klaviyo}]
  loaders: [{name: target-x, pip_url: "x>=1,<2", executable: target-x}]
"""
    environments.provide_plugins(tmp_path / "files", project, "tap-klaviyo", "target-x")
    ours = tmp_path / "files" / "extractors" / "tap-klaviyo" / "venv" / "bin"
    assert (ours / "tap-klaviyo").resolve() == Path(sys.executable).with_name("tap-klaviyo").resolve()
    assert (ours / "python").exists()
    assert (tmp_path / "files" / "loaders" / "target-x" / "venv" / "bin").resolve().parent == made[0]
