"""Stream maps of the tap: those of streams that are not selected, and those that fail; and a selection of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tap_support import config, discovered, run_tap, select

from klaviyo_sandbox import RunningSandbox


@pytest.fixture
def account(make_sandbox: Any) -> RunningSandbox:
    sandbox: RunningSandbox = make_sandbox(profiles=5, events=0, limits=False)
    return sandbox


@pytest.mark.parametrize(
    "maps",
    [
        {"templates": {"name": "name.upper()"}},
        {"templates": {"name": "nope("}},
        {"templates": {"__key_properties__": ["nobody"]}},
        {"lists": {"__key_properties__": ["name"]}},
        {"copies": {"__source__": "templates", "name": "name.upper()"}},
    ],
)
def test_a_stream_map_of_a_stream_that_is_not_selected_is_ignored(
    account: RunningSandbox, tmp_path: Path, maps: dict[str, Any]
) -> None:
    """One configuration serves several selections; the map of a selected stream applies as ever."""
    settings = config(account, stream_maps={**maps, "profiles": {"first_name": "'Somebody'"}})
    run = run_tap(tmp_path, settings, catalog=select(discovered(), {"profiles": None}))
    assert run.code == 0, run.errors
    assert {row["first_name"] for row in run.rows("profiles")} == {"Somebody"}


def test_a_map_of_all_streams_applies_to_the_selected(account: RunningSandbox, tmp_path: Path) -> None:
    """A pattern meets deselected streams, too."""
    settings = config(account, stream_maps={"*": {"source": "'klaviyo'"}})
    run = run_tap(tmp_path, settings, catalog=select(discovered(), {"lists": None}))
    assert run.code == 0, run.errors
    assert {row["source"] for row in run.rows("lists")} == {"klaviyo"}


@pytest.mark.parametrize(
    ("entry", "named", "code"),
    [
        ({"email": "nope("}, "the stream map of profiles fails: email: nope( (SyntaxError)", 2),
        ({"email": ["a"]}, "the stream map of profiles fails: email: ['a'] (TypeError)", 2),
        ({"email": 3.5}, "'profiles:email'", 2),
        ({"email": "nowhere.upper()"}, "the stream map of profiles fails: email: nowhere.upper() (NameNotDefined)", 2),
        ({"email": "email.shout()"}, "profiles fails: email: email.shout() (AttributeDoesNotExist)", 2),
        ({"n": "int(profile_id)"}, "the stream map of profiles fails: n: int(profile_id) (ValueError)", 1),
        ({"__filter__": "int(profile_id)"}, "profiles fails: __filter__: int(profile_id) (ValueError)", 1),
    ],
)
def test_a_stream_map_that_fails_says_where(
    account: RunningSandbox, tmp_path: Path, entry: dict[str, Any], named: str, code: int
) -> None:
    """Stream, property and expression; it is the setting's fault where no value could be mapped."""
    settings = config(account, stream_maps={"profiles": entry})
    run = run_tap(tmp_path, settings, catalog=select(discovered(), {"profiles": None}))
    assert run.code == code
    assert named in run.errors.splitlines()[-1]


def test_a_selection_of_nothing_is_told(account: RunningSandbox, tmp_path: Path) -> None:
    """A run that reads nothing because of a typing error in a pattern looks like one that had nothing to read."""
    run = run_tap(tmp_path, config(account), catalog=select(discovered(), {}))
    assert run.code == 0
    assert any("nothing is selected" in line for line in run.said("WARNING"))
    assert not account.requests


def test_a_test_of_nothing_is_told(account: RunningSandbox, tmp_path: Path) -> None:
    """The connection test says the same, and not that all can be read."""
    run = run_tap(tmp_path, config(account), "--test", catalog=select(discovered(), {}))
    assert run.code == 0
    assert any("nothing is selected" in line for line in run.said("WARNING"))
    assert "can be read" not in run.errors
