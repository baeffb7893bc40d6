"""Coupons and their codes, from Singer lines to the account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from target_support import (
    KEY,
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
from klaviyo_client.errors import NotAllowed
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

DELIVERED, ACCEPTED, REJECTED = OutcomeKind.DELIVERED, OutcomeKind.ACCEPTED, OutcomeKind.REJECTED
CODES = "coupon-code-bulk-create-jobs"


@pytest.fixture
def session(account: RunningSandbox) -> Session:
    return Session(KlaviyoClient(KEY, api_url=account.url), job_timeout=60)


def push(session: Session, action: str, *found: dict[str, Any]) -> list[Outcome]:
    return outcomes_of(session, action, rows_of({"action": action}, *found))


def code(unique_code: str, coupon_id: str = "10OFF", **more: Any) -> dict[str, Any]:
    return {"coupon_id": coupon_id, "unique_code": unique_code, **more}


def codes_of(account: RunningSandbox, coupon_id: str) -> dict[str, str]:
    """Code -> when it ends."""
    rows = account.store.resources["coupon-code"].rows.values()
    return {row["unique_code"]: row["expires_at"] for row in rows if row["coupon_id"] == coupon_id}


def sent(account: RunningSandbox) -> list[str]:
    """The operations of what was written."""
    return [request.operation for request in account.requests if request.method != "GET"]


# Coupons --------------------------------------------------------------------------------------------------------------


def test_a_coupon_is_made_changed_and_left_alone(session: Session, account: RunningSandbox) -> None:
    """What it says already is not sent again: 60 a minute may be written, and 750 read."""
    spring = {"external_id": " SPRING ", "description": "a", "monitor_configuration": {"low_balance_threshold": 5}}
    found = [*push(session, "coupon", spring), *push(session, "coupon", spring)]
    found += push(session, "coupon", {"coupon_id": "SPRING", "description": "b"})
    assert [(outcome.kind, outcome.status, outcome.code) for outcome in found] == [
        (DELIVERED, 201, None),
        (DELIVERED, 200, "unchanged"),
        (DELIVERED, 200, None),
    ]
    assert sent(account) == ["create_coupon", "update_coupon"]
    row = account.store.resources["coupon"].rows["SPRING"]
    assert (row["description"], row["monitor_configuration"]) == ("b", {"low_balance_threshold": 5})


def test_a_coupon_that_somebody_made_meanwhile_is_changed() -> None:
    """As it is when the answer to our own request was lost."""

    def answer(request: Request) -> Response:
        if request.method == "GET":
            return refused(404, "/data/")
        return refused(409, None) if request.method == "POST" else respond(200, {"data": {"id": "A"}})

    session, wire = scripted_session(answer)
    assert [outcome.kind for outcome in push(session, "coupon", {"external_id": "A", "description": "x"})] == [
        DELIVERED
    ]
    assert [request.method for request in writes(wire)] == ["POST", "PATCH"]
    assert body_of(writes(wire)[1])["data"] == {"type": "coupon", "id": "A", "attributes": {"description": "x"}}


def test_a_coupon_that_is_refused_is_rejected_with_klaviyos_words() -> None:
    """And the others go on."""
    session, _ = scripted_session(lambda request: refused(404 if request.method == "GET" else 400, "/data/x"))
    [outcome] = push(session, "coupon", {"external_id": "A"})
    assert (outcome.kind, outcome.status, outcome.pointer, outcome.reason) == (REJECTED, 400, "/data/x", "No.")


@pytest.mark.parametrize("action", ["coupon", "coupon_codes"])
def test_a_scope_that_is_missing_ends_the_run(action: str) -> None:
    """A refusal of the key is about no record."""
    session, _ = scripted_session(lambda _: refused(403, None))
    with pytest.raises(NotAllowed):
        push(session, action, {"coupon_id": "A", "unique_code": "B"})


# Codes ----------------------------------------------------------------------------------------------------------------


def test_codes_are_made_by_the_thousand(session: Session, account: RunningSandbox) -> None:
    """One job for each thousand, one outcome for each code; those that there are already are no failure."""
    rows = [code(f"C{number}") for number in range(1500)]
    assert {outcome.kind for outcome in push(session, "coupon_codes", *rows)} == {DELIVERED}
    assert sent(account) == ["bulk_create_coupon_codes"] * 2
    assert [request.items for request in account.requests if request.method == "POST"] == [1000, 500]
    held = codes_of(account, "10OFF")
    again = push(session, "coupon_codes", *rows[:3], code("new"))
    assert [outcome.code for outcome in again] == ["unchanged"] * 3 + [None]
    assert codes_of(account, "10OFF").keys() == {*held, "new"}


@pytest.mark.parametrize("pointers", ["all", "none"])
def test_each_code_has_its_outcome_whether_or_not_klaviyo_says_which_failed(
    session: Session, account: RunningSandbox, pointers: str
) -> None:
    """What a job does not tell is looked up: a code of an unknown coupon is rejected, and no other."""
    account.store.pointers = pointers
    found = push(session, "coupon_codes", code("A"), code("B", "GONE"), code("A"), code("C"))
    assert [outcome.kind for outcome in found] == [DELIVERED, REJECTED, DELIVERED, DELIVERED]
    assert found[1].reason
    if pointers == "all":
        assert (found[1].code, found[1].pointer) == (
            "not_found",
            "/data/attributes/coupon-codes/data/1/relationships/coupon/data/id",
        )
    assert {"A", "C"} <= codes_of(account, "10OFF").keys()


def test_a_code_that_is_there_ends_when_the_record_says(session: Session, account: RunningSandbox) -> None:
    """Times in any zone, and the last word on a code counts."""
    push(session, "coupon_codes", code("A", expires_at="2030-01-01 00:00:00 +0100"), code("B"))
    assert codes_of(account, "10OFF")["A"] == "2029-12-31T23:00:00+00:00"
    push(session, "coupon_codes", code("A", expires_at=1_900_000_000), code("A", expires_at="2031-05-05T00:00:00Z"))
    assert codes_of(account, "10OFF")["A"] == "2031-05-05T00:00:00+00:00"
    [same] = push(session, "coupon_codes", code("A", expires_at="2031-05-05T02:00:00+02:00"))
    assert same.code == "unchanged"


@pytest.mark.parametrize("end", ["cancelled", "complete"])
def test_a_job_that_is_cancelled_made_nothing(session: Session, account: RunningSandbox, end: str) -> None:
    """Its codes are rejected, unless they are there."""
    push(session, "coupon_codes", code("A"))
    account.store.job_end = end
    found = push(session, "coupon_codes", code("A"), code("B"))
    assert [outcome.kind for outcome in found] == [DELIVERED, REJECTED if end == "cancelled" else DELIVERED]


def test_a_row_that_klaviyo_points_at_takes_no_other_along() -> None:
    """The rest is sent again without it."""

    def answer(request: Request) -> Response:
        if request.method == "GET":
            return respond(200, {"data": {"id": "J", "attributes": {"status": "complete", "failed_count": 0}}})
        rows = body_of(request)["data"]["attributes"]["coupon-codes"]["data"]
        if len(rows) == 3:
            return refused(400, "/data/attributes/coupon-codes/data/1/attributes/unique_code")
        return respond(202, {"data": {"type": "coupon-code-bulk-create-job", "id": "J"}})

    session, wire = scripted_session(answer)
    found = push(session, "coupon_codes", *(code(name) for name in "ABC"))
    assert [outcome.kind for outcome in found] == [DELIVERED, REJECTED, DELIVERED]
    assert len(writes(wire)) == 2


def test_codes_that_somebody_has_are_left_out_of_a_copy() -> None:
    """Nobody else is to get them."""
    for status, is_sent in (("UNASSIGNED", True), ("PROCESSING", True), ("USED", False), ("DELETING", False)):
        if is_sent:
            [row] = rows_of({"action": "coupon_codes"}, code("A", status=status))
            assert b"status" not in row.body
            continue
        with pytest.raises(RejectedRecord) as rejection:
            rows_of({"action": "coupon_codes"}, code("A", status=status))
        assert (rejection.value.kind, rejection.value.code) == (OutcomeKind.LEFT_OUT, "code_not_free")


# Both -----------------------------------------------------------------------------------------------------------------

STREAMS = {"coupons": {"action": "coupon"}, "coupon_codes": {"action": "coupon_codes"}}


def of_the_tap() -> Iterator[dict[str, Any]]:
    """Lines of the tap's own tables, of which those of codes begin before all coupons have come."""
    coupons = {"coupon_id": {}, "external_id": {}, "description": {}, "monitor_configuration": {}}
    codes = {"coupon_code_id": {}, "coupon_id": {}, "unique_code": {}, "expires_at": {}, "status": {}}
    for stream, columns in (("coupons", coupons), ("coupon_codes", codes)):
        yield {"type": "SCHEMA", "stream": stream, "key_properties": [], "schema": {"properties": columns}}
    for name in "ABC":
        row = {"coupon_id": name, "external_id": name, "description": None, "monitor_configuration": None}
        yield from records("coupons", [row])
        row = {"coupon_code_id": f"{name}-1", "coupon_id": name, "unique_code": "1", "expires_at": None}
        yield from records("coupon_codes", [{**row, "status": "UNASSIGNED"}])
    yield from records("coupon_codes", [{"coupon_id": "A", "unique_code": "2", "status": "USED"}])
    yield from records("coupon_codes", [{"coupon_id": "GONE", "unique_code": "3"}])


def test_a_copy_of_the_taps_tables(target: Command, account: RunningSandbox) -> None:
    """A code never goes before its coupon, however their lines are mixed; what is wrong is on file."""
    run = target(of_the_tap(), streams=STREAMS)
    assert run.code == 0, run.stderr
    assert "6 delivered, 0 accepted, 1 rejected, 1 left out" in run.stderr.splitlines()[-1]
    assert [line["record"]["unique_code"] for line in run.rejected] == ["3"]
    assert {name: set(codes_of(account, name)) for name in "ABC"} == {name: {"1"} for name in "ABC"}


def test_a_rehearsal_makes_none(target: Command, account: RunningSandbox) -> None:
    """It reads, and plans so many requests."""
    run = target(of_the_tap(), streams=STREAMS, dry_run=True, plan_path="plan.json")
    assert run.code == 0, run.stderr
    assert sent(account) == []
    plan = json.loads((run.folder / "plan.json").read_text())
    requests = {entry["operation"]: (entry["requests"], entry.get("items")) for entry in plan["requests"]}
    assert requests["create_coupon"] == (3, 3)
    assert sum(requests["bulk_create_coupon_codes"][1:]) == 4
