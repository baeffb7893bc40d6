"""Writes of custom objects: records of a data source, of which no answer says what became, and deletions."""

from __future__ import annotations

import json

from klaviyo_sandbox.account import objects
from klaviyo_sandbox.account.store import Store
from klaviyo_sandbox.spec.errors import Refusal, invalid
from klaviyo_sandbox.spec.exchange import Answer, Request
from klaviyo_sandbox.writes.bodies import check_rows

_ROWS = "/data/attributes/data-source-records/data"
_OBJECTS = "/data/relationships/object-records/data"


def ingest(store: Store, request: Request) -> Answer:
    """Take records of a data source; what does not fit its type is in the type's logs."""
    data = request.body["data"]
    rows = (data["attributes"].get("data-source-records") or {}).get("data", [])
    check_rows(request, rows, _ROWS)
    limit = request.operation.max_item_bytes
    problems = [
        invalid(f"A record must not be larger than {limit} bytes.", f"{_ROWS}/{position}")
        for position, row in enumerate(rows)
        if limit is not None and len(json.dumps(row["attributes"]["record"]).encode()) > limit
    ]
    source = data.get("relationships", {}).get("data-source", {}).get("data")
    found = None if source is None else store.resources["data-source"].get(source["id"])
    if found is None:
        problems = [invalid("A data source must be given.", "/data/relationships/data-source/data")]
    if problems or found is None:
        raise Refusal(problems)
    for row in rows:
        objects.ingest(store, found, row["attributes"]["record"])
    return Answer(204)


def delete(store: Store, request: Request) -> Answer:
    """Delete objects by their ids; one that is not there is passed over."""
    rows = request.body["data"]["relationships"]["object-records"].get("data") or []
    check_rows(request, rows, _OBJECTS)
    for row in rows:
        store.resources[objects.RECORD].drop(row["id"])
    return Answer(202)
