"""Coupons and their codes, and a catalog, as they are written: single requests, and jobs with their errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.calls import Caller, problem

from klaviyo_sandbox import RunningSandbox, serve

ITEM = {"external_id": "LAMP-1", "title": "Lamp", "description": "Bright", "url": "https://shop.example.com/1"}
PRICED = {**ITEM, "sku": "L1", "inventory_quantity": 3, "price": 9.5}


def compound(external_id: str) -> str:
    return f"$custom:::$default:::{external_id}"


def coupon(external_id: str, **more: Any) -> dict[str, Any]:
    return {"data": {"type": "coupon", "attributes": {"external_id": external_id, **more}}}


def code(unique_code: str, coupon_id: str = "10OFF", **more: Any) -> dict[str, Any]:
    data = {"type": "coupon", "id": coupon_id}
    attributes = {"unique_code": unique_code, **more}
    return {"type": "coupon-code", "attributes": attributes, "relationships": {"coupon": {"data": data}}}


def job(kind: str, plural: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"data": {"type": kind, "attributes": {plural: {"data": rows}}}}


def resource(kind: str, attributes: dict[str, Any], row_id: str | None = None, **related: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": f"catalog-{kind}", "attributes": attributes}
    if row_id is not None:
        entry["id"] = row_id
    if related:
        entry["relationships"] = {name: {"data": data} for name, data in related.items()}
    return entry


def carried_out(call: Caller, kind: str, plural: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The attributes of a job that has ended."""
    accepted = call.post(f"{kind}s", job(kind, plural, rows))
    assert accepted.status_code == 202, accepted.text
    attributes: dict[str, Any] = call.get(f"{kind}s/{accepted.json()['data']['id']}").json()["data"]["attributes"]
    return attributes


def changed(call: Caller, what: str, verb: str, rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(code, pointer) of what went wrong in a job of the catalog, without where the rows are."""
    plural = {"item": "items", "variant": "variants", "category": "categories"}[what]
    done = carried_out(call, f"catalog-{what}-bulk-{verb}-job", plural, rows)
    assert (done["status"], done["failed_count"]) == ("complete", len(done["errors"]))
    assert done["completed_count"] == len(rows) - len(done["errors"])
    return [
        (error["code"], error["source"]["pointer"].removeprefix(f"/data/attributes/{plural}/data"))
        for error in done["errors"]
    ]


def test_a_coupon_is_made_once_and_changed(call: Caller) -> None:
    """A second one of its id is a conflict; whoever is unknown cannot be changed."""
    assert call.post("coupons", coupon("SPRING", description="a")).status_code == 201
    assert problem(call.post("coupons", coupon("SPRING")))[:2] == (409, "duplicate")
    assert problem(call.post("coupons", coupon(" ")))[0] == 400
    change = {"data": {"type": "coupon", "id": "SPRING", "attributes": {"description": "b"}}}
    assert call.send("PATCH", "coupons/SPRING", change).json()["data"]["attributes"]["description"] == "b"
    assert problem(call.send("PATCH", "coupons/NONE", change))[0] == 404
    assert problem(call.send("PATCH", "coupons/10OFF", change))[2] == {"pointer": "/data/id"}


def test_codes_are_made_by_a_job_that_names_those_it_could_not_make(call: Caller) -> None:
    """One that is there, also of the same request, and one of an unknown coupon; the others are there."""
    rows = [code("A"), code("A"), code("B", "NONE"), code("C", expires_at="2030-01-01T00:00:00Z")]
    done = carried_out(call, "coupon-code-bulk-create-job", "coupon-codes", rows)
    assert [done[f"{name}_count"] for name in ("total", "completed", "failed")] == [4, 2, 2]
    at = "/data/attributes/coupon-codes/data"
    assert [(error["code"], error["source"]["pointer"]) for error in done["errors"]] == [
        ("duplicate", f"{at}/1/attributes/unique_code"),
        ("not_found", f"{at}/2/relationships/coupon/data/id"),
    ]
    assert call.get("coupon-codes/10OFF-C").json()["data"]["attributes"]["expires_at"] == "2030-01-01T00:00:00+00:00"
    assert call.get("coupon-codes/10OFF-A").json()["data"]["attributes"]["status"] == "UNASSIGNED"
    change = {"data": {"type": "coupon-code", "id": "10OFF-A", "attributes": {"status": "USED", "expires_at": None}}}
    assert call.send("PATCH", "coupon-codes/10OFF-A", change).json()["data"]["attributes"]["status"] == "USED"


def test_a_job_of_codes_is_refused_whole_for_what_is_wrong_with_its_rows(call: Caller) -> None:
    """Too many, none, a blank code, a time that is none: nothing is made."""
    for rows in ([code(str(n)) for n in range(1001)], [], [code("X"), code(" ")], [code("X", expires_at="soon")]):
        answer = call.post("coupon-code-bulk-create-jobs", job("coupon-code-bulk-create-job", "coupon-codes", rows))
        assert answer.status_code == 400
    assert call.get("coupon-codes/10OFF-X").status_code == 404


@pytest.mark.parametrize(("end", "last"), [("complete", 200), ("cancelled", 404)])
def test_a_job_waits_is_processed_and_ends(make_sandbox: Any, end: str, last: int) -> None:
    """As its page shows it; cancelled it has done nothing."""
    now = [1_800_000_000.0]
    call = Caller(make_sandbox(limits=False, job_seconds=8, job_end=end, clock=lambda: now[0]).url)
    path = "coupon-code-bulk-create-jobs"
    body = job("coupon-code-bulk-create-job", "coupon-codes", [code("A")])
    job_id = call.post(path, body).json()["data"]["id"]
    seen = []
    for _ in range(4):
        seen.append(call.get(f"{path}/{job_id}").json()["data"]["attributes"]["status"])
        now[0] += 3
    assert list(dict.fromkeys(seen)) == ["queued", "processing", end]
    assert call.get("coupon-codes/10OFF-A").status_code == last
    call.close()


def test_at_most_a_hundred_jobs_of_codes_wait(call: Caller, writing: RunningSandbox) -> None:
    """The next is throttled."""
    writing.store.job_end = "never"
    body = job("coupon-code-bulk-create-job", "coupon-codes", [code("A")])
    answers = [call.post("coupon-code-bulk-create-jobs", body).status_code for _ in range(101)]
    assert answers == [202] * 100 + [429]


def test_a_catalog_is_made_changed_and_deleted(call: Caller) -> None:
    """With its relationships from both sides; what it could not do a job says by row."""
    category = {"external_id": "LAMPS", "name": "Lamps"}
    assert changed(call, "category", "create", [resource("category", category)]) == []
    in_it = [{"type": "catalog-category", "id": compound("LAMPS")}]
    nowhere = [*in_it, {"type": "catalog-category", "id": compound("NONE")}]
    rows = [resource("item", ITEM, categories=in_it), resource("item", ITEM)]
    rows += [resource("item", {**ITEM, "external_id": "2"}, categories=nowhere)]
    wrong = [("duplicate", "/1/attributes/external_id"), ("not_found", "/2/relationships/categories/data/1/id")]
    assert changed(call, "item", "create", rows) == wrong
    of_item = {"type": "catalog-item", "id": compound("LAMP-1")}
    assert changed(call, "variant", "create", [resource("variant", PRICED, item=of_item)]) == []
    path = f"catalog-items/{compound('LAMP-1')}"
    assert [row["id"] for row in call.rows(f"{path}/categories")] == [compound("LAMPS")]
    assert [row["id"] for row in call.rows(f"{path}/variants")] == [compound("LAMP-1")]
    assert [row["id"] for row in call.rows(f"catalog-categories/{compound('LAMPS')}/items")] == [compound("LAMP-1")]
    change = resource("item", {"price": 5}, compound("LAMP-1"), categories=[])
    assert changed(call, "item", "update", [change, resource("item", {}, compound("2"))]) == [("not_found", "/1/id")]
    assert call.get(path).json()["data"]["attributes"]["price"] == 5
    assert call.rows(f"catalog-categories/{compound('LAMPS')}/items") == []
    gone = {"type": "catalog-item", "id": compound("LAMP-1")}
    other = {"type": "catalog-item", "id": "$shopify:::$default:::1"}
    assert changed(call, "item", "delete", [gone, gone, other]) == [("not_found", "/1/id"), ("invalid", "/2/id")]
    assert call.get(f"catalog-variants/{compound('LAMP-1')}").status_code == 404


@pytest.mark.parametrize("missing", ["external_id", "title", "description", "url"])
def test_an_item_needs_what_the_specification_says(call: Caller, missing: str) -> None:
    """The refusal points at the row and the field."""
    row = resource("item", {name: value for name, value in ITEM.items() if name != missing})
    answer = call.post("catalog-item-bulk-create-jobs", job("catalog-item-bulk-create-job", "items", [row]))
    assert problem(answer) == (400, "invalid", {"pointer": f"/data/attributes/items/data/0/attributes/{missing}"})


def test_what_was_written_outlives_the_process(tmp_path: Path) -> None:
    """Coupons and the catalog are in the database with all else."""
    for is_second in (False, True):
        with serve(profiles=3, events=0, limits=False, job_seconds=0.0, data=tmp_path) as account:
            call = Caller(account.url)
            if not is_second:
                call.post("coupons", coupon("SPRING"))
                changed(call, "item", "create", [resource("item", ITEM)])
            assert call.get("coupons/SPRING").status_code == 200
            assert call.get(f"catalog-items/{compound('LAMP-1')}").status_code == 200
            call.close()


def test_a_push_of_the_shop_is_about_nobody(call: Caller, writing: RunningSandbox) -> None:
    """The page shows its rows by the shop's ids; whoever has the same external id is not meant."""
    attributes = {"email": "ada@example.com", "external_id": "LAMP-1"}
    call.post("profile-import", {"data": {"type": "profile", "attributes": attributes}})
    changed(call, "item", "create", [resource("item", ITEM), resource("item", {**ITEM, "external_id": "LAMP-2"})])
    page = call.session.get(f"{writing.url}/pushes/2", headers={"Accept": "text/html"})
    assert page.status_code == 200
    shown = re.findall(r"<span>(LAMP-\d)</span>", page.text)
    assert (shown, "ada@example.com" in page.text) == (["LAMP-1", "LAMP-2"], False)
