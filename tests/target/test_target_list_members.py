"""Who leaves a list, and how people are found for it."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import NOW, People, body_of, outcomes_of, refused, respond, rows_of, scripted_session, writes

from klaviyo_client.errors import NotAllowed, SettingsError
from klaviyo_client.http.transport import Request, Response
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.batches import encode_json
from target_klaviyo.endpoints import people
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord, SourceRecord

REMOVE = {"action": "list_members", "mode": "remove", "list": "LIST01"}


def crowd(count: int) -> dict[str, dict[str, Any]]:
    return {f"ID{i:04}": {"email": f"p{i}@example.com"} for i in range(count)}


def removed(request: Request) -> list[str]:
    assert request.method == "DELETE"
    assert request.url.endswith("/api/lists/LIST01/relationships/profiles")
    document = body_of(request)
    assert document == {"data": [{"type": "profile", "id": entry["id"]} for entry in document["data"]]}
    return [entry["id"] for entry in document["data"]]


def test_everybody_is_removed_in_requests_of_a_thousand() -> None:
    """2,050 people are looked up a hundred at a time, over every page, and leave in three requests."""
    account = People(crowd(2050), {"LIST01": set()}, size=30)
    session, wire = scripted_session(account)
    rows = rows_of(REMOVE, *account.profiles.values())
    assert {outcome.kind for outcome in outcomes_of(session, "list_members", rows)} == {OutcomeKind.DELIVERED}
    ids = [removed(request) for request in writes(wire)]
    assert [len(part) for part in ids] == [1000, 1000, 50]
    assert sorted(key for part in ids for key in part) == sorted(account.profiles)


def test_a_person_of_two_records_is_removed_once() -> None:
    """One record names them by e-mail in other letters, the other by external id."""
    session, wire = scripted_session(People({"A": {"email": "ada@x.org", "external_id": "7"}}, {"LIST01": {"A"}}))
    outcomes = outcomes_of(session, "list_members", rows_of(REMOVE, {"email": "Ada@X.org"}, {"external_id": "7"}))
    assert outcomes == [Outcome(OutcomeKind.DELIVERED, 204)] * 2
    assert [removed(request) for request in writes(wire)] == [["A"]]


def test_who_cannot_be_found_is_said() -> None:
    """It is what was wanted, but whoever mistyped an identifier must hear of it."""
    session, wire = scripted_session(People({}, {"LIST01": set()}))
    [outcome] = outcomes_of(session, "list_members", rows_of(REMOVE, {"email": "ada@x.org", "external_id": "7"}))
    assert (outcome.kind, outcome.code) == (OutcomeKind.DELIVERED, "not_found")
    assert "nobody was removed" in (outcome.reason or "")
    assert not writes(wire)


def test_a_klaviyo_id_needs_no_lookup() -> None:
    """A mapping that names it says whom to remove."""
    session, wire = scripted_session(People({}, {"LIST01": set()}))
    rows = rows_of({**REMOVE, "mapping": {"id": "kid"}}, {"kid": "A", "email": "ada@x.org"})
    assert outcomes_of(session, "list_members", rows) == [Outcome(OutcomeKind.DELIVERED, 204)]
    assert not [request for request in wire.asked if request.url.endswith("/api/profiles")]
    assert [removed(request) for request in writes(wire)] == [["A"]]


def test_whoever_klaviyo_does_not_know_has_left_and_the_rest_goes_again() -> None:
    """The refusal quotes them: no bisecting. Whom the account does not have, no list has."""

    def write(request: Request) -> Response:
        bad = [key for key in removed(request) if key.startswith("X")]
        if not bad:
            return respond(204)
        detail = f"Invalid profile IDs: {set(bad)}"
        error = {"code": "invalid", "title": "Invalid input.", "detail": detail, "source": {"pointer": "/data/"}}
        return respond(400, {"errors": [error]})

    session, wire = scripted_session(People({}, {"LIST01": set()}, write))
    rows = rows_of({**REMOVE, "mapping": {"id": "kid"}}, *({"kid": key} for key in ("A", "X1", "B", "X2")))
    outcomes = outcomes_of(session, "list_members", rows)
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.DELIVERED}
    assert [outcome.code for outcome in outcomes] == [None, "not_found", None, "not_found"]
    assert [removed(request) for request in writes(wire)] == [["A", "X1", "B", "X2"], ["A", "B"]]
    assert "X1" not in (outcomes[1].reason or "")


def test_a_list_that_vanished_rejects_its_own_rows_only() -> None:
    """Other lists' people still leave."""

    def write(request: Request) -> Response:
        return refused(404, None) if "/GONE01/" in request.url else respond(204)

    account = People(crowd(2), {"LIST01": set(), "GONE01": set()}, write)
    session, _ = scripted_session(account)
    records = (
        {**person, "list_id": name} for person, name in zip(account.profiles.values(), account.members, strict=True)
    )
    kinds = [outcome.kind for outcome in outcomes_of(session, "list_members", rows_of(REMOVE, *records))]
    assert kinds == [OutcomeKind.DELIVERED, OutcomeKind.REJECTED]


def test_a_removal_is_judged_by_what_it_looks_for_only() -> None:
    """Bad phone numbers, and fields that are not sent, keep nobody on a list; who is added is judged by everything."""
    record = {"email": "ada@x.org", "phone_number": "call me", "first_name": {"no": "text"}, "locale": 5}
    [row] = rows_of(REMOVE, record)
    assert row.payload == {"type": "profile", "attributes": {"email": "ada@x.org"}}
    assert row.note is not None
    assert (row.note.code, row.note.pointer) == ("identifier_left_out", "/phone_number")
    with pytest.raises(RejectedRecord):
        rows_of({**REMOVE, "mode": "add"}, record)
    with pytest.raises(RejectedRecord):
        rows_of(REMOVE, {"email": "ada", "phone_number": "call me"})


@pytest.mark.parametrize("mark", [None, "", " ", "null", False, "False", "0", 0])
def test_a_mark_of_deletion_that_says_no_removes_nobody(mark: Any) -> None:
    """CSV files have the column empty, or with a word; who is marked by a time or by yes leaves."""
    [row] = rows_of({**REMOVE, "mode": "add"}, {"email": "ada@x.org", "_sdc_deleted_at": mark})
    assert row.batch_key == ()
    for yes in ("2026-01-01T00:00:00Z", "2026-01-01", 1767225600, True, "true"):
        [row] = rows_of({**REMOVE, "mode": "add"}, {"email": "ada@x.org", "_sdc_deleted_at": yes})
        assert row.batch_key == ("remove",)
    with pytest.raises(RejectedRecord, match="_sdc_deleted_at is neither"):
        rows_of(REMOVE, {"email": "ada@x.org", "_sdc_deleted_at": "perhaps"})


def test_removing_sends_no_attributes_and_makes_no_list() -> None:
    """A removal must not change the person, and a list made for it would be empty."""
    [row] = rows_of(REMOVE, {"email": "ada@x.org", "first_name": "Ada"})
    assert row.payload == {"type": "profile", "attributes": {"email": "ada@x.org"}}
    with pytest.raises(SettingsError, match=r"streams\.s\.create_list"):
        parse_routes({"s": {**REMOVE, "create_list": True}}, None, lambda: NOW)


def person(**identifiers: str) -> Row:
    payload = {"type": "profile", "attributes": identifiers}
    return Row(SourceRecord("s", identifiers), payload, encode_json(payload))


def test_people_are_found_by_their_strongest_identifier_that_is_known() -> None:
    """As Klaviyo itself would take them: by e-mail, else by phone, else by external id."""
    account = People({"A": {"email": "a@x.org"}, "B": {"external_id": "7"}, "C": {"phone_number": "+14155550100"}})
    both = person(email="a@x.org", external_id="7")
    moved = person(email="new@x.org", external_id="7")
    called = person(email="c@x.org", phone_number="+14155550100")
    nobody = person(external_id='"],[')
    answer = people.find_profiles(scripted_session(account)[0], [both, moved, called, nobody])
    assert answer.ids == {both: "A", moved: "B", called: "C"}
    assert not answer.refused


def test_a_filter_never_outgrows_an_address() -> None:
    """A hundred long identifiers would make an address that servers refuse."""
    session, wire = scripted_session(People({}))
    people.find_profiles(session, [person(external_id=f"{i:0>250}") for i in range(100)])
    assert len(wire.asked) == 5
    assert max(len(request.query["filter"]) for request in wire.asked) < 6100


def test_an_identifier_that_klaviyo_will_not_look_for_rejects_its_row_only() -> None:
    """One odd phone number among a hundred does not keep the others from being found."""
    account = People({f"ID{i}": {"phone_number": f"+1415555{i:04}"} for i in range(100)})

    def wire(request: Request) -> Response:
        return refused(400, None) if "5550077" in request.query["filter"] else account(request)

    rows = [person(**attributes) for attributes in account.profiles.values()]
    answer = people.find_profiles(scripted_session(wire)[0], rows)
    assert len(answer.ids) == 99
    assert [outcome.status for outcome in answer.refused.values()] == [400]


def test_a_key_that_may_not_read_profiles_stops_the_run() -> None:
    """Nobody would be found, and everything would look well."""
    with pytest.raises(NotAllowed, match="profiles:read"):
        people.find_profiles(scripted_session(lambda _: refused(403, None))[0], [person(email="a@x.org")])
