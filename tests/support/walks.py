"""Which operations stand for all where a test walks every one: `make test-all` walks, `make test` visits these."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import pytest

from support.declared import OPERATIONS, least


def of_each_kind(operations: Iterable[str]) -> list[Any]:
    """All of them as parameters of a test; those that show nothing that others do not show are marked as exhaustive."""
    names = list(operations)
    kinds = {name: set(_kinds(name)) for name in names}
    unseen, chosen = set[Hashable]().union(*kinds.values()), set[str]()
    while unseen:
        best = max(names, key=lambda name: len(kinds[name] & unseen))
        chosen.add(best)
        unseen -= kinds[best]
    return [name if name in chosen else pytest.param(name, marks=pytest.mark.exhaustive) for name in names]


def _kinds(operation: str) -> Iterator[Hashable]:
    """What can go wrong in an operation of its kind: its path's form, its parameters, and what filters read and how."""
    held = OPERATIONS[operation]
    path, parameters = held["path"], held["parameters"]
    yield held["method"], path.count("{"), path.count("/"), "relationships" in path
    yield "demands a filter", bool(least(operation))
    # The parameters `fields[profile]` and `fields[event]` are of one kind.
    for name in parameters:
        yield "parameter", name if name.startswith("page") else name.partition("[")[0]
    for field, rule in held["filters"].items():
        yield "field", field
        value = rule.get("value", {"type": "string"})
        for form, operators in rule["operators"].items():
            yield from ((name, form, value.get("format", value["type"]), "enum" in value) for name in operators)
