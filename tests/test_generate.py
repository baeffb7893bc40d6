"""Everything that is generated is up to date, and one command brings it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.scripts import script

generate, generated = script("generate"), script("generated")
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", generate.names())
def test_what_a_script_makes_is_up_to_date(name: str) -> None:
    """`make generate` brings it up to date; the script says which file differs."""
    command = [sys.executable, ROOT / "scripts" / f"{name}.py", "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make generate`: {done.stderr}"


def test_the_facts_come_first() -> None:
    """The pages are made of Klaviyo's facts; the move to another revision is nothing that one command does."""
    names = generate.names()
    assert names[0] == "update_operations"
    assert {"update_tables", "update_actions", "update_meltano", "update_settings"} <= set(names)
    assert "update_revision" not in names


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is run, of which the second fails."""
    calls: list[tuple[str, ...]] = []

    def run(*command: str) -> bool:
        calls.append(command)
        return len(calls) != 2

    monkeypatch.setattr(generate, "run", run)
    return calls


def test_one_that_fails_is_named_and_does_not_keep_the_others(
    ran: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """All are run, and the command fails."""
    assert generate.main([]) == 1
    assert [command[0] for command in ran] == generate.names()
    assert generate.names()[1] in capsys.readouterr().err


def test_a_check_says_what_mends_it(ran: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    """Each script is asked to check only; one command mends them all."""
    assert generate.main(["--check"]) == 1
    assert {command[1:] for command in ran} == {("--check",)}
    assert "make generate" in capsys.readouterr().err


def test_a_file_is_named_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A check writes nothing and names file and command; otherwise the file is written, its folder too."""
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    page = tmp_path / "docs" / "reference" / "a.md"
    assert generated.write_or_check({page: "new"}, check=True) == 1
    said = capsys.readouterr().err
    assert "docs/reference/a.md is out of date" in said
    assert "make generate" in said
    assert not page.exists()
    assert generated.write_or_check({page: "new"}, check=False) == 0
    assert page.read_text() == "new"
    assert generated.write_or_check({page: "new"}, check=True) == 0
