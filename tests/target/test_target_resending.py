"""What Klaviyo refuses of a person is left out, and the person is sent: attributes, channels, others' identifiers."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import ADA, Command, body_of, outcomes_of, records, refused, respond, rows_of, scripted_session

from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox

PEOPLE: dict[str, Any] = {"type": "SCHEMA", "stream": "people", "key_properties": [], "schema": {"properties": {}}}
DROP = {"on_bad_value": "drop"}


class Strict:
    """Takes no profile that has the attribute ``bad``, and points at it; keeps what it takes."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad
        self.kept: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            job = {"status": "complete", "total_count": 9, "failed_count": 0}
            return respond(200, {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": job}})
        data = body_of(request)["data"]
        is_job = "bulk" in request.url
        profiles = data["attributes"]["profiles"]["data"] if is_job else [data]
        pointers = [
            f"/data/attributes{f'/profiles/data/{index}/attributes' if is_job else ''}/{name}"
            for index, profile in enumerate(profiles)
            for name in self.bad
            if name.partition("/")[0] in profile["attributes"]
            and ("/" not in name or name.partition("/")[2] in profile["attributes"][name.partition("/")[0]])
        ]
        if pointers:
            return refused(400, *pointers)
        self.kept += [profile["attributes"] for profile in profiles]
        return respond(202, {"data": {"type": "x", "id": "J"}})


@pytest.mark.parametrize("many", [1, 30])
@pytest.mark.parametrize("bad", ["locale", "location/timezone", "properties/odd", "phone_number"])
def test_an_attribute_that_klaviyo_refuses_is_left_out(bad: str, many: int) -> None:
    """Alone and in a job; the others have theirs, and the outcome tells."""
    full = {
        "locale": "xx",
        "location": {"timezone": "x", "city": "Bath"},
        "odd": 1,
        "fine": 2,
        "phone_number": "+15005550006",
    }
    found = [{"email": f"p{n}@example.com", **full} for n in range(many)]
    account = Strict(bad)
    outcomes = outcomes_of(
        scripted_session(account)[0], "upsert_profile", rows_of({"action": "upsert_profile", **DROP}, *found)
    )
    assert {(outcome.kind, outcome.pointer) for outcome in outcomes} == {("delivered", f"/{bad}")}
    assert len(account.kept) == many
    head, _, below = bad.partition("/")
    for attributes in account.kept:
        assert (below not in attributes[head]) if below else (head not in attributes)
        assert len(attributes) == 5 - (not below)
    assert all(len(outcome.left_out) == 1 for outcome in outcomes)


@pytest.mark.parametrize(
    ("bad", "entry"), [("email", DROP), ("properties", DROP), ("locale", {"on_bad_value": "reject"}), ("nothing", DROP)]
)
def test_what_cannot_be_left_out_rejects(bad: str, entry: dict[str, Any]) -> None:
    """The last identifier, all of the properties, and whatever the stream says."""
    account = Strict(bad) if bad != "nothing" else (lambda request: refused(400, "/data/attributes"))
    rows = rows_of({"action": "upsert_profile", **entry}, {**ADA, "locale": "xx", "odd": 1})
    (outcome,) = outcomes_of(scripted_session(account)[0], "upsert_profile", rows)
    assert outcome.kind == "rejected"


def test_a_good_row_of_the_person_keeps_its_value() -> None:
    """Rows that were sent as one are told apart first."""
    rows = rows_of({"action": "upsert_profile", **DROP}, {**ADA, "title": "Dr"}, {**ADA, "locale": "xx", "title": "Ms"})
    account = Strict("locale")
    first, second = outcomes_of(scripted_session(account)[0], "upsert_profile", rows)
    assert (first.code, second.code) == (None, "value_left_out")
    assert account.kept == [{**ADA, "title": "Dr"}, {**ADA, "title": "Ms"}]


@pytest.mark.parametrize(
    "action", [{"action": "upsert_profile"}, {"action": "list_members", "list": "New", "create_list": True}]
)
@pytest.mark.parametrize("choice", ["reject", "update_strongest"])
def test_a_conflict_updates_the_strongest_where_the_stream_says_so(
    target: Command, account: RunningSandbox, action: dict[str, Any], choice: str
) -> None:
    """The e-mail address says whose the record is; the number stays with whoever has it. By default it is rejected."""
    first = [{"email": "ada@example.com"}, {"phone_number": "+15005550006"}]
    assert target([PEOPLE, *records("people", first)], streams={"people": {"action": "upsert_profile"}}).code == 0
    row = {"email": "ada@example.com", "phone_number": "+15005550006", "external_id": "a1", "first_name": "Ada"}
    run = target([PEOPLE, *records("people", [row, {"email": "b@example.com"}])],
                 streams={"people": {**action, "on_conflict": choice}}, report_path="run.json")  # fmt: skip
    assert run.code == 0, run.stderr
    found = {person.get("email") or person["phone_number"]: person for person in account.store.profiles.rows.values()}
    assert found["+15005550006"].get("first_name") is None
    if choice == "reject":
        assert [line["code"] for line in run.rejected] == ["duplicate_profile"]
        return
    assert run.rejected == []
    ada = found["ada@example.com"]
    assert (ada["first_name"], ada.get("phone_number"), ada.get("external_id")) == ("Ada", None, None)
    assert "people: left out of 1 record: phone_number" in run.stderr
    assert "people: left out of 1 record: external_id" in run.stderr


@pytest.mark.parametrize("choice", ["drop", "reject"])
def test_email_consent_is_given_where_sms_is_not_possible(
    target: Command, account: RunningSandbox, choice: str
) -> None:
    """The account has no number to send from in that region: the outcome tells, and the others have both."""
    account.store.sms_prefixes = ("+1",)
    rows = [
        {"email": "ada@example.com", "phone_number": "+442079460958"},
        {"email": "bob@example.com", "phone_number": "+12025550123"},
        {"email": "cleo@example.com"},
        {"phone_number": "+442079460959"},
    ]
    entry = {"action": "subscribe", "channels": ["email", "sms"], "on_bad_value": choice}
    run = target([PEOPLE, *records("people", rows)], streams={"people": entry})
    found = {person.get("email"): person for person in account.store.profiles.rows.values()}
    consent = {
        email: (
            found[email]["subscriptions"]["email"]["marketing"]["consent"],
            found[email]["subscriptions"]["sms"]["marketing"]["consent"],
        )
        for email in ("ada@example.com", "bob@example.com", "cleo@example.com")
        if email in found
    }
    assert consent["bob@example.com"] == ("SUBSCRIBED", "SUBSCRIBED")
    assert consent["cleo@example.com"] == ("SUBSCRIBED", "NEVER_SUBSCRIBED")
    if choice == "drop":
        assert consent["ada@example.com"] == ("SUBSCRIBED", "NEVER_SUBSCRIBED")
        assert len(run.rejected) == 1
        assert "channel_left_out" in run.stderr
    else:
        assert "ada@example.com" not in consent
        assert len(run.rejected) == 2


def test_email_consent_is_given_also_where_address_and_number_are_sent_apart(
    target: Command, account: RunningSandbox
) -> None:
    """An address with a second number: the two go as two people's, and the record is no less accepted."""
    account.store.sms_prefixes = ("+1",)
    rows = [{**ADA, "phone_number": "+12025550123"}, {**ADA, "phone_number": "+442079460958"}]
    entry = {"action": "subscribe", "channels": ["email", "sms"]}
    run = target([PEOPLE, *records("people", rows)], streams={"people": entry})
    assert (run.code, run.rejected) == (0, []), run.stderr
    assert "left out of 1 record: phone_number (channel_left_out" in run.stderr
    run = target([PEOPLE, *records("people", rows)], streams={"people": {**entry, "on_bad_value": "reject"}})
    assert [line["record"] for line in run.rejected] == rows[1:]
