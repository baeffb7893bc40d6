"""Custom objects as they are written: records of a data source, logs of those that do not fit, deletions."""

from __future__ import annotations

from typing import Any

from support.calls import Caller, problem

BULK = "data-source-record-bulk-create-jobs"


def job(source: str | None, *found: dict[str, Any]) -> dict[str, Any]:
    rows = [{"type": "data-source-record", "attributes": {"record": record}} for record in found]
    data: dict[str, Any] = {"type": BULK.removesuffix("s"), "attributes": {"data-source-records": {"data": rows}}}
    if source is not None:
        data["relationships"] = {"data-source": {"data": {"type": "data-source", "id": source}}}
    return {"data": data}


def test_records_become_objects_and_what_does_not_fit_is_in_the_logs(call: Caller) -> None:
    """Of a source that feeds a type; the answer is the same for all."""
    source = next(row["id"] for row in call.rows("data-sources") if row["attributes"]["title"] == "Warehouse")
    kind = next(row["id"] for row in call.rows("object-types") if row["attributes"]["title"] == "Subscription")
    logs = len(call.rows(f"object-types/{kind}/object-ingestion-logs"))
    assert call.post(BULK, job(source, {"name": "A", "boxes": 1}, {"name": "B", "boxes": "x"}, {})).status_code == 204
    assert call.post(BULK, job(source, {"name": "A", "paused": True})).status_code == 204
    rows = {
        row["id"]: row["attributes"]["record_properties"] for row in call.rows(f"object-types/{kind}/object-records")
    }
    assert (rows[f"{kind}-A"], f"{kind}-B" in rows) == ({"name": "A", "boxes": 1, "paused": True}, False)
    assert len(call.rows(f"object-types/{kind}/object-ingestion-logs")) == logs + 2
    gone = {"data": [{"type": "object-record", "id": f"{kind}-A"}]}
    data = {"type": "object-record-bulk-delete-job", "relationships": {"object-records": gone}}
    assert call.post("object-record-bulk-delete-jobs", {"data": data}).status_code == 202
    assert call.get(f"object-records/{kind}-A").status_code == 404


def test_a_request_is_refused_whole(call: Caller) -> None:
    """Too many, none, one that is too large, and a source that nobody has."""
    source = call.rows("data-sources")[0]["id"]
    large = {"name": "x" * 600_000}
    assert problem(call.post(BULK, job(source, {"name": "A"}, large)))[2]["pointer"].endswith("/data/1")
    assert call.post(BULK, job(source, *({"name": str(number)} for number in range(501)))).status_code == 400
    assert call.post(BULK, job(source)).status_code == 400
    for unknown in (None, "GONE"):
        pointer = "/data/relationships/data-source/data"
        assert problem(call.post(BULK, job(unknown, {"name": "A"}))) == (400, "invalid", {"pointer": pointer})
