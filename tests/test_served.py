"""Which operations the sandbox serves: all that the plugins name, and none that its file of facts does not know."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from klaviyo_sandbox.http.operations import WRITES
from klaviyo_sandbox.reads.operations import READS
from klaviyo_sandbox.spec.facts import FACTS, load
from tap_klaviyo.model import Lookup
from tap_klaviyo.tables import COLLECTIONS, TABLES
from target_klaviyo.actions import ACTIONS

ROOT = Path(__file__).parents[1]
KNOWN = json.loads((ROOT / "klaviyo_client" / "api" / "operations.json").read_text(encoding="utf-8"))[
    "operations"
].keys()
SERVED = load().operations.keys()
HANDLERS = "READS in klaviyo_sandbox/reads/operations.py, or WRITES in klaviyo_sandbox/http/operations.py,"


def declared_by_the_tap() -> set[str]:
    lookups = {root.operation for table in TABLES for root in table.roots if isinstance(root, Lookup)}
    return lookups | {collection.operation for collection in COLLECTIONS.values()}


def declared_by_the_target() -> set[str]:
    checks = {action.self_copy_guard[1] for action in ACTIONS.values() if action.self_copy_guard}
    return checks | {action.operation for action in ACTIONS.values()}


def written_in(package: str) -> set[str]:
    """Every operation id that stands in the package's source as a string of its own."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / package).rglob("*.py"))
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return KNOWN & {text for text in texts if isinstance(text, str)}


@pytest.mark.parametrize(
    ("package", "declared"),
    [("tap_klaviyo", declared_by_the_tap()), ("target_klaviyo", declared_by_the_target())],
)
def test_what_a_plugin_calls_is_served(package: str, declared: set[str]) -> None:
    """Every operation of a collection, a lookup or an action, and every one that the source names, has an answer."""
    called = written_in(package)
    assert declared <= called
    assert called - SERVED == set()


def test_what_is_served_is_what_the_facts_describe() -> None:
    """Each operation of the facts has one implementation, its own or that of its endpoint, and nothing else has."""
    assert READS.keys() & WRITES.keys() == set()
    assert READS.keys() | WRITES.keys() <= SERVED
    carried_out = {name: name if name in {*READS, *WRITES} else name.partition("@")[0] for name in SERVED}
    without = set(carried_out.values()) - READS.keys() - WRITES.keys()
    assert not without, f"add to {HANDLERS} what answers {sorted(without)}, which served.txt names"
    assert {carried_out[name] for name, operation in load().operations.items() if operation.body} == WRITES.keys()
    named = set(FACTS.with_name("served.txt").read_text(encoding="utf-8").split())
    assert named == SERVED, f"run `make generate`: facts.json differs from served.txt in {sorted(named ^ SERVED)}"
