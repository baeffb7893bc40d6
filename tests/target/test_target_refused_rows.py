"""Rows of one person are sent as one; what Klaviyo refuses of it is the bad row's fault, and no other's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from target_support import Command, People, body_of, outcomes_of, records, refused, respond, rows_of, scripted_session

from klaviyo_client.errors import RevisionRetired
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox

ADA = {"email": "ada@example.com"}
_IMPORTS = "https://a.klaviyo.com/api/profile-bulk-import-jobs"
PROFILES = "/data/attributes/profiles/data"


def is_bad(profile: Mapping[str, Any]) -> bool:
    return bool(profile["attributes"].get("last_name") == "bad")


class Account:
    """Refuses whoever is called bad, at once or in the job, and keeps what was taken of each by their address."""

    def __init__(self, how: str) -> None:
        self.how, self.requests = how, 0
        self.failed: list[dict[str, Any]] = []
        self.kept: dict[str, dict[str, Any]] = {}

    def __call__(self, request: Request) -> Response:
        if request.method != "GET":
            self.requests += 1
            return self._take(body_of(request)["data"], request.url == _IMPORTS)
        if request.url.endswith("/import-errors"):
            return respond(200, {"data": [{"type": "import-error", "id": "1", "attributes": e} for e in self.failed]})
        if request.url.startswith(_IMPORTS):
            job = {"status": "complete", "total_count": 9, "failed_count": len(self.failed)}
            return respond(200, {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": job}})
        return respond(200, {"data": {"type": "list", "id": "News1", "attributes": {"name": "News"}}})

    def _take(self, data: dict[str, Any], is_job: bool) -> Response:
        profiles = data["attributes"]["profiles"]["data"] if is_job else [data]
        bad = [index for index, profile in enumerate(profiles) if is_bad(profile)]
        if bad and (self.how != "in the job" or not is_job):
            return refused(409 if self.how == "409" else 400,
                           *(f"{PROFILES}/{index}" if self.how == "pointed at" else None for index in bad))  # fmt: skip
        self.failed = [{"code": "bad", "original_payload": profiles[index]["attributes"]} for index in bad]
        for profile in profiles:
            if not is_bad(profile):
                self.kept.setdefault(profile["attributes"]["email"], {}).update(profile["attributes"])
        return respond(202, {"data": {"type": "x", "id": "J"}})


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=12),
    st.sampled_from(["pointed at", "pointed nowhere", "409", "in the job"]),
    st.sampled_from(["upsert_profile", "list_members"]),
)
def test_a_bad_row_rejects_no_other_of_its_person(rows: list[tuple[int, bool]], how: str, action: str) -> None:
    """Whoever's rows are merged: the good ones are there, the latest counts, and only bad ones are rejected."""
    found = [
        {"email": f"p{who}@example.com", "first_name": f"n{index}", **({"last_name": "bad"} if bad else {})}
        for index, (who, bad) in enumerate(rows)
    ]
    account = Account(how)
    entry = {"action": action, **({"list": "News1"} if action == "list_members" else {})}
    outcomes = outcomes_of(scripted_session(account)[0], action, rows_of(entry, *found))
    assert [outcome.kind == "rejected" for outcome in outcomes] == [bad for _, bad in rows]
    last = {who: index for index, (who, bad) in enumerate(rows) if not bad}
    assert {who: account.kept[f"p{who}@example.com"]["first_name"] for who in last} == {
        who: f"n{index}" for who, index in last.items()
    }


def test_one_bad_row_of_hundreds_is_found_in_a_few_requests() -> None:
    """In halves, like those of many people."""
    rows = [{**ADA, f"k{index}": 1, **({"last_name": "bad"} if index == 77 else {})} for index in range(256)]
    account = Account("pointed at")
    outcomes = outcomes_of(scripted_session(account)[0], "upsert_profile", rows_of({"action": "upsert_profile"}, *rows))
    assert [index for index, outcome in enumerate(outcomes) if outcome.kind == "rejected"] == [77]
    assert account.requests <= 17


@pytest.mark.parametrize("bad_first", [True, False])
def test_a_refused_number_keeps_nobody_from_leaving_a_list_by_e_mail(bad_first: bool) -> None:
    """One person by an address and by a number: refused together, each is asked for by itself, until one is taken."""
    taken: list[dict[str, Any]] = []

    def write(request: Request) -> Response:
        [profile] = body_of(request)["data"]["attributes"]["profiles"]["data"]
        if "phone_number" in profile["attributes"]:
            return refused(400, f"{PROFILES}/0/attributes/phone_number")
        taken.append(profile["attributes"])
        return respond(202)

    ada = {**ADA, "phone_number": "+14155550100"}
    session, _ = scripted_session(People({"A": ada}, {"News1": {"A"}}, write=write))
    pieces = [{"phone_number": ada["phone_number"], "channels": ["sms"]}, {**ADA, "channels": ["email"]}]
    found = pieces if bad_first else pieces[::-1]
    outcomes = outcomes_of(session, "unsubscribe", rows_of({"action": "unsubscribe", "list": "News1"}, *found))
    assert [outcome.kind == "rejected" for outcome in outcomes] == [bad_first, not bad_first]
    assert [list(attributes) for attributes in taken] == [["email", "subscriptions"]]


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "suppress", "unsuppress"])
def test_a_refused_spelling_rejects_no_other(action: str) -> None:
    """What can differ between rows of one person's consent is how the address is written."""

    def wire(request: Request) -> Response:
        if request.method == "GET":
            return respond(200, {"data": {"type": "job", "id": "J", "attributes": {"status": "complete"}}})
        profiles = body_of(request)["data"]["attributes"]["profiles"]["data"]
        bad = [index for index, profile in enumerate(profiles) if profile["attributes"]["email"] == "ADA@example.com"]
        if bad:
            return refused(400, f"{PROFILES}/{bad[0]}/attributes/email")
        return respond(202, {"data": {"type": "job", "id": "J"}})

    rows = rows_of({"action": action}, ADA, ADA, {"email": "ADA@example.com"})
    found = [outcome.kind == "rejected" for outcome in outcomes_of(scripted_session(wire)[0], action, rows)]
    assert found == [False, False, True]


def events(*changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**ADA, "metric": "Waved", "unique_id": "1", "properties": {"n": 1}, **change} for change in changes]


@pytest.mark.parametrize("pointer", ["/events/data/0/attributes/properties", "/profile/data/attributes/last_name"])
def test_a_bad_event_rejects_no_other_of_its_id(pointer: str) -> None:
    """Of two events with one id the first is sent; where it is refused for what the second has not, that is sent."""

    def wire(request: Request) -> Response:
        if "bad" not in json.dumps(body_of(request)):
            return respond(202)
        return refused(400, f"/data/attributes/events-bulk-create/data/0/attributes{pointer}")

    bad = {"profile": {"last_name": "bad"}} if "profile" in pointer else {"properties": {"n": "bad"}}
    rows = rows_of({"action": "track_event"}, *events(bad, {}, bad))
    found = outcomes_of(scripted_session(wire)[0], "track_event", rows)
    assert [outcome.kind == "rejected" for outcome in found] == [True, False, True]


def test_rows_of_one_person_land_although_one_is_bad(target: Command, account: RunningSandbox) -> None:
    """From lines to the account: the second row's number is none, the third's name counts."""
    rows = [{**ADA, "first_name": "Ada"}, {**ADA, "phone_number": "+10000000000"}, {**ADA, "last_name": "Moss"}]
    schema = {"type": "SCHEMA", "stream": "s", "schema": {"properties": {"email": {}, "first_name": {},
              "last_name": {}, "phone_number": {}}}}  # fmt: skip
    entry = {"action": "list_members", "on_bad_value": "reject", "list": "News", "create_list": True}
    run = target([schema, *records("s", rows)], streams={"s": entry})
    assert (run.code, [line["record"] for line in run.rejected]) == (0, [rows[1]])
    [ada] = [row for row in account.store.profiles.rows.values() if row["email"] == ADA["email"]]
    assert (ada["first_name"], ada["last_name"]) == ("Ada", "Moss")


@pytest.mark.parametrize("action", ["upsert_profile", "track_event", "suppress", "subscribe"])
def test_a_404_about_somebody_rejects_nobody_else(action: str) -> None:
    """A request that names no list can only miss a person: that one is looked for, and the others are done."""

    def wire(request: Request) -> Response:
        if request.method == "GET":
            job = {"status": "complete", "total_count": 1, "failed_count": 0}
            return respond(200, {"data": {"type": "job", "id": "J", "attributes": job}})
        if "p7@" in json.dumps(body_of(request)):
            return refused(404, None)
        return respond(202, {"data": {"type": "job", "id": "J"}})

    entry: dict[str, Any] = {"action": action}
    rows = rows_of(entry, *({"email": f"p{n}@example.com", "metric": "Waved"} for n in range(30)))
    found = outcomes_of(scripted_session(wire)[0], action, rows)
    assert [index for index, outcome in enumerate(found) if outcome.kind == "rejected"] == [7]


@pytest.mark.parametrize("bad", [range(60), range(140, 200), range(0, 200, 3)], ids=["first", "last", "third"])
@pytest.mark.parametrize("action", ["upsert_profile", "subscribe", "suppress", "track_event"])
def test_bad_rows_that_are_named_one_at_a_time_end_no_run(action: str, bad: range) -> None:
    """Where each refusal names the first bad row only, the good ones are found before patience is over."""
    asked: list[str] = []

    def wire(request: Request) -> Response:
        if request.method == "GET":
            job = {"status": "complete", "total_count": 1, "failed_count": 0}
            return respond(200, {"data": {"type": "job", "id": "J", "attributes": job}})
        asked.append(request.url)
        emails = re.findall(r"p(\d+)@", (request.body or b"").decode())
        index = next((index for index, number in enumerate(emails) if int(number) in bad), None)
        if index is None:
            return respond(202, {"data": {"type": "job", "id": "J"}})
        is_event = action == "track_event"
        return refused(400, f"/data/attributes/events-bulk-create/data/{index}" if is_event else f"{PROFILES}/{index}")

    rows = rows_of({"action": action}, *({"email": f"p{n}@example.com", "metric": "Waved"} for n in range(200)))
    found = outcomes_of(scripted_session(wire)[0], action, rows)
    assert [outcome.kind == "rejected" for outcome in found] == [n in bad for n in range(200)]
    assert len(asked) < 300


def test_a_refused_revision_rejects_nobody() -> None:
    """It is no fault of the records: the run ends after one refusal."""
    detail = "klaviyo-sandbox speaks 2026-07-15, not 2099-01-15."
    error = {
        "id": "1",
        "code": "invalid",
        "title": "Invalid input.",
        "detail": detail,
        "source": {"parameter": "revision"},
    }
    session, wire = scripted_session(lambda _: respond(400, {"errors": [error]}))
    rows = rows_of({"action": "upsert_profile"}, *({"email": f"p{index}@example.com"} for index in range(30)))
    with pytest.raises(RevisionRetired, match="speaks 2026-07-15"):
        outcomes_of(session, "upsert_profile", rows)
    assert len(wire.asked) == 1
