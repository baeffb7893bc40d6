"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.documented import ROOT, copy_checkout

STEP = re.compile(
    r"^`([^`\n]+)`, (?:a new file|(after|before) ``?(.+?)``?):\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Step:
    """A new file, or lines that are put after or before the one line of a file that holds ``landmark``."""

    path: str
    side: str
    landmark: str
    text: str

    def take(self, checkout: Path) -> None:
        file = checkout / self.path
        if not self.side:
            assert not file.exists(), self.path
            file.write_text(self.text)
            return
        lines = file.read_text().splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if self.landmark in line]
        assert len(found) == 1, f"{len(found)} lines of {self.path} hold {self.landmark!r}"
        lines.insert(found[0] + (self.side == "after"), self.text)
        file.write_text("".join(lines))


def steps(title: str) -> list[Step]:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    section = re.split(r"^##", page.split(f"### {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return [Step(*found) for found in STEP.findall(section)]


def run(checkout: Path, *command: str) -> str:
    """Run Python in the copy, with the copy's packages; what it said."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "CI": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def run_tests(checkout: Path, names: Iterable[str], match: str) -> None:
    """Run those of these tests in the copy that have to do with what an example adds."""
    said = run(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names, "-k", match)
    assert re.search(r"[1-9]\d* passed", said), said


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A copy of the checkout with the table of the worked example."""
    checkout = follow("A worked example: colours", tmp_path, expected=6)
    run(checkout, "scripts/update_tables.py")
    return checkout


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """A copy of the checkout with the action of the worked example."""
    checkout = follow("A worked example: points", tmp_path, expected=9)
    run(checkout, "scripts/update_actions.py")
    return checkout


def follow(title: str, folder: Path, expected: int) -> Path:
    checkout, taken = copy_checkout(folder), steps(title)
    assert len(taken) == expected
    for step in taken:
        step.take(checkout)
    return checkout


def test_the_example_of_a_table(colours: Path) -> None:
    """Its files make a table that is documented, discovered, and has the rows that its own test says."""
    (colours / "config.json").write_text('{"api_key": "pk_test"}')
    assert run(colours, "-c", "import tap_klaviyo; print(tap_klaviyo.__file__)").startswith(str(colours))
    catalog = json.loads(run(colours, "-m", "tap_klaviyo", "--config", "config.json", "--discover"))
    assert "profile_favorite_colors" in {stream["tap_stream_id"] for stream in catalog["streams"]}
    assert "## profile_favorite_colors\n" in (colours / "docs" / "reference" / "tables" / "people.md").read_text()
    run_tests(colours, ["tests/tap/test_tap_favorite_colors.py"], "row")


def test_the_example_of_an_action(points: Path) -> None:
    """Its files make an action that is documented, and does what its own test says to an account."""
    assert "# award_points\n" in (points / "docs" / "reference" / "actions" / "award_points.md").read_text()
    run_tests(points, ["tests/target/test_target_award_points.py"], "award")


@pytest.mark.exhaustive
def test_the_table_of_the_example_passes_the_tests_of_all_tables(colours: Path) -> None:
    """It equals what a witness counts in an account, and so on."""
    # The SDK's own suite, and what selects each table alone, would read every table for this one.
    where = ["tests/tap", "tests/test_docs.py", "--ignore=tests/tap/test_tap_sdk_suite.py"]
    run_tests(colours, where, "(favorite_colors or test_docs) and not selected_alone")


@pytest.mark.exhaustive
def test_the_action_of_the_example_passes_the_tests_of_all_actions(points: Path) -> None:
    """It is rehearsed, does the same when it runs again, and so on."""
    where = ["tests/target", "tests/test_docs.py", "tests/test_actions_page.py"]
    run_tests(points, where, "award_points or test_docs or test_actions_page")


def test_what_it_quotes_is_there() -> None:
    """A declaration that is shown for comparison stands in the catalogue as it is shown."""
    quoted = re.findall(r"^```python\n([A-Z]+ = .*)\n```$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    assert quoted == ['METRICS = Collection("metrics", "get_metrics", "metric")']
    assert quoted[0] in (ROOT / "tap_klaviyo" / "tables" / "events.py").read_text()
