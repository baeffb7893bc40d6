"""Writes of coupons, one at a time, and of coupon codes and parts of the catalog, by jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from klaviyo_sandbox.account import bulk_jobs, coupons
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.reads.collections import documents
from klaviyo_sandbox.spec.errors import Problem, Refusal, invalid, not_found
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.spec.times import parse_datetime
from klaviyo_sandbox.writes.bodies import check_rows

_BLANK = "This field may not be blank."


def create_coupon(store: Store, request: Request) -> Answer:
    attributes = request.body["data"]["attributes"]
    if not attributes["external_id"].strip():
        raise Refusal([invalid(_BLANK, "/data/attributes/external_id")])
    row = coupons.create_coupon(store, attributes)
    return Answer(201, documents(store, request).one(coupons.COUPON, row, f"/api/coupons/{row['id']}/"))


def update_coupon(store: Store, request: Request) -> Answer:
    row = {**_named_row(store, request, coupons.COUPON), **request.body["data"]["attributes"]}
    store.resources[coupons.COUPON].put(row)
    return Answer(200, documents(store, request).one(coupons.COUPON, row, f"/api/coupons/{row['id']}/"))


def update_coupon_code(store: Store, request: Request) -> Answer:
    row, attributes = _named_row(store, request, coupons.CODE), request.body["data"]["attributes"]
    if (problem := _expiry_problem(attributes, "/data/attributes")) is not None:
        raise Refusal([problem])
    row = coupons.update_code(store, row, attributes)
    return Answer(200, documents(store, request).one(coupons.CODE, row, f"/api/coupon-codes/{row['id']}/"))


def accept_job(store: Store, request: Request) -> Answer:
    """Accept a job of any kind that ``bulk_jobs`` knows."""
    data = request.body["data"]
    kind = data["type"]
    plural = bulk_jobs.KINDS[kind][0]
    resources, pointer = data["attributes"][plural]["data"], f"/data/attributes/{plural}/data"
    check_rows(request, resources, pointer)
    if problems := list(_row_problems(resources, pointer)):
        raise Refusal(problems)
    job = bulk_jobs.accept(store, kind, resources)
    return Answer(202, documents(store, request).one(kind, job, f"{request.path.rstrip('/')}/{job['id']}/"))


def _named_row(store: Store, request: Request, kind: str) -> Mapping[str, Any]:
    """The row that the path names, and the body again.

    Raises:
        Refusal: 404, there is none; 400, the body names another.
    """
    row = store.resources[kind].get(request.params["id"])
    if row is None:
        raise not_found(f"A {kind.replace('-', ' ')} with id {request.params['id']} does not exist.")
    if request.body["data"]["id"] != row["id"]:
        raise Refusal([invalid("The id must be the one in the path.", "/data/id")])
    return row


def _row_problems(resources: Sequence[Mapping[str, Any]], pointer: str) -> Iterator[Problem]:
    """What is wrong with a job's rows before any of them is carried out; one problem a row."""
    for position, resource in enumerate(resources):
        problems = _problems(resource, f"{pointer}/{position}")
        yield from [problem for problem in problems if problem is not None][:1]


def _problems(resource: Mapping[str, Any], pointer: str) -> Iterator[Problem | None]:
    attributes, at = resource.get("attributes", {}), f"{pointer}/attributes"
    for name in ("unique_code", "external_id", "title", "name"):
        if isinstance(attributes.get(name), str) and not attributes[name].strip():
            yield invalid(_BLANK, f"{at}/{name}")
    yield _expiry_problem(attributes, at)
    for name, relationship in resource.get("relationships", {}).items():
        if "data" not in relationship and name in ("coupon", "item"):
            yield invalid("'data' is a required field.", f"{pointer}/relationships/{name}/data")


def _expiry_problem(attributes: Mapping[str, Any], pointer: str) -> Problem | None:
    try:
        if attributes.get("expires_at"):
            parse_datetime(attributes["expires_at"])
    except ValueError:
        return invalid("Not a valid datetime.", f"{pointer}/expires_at")
    return None
