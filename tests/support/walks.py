"""Chooses the operations that a test visits: `make test-all` visits every one, `make test` a few that show as much."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import pytest

from support.declared import OPERATIONS, minimal_query


def of_each_kind(operations: Iterable[str]) -> list[Any]:
    """All of them as parameters of a test; those that show nothing new beside the others are marked as exhaustive."""
    names = list(operations)
    features = {name: set(_features(name)) for name in names}
    unseen, chosen = set[Hashable]().union(*features.values()), set[str]()
    while unseen:
        best = max(names, key=lambda name: len(features[name] & unseen))
        chosen.add(best)
        unseen -= features[best]
    return [name if name in chosen else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]


def _features(operation: str) -> Iterator[Hashable]:
    """What a test can see in an operation: the form of its path, its parameters, its filters and their values."""
    facts = OPERATIONS[operation]
    path, parameters = facts["path"], facts["parameters"]
    yield facts["method"], path.count("{"), path.count("/"), "relationships" in path
    yield "demands a filter", bool(minimal_query(operation))
    # The parameters `fields[profile]` and `fields[event]` are of one kind.
    for name in parameters:
        yield "parameter", name if name.startswith("page") else name.partition("[")[0]
    for field, rule in facts["filters"].items():
        yield "field", field
        value = rule.get("value", {"type": "string"})
        for form, operators in rule["operators"].items():
            yield from ((name, form, value.get("format", value["type"]), "enum" in value) for name in operators)
