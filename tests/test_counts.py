"""Counts in the documents are those of the catalogues."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tap_klaviyo.reports.declaration import OPERATIONS as REPORTS
from tap_klaviyo.settings import SETTINGS as TAP
from tap_klaviyo.tables import BY_DEFAULT, FAMILIES, STREAMS
from target_klaviyo.actions import ACTIONS
from target_klaviyo.settings import SETTINGS as TARGET

ROOT = Path(__file__).parents[1]
# What was decided or measured tells of its own day, and what peers have is theirs.
OTHERS = {"decisions.md", "measurements.md", "peers.md"}
PAGES = [ROOT / "README.md", *(page for page in ROOT.glob("docs/**/*.md") if page.name not in OTHERS)]
FACTS = json.loads((ROOT / "klaviyo_sandbox" / "spec" / "facts.json").read_text())
SERVED, UNSERVED = len(FACTS["operations"]), len(FACTS["unserved"])
COUNTS = {
    "tables": {len(BY_DEFAULT), len(STREAMS)},
    "families": {len(FAMILIES), sum(family.by_default for family in FAMILIES)},
    "actions": {len(ACTIONS)},
    "settings": {len(TAP["properties"]), len(TARGET["properties"])},
    "operations": {SERVED, UNSERVED, SERVED + UNSERVED},
}
WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
COUNTED = re.compile(rf"\b(\d+|{'|'.join(WORDS[10:])})\s+(?:\w+\s+)?({'|'.join(COUNTS)})\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_counts_what_there_is(page: Path) -> None:
    """Ten or more of something are all of it; fewer are a choice of them, such as the tables of a model."""
    wrong = [
        f"{page.relative_to(ROOT)} says {found[0]!r}, and there are {sorted(COUNTS[found[2]])}: let a script count them"
        for found in COUNTED.finditer(page.read_text())
        if (number := WORDS.index(found[1]) if found[1] in WORDS else int(found[1])) >= 10
        and number not in COUNTS[found[2]]
    ]
    assert wrong == []


def test_the_reports_are_as_many_as_the_pages_say() -> None:
    """Klaviyo's reports, beside which metric aggregates are one more operation."""
    said = {found for page in PAGES for found in re.findall(rf"\b({'|'.join(WORDS[3:])}) reports\b", page.read_text())}
    assert said <= {WORDS[len(REPORTS) - 1]}
