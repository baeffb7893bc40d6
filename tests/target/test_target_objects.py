"""Records of custom objects, from Singer lines to the account."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import KEY, NOW, SOURCE, body_of, outcomes_of, refused, respond, rows_of, scripted_session, writes

from klaviyo_client.client import KlaviyoClient
from klaviyo_client.errors import NotAllowed, SettingsError
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.session import Session
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

ACCEPTED, REJECTED = OutcomeKind.ACCEPTED, OutcomeKind.REJECTED


@pytest.fixture
def session(account: RunningSandbox) -> Session:
    return Session(KlaviyoClient(KEY, api_url=account.url), job_timeout=60)


def push(session: Session, *found: dict[str, Any], **options: Any) -> list[Outcome]:
    return outcomes_of(session, "object_records", rows_of({"action": "object_records", **options}, *found))


def objects(account: RunningSandbox) -> dict[str, dict[str, Any]]:
    """Id -> what an object holds."""
    rows = account.store.resources["object-record"].rows.items()
    return {row_id: dict(row["record_properties"]) for row_id, row in rows}


def named(account: RunningSandbox, name: str) -> list[dict[str, Any]]:
    return [held for row_id, held in objects(account).items() if row_id.endswith(f"-{name}")]


def test_records_go_by_the_five_hundred(session: Session, account: RunningSandbox) -> None:
    """Columns are what a record holds; of one object the last word counts."""
    rows: list[dict[str, Any]] = [{"name": f"S{number}", "boxes": number} for number in range(510)]
    found = push(session, *rows, {"name": "S7", "boxes": 70}, data_source=SOURCE)
    assert {outcome.kind for outcome in found} == {ACCEPTED}
    sent = [(entry.operation, entry.items) for entry in account.requests if entry.method == "POST"]
    assert sent == [("bulk_create_data_source_records", 500), ("bulk_create_data_source_records", 11)]
    assert named(account, "S7") == [{"name": "S7", "boxes": 70}]


def test_a_request_holds_records_of_one_source() -> None:
    """The record's own source goes before that of the stream; a copy's object is the record."""
    session, wire = scripted_session(lambda _: respond(204))
    copied = {"object_type_id": "T", "object_record_id": "R", "record_properties": {"name": "S"}}
    found = push(session, copied, {"data_source_id": "other", "name": "B"}, {"name": "C"}, data_source="mine")
    assert [outcome.status for outcome in found] == [204] * 3
    bodies = [body_of(request)["data"] for request in writes(wire)]
    assert [body["relationships"]["data-source"]["data"]["id"] for body in bodies] == ["mine", "other"]
    rows = bodies[0]["attributes"]["data-source-records"]["data"]
    assert [row["attributes"]["record"] for row in rows] == [{"name": "S"}, {"name": "C"}]


def test_what_klaviyo_points_at_is_rejected_alone() -> None:
    """The rest is sent again without it."""

    def answer(request: Request) -> Response:
        rows = body_of(request)["data"]["attributes"]["data-source-records"]["data"]
        return refused(400, "/data/attributes/data-source-records/data/1") if len(rows) == 3 else respond(204)

    session, wire = scripted_session(answer)
    found = push(session, *({"name": name} for name in "ABC"), data_source=SOURCE)
    assert [outcome.kind for outcome in found] == [ACCEPTED, REJECTED, ACCEPTED]
    assert len(writes(wire)) == 2


def test_an_unknown_source_rejects_its_records_and_no_others(session: Session, account: RunningSandbox) -> None:
    """In one request: fifteen a minute may be sent."""
    rows = [{"data_source_id": "GONE", "name": f"S{number}"} for number in range(9)]
    found = push(session, *rows, {"data_source_id": SOURCE, "name": "A"})
    assert [outcome.kind for outcome in found] == [*[REJECTED] * 9, ACCEPTED]
    assert sum(entry.method == "POST" for entry in account.requests) == 2


def test_a_record_says_something_of_a_source() -> None:
    """One without a source, or without anything to send, is rejected before it is sent."""
    for record, code in (({"name": "A"}, "no_data_source"), ({"data_source_id": "S"}, "nothing_to_do")):
        with pytest.raises(RejectedRecord) as rejection:
            rows_of({"action": "object_records"}, record)
        assert rejection.value.code == code


def test_objects_are_deleted_where_it_is_asked_for(session: Session, account: RunningSandbox) -> None:
    """By the object's id; without the permission a mark of the source leaves the record out."""
    first, second, *_ = objects(account)
    marked = {"object_record_id": first, "_sdc_deleted_at": "2026-01-01"}
    assert push(session, marked, allow_deletion=True)[0].kind is ACCEPTED
    assert push(session, {"object_record_id": second}, mode="delete", allow_deletion=True)[0].kind is ACCEPTED
    assert not {first, second} & objects(account).keys()
    with pytest.raises(RejectedRecord) as rejection:
        rows_of({"action": "object_records"}, marked)
    assert rejection.value.kind is OutcomeKind.LEFT_OUT
    with pytest.raises(SettingsError, match="allow_deletion must be true"):
        parse_routes({"s": {"action": "object_records", "mode": "delete"}}, None, lambda: NOW)


def test_a_scope_that_is_missing_ends_the_run() -> None:
    """A refusal of the key is about no record."""
    session, _ = scripted_session(lambda _: refused(403, None))
    with pytest.raises(NotAllowed):
        push(session, {"name": "A"}, data_source=SOURCE)
