"""Merging: two profiles of one person become one, and nobody is merged by accident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from target_support import (
    Command,
    People,
    body_of,
    outcomes_of,
    records,
    respond,
    rows_of,
    schema_of,
    scripted_session,
    writes,
)

from klaviyo_client.errors import CapExceeded, SettingsError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import OutcomeKind, RejectedRecord

MERGE = {"action": "merge_profiles", "allow_merging": True}
ADA, OLD = {"email": "ada@example.com"}, {"email": "old@example.com", "external_id": "7"}


def merges_in(wire: Any) -> list[tuple[str, str]]:
    """(who was merged, into whom)."""
    documents = [body_of(request)["data"] for request in writes(wire)]
    return [(one["relationships"]["profiles"]["data"][0]["id"], one["id"]) for one in documents]


def session_of(profiles: Mapping[str, dict[str, Any]]) -> Any:
    answer = respond(201, {"data": {"type": "profile", "id": "x"}})
    return scripted_session(People(dict(profiles), write=lambda _: answer))


def test_two_profiles_become_one(target: Command, account: RunningSandbox) -> None:
    """Whatever the one had and the other lacked; a rehearsal merges nobody, and a second run finds it done."""
    people = [{**ADA, "first_name": "Ada"}, {**OLD, "first_name": "Old", "last_name": "Moss"}]
    target([schema_of("people"), *records("people", people)], streams={"people": {"action": "upsert_profile"}})
    before = len(account.store.profiles.rows)
    feed = [{"type": "SCHEMA", "stream": "twins", "key_properties": [], "schema": {}},
            *records("twins", [{**ADA, "merged_external_id": "7"}])]  # fmt: skip
    rehearsed = target(feed, streams={"twins": MERGE}, dry_run=True)
    assert rehearsed.code == 0, rehearsed.stderr
    assert "1 record: 1 would be sent" in rehearsed.stderr
    assert len(account.store.profiles.rows) == before
    for expected in ("0 delivered, 1 accepted, 0 rejected", "1 delivered, 0 accepted, 0 rejected"):
        run = target(feed, streams={"twins": MERGE})
        assert run.code == 0, run.stderr
        assert expected in run.stderr
    assert len(account.store.profiles.rows) == before - 1
    [ada] = [row for row in account.store.profiles.rows.values() if row["email"] == ADA["email"]]
    assert (ada["first_name"], ada["external_id"]) == ("Ada", "7")


def test_a_run_merges_no_more_than_it_may(target: Command, account: RunningSandbox) -> None:
    """At one more it ends with exit code 3, and what was merged has its outcome."""
    people = [{"email": f"p{number}@example.com"} for number in range(4)]
    target([schema_of("people"), *records("people", people)], streams={"people": {"action": "upsert_profile"}})
    twins = [{**people[0], "merged_email": person["email"]} for person in people[1:]]
    feed = [{"type": "SCHEMA", "stream": "twins", "key_properties": [], "schema": {}}, *records("twins", twins)]
    run = target(feed, streams={"twins": {**MERGE, "max_merges": 2}})
    assert run.code == 3
    assert "the most that max_merges allows" in run.stderr
    left = {row["email"] for row in account.store.profiles.rows.values()}
    assert {"p0@example.com", "p3@example.com"} <= left
    assert not {"p1@example.com", "p2@example.com"} & left


def test_it_must_be_asked_for() -> None:
    """As a deletion must: neither can be undone."""
    for entry in ({"action": "merge_profiles"}, {**MERGE, "allow_merging": False}):
        with pytest.raises(SettingsError, match="allow_merging must be true"):
            parse_routes({"s": entry}, None)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (ADA, "invalid_field"),
        ({"merged_email": "old@example.com"}, "no_identifier"),
        ({**ADA, "merged_email": "nobody"}, "invalid_email"),
        ({**ADA, "merged_phone_number": "555"}, "invalid_field"),
    ],
)
def test_a_record_must_name_both(record: dict[str, Any], code: str) -> None:
    """Nobody is merged whom a record does not name."""
    with pytest.raises(RejectedRecord) as caught:
        rows_of(MERGE, record)
    assert caught.value.code == code


def test_who_is_gone_is_done_and_who_should_stay_must_be_there() -> None:
    """Also where both identifiers are one profile's, and where a merged one is named again in the same run."""
    session, wire = session_of({"A": ADA, "B": OLD, "C": {"email": "c@example.com"}})
    rows = rows_of(
        MERGE,
        {**ADA, "merged_email": OLD["email"]},
        {"email": "c@example.com", "merged_email": OLD["email"]},
        {"email": "c@example.com", "merged_email": ADA["email"]},
        {**ADA, "merged_email": "c@example.com"},
        {**ADA, "merged_email": "none@example.com"},
        {"email": "none@example.com", "merged_email": ADA["email"]},
    )
    outcomes = outcomes_of(session, "merge_profiles", rows)
    assert [(one.kind, one.code) for one in outcomes] == [
        (OutcomeKind.ACCEPTED, None),
        (OutcomeKind.DELIVERED, "not_found"),
        (OutcomeKind.ACCEPTED, None),
        (OutcomeKind.DELIVERED, "same_profile"),
        (OutcomeKind.DELIVERED, "not_found"),
        (OutcomeKind.REJECTED, "not_found"),
    ]
    assert merges_in(wire) == [("B", "A"), ("A", "C")]


def test_the_cap_counts_what_is_asked_for_only() -> None:
    """What is done already takes nothing of it."""
    session, _ = session_of({"A": ADA, "B": OLD})
    rows = rows_of({**MERGE, "max_merges": 0}, {**ADA, "merged_email": "none@example.com"})
    assert [one.kind for one in outcomes_of(session, "merge_profiles", rows)] == [OutcomeKind.DELIVERED]
    with pytest.raises(CapExceeded):
        outcomes_of(session, "merge_profiles", rows_of({**MERGE, "max_merges": 0}, {**ADA, "merged_external_id": "7"}))
