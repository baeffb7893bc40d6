"""What the committed facts say of a revision whose document is not here, beside what the vendor's SDK says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.conformance import raw_facts
from support.official_facts import REVISION, facts, has_field

CLIENT = json.loads((Path(__file__).parents[1] / "klaviyo_client" / "api" / "operations.json").read_text("utf-8"))
SANDBOX = raw_facts()["operations"]
NEWER = {name: told for name, told in CLIENT["operations"].items() if told.get("revision") == "2026-10-15"}

pytestmark = pytest.mark.skipif(REVISION != "2026-10-15", reason="another edition of the SDK is installed")


def operators(filters: Mapping[str, Mapping[str, list[str]]]) -> dict[str, set[str]]:
    """Field -> its operators, of whatever form."""
    return {field: {name for names in forms.values() for name in names} for field, forms in filters.items()}


def test_there_are_facts_of_it() -> None:
    """Campaigns are there in both revisions, and what is new in this one only."""
    assert len(NEWER) > 20
    assert {"get_campaigns@2026-10-15", "get_campaign_messages"} <= NEWER.keys()


@pytest.mark.parametrize("name", NEWER)
def test_each_fact_is_the_sdks_own(name: str) -> None:
    """Method, path, limits, scopes, filters and page size of the client's facts are what the SDK's docstrings say."""
    ours, told = NEWER[name], facts(name.partition("@")[0])
    for member in ("method", "path", "burst", "steady", "daily", "page_size"):
        assert ours.get(member) == told.get(member), member
    assert sorted(ours["scopes"]) == sorted(told["scopes"])
    assert operators(ours.get("filters", {})) == told.get("filters", {})
    assert ours["paged"] == ("page[cursor]" in told["parameters"])


@pytest.mark.parametrize("name", NEWER)
def test_each_field_is_in_the_sdks_types(name: str) -> None:
    """What sparse fields may ask for, of a resource or of one that comes with it, is an attribute of its class."""
    named = {(kind, field) for kind, fields in NEWER[name].get("fields", {}).items() for field in fields}
    assert {(kind, field) for kind, field in named if not has_field(kind, field)} == set()


@pytest.mark.parametrize("name", [name for name in SANDBOX if name in NEWER])
def test_the_sandbox_takes_the_sdks_parameters(name: str) -> None:
    """Those, and no others, and filters by the same operators."""
    ours, told = SANDBOX[name], facts(name.partition("@")[0])
    parameters: dict[str, Any] = ours["parameters"]
    assert {key for key, parameter in parameters.items() if parameter["in"] == "query"} == told["parameters"]
    assert (ours["method"], ours["path"]) == (told["method"], told["path"])
    rules = {field: rule["operators"] for field, rule in ours["filters"].items()}
    assert operators(rules) == told.get("filters", {})


def test_what_the_sdk_does_not_show_would_be_seen() -> None:
    """A field that its types have not, a parameter and an operator that its docstrings have not."""
    assert has_field("campaign", "definition.name")
    assert not has_field("campaign", "definition.nickname")
    assert not has_field("campaign-message", "definition.channel")
    assert "include" in facts("get_campaigns")["parameters"]
    assert "fields[campaign-variation]" not in facts("get_campaign_messages")["parameters"]
    assert facts("get_campaigns")["filters"]["archived"] == {"equals"}
