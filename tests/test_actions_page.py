"""What the script for docs/reference/actions makes of actions and contracts that are not in the catalogue yet."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import scripts

from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.action import Action
from target_klaviyo.intake import contracts
from target_klaviyo.model.records import Call


@pytest.fixture(scope="module")
def script() -> Any:
    return scripts.script("update_actions")


@pytest.fixture
def section(script: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Action], str]:
    """The section of an action whose contract is that of upsert_profile."""
    contract = contracts.load("upsert_profile")
    monkeypatch.setattr(contracts, "load", lambda _name: contract)
    return lambda action: "".join(script.section(action))


def test_an_action_made_of_others(section: Callable[[Action], str]) -> None:
    """It sends nothing itself, so no size of a request is said; no stream takes it by name, no option is its own."""
    text = section(Action("order", "Several things.", "create_event", steps=lambda _fields, _context: ()))

    assert "- Made of other actions" in text
    assert "- Stream: any that the setting `streams` gives" in text
    assert "- Operation: `POST /api/events` (350 a second, 3500 a minute), scope `events:write`" in text
    assert "At once" not in text
    assert "| Option |" not in text
    assert "## Other requests" not in text


def test_an_action_of_single_requests(section: Callable[[Action], str]) -> None:
    """What Klaviyo takes one by one is said to be so; what the action bounds itself goes before Klaviyo's maximum."""
    one = Action("one", "One.", "create_or_update_profile")
    assert "- At once: 1 row, 100,000 bytes\n" in section(one)
    assert "- At once: 50 rows, 5,000,000 bytes, 100,000 bytes for each row\n" in section(
        Action("some", "Some.", "bulk_import_profiles", max_rows=50)
    )
    assert "- At once: 500 rows in requests of 1, 100,000 bytes\n" in section(replace(one, max_rows=500))


def test_other_calls_are_those_that_the_action_declares(script: Any, section: Callable[[Action], str]) -> None:
    """Each with its purpose, the option or field that asks for it, and its scopes."""
    calls = (
        Call("get_lists", "to look"),
        Call("create_list", "to make one", option="create_list"),
        Call("get_profiles", "to find them", option="mode", values=("remove", "mirror")),
        Call("create_event", "to say so", field="event"),
    )
    action = Action("one", "One.", "create_event", other_operations=calls)
    assert list(script.other_calls(action)) == [
        ("`GET /api/lists`", "to look", "", "`lists:read`"),
        ("`POST /api/lists`", "to make one", "with `create_list`", "`lists:write`"),
        ("`GET /api/profiles`", "to find them", "with `mode: remove or mirror`", "`profiles:read`"),
        ("`POST /api/events`", "to say so", "for records with `event`", "`events:write`"),
    ]
    assert "| `GET /api/lists` | to look |  | `lists:read` |\n" in section(action)


def test_actions_are_listed_in_groups(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once; one that is in no group yet is shown, too."""
    names = re.findall(r"^\| \[(\w+)\]\(\1\.md\)", script.index(), flags=re.MULTILINE)
    assert sorted(names) == sorted(ACTIONS)
    assert "## Consent\n" in script.index()
    monkeypatch.setattr(script, "GROUPS", {"Some": ("coupon",)})
    assert script.index().count("| [coupon](coupon.md) |") == 1
    assert "## Others\n" in script.index()
    assert re.findall(r"^\| \[(\w+)\]", script.index(), flags=re.MULTILINE)[0] == "coupon"


def test_an_example_is_linked_when_it_is_there(
    script: Any, section: Callable[[Action], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only then."""
    action = Action("one", "One.", "create_event")
    assert "Example" not in section(action)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.jsonl").touch()
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert "- Example: [examples/one.jsonl](../../../examples/one.jsonl)\n" in section(action)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, []),
        ({"required": ["metric"], "anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}]},
         ["`metric`", "one or more of `a`, `b` with `c`"]),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, ["exactly one of `a`, `b`"]),
        ({"allOf": [{"required": ["a"]}, {"anyOf": [{"required": ["b"]}]}]}, ["`a`", "`b`"]),
        ({"dependentRequired": {"a": ["b", "c"]}}, ["`b`, `c` beside `a`"]),
        # A choice that demands no field leaves everything open.
        ({"anyOf": [{"required": ["a"]}, {"properties": {}}]}, []),
    ],
)  # fmt: skip
def test_what_a_record_needs_in_words(script: Any, schema: dict[str, Any], words: list[str]) -> None:
    """Required fields, choices among them, and those that others bring about."""
    assert script.required_fields(schema) == words


def test_fields_and_the_columns_that_reach_them(script: Any) -> None:
    """Nested ones by flat names, some by mapping only with all that is below, elements of a list by themselves."""
    properties = {
        "email": {"type": "string", "x-names": ["$email"], "description": "E-mail."},
        "place": {"type": ["object", "null"], "properties": {"city": {"type": "string", "x-names": ["$city"]}}},
        "hidden": {"type": "object", "x-by-name": False, "properties": {"kind": {"enum": ["a", "b"]}}},
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    }
    assert list(script.fields(properties)) == [
        ("`email`", "string", "`email`, `$email`", "E-mail."),
        ("`place`", "object or null", "`place`", ""),
        ("`place.city`", "string", "`place_city`, `$city`", ""),
        ("`hidden`", "object", "by mapping", ""),
        ("`hidden.kind`", "`a` or `b`", "by mapping", ""),
        ("`items`", "list of object", "`items`", ""),
        ("`items[].sku`", "string", "in each element", ""),
    ]
