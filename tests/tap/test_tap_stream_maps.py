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


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        (
            {"phone_number": "md5(phone_number)"},
            "phone_number is null in a record; write md5(phone_number) if phone_number else None",
        ),
        ({"phone_number": "sha256(self)"}, "self is null in a record; write sha256(self) if self else None"),
        ({"title": "title.upper()"}, "title is null in a record; write title.upper() if title else None"),
        (
            {"n": "_['title'] + email"},
            "_['title'] is null in a record; write _['title'] + email if _['title'] else None",
        ),
        ({"n": "record.get('title') + ''"}, "if record.get('title') else None"),
        (
            {"n": "title + external_id"},
            "title, external_id are null in a record; write title + external_id if title and external_id else None",
        ),
        (
            {"__filter__": "title.startswith('x')"},
            "write (title.startswith('x')) if title else False to leave such records out",
        ),
        ({"n": "int(profile_id)"}, None),
        ({"n": "nowhere + title"}, None),
    ],
)
def test_a_null_that_a_stream_map_cannot_take_is_named(
    account: RunningSandbox, tmp_path: Path, entry: dict[str, Any], advice: str | None
) -> None:
    """Which column is null, and how to write the expression; nothing of that where none is."""
    for row in account.store.profiles.rows.values():
        row.update(phone_number=None, title=None, external_id=None)
    run = run_tap(
        tmp_path,
        config(account, stream_maps={"profiles": entry}),
        catalog=select(discovered(), {"profiles": None}),
    )
    line = run.errors.splitlines()[-1]
    assert run.code != 0
    assert (advice or "profiles fails") in line
    assert (advice is not None) is ("null in a record" in line)


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
