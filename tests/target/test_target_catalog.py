"""A catalog, from Singer lines to the account: items, their variants, and the categories that they are in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from target_support import (
    KEY,
    NOW,
    Command,
    body_of,
    outcomes_of,
    records,
    refused,
    respond,
    rows_of,
    scripted_session,
    writes,
)

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotAllowed, SettingsError
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

DELIVERED, REJECTED = OutcomeKind.DELIVERED, OutcomeKind.REJECTED
LAMP = {"external_id": "LAMP-1", "title": "Lamp", "description": "Bright", "url": "https://shop.example.com/1"}
SHADE = {**LAMP, "external_id": "SHADE", "item_id": "LAMP-1", "sku": "S", "inventory_quantity": 3, "price": 9.5}


@pytest.fixture
def session(account: RunningSandbox) -> Session:
    return Session(KlaviyoClient(KEY, api_url=account.url), job_timeout=60)


def push(session: Session, action: str, *found: dict[str, Any], **options: Any) -> list[Outcome]:
    return outcomes_of(session, action, rows_of({"action": action, **options}, *found))


def compound(external_id: str) -> str:
    return f"$custom:::$default:::{external_id}"


def held(account: RunningSandbox, kind: str, external_id: str) -> dict[str, Any] | None:
    row = account.store.resources[f"catalog-{kind}"].rows.get(compound(external_id))
    return None if row is None else dict(row)


def sent(account: RunningSandbox) -> list[tuple[str, int]]:
    """The operations of what was written, and how many rows each had."""
    return [(request.operation or "", request.items) for request in account.requests if request.method == "POST"]


def test_what_is_not_there_is_made_and_what_is_there_is_changed(session: Session, account: RunningSandbox) -> None:
    """In one request each, with the outcome of each; what a record does not say stays."""
    assert [outcome.kind for outcome in push(session, "catalog_items", LAMP)] == [DELIVERED]
    dearer = {"external_id": "LAMP-1", "price": "12.50", "custom_metadata": '{"Farbe": "rot"}', "published": "no"}
    other = {**LAMP, "external_id": 2}
    assert {outcome.kind for outcome in push(session, "catalog_items", dearer, other)} == {DELIVERED}
    assert sent(account) == [
        ("bulk_create_catalog_items", 1),
        ("bulk_create_catalog_items", 1),
        ("bulk_update_catalog_items", 1),
    ]
    row = held(account, "item", "LAMP-1")
    assert row is not None
    assert (row["title"], row["price"], row["published"], row["custom_metadata"]) == (
        "Lamp",
        12.5,
        False,
        {"Farbe": "rot"},
    )
    assert held(account, "item", "2") is not None


def test_a_catalog_goes_by_the_hundred(session: Session, account: RunningSandbox) -> None:
    """Ids of any text are found again, whatever an address may hold of them."""
    rows = [{**LAMP, "external_id": f'Größe, "{number}" & Co. / {"x" * 60}'} for number in range(150)]
    for verb in ("create", "update"):
        account.requests.clear()
        assert {outcome.kind for outcome in push(session, "catalog_items", *rows)} == {DELIVERED}
        assert sent(account) == [(f"bulk_{verb}_catalog_items", 100), (f"bulk_{verb}_catalog_items", 50)]


def test_a_new_one_needs_what_klaviyo_asks_for(session: Session, account: RunningSandbox) -> None:
    """The reason names what lacks; nothing is sent of it, and the others are made."""
    short = {"external_id": "SHORT", "title": "Lamp"}
    found = push(session, "catalog_items", short, LAMP)
    assert [outcome.kind for outcome in found] == [REJECTED, DELIVERED]
    assert "description, url" in (found[0].reason or "")
    [orphan] = push(session, "catalog_variants", {name: SHADE[name] for name in SHADE if name != "item_id"})
    assert "item_id" in (orphan.reason or "")
    assert sent(account) == [("bulk_create_catalog_items", 1)]


def test_variants_and_categories(session: Session, account: RunningSandbox) -> None:
    """By the shop's ids or Klaviyo's; a list of ids is all of them, and an empty one none."""
    push(session, "catalog_categories", {"external_id": "LAMPS", "name": "Lamps"}, {"external_id": "B", "name": "B"})
    push(session, "catalog_items", {**LAMP, "category_ids": '["LAMPS", "$custom:::$default:::B"]'})
    assert held(account, "item", "LAMP-1")["category_ids"] == [compound("LAMPS"), compound("B")]  # type: ignore[index]
    of_shopify = {**SHADE, "item_id": "$shopify:::$default:::LAMP-1"}
    assert [outcome.kind for outcome in push(session, "catalog_variants", of_shopify)] == [DELIVERED]
    assert held(account, "variant", "SHADE")["item_ids"] == [compound("LAMP-1")]  # type: ignore[index]
    [moved] = push(session, "catalog_variants", {**SHADE, "inventory_quantity": 0, "inventory_policy": 1})
    assert moved.kind is DELIVERED
    push(session, "catalog_categories", {"external_id": "B", "name": "Bulbs", "item_ids": []})
    assert held(account, "item", "LAMP-1")["category_ids"] == [compound("LAMPS")]  # type: ignore[index]
    push(session, "catalog_items", {"external_id": "LAMP-1", "category_ids": []})
    assert held(account, "category", "LAMPS")["item_ids"] == []  # type: ignore[index]


@pytest.mark.parametrize("pointers", ["all", "none"])
def test_one_bad_row_takes_no_other_along(session: Session, account: RunningSandbox, pointers: str) -> None:
    """Of what a job did not make, the account tells which it is where the job does not."""
    account.store.pointers = pointers
    bad = {**LAMP, "external_id": "BAD", "category_ids": ["GONE"]}
    found = push(session, "catalog_items", {**LAMP, "external_id": "A"}, bad, {**LAMP, "external_id": "C"})
    assert [outcome.kind for outcome in found] == [DELIVERED, REJECTED, DELIVERED]
    assert found[1].reason


def test_the_last_word_on_one_counts(session: Session, account: RunningSandbox) -> None:
    """Rows of one item in one batch go one after the other."""
    found = push(session, "catalog_items", LAMP, {**LAMP, "title": "Old"}, {"external_id": "LAMP-1", "title": "New"})
    assert {outcome.kind for outcome in found} == {DELIVERED}
    assert held(account, "item", "LAMP-1")["title"] == "New"  # type: ignore[index]


def test_what_somebody_made_meanwhile_is_changed() -> None:
    """As it is when the answer to our own request was lost, and the second job finds all there."""
    made: list[str] = []

    def answer(request: Request) -> Response:
        if request.method == "POST":
            made.append(request.url.rpartition("/")[2])
            return respond(202, {"data": {"type": "job", "id": made[-1]}})
        if "jobs/" in request.url:
            failed = "create" in request.url
            error = {"code": "x", "source": {"pointer": "/data/attributes/items/data/0"}}
            attributes = {"status": "complete", "failed_count": int(failed), "errors": [error] if failed else None}
            return respond(200, {"data": {"id": "J", "attributes": attributes}})
        found = [{"type": "catalog-item", "id": compound("LAMP-1")}] if made else []
        return respond(200, {"data": found, "links": {"next": None}})

    session, wire = scripted_session(answer)
    assert [outcome.kind for outcome in push(session, "catalog_items", LAMP)] == [DELIVERED]
    assert made == ["catalog-item-bulk-create-jobs", "catalog-item-bulk-update-jobs"]
    [updated] = body_of(writes(wire)[1])["data"]["attributes"]["items"]["data"]
    assert (updated["id"], "external_id" in updated["attributes"]) == (compound("LAMP-1"), False)


def test_a_scope_that_is_missing_ends_the_run() -> None:
    """A refusal of the key is about no record."""
    session, _ = scripted_session(lambda _: refused(403, None))
    with pytest.raises(NotAllowed):
        push(session, "catalog_items", LAMP)


# Deletion -------------------------------------------------------------------------------------------------------------


def test_nothing_is_deleted_unless_it_is_asked_for() -> None:
    """A mark of the source leaves the record out, and a mode without the permission is refused."""
    with pytest.raises(RejectedRecord) as rejection:
        rows_of({"action": "catalog_items"}, {**LAMP, "_sdc_deleted_at": "2026-01-01"})
    assert rejection.value.kind is OutcomeKind.LEFT_OUT
    with pytest.raises(SettingsError, match="allow_deletion must be true"):
        parse_routes({"s": {"action": "catalog_items", "mode": "delete"}}, None, lambda: NOW)


def test_what_is_deleted_is_gone(session: Session, account: RunningSandbox) -> None:
    """By the mark of its source or by the mode; what is gone already is done."""
    push(session, "catalog_items", LAMP, {**LAMP, "external_id": "B"})
    push(session, "catalog_variants", SHADE)
    marked = {"external_id": "LAMP-1", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    found = push(session, "catalog_items", marked, {"external_id": "B", "price": 3}, marked, allow_deletion=True)
    assert [(outcome.kind, outcome.code) for outcome in found] == [
        (DELIVERED, None),
        (DELIVERED, None),
        (DELIVERED, "not_found"),
    ]
    assert (held(account, "item", "LAMP-1"), held(account, "variant", "SHADE")) == (None, None)
    [gone] = push(session, "catalog_variants", {"external_id": "SHADE"}, mode="delete", allow_deletion=True)
    assert gone.code == "not_found"
    [there] = push(session, "catalog_items", {"external_id": "B"}, mode="delete", allow_deletion=True)
    assert (there.kind, there.code, held(account, "item", "B")) == (DELIVERED, None, None)


# All of it ------------------------------------------------------------------------------------------------------------

STREAMS = {name: {"action": name} for name in ("catalog_categories", "catalog_items", "catalog_variants")}


def of_the_tap() -> Iterator[dict[str, Any]]:
    """Lines of the tap's own tables, mixed, with categories joined to the items, and one that names none of them."""
    item = {"catalog_item_id": "$shopify:::$default:::1", **LAMP, "external_id": "1", "images": [], "price": None}
    variant = {"catalog_variant_id": "$shopify:::$default:::1-M", "catalog_item_id": item["catalog_item_id"], **SHADE}
    del variant["item_id"]
    rows = {
        "catalog_categories": {"catalog_category_id": compound("C"), "external_id": "C", "name": "C", "updated": None},
        "catalog_items": {**item, "created": "2026-01-01T00:00:00Z", "category_ids": [compound("C")]},
        "catalog_variants": {**variant, "external_id": "1-M", "updated": "2026-01-01T00:00:00Z"},
    }
    for stream, row in rows.items():
        properties: dict[str, Any] = {name: {} for name in row}
        yield {"type": "SCHEMA", "stream": stream, "key_properties": [], "schema": {"properties": properties}}
    for stream, row in rows.items():
        yield from records(stream, [row])
    orphan = {**rows["catalog_variants"], "catalog_variant_id": None, "external_id": "2", "catalog_item_id": "GONE"}
    yield from records("catalog_variants", [orphan])


def test_a_copy_of_the_taps_tables(target: Command, account: RunningSandbox) -> None:
    """Nothing goes before what it names, however lines are mixed; what is wrong is on file."""
    run = target(of_the_tap(), streams=STREAMS)
    assert run.code == 0, run.stderr
    assert "3 delivered, 0 accepted, 1 rejected" in run.stderr.splitlines()[-1]
    assert [line["record"]["external_id"] for line in run.rejected] == ["2"]
    assert held(account, "variant", "1-M")["item_ids"] == [compound("1")]  # type: ignore[index]
    assert held(account, "category", "C")["item_ids"] == [compound("1")]  # type: ignore[index]


def test_a_rehearsal_changes_nothing(target: Command, account: RunningSandbox) -> None:
    """It reads what there is, and plans what would be made and what changed."""
    run = target(of_the_tap(), streams=STREAMS, dry_run=True, plan_path="plan.json")
    assert (run.code, sent(account)) == (0, []), run.stderr
    plan = json.loads((run.folder / "plan.json").read_text())
    requests = {entry["operation"]: entry["items"] for entry in plan["requests"]}
    assert requests == {
        "bulk_create_catalog_categories": 1,
        "bulk_create_catalog_items": 1,
        "bulk_create_catalog_variants": 2,
    }
