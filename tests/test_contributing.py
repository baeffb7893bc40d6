"""The worked examples of CONTRIBUTING.md, followed to the letter in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
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


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, under version control as a clone is, in which both examples were followed."""
    checkout = copy_checkout(tmp_path_factory.mktemp("contributing"))
    for title, expected in (("A worked example: colours", 6), ("A worked example: points", 7)):
        taken = steps(title)
        assert len(taken) == expected
        for step in taken:
            step.take(checkout)
    run(checkout, "scripts/generate.py")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    subprocess.run(["git", "add", "--all"], cwd=checkout, check=True)
    return checkout


def test_the_table_is_discovered_and_documented(followed: Path) -> None:
    """By the copy's own tap, in the page of its family, and in what Meltano selects."""
    (followed / "config.json").write_text('{"api_key": "pk_test"}')
    assert run(followed, "-c", "import tap_klaviyo; print(tap_klaviyo.__file__)").startswith(str(followed))
    catalog = json.loads(run(followed, "-m", "tap_klaviyo", "--config", "config.json", "--discover"))
    assert "profile_favorite_colors" in {stream["tap_stream_id"] for stream in catalog["streams"]}
    pages = "".join(page.read_text() for page in (followed / "docs" / "reference").glob("**/*.md"))
    assert "# profile_favorite_colors\n" in pages
    assert "award_points" in pages
    assert "- profile_favorite_colors.*\n" in (followed / "meltano.yml").read_text()


# The examples' own tests and those that take each table or action in turn, and the tests that none of them is missed.
EXAMPLES = "favorite_colors or award_points or test_an_award or test_a_row_for_each_colour"
WHOLE = (
    "witness or test_every_action or test_every_file or no_action or test_every_table_is or missing_scope or in_groups"
)
# They read the catalogues; what they find in a page that changes with each table is in the other documents' tests.
CATALOGUES = re.compile(
    r"^from (?:tap_klaviyo\.tables|target_klaviyo\.actions|support\.second_path|support\.others|target_support) import",
    re.MULTILINE,
)
# It reads every table for this one; and the links of documents are the same.
LEFT_OUT = "not selected_alone and not links_lead_somewhere"


def test_no_test_of_tables_or_actions_fails(followed: Path) -> None:
    """Whatever reads the catalogues takes the new table and the new action; no step is missing."""
    files = [file for file in (followed / "tests").glob("**/test_*.py") if CATALOGUES.search(file.read_text())]
    names = [str(file.relative_to(followed)) for file in sorted(files) if file.stem != "test_tap_sdk_suite"]
    assert {"tests/test_docs.py", "tests/test_counts.py", "tests/tap/test_tap_end_to_end.py"} < set(names)
    documents = "test_docs or test_counts or test_architecture"
    chosen = f"({EXAMPLES} or {WHOLE} or {documents}) and {LEFT_OUT}"
    own = ["tests/tap/test_tap_favorite_colors.py", "tests/target/test_target_award_points.py"]
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not exhaustive", "-k", chosen]
    said = run(followed, *command, *dict.fromkeys([*names, *own, "tests/test_architecture.py"]))
    (passed,) = re.findall(r"(\d+) passed", said)
    assert int(passed) > 150, said


def test_what_it_quotes_is_there() -> None:
    """A declaration that is shown for comparison stands in the catalogue as it is shown."""
    quoted = re.findall(r"^```python\n([A-Z]+ = .*)\n```$", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    assert quoted == ['METRICS = Collection("metrics", "get_metrics", "metric")']
    assert quoted[0] in (ROOT / "tap_klaviyo" / "tables" / "events.py").read_text()
