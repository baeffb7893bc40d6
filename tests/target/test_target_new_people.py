"""Upserts that leave people alone who exist: create_only, and fields that are set only where they are empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from target_support import (
    Command,
    People,
    body_of,
    outcomes_of,
    records,
    refused,
    respond,
    rows_of,
    schema_of,
    scripted_session,
    writes,
)

from klaviyo_client.errors import SettingsError
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.route_settings import check_columns, parse_routes
from target_klaviyo.model.records import OutcomeKind, RejectedRecord

CREATE = {"action": "upsert_profile", "create_only": True}
ADA = {"email": "ada@example.com"}


def if_empty(*names: str, **more: Any) -> dict[str, Any]:
    return {"action": "upsert_profile", "set_if_empty": list(names), **more}


def people_of(account: RunningSandbox) -> Mapping[str, Mapping[str, Any]]:
    return {row["email"]: row for row in account.store.profiles.rows.values() if row.get("email")}


def taken(request: Request) -> Response:
    attributes = body_of(request)["data"].get("attributes", {}) if request.url.endswith(("profiles", "import")) else {}
    return respond(201, {"data": {"type": "profile", "id": f"ID-{attributes.get('email')}"}})


def test_only_who_does_not_exist_is_created(target: Command, account: RunningSandbox) -> None:
    """Whoever exists stays as they are and off the list, is counted as left out, and fails no run; twice is once."""
    target([schema_of("people"), *records("people", [{**ADA, "first_name": "Ada"}])],
           streams={"people": {"action": "upsert_profile"}})  # fmt: skip
    rows = [{**ADA, "first_name": "X"}, {"email": "new@example.com", "first_name": "New"},
            {"email": "new@example.com", "first_name": "Again"}, {"email": "bad"}]  # fmt: skip
    entry = {**CREATE, "list": "Fresh", "create_list": True}
    for expected in ("1 delivered, 0 accepted, 1 rejected, 2 left out", "0 delivered, 0 accepted, 1 rejected, 3 left"):
        run = target([schema_of("people"), *records("people", rows)], streams={"people": entry})
        assert run.code == 0, run.stderr
        assert expected in run.stderr
    people = people_of(account)
    assert (people["ada@example.com"]["first_name"], people["new@example.com"]["first_name"]) == ("Ada", "New")
    [fresh] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == "Fresh"]
    assert list(account.store.list_members[fresh].rows) == [people["new@example.com"]["id"]]


def test_a_rehearsal_creates_nobody_and_counts_who_exists(target: Command, account: RunningSandbox) -> None:
    """The plan says how many there are of each."""
    before = len(account.store.profiles.rows)
    known = next(iter(people_of(account)))
    rows = [{"email": known}, {"email": "new@example.com"}]
    run = target([schema_of("people"), *records("people", rows)], streams={"people": CREATE}, dry_run=True)
    assert run.code == 0, run.stderr
    assert "2 records: 1 would be sent, 0 would be rejected, 1 would be left out" in run.stderr
    assert len(account.store.profiles.rows) == before


def test_who_is_created_meanwhile_is_left_alone() -> None:
    """Klaviyo's 409 comes where the look-up found nobody; an id of nobody's is refused; bad fields are left out."""

    def write(request: Request) -> Response:
        text = request.body or b""
        if b"raced" in text:
            return respond(409, {"errors": [{"code": "duplicate_profile", "title": "Conflict.", "detail": "No."}]})
        return refused(400, "/data/attributes/title") if b"title" in text else taken(request)

    session, wire = scripted_session(People({"A": ADA}, write=write))
    mapped = {**CREATE, "mapping": {"id": "kid"}, "on_bad_value": "drop"}
    rows = rows_of(mapped, ADA, {"email": "raced@x.org"}, {"kid": "NOBODY"}, {"email": "t@x.org", "title": "x"})
    outcomes = outcomes_of(session, "upsert_profile", rows)
    assert [(one.kind, one.code) for one in outcomes] == [
        (OutcomeKind.LEFT_OUT, "exists"),
        (OutcomeKind.LEFT_OUT, "exists"),
        (OutcomeKind.REJECTED, "not_found"),
        (OutcomeKind.DELIVERED, "value_left_out"),
    ]
    assert {request.url.rpartition("/api/")[2] for request in writes(wire)} == {"profiles"}


def test_of_a_new_persons_rows_the_first_creates_them() -> None:
    """Also where the rows share one identifier only; and where the first is refused, the next does."""

    def write(request: Request) -> Response:
        email = body_of(request)["data"]["attributes"].get("email", "")
        return refused(400, "/data/attributes/email") if email == "bad@x.org" else taken(request)

    session, wire = scripted_session(People({}, write=write))
    rows = rows_of(CREATE, {"email": "bad@x.org", "external_id": "1", "on_bad_value": "x"}, {"external_id": "1"})
    outcomes_of(session, "upsert_profile", rows)
    assert [body_of(request)["data"]["attributes"].get("external_id") for request in writes(wire)][-1] == "1"


def test_create_only_does_not_go_with_what_changes_people() -> None:
    """Settings and records that cannot be meant are refused."""
    for other in ({"update_only": True}, {"set_if_empty": ["title"]}):
        with pytest.raises(SettingsError, match="create_only does not work with"):
            parse_routes({"people": {**CREATE, **other}}, None)
    with pytest.raises(RejectedRecord, match="append changes people who exist"):
        rows_of({**CREATE, "mapping": {"append": "more"}}, {**ADA, "more": {"Tags": "x"}})


# Only where it is empty -----------------------------------------------------------------------------------------------


def test_what_people_have_stays(target: Command, account: RunningSandbox) -> None:
    """Fields, members of the location and custom properties; what is not named is written as ever, as are others."""
    have = {**ADA, "first_name": "Ada", "Source": "shop", "Visits": 0, "title": "x", "location_city": "Rome"}
    says = {**have, "first_name": "X", "Source": "form", "Visits": 7, "title": "y", "location_city": "Oslo"}
    says |= {"location_zip": "1", "Tier": "A"}
    columns: dict[str, Any] = {name: {} for name in says}
    schema = {"type": "SCHEMA", "stream": "people", "key_properties": [], "schema": {"properties": columns}}
    target([schema, *records("people", [have])], streams={"people": {"action": "upsert_profile"}})
    entry = if_empty("first_name", "location", "Source", "Visits", "properties.Tier")
    run = target([schema, *records("people", [says, {**says, "email": "new@example.com"}])], streams={"people": entry})
    assert run.code == 0, run.stderr
    ada, other = (people_of(account)[f"{name}@example.com"] for name in ("ada", "new"))
    assert (ada["first_name"], ada["title"]) == ("Ada", "y")
    assert (ada["location"]["city"], ada["location"]["zip"]) == ("Rome", "1")
    assert ada["properties"] == {"Source": "shop", "Visits": 0, "Tier": "A"}
    assert (other["first_name"], other["location"]["city"]) == ("X", "Oslo")
    assert other["properties"] == {"Source": "form", "Visits": 7, "Tier": "A"}


def answering(attributes: Mapping[str, Any], write: Callable[[Request], Response] = taken) -> People:
    return People({"A": {**ADA, **attributes}}, write=write)


@pytest.mark.parametrize("empty", [None, "", "  ", [], {}])
def test_what_says_nothing_is_empty(empty: Any) -> None:
    """A null, a blank text, an empty list; zero and false are values."""
    for value, is_sent in ((empty, True), (0, False), (False, False), ("x", False)):
        session, wire = scripted_session(answering({"properties": {"Tier": value}}))
        [outcome] = outcomes_of(session, "upsert_profile", rows_of(if_empty("Tier"), {**ADA, "Tier": "A"}))
        assert outcome.kind is (OutcomeKind.DELIVERED if is_sent else OutcomeKind.LEFT_OUT)
        assert outcome.code == (None if is_sent else "has_values")
        assert len(writes(wire)) == is_sent


def test_of_several_rows_of_a_person_the_first_sets_it() -> None:
    """In one batch nobody can have read what the first has set."""
    session, wire = scripted_session(answering({}))
    rows = rows_of(if_empty("title"), {**ADA, "title": "a"}, {**ADA, "title": "b", "locale": "de-DE"})
    outcomes_of(session, "upsert_profile", rows)
    assert [body_of(request)["data"]["attributes"] for request in writes(wire)] == [
        {**ADA, "title": "a", "locale": "de-DE"}
    ]


def test_who_has_all_of_it_joins_the_list_all_the_same() -> None:
    """Only a row of which nothing is left is left out."""
    session, wire = scripted_session(
        People(
            {"A": {**ADA, "title": "x"}}, {"LIST01": set()}, lambda _: refused(400, "/data/relationships/lists/data/0")
        )
    )
    outcomes_of(session, "upsert_profile", rows_of(if_empty("title", list="LIST01"), {**ADA, "title": "a"}))
    [request] = writes(wire)
    [profile] = body_of(request)["data"]["attributes"]["profiles"]["data"]
    assert profile["attributes"] == ADA


def test_names_are_those_of_fields_columns_and_properties() -> None:
    """A name that nothing comes in by would let a value be overwritten, and identifiers are never set so."""
    entry = if_empty("Vorname", "location_city", "location.zip", "Loyalty Tier", mapping={"first_name": "Vorname"})
    route = parse_routes({"people": entry}, None)["people"]
    assert route.options["set_if_empty"] == (
        ("first_name",), ("location", "city"), ("location", "zip"), ("properties", "Loyalty Tier"))  # fmt: skip
    assert check_columns("people", route, ["email", "Vorname", "Loyalty Tier"]) == []
    with pytest.raises(SettingsError, match="nothing comes in as Loyalty Tier: did you mean Loyalty Tiers"):
        check_columns("people", route, ["email", "Vorname", "Loyalty Tiers"])
    for name in ("email", "id", "append", "external_id"):
        with pytest.raises(SettingsError, match="set_if_empty must not name"):
            parse_routes({"people": if_empty(name)}, None)
