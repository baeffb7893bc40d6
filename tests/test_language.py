"""Documents and programs speak plain English: what readers stumbled over once does not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("klaviyo_client", "tap_klaviyo", "target_klaviyo", "klaviyo_audience")
# Clauses that hid who does what, and words of ours where the field has one.
STUMBLED_OVER = (
    "what they are owed to",
    "makes it a bad day",
    "is there in a second",
    "was not read shortly before",
    "writes meltano.yml anew",
    "call of old",
    "tells no more",
    "a run bears",
    "for want of calls",
    "overtakes no other one",
    "takes it for somebody",
    "set and not listened to",
    "without a word",
    "makes 1 of every exit code",
    "find nothing any more",
    "which makes",
    "they come again",
    "no STATE vouches",
    "do not say whom",
    "Klaviyo or a setting says",
    "whoever",
    "is no JSON",
    "no more than it may",
    "goes on there",
    "go on from there",
    "such are",
    "are told of",
    "is told of",
)
HISTORY = {"decisions.md", "peers.md"}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(path for path in ROOT.glob("docs/**/*.md") if path.name not in HISTORY),
    *ROOT.glob("examples/**/*.md"),
]


def found(text: str) -> list[str]:
    """The phrases that the text has outside of names of code, in any case."""
    words = re.sub(r"\s+", " ", re.sub(r"`[^`]*`", "", text)).lower()
    return [phrase for phrase in STUMBLED_OVER if phrase.lower() in words]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_what_readers_stumbled_over(page: Path) -> None:
    """Who does what, in the field's words."""
    assert found(page.read_text("utf-8")) == []


def texts(path: Path) -> Iterator[str]:
    """What the module says to users: its texts, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("package", PACKAGES)
def test_no_program_says_what_readers_stumbled_over(package: str) -> None:
    """Logs, errors, help and descriptions of settings."""
    said = {path.name: found(" ".join(texts(path))) for path in (ROOT / package).rglob("*.py")}
    assert {name: phrases for name, phrases in said.items() if phrases} == {}
