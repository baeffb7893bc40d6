"""What upsert_profile may be asked for: only people who exist, and nulls that clear."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import People, body_of, outcomes_of, refused, respond, rows_of, scripted_session, writes

from klaviyo_client.http.transport import Request, Response
from target_klaviyo.endpoints.profile_imports import MAX_SINGLE
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

UPDATE = {"action": "upsert_profile", "update_only": True}
CLEAR = {"action": "upsert_profile", "nulls": "clear"}
ADA = {"email": "ada@x.org"}


def taken(request: Request) -> Response:
    if request.url.endswith("/profile-import"):
        return respond(
            200, {"data": {"type": "profile", "id": "ID-" + body_of(request)["data"]["attributes"]["email"]}}
        )
    return respond(204)


def imported(request: Request) -> Any:
    assert request.url.endswith("/api/profile-import")
    return body_of(request)["data"]


def test_update_only_creates_nobody() -> None:
    """Whoever is not there is rejected, so that the record can be sent again when they are."""
    session, wire = scripted_session(People({"A": ADA}, write=taken))
    rows = rows_of(UPDATE, {**ADA, "title": "Countess"}, {"email": "new@x.org"}, {"phone_number": "+14155550100"})
    known, new, other = outcomes_of(session, "upsert_profile", rows)
    assert known == Outcome(OutcomeKind.DELIVERED, 200)
    assert (new.kind, new.code) == (other.kind, other.code) == (OutcomeKind.REJECTED, "not_found")
    assert [imported(request) for request in writes(wire)] == [
        {"type": "profile", "attributes": {**ADA, "title": "Countess"}}
    ]


def test_a_null_clears_only_when_asked() -> None:
    """By default a null says nothing; with clear it is sent as it is, in every kind of field."""
    record = {**ADA, "title": None, "location_city": None, "location_zip": "1", "score": None, "phone_number": None}
    [row] = rows_of({"action": "upsert_profile"}, record)
    assert row.payload["attributes"] == {**ADA, "location": {"zip": "1"}}
    [row] = rows_of(CLEAR, record)
    assert row.payload["attributes"] == {
        **ADA,
        "title": None,
        "location": {"city": None, "zip": "1"},
        "properties": {"score": None},
    }


def test_a_null_is_no_identifier_and_empties_no_whole_object() -> None:
    """Clearing an e-mail address would lose the person; location and properties are cleared field by field."""
    mapping = {"id": "kid", "unset": "gone", "location": "place", "properties": "more"}
    record = {**ADA, "kid": None, "external_id": None, "gone": None, "place": None, "more": None}
    [row] = rows_of({**CLEAR, "mapping": mapping}, record)
    assert row.payload == {"type": "profile", "attributes": ADA}
    with pytest.raises(RejectedRecord, match="no email"):
        rows_of(CLEAR, {"email": None, "title": "x"})
    with pytest.raises(RejectedRecord, match="first_name"):
        rows_of(CLEAR, {**ADA, "first_name": ["x"], "title": None})


def test_rows_with_nulls_never_go_in_bulk() -> None:
    """Klaviyo's bulk import clears nothing, so they go one by one beside the job."""

    def wire(request: Request) -> Response:
        if request.url.endswith("/profile-bulk-import-jobs"):
            return respond(202, {"data": {"type": "profile-bulk-import-job", "id": "J"}})
        if request.url.endswith("/J"):
            attributes = {"status": "complete", "total_count": 1, "failed_count": 0}
            return respond(200, {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": attributes}})
        return taken(request)

    session, asked = scripted_session(wire)
    plain = [{"email": f"p{i}@x.org", "title": "x"} for i in range(MAX_SINGLE + 1)]
    rows = rows_of(CLEAR, {**ADA, "title": None}, *plain, {"email": "b@x.org", "properties": {"deep": {"a": None}}})
    assert {outcome.kind for outcome in outcomes_of(session, "upsert_profile", rows)} == {OutcomeKind.DELIVERED}
    *alone, bulk = writes(asked)
    assert [imported(request)["attributes"]["email"] for request in alone] == ["ada@x.org", "b@x.org"]
    profiles = body_of(bulk)["data"]["attributes"]["profiles"]["data"]
    assert [profile["attributes"] for profile in profiles] == plain


def test_one_persons_rows_keep_their_order_whatever_they_clear() -> None:
    """A later value wins over an earlier null, and a later null over an earlier value."""
    session, wire = scripted_session(taken)
    rows = rows_of(CLEAR, {**ADA, "title": None, "image": "x"}, {**ADA, "title": "Countess", "image": None})
    outcomes_of(session, "upsert_profile", rows)
    assert [imported(request)["attributes"] for request in writes(wire)] == [
        {**ADA, "title": "Countess", "image": None}
    ]


def test_cleared_people_join_their_list_too() -> None:
    """What clears takes no list, so they are added by the id that it answers with; whoever it refuses is not."""

    def write(request: Request) -> Response:
        bad = b"bad@x.org" in (request.body or b"")
        return refused(400, "/data/attributes/title") if bad else taken(request)

    session, wire = scripted_session(People({}, {"LIST01": set()}, write))
    records = [{"email": f"{name}@x.org", "title": None} for name in ("a", "bad", "c")]
    outcomes = outcomes_of(session, "upsert_profile", rows_of({**CLEAR, "list": "LIST01"}, *records))
    assert [outcome.kind for outcome in outcomes] == [
        OutcomeKind.DELIVERED,
        OutcomeKind.REJECTED,
        OutcomeKind.DELIVERED,
    ]
    joined = writes(wire)[-1]
    assert (joined.method, joined.url.rpartition("/api/")[2]) == ("POST", "lists/LIST01/relationships/profiles")
    assert [entry["id"] for entry in body_of(joined)["data"]] == ["ID-a@x.org", "ID-c@x.org"]
