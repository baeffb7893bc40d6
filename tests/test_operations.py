"""The generated facts: equal to what the script makes of the specification, and what we build on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.scripts import script

from klaviyo_client.api.operations import operation

ROOT = Path(__file__).parents[1]


def test_committed_facts_are_what_the_script_makes_of_the_specification(specification: dict[str, Any]) -> None:
    """Both files equal the script's output, byte for byte."""
    update = script("update_operations")
    texts = update.build(specification, update.SERVED.read_text().split())
    assert {target.name: target.read_text() == text for target, text in texts.items()} == {
        "operations.json": True,
        "facts.json": True,
    }


def test_facts_of_another_revision_are_what_the_script_makes_of_its_document(specification: dict[str, Any]) -> None:
    """Where its document is at hand, they are made of it, and otherwise they stay as they stand."""
    update, openapi, revisions = (script(name) for name in ("update_operations", "openapi", "revisions"))
    others = openapi.others()
    if missing := revisions.OTHERS.keys() - others.keys():
        pytest.skip(f"KLAVIYO_OPENAPI names no document of {', '.join(sorted(missing))}")
    texts = update.build(specification, update.SERVED.read_text().split(), others)
    assert [target.name for target, text in texts.items() if target.read_text() != text] == []


def test_facts_without_their_document_are_asked_for(
    specification: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new operation of a revision cannot be made up: whoever adds one is told which document is wanted."""
    update = script("update_operations")
    served = update.SERVED.read_text().split()
    with pytest.raises(SystemExit, match="not in the specification: get_nothing"):
        update.build(specification, [*served, "get_nothing"])
    wanted = {"2026-10-15": (*update.revisions.OTHERS["2026-10-15"], "get_nothing")}
    monkeypatch.setattr(update.revisions, "OTHERS", wanted)
    with pytest.raises(SystemExit, match="of 2026-10-15 with --and: nothing is known of get_nothing"):
        update.build(specification, served)


def test_schemas_that_revisions_have_alike_are_kept_once() -> None:
    """A schema is a revision's own where it differs, or something that it refers to does."""
    revisions = script("revisions")
    leaf, wide = {"type": "string"}, {"type": "integer"}
    schemas = {"A": {"$ref": "#/schemas/B"}, "B": {"items": {"$ref": "#/schemas/C"}}, "C": leaf, "D": leaf}
    assert revisions.own_schemas(schemas, schemas) == set()
    own = revisions.own_schemas({**schemas, "C": wide}, schemas)
    assert own == {"A", "B", "C"}
    renamed = revisions.renamed([schemas["A"], {"$ref": "#/schemas/D"}, "A"], "2026-10-15", own)
    assert renamed == [{"$ref": "#/schemas/B@2026-10-15"}, {"$ref": "#/schemas/D"}, "A"]


def test_every_operation_has_budgets_and_a_path() -> None:
    """Nothing that the client may call is without limits, and nothing that takes a private key without scopes."""
    document = json.loads((ROOT / "klaviyo_client" / "api" / "operations.json").read_text())
    assert len(document["operations"]) > 300
    for name in document["operations"]:
        op = operation(name)
        assert op.burst > 0
        assert op.steady >= op.burst
        assert op.path.startswith(("/api/", "/client/"))
        assert op.scopes or op.path.startswith("/client/"), name


def test_traps_of_the_specification_are_in_the_facts() -> None:
    """Page sizes, exclusive operators, batch maxima and reduced limits as the design page lists them."""
    assert operation("get_lists").page_size == 10
    assert operation("get_profiles").page_size == 100
    assert operation("get_events").page_size == 1000
    assert operation("get_metrics").page_size is None
    assert operation("get_profiles").operators("updated") == {"greater-than", "less-than"}
    assert operation("get_lists").operators("updated") == {"greater-than"}
    assert operation("get_metrics").operators("updated") == frozenset()
    bulk = operation("bulk_import_profiles")
    assert (bulk.max_items, bulk.max_bytes, bulk.max_item_bytes) == (10_000, 5_000_000, 100_000)
    items = {
        "add_profiles_to_list": 1000,
        "remove_profiles_from_list": 1000,
        "bulk_create_events": 1000,
        "bulk_subscribe_profiles": 1000,
        "bulk_unsubscribe_profiles": 100,
        "bulk_suppress_profiles": 100,
        "bulk_unsuppress_profiles": 100,
    }
    assert {name: operation(name).max_items for name in items} == items
    assert {operation(name).max_bytes for name in ("create_event", "bulk_create_events")} == {5_000_000}
    assert operation("create_list").daily == 150


def test_predictions_lower_the_limit() -> None:
    """A query that asks for predictive analytics has the smaller budget, another has not."""
    op = operation("get_profiles")
    name = "additional-fields[profile]"
    assert op.rates({}) == (75, 750)
    assert op.rates({name: "subscriptions"}) == (75, 750)
    assert op.rates({name: "subscriptions,predictive_analytics"}) == (10, 150)


def test_what_reads_by_post_is_known() -> None:
    """The eight queries and a rendering only need to be allowed to read; queries say what their bodies may hold."""
    document = json.loads((ROOT / "klaviyo_client" / "api" / "operations.json").read_text())
    posts = {name for name, facts in document["operations"].items() if facts["method"] == "POST"}
    queries = {name for name in posts if operation(name).query}
    assert {name for name in posts if operation(name).reads} == queries | {"render_template"}
    assert len(queries) == 8

    series = operation("query_flow_series").query
    assert series is not None
    assert series.type == "flow-series-report"
    assert len(series.values["statistics"]) == 31
    assert (series.max_years, series.max_days) == (1, {"hourly": 7, "daily": 60, "monthly": 364})
    assert set(series.required_group_by) == {"flow_id", "flow_message_id"}
    assert operation("query_flow_series").daily == 225
    form = operation("query_form_series").query
    assert form is not None
    assert form.group_by_requires == {"form_version_id": "form_id"}
    assert form.default_group_by == ("form_id",)
