"""Stream maps that fail: the outcome, or the end of the run, says which stream, property and expression."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import ADA, PROFILE_SCHEMA, Command, records


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"spent": "float(first_name)"}, "spent: float(first_name) (ValueError)"),
        ({"first_name": "nowhere.upper()"}, "first_name: nowhere.upper() (NameNotDefined)"),
        ({"first_name": "first_name['x']"}, "first_name: first_name['x'] (TypeError)"),
        (
            {"__filter__": "spent > 3"},
            (
                "__filter__: spent > 3 (TypeError): spent is null in a record; write (spent > 3) if spent else "
                "False to leave such records out, else True to keep them"
            ),
        ),
    ],
)
def test_a_record_that_a_stream_map_fails_on_says_where(target: Command, entry: dict[str, Any], named: str) -> None:
    """The record is rejected with stream, property and expression, without a value of it."""
    row = {**ADA, "first_name": "Lovelace", "spent": None}
    run = target([PROFILE_SCHEMA, *records("profiles", [row])], stream_maps={"profiles": entry})
    (rejected,) = run.rejected
    assert rejected["reason"] == f"the stream map of profiles fails: {named}"
    assert "Lovelace" not in run.stderr


@pytest.mark.parametrize(
    ("maps", "named"),
    [
        ({"profiles": {"email": "nope("}}, "profiles fails: email: nope( (SyntaxError)"),
        ({"profiles": {"email": ""}}, "profiles fails: email: no expression (IndexError)"),
        ({"profiles": {"email": ["a"]}}, "profiles fails: email: ['a'] (TypeError)"),
        ({"profiles": {"email": 3.5}}, "'profiles:email'"),
        ({"profiles": {"__filter__": "1 +"}}, "profiles fails: __filter__: 1 + (SyntaxError)"),
        ({"prof*": {"spent": "spent *"}}, "profiles fails: spent: spent * (SyntaxError)"),
        ({"people": {"__source__": "profiles", "spent": "spent *"}}, "profiles fails: spent: spent * (SyntaxError)"),
    ],
)
def test_a_stream_map_that_can_never_work_ends_the_run(target: Command, maps: dict[str, Any], named: str) -> None:
    """With the exit code of a setting that must change, and the same names."""
    run = target([PROFILE_SCHEMA, *records("profiles", [ADA])], stream_maps=maps)
    assert run.code == 2
    assert named in run.stderr.splitlines()[-1]


def test_a_stream_map_of_a_stream_that_never_comes_is_ignored(target: Command) -> None:
    """Whatever it says."""
    maps = {"orders": {"total": "nope("}}
    assert target([PROFILE_SCHEMA, *records("profiles", [ADA])], stream_maps=maps).code == 0
