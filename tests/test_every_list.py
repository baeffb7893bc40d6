"""Every list and every report of Klaviyo's API is read, or docs/decisions.md says why not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.markdown import sections
from support.scripts import script

from tap_klaviyo.model import Lookup
from tap_klaviyo.reports.declaration import OPERATIONS
from tap_klaviyo.tables import COLLECTIONS, TABLES

openapi = script("openapi")
DECISIONS = Path(__file__).parents[1] / "docs" / "decisions.md"
HEADING = "Lists of the API that no table reads"


def lists(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(operation, path) of every GET that answers with a list, and of every query of a report."""
    schemas = document["components"]["schemas"]
    for path, method, operation in openapi.operations(document):
        name = operation["operationId"]
        if method == "get":
            answer = openapi.resolve(openapi.responses(document, operation)["200"], schemas)
            data = answer.get("properties", {}).get("data", {})
            if openapi.resolve(data, schemas).get("type") == "array":
                yield name, path
        elif name.startswith("query_"):
            yield name, path


def read() -> set[str]:
    lookups = {root.operation for table in TABLES for root in table.roots if isinstance(root, Lookup)}
    names = {found.operation for found in COLLECTIONS.values()} | lookups | set(OPERATIONS.values())
    # In whichever revision.
    return {name.partition("@")[0] for name in names}


def excused() -> set[str]:
    first = re.findall(r"^\| (.*?) \|", sections(DECISIONS.read_text())[HEADING], flags=re.MULTILINE)
    return set(re.findall(r"`((?:get|query)_\w+)`", " ".join(first)))


def test_every_list_is_read_or_excused(specification: dict[str, Any]) -> None:
    """Identities alone (`/relationships/`) need no line where the list with the same resources has one, or is read."""
    found = {path: operation for operation, path in lists(specification)}
    assert len(found) >= 110
    accounted = read() | excused()
    whole = {path for path, operation in found.items() if operation in accounted}
    missing = [
        operation
        for path, operation in found.items()
        if path not in whole and path.replace("/relationships", "") not in whole
    ]
    assert missing == []


def test_no_excuse_is_left_over(specification: dict[str, Any]) -> None:
    """What is read needs none, and what the revision does not have has none."""
    operations = {operation for operation, _ in lists(specification)}
    assert excused() & read() == set()
    assert excused() <= operations
