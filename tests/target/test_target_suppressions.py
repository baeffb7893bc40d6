"""Suppressing, lifting suppressions, and deleting for good."""

from __future__ import annotations

from typing import Any

import pytest
from target_support import People, body_of, outcomes_of, refused, respond, rows_of, scripted_session, writes

from klaviyo_client.errors import Incomplete, SettingsError
from klaviyo_client.http.transport import Request, Response, TransportError
from target_klaviyo.actions import ACTIONS
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

ADA = {"email": "ada@x.org"}
KINDS = {"suppress": "profile-suppression-bulk-create-job", "unsuppress": "profile-suppression-bulk-delete-job"}
DELETE = {"action": "delete_profile", "allow_deletion": True}


class Jobs:
    """Suppression jobs that are processing at first, and end as they are told to."""

    def __init__(self, kind: str, **job: Any) -> None:
        self.kind = kind
        self.job = {"status": "complete", "total_count": 2, "completed_count": 2, "skipped_count": 0, **job}
        self.bodies: list[Any] = []
        self.polls = 0

    def __call__(self, request: Request) -> Response:
        path = request.url.removeprefix("https://a.klaviyo.com/api/")
        if request.method == "POST":
            assert path == self.kind + "s"
            self.bodies.append(body_of(request)["data"])
            return respond(202, {"data": {"type": self.kind, "id": "J", "attributes": {"status": "queued"}}})
        assert path == f"{self.kind}s/J"
        self.polls += 1
        job = self.job if self.polls > 1 else {**self.job, "status": "processing"}
        return respond(200, {"data": {"type": self.kind, "id": "J", "attributes": job}})


@pytest.mark.parametrize("action", KINDS)
def test_people_are_done_once_the_job_is(action: str) -> None:
    """A 202 is only a promise; two records of one address are one person, and nothing but addresses is sent."""
    jobs = Jobs(KINDS[action])
    session, _ = scripted_session(jobs)
    rows = rows_of({"action": action}, {**ADA, "phone_number": "none"}, {"email": "ADA@x.org"}, {"email": "b@x.org"})
    assert outcomes_of(session, action, rows) == [Outcome(OutcomeKind.DELIVERED, 202)] * 3
    assert jobs.polls == 2
    [body] = jobs.bodies
    profiles = body["attributes"]["profiles"]["data"]
    assert [profile["attributes"]["email"] for profile in profiles] == ["ADA@x.org", "b@x.org"]
    assert body == {
        "type": KINDS[action],
        "attributes": {
            "profiles": {"data": [{"type": "profile", "attributes": {"email": e}} for e in ("ADA@x.org", "b@x.org")]}
        },
    }


@pytest.mark.parametrize("action", KINDS)
def test_a_request_holds_a_hundred_people(action: str) -> None:
    """The limit is the specification's."""
    jobs = Jobs(KINDS[action])
    rows = rows_of({"action": action}, *({"email": f"p{i}@x.org"} for i in range(250)))
    outcomes_of(scripted_session(jobs)[0], action, rows)
    assert [len(body["attributes"]["profiles"]["data"]) for body in jobs.bodies] == [100, 100, 50]
    assert ACTIONS[action].max_items == 100


def test_skipped_people_are_said_with_their_number() -> None:
    """Klaviyo names none of them, so nobody of the job can be called done."""
    jobs = Jobs(KINDS["suppress"], skipped_count=1)
    outcomes = outcomes_of(
        scripted_session(jobs)[0], "suppress", rows_of({"action": "suppress"}, ADA, {"email": "b@x.org"})
    )
    assert {(outcome.kind, outcome.code) for outcome in outcomes} == {(OutcomeKind.ACCEPTED, "skipped")}
    assert "1 of this job's 2" in (outcomes[0].reason or "")


def test_a_cancelled_job_rejects_and_one_without_end_fails_the_run() -> None:
    """As with imports: what may not have been done can be sent again."""
    rows = rows_of({"action": "suppress"}, ADA)
    [outcome] = outcomes_of(scripted_session(Jobs(KINDS["suppress"], status="cancelled"))[0], "suppress", rows)
    assert (outcome.kind, outcome.code) == (OutcomeKind.REJECTED, "job_cancelled")
    with pytest.raises(Incomplete, match="suppression job J is still queued"):
        outcomes_of(scripted_session(Jobs(KINDS["suppress"], status="queued"))[0], "suppress", rows)


@pytest.mark.parametrize("action", KINDS)
def test_only_an_address_is_suppressed(action: str) -> None:
    """Klaviyo suppresses e-mail: a person known otherwise is rejected, and a list is no option."""
    with pytest.raises(RejectedRecord, match=r"has no email$") as caught:
        rows_of({"action": action, "mapping": {}}, {"phone_number": "+14155550100", "external_id": "7"})
    assert caught.value.code == "no_identifier"
    with pytest.raises(SettingsError, match=r"streams\.s\.list is unknown"):
        rows_of({"action": action, "list": "LIST01"}, ADA)


def test_rows_of_a_refused_suppression_that_are_not_to_blame_go_again() -> None:
    """One address that Klaviyo does not take costs one row."""
    jobs = Jobs(KINDS["suppress"])

    def wire(request: Request) -> Response:
        if b"bad@x.org" in (request.body or b""):
            return refused(400, "/data/attributes/profiles/data/1/attributes/email")
        return jobs(request)

    records = [{"email": f"{name}@x.org"} for name in ("a", "bad", "c")]
    outcomes = outcomes_of(scripted_session(wire)[0], "suppress", rows_of({"action": "suppress"}, *records))
    assert [outcome.kind for outcome in outcomes] == [
        OutcomeKind.DELIVERED,
        OutcomeKind.REJECTED,
        OutcomeKind.DELIVERED,
    ]


def asked_for(request: Request) -> Any:
    assert request.url.endswith("/api/data-privacy-deletion-jobs")
    document = body_of(request)
    profile = document["data"]["attributes"]["profile"]["data"]
    assert document == {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": profile}}}}
    return profile


@pytest.mark.parametrize(
    ("record", "sent"),
    [
        ({**ADA, "kid": "A", "external_id": "7"}, {"type": "profile", "id": "A", "attributes": {}}),
        ({**ADA, "phone_number": "+14155550100"}, {"type": "profile", "attributes": ADA}),
        (
            {"phone_number": "+14155550100", "external_id": "7"},
            {"type": "profile", "attributes": {"phone_number": "+14155550100"}},
        ),
        ({"external_id": "7"}, {"type": "profile", "id": "B", "attributes": {}}),
    ],
)
def test_a_deletion_names_exactly_one_identifier(record: dict[str, Any], sent: Any) -> None:
    """Klaviyo refuses two; an external id is looked up, for it takes none."""
    account = People({"B": {"external_id": "7"}}, write=lambda _: respond(202))
    session, wire = scripted_session(account)
    rows = rows_of({**DELETE, "mapping": {"id": "kid"}}, record)
    assert outcomes_of(session, "delete_profile", rows) == [Outcome(OutcomeKind.ACCEPTED, 202)]
    assert [asked_for(request) for request in writes(wire)] == [sent]
    assert len(wire.asked) == (2 if sent.get("id") == "B" else 1)


def test_an_external_id_of_nobody_deletes_nobody_and_says_so() -> None:
    """It is what was wanted, but whoever mistyped it must hear of it."""
    session, wire = scripted_session(People({}))
    [outcome] = outcomes_of(session, "delete_profile", rows_of(DELETE, {"external_id": "7"}))
    assert (outcome.kind, outcome.code) == (OutcomeKind.DELIVERED, "not_found")
    assert not writes(wire)


def test_whoever_is_gone_already_is_deleted() -> None:
    """Klaviyo answers 404, which is what was wanted; also when a first answer was lost, and the second is the 404."""
    session, _ = scripted_session(lambda _: refused(404, "/data/"))
    [outcome] = outcomes_of(session, "delete_profile", rows_of(DELETE, ADA))
    assert (outcome.kind, outcome.status, outcome.code) == (OutcomeKind.DELIVERED, 404, "not_found")
    lost: list[Request] = []

    def once(request: Request) -> Response:
        if not lost:
            lost.append(request)
            raise TransportError("no answer", may_have_succeeded=True)
        return refused(404, "/data/")

    session, wire = scripted_session(once)
    [outcome] = outcomes_of(session, "delete_profile", rows_of(DELETE, ADA))
    assert (outcome.kind, outcome.code, len(wire.asked)) == (OutcomeKind.DELIVERED, "not_found", 2)


@pytest.mark.parametrize(
    ("record", "sent", "left_out"),
    [
        ({**ADA, "phone_number": "call me"}, ADA, "/phone_number"),
        ({**ADA, "phone_number": 5, "external_id": "x" * 256}, ADA, "/phone_number"),
        ({"email": "ada", "phone_number": "+14155550100"}, {"phone_number": "+14155550100"}, "/email"),
    ],
)
def test_an_identifier_that_is_not_sent_keeps_nobody_from_being_deleted(
    record: dict[str, Any], sent: dict[str, Any], left_out: str
) -> None:
    """The first that can be used is; what was left out is said."""
    [row] = rows_of(DELETE, record)
    assert row.payload["attributes"] == sent
    assert row.note is not None
    assert (row.note.code, row.note.pointer) == ("identifier_left_out", left_out)


def test_a_deletion_by_nothing_that_can_be_used_is_rejected() -> None:
    """By what is wrong with its strongest identifier."""
    with pytest.raises(RejectedRecord) as caught:
        rows_of(DELETE, {"email": "ada", "phone_number": "call me"})
    assert caught.value.code == "invalid_email"


@pytest.mark.parametrize("action", ["suppress", "unsuppress"])
def test_a_suppression_does_not_look_at_what_it_does_not_send(action: str) -> None:
    """It is about an address; a phone number that is none is none of its business."""
    [row] = rows_of({"action": action}, {**ADA, "phone_number": "call me", "external_id": {}})
    assert row.payload["attributes"] == ADA


def test_a_refused_deletion_rejects_its_record_only() -> None:
    """The next is asked for all the same."""
    answers = iter([refused(400, "/data/attributes/profile"), respond(202)])
    session, _ = scripted_session(lambda _: next(answers))
    outcomes = outcomes_of(session, "delete_profile", rows_of(DELETE, ADA, {"email": "b@x.org"}))
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.REJECTED, OutcomeKind.ACCEPTED]


@pytest.mark.parametrize("entry", [{"action": "delete_profile"}, {**DELETE, "allow_deletion": False}])
def test_nobody_is_deleted_by_accident(entry: dict[str, Any]) -> None:
    """The settings must say that it is meant."""
    with pytest.raises(SettingsError, match=r"streams\.s\.allow_deletion must be true"):
        rows_of(entry, ADA)


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe", "suppress", "unsuppress", "delete_profile"])
def test_nothing_dangerous_is_done_by_a_streams_name(action: str) -> None:
    """A stream may happen to be called so; the settings must name the action."""
    assert ACTIONS[action].streams == ()
