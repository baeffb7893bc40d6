"""Subscribing and unsubscribing: what is sent, who is kept from it, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

from klaviyo_client.errors import SettingsError, Unavailable
from klaviyo_client.http.transport import Request, Response, TransportError
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

SUBSCRIBE = {"action": "subscribe"}
UNSUBSCRIBE = {"action": "unsubscribe"}
OFF_LIST = {**UNSUBSCRIBE, "list": "LIST01"}
YES = {"consent": "SUBSCRIBED"}
NO = {"consent": "UNSUBSCRIBED"}
ADA = {"email": "ada@x.org", "phone_number": "+14155550100"}


def accepted(_: Request) -> Response:
    return respond(202)


def resource(entry: dict[str, Any], record: dict[str, Any]) -> Any:
    [row] = rows_of(entry, record)
    return row.payload


def unfit(entry: dict[str, Any], record: dict[str, Any]) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        rows_of(entry, record)
    return caught.value


def emails(request: Request) -> list[str]:
    return [profile["attributes"]["email"] for profile in body_of(request)["data"]["attributes"]["profiles"]["data"]]


def test_the_body_of_a_subscription_is_klaviyos() -> None:
    """Source, history and list belong to the request; channels and times to the person."""
    session, wire = scripted_session(People({}, {"LIST01": set()}, accepted))
    entry = {
        **SUBSCRIBE,
        "channels": ["email", "sms", "sms_transactional"],
        "list": "LIST01",
        "custom_source": "shop",
        "historical_import": True,
    }
    record = {**ADA, "consented_at": "2020-01-01T02:00:00+02:00", "age_gated_date_of_birth": "1990-12-10T00:00:00"}
    assert outcomes_of(session, "subscribe", rows_of(entry, record)) == [Outcome(OutcomeKind.ACCEPTED, 202)]
    [request] = writes(wire)
    assert request.url.endswith("/api/profile-subscription-bulk-create-jobs")
    consent = {**YES, "consented_at": "2020-01-01T00:00:00Z"}
    assert body_of(request) == {
        "data": {
            "type": "profile-subscription-bulk-create-job",
            "attributes": {
                "custom_source": "shop",
                "historical_import": True,
                "profiles": {
                    "data": [
                        {
                            "type": "profile",
                            "attributes": {
                                **ADA,
                                "age_gated_date_of_birth": "1990-12-10",
                                "subscriptions": {
                                    "email": {"marketing": consent},
                                    "sms": {"marketing": consent, "transactional": consent},
                                },
                            },
                        }
                    ]
                },
            },
            "relationships": {"list": {"data": {"type": "list", "id": "LIST01"}}},
        }
    }


def test_the_body_of_an_unsubscription_is_klaviyos() -> None:
    """Without a list it is global, and nothing is read before."""
    session, wire = scripted_session(accepted)
    entry = {**UNSUBSCRIBE, "channels": ["email", "email_open_tracking", "whatsapp_conversational"]}
    assert outcomes_of(session, "unsubscribe", rows_of(entry, ADA)) == [Outcome(OutcomeKind.ACCEPTED, 202)]
    [request] = wire.asked
    assert request.url.endswith("/api/profile-subscription-bulk-delete-jobs")
    by_email = {"email": ADA["email"], "subscriptions": {"email": {"marketing": NO, "open_tracking": NO}}}
    by_phone = {"phone_number": ADA["phone_number"], "subscriptions": {"whatsapp": {"conversational": NO}}}
    people = [{"type": "profile", "attributes": attributes} for attributes in (by_email, by_phone)]
    assert body_of(request) == {
        "data": {"type": "profile-subscription-bulk-delete-job", "attributes": {"profiles": {"data": people}}}
    }


@pytest.mark.parametrize("kind", ["open_tracking", "click_tracking"])
@pytest.mark.parametrize(("action", "states"), [("subscribe", [YES]), ("unsubscribe", [NO]), ("consent", [YES, NO])])
def test_consent_to_tracking_is_a_channel(kind: str, action: str, states: list[dict[str, str]]) -> None:
    """Of the option or of the record; it needs an e-mail address, and auto never stands for it."""
    for state in states:
        said = {"status": state["consent"]} if action == "consent" else {}
        record = {**ADA, **said}
        by_email = {"email": ADA["email"], "subscriptions": {"email": {kind: state}}}
        for entry, own in (({"channels": [f"email_{kind}"]}, {}), ({}, {"channels": f"email_{kind}"})):
            made = resource({"action": action, **entry}, {**record, **own})
            assert made == {"type": "profile", "attributes": by_email}
        by_auto = resource({"action": action, "channels": ["auto"]}, record)["attributes"]["subscriptions"]
        assert by_auto == {"email": {"marketing": state}, "sms": {"marketing": state}}
        lacking = {"phone_number": ADA["phone_number"], **said}
        assert unfit({"action": action, "channels": [f"email_{kind}"]}, lacking).code == "no_email"


def test_consent_to_tracking_arrives(target: Command, account: RunningSandbox) -> None:
    """Given, and then withdrawn; what e-mail itself may do stays as it was."""
    tracking = {"channels": ["email_open_tracking", "email_click_tracking"]}
    for action, state in (("subscribe", "SUBSCRIBED"), ("unsubscribe", "UNSUBSCRIBED")):
        lines = [schema_of("people"), *records("people", [{"email": "ada@example.com"}])]
        run = target(lines, streams={"people": {"action": action, **tracking}})
        assert run.code == 0, run.stderr
        [ada] = [row for row in account.store.profiles.rows.values() if row["email"] == "ada@example.com"]
        email = ada["subscriptions"]["email"]
        found = [email[kind]["consent"] for kind in ("marketing", "open_tracking", "click_tracking")]
        assert found == ["NEVER_SUBSCRIBED", state, state]


def test_a_phone_number_alone_is_no_consent_to_sms() -> None:
    """By default e-mail only; the number is not even sent, for it would be written to the profile."""
    assert resource(SUBSCRIBE, {**ADA, "first_name": "Ada"}) == {
        "type": "profile",
        "attributes": {"email": "ada@x.org", "subscriptions": {"email": {"marketing": YES}}},
    }


def test_a_records_own_channels_and_id_are_taken() -> None:
    """A text stands for a list of one; the id only by mapping."""
    assert resource({**SUBSCRIBE, "mapping": {"id": "kid"}}, {**ADA, "kid": "A", "channels": "whatsapp"}) == {
        "type": "profile",
        "id": "A",
        "attributes": {"phone_number": ADA["phone_number"], "subscriptions": {"whatsapp": {"marketing": YES}}},
    }
    assert unfit(SUBSCRIBE, {**ADA, "channels": ["fax"]}).code == "invalid_field"
    assert unfit(SUBSCRIBE, {**ADA, "channels": []}).code == "invalid_field"


@pytest.mark.parametrize("entry", [SUBSCRIBE, UNSUBSCRIBE])
@pytest.mark.parametrize("phone", [None, " ", "call me", "+1", 5])
def test_a_channel_without_its_identifier_is_left_out_and_said(phone: Any, entry: dict[str, Any]) -> None:
    """Nobody stays subscribed to e-mail because their phone number is none, and nobody takes it for done."""
    drop = {"on_bad_value": "drop"}
    [row] = rows_of({**entry, **drop, "channels": ["email", "sms"]}, {"email": "ada@x.org", "phone_number": phone})
    assert list(row.payload["attributes"]) == ["email", "subscriptions"]
    assert list(row.payload["attributes"]["subscriptions"]) == ["email"]
    assert row.note is not None
    assert (row.note.code, row.note.pointer) == ("channel_left_out", "/phone_number")
    assert row.note.reason.startswith("sms was left out: ")
    mirrored = {"phone_number": "+14155550100", "email": phone}
    [row] = rows_of({**entry, **drop, "channels": ["email", "sms"]}, mirrored)
    assert list(row.payload["attributes"]["subscriptions"]) == ["sms"]


@pytest.mark.parametrize("entry", [SUBSCRIBE, UNSUBSCRIBE])
def test_no_channel_with_its_identifier_is_a_rejection(entry: dict[str, Any]) -> None:
    """Nothing could be sent."""
    assert unfit({**entry, "channels": ["sms", "whatsapp"]}, {"email": "ada@x.org"}).code == "no_phone_number"
    assert unfit({**entry, "channels": ["sms"]}, {**ADA, "phone_number": "call me"}).code == "invalid_phone"
    assert unfit(entry, {**ADA, "email": "ada"}).code == "invalid_email"
    assert unfit(entry, {"phone_number": "+14155550100"}).code == "no_email"
    assert unfit(entry, {"external_id": "7"}).code == "no_identifier"
    assert "external_id" not in unfit(entry, {"external_id": "7"}).reason


@pytest.mark.parametrize("entry", [SUBSCRIBE, UNSUBSCRIBE])
@pytest.mark.parametrize(
    ("record", "channels"),
    [
        (ADA, ["email", "sms"]),
        ({"email": "ada@x.org"}, ["email"]),
        ({"phone_number": "+14155550100"}, ["sms"]),
        ({"email": "ada@x.org", "phone_number": " "}, ["email"]),
        ({**ADA, "channels": "email"}, ["email"]),
    ],
)
def test_auto_channels_are_those_whose_identifier_there_is(
    record: dict[str, Any], channels: list[str], entry: dict[str, Any]
) -> None:
    """E-mail by the address, SMS by the number, WhatsApp by its name only; nothing is missing, so nothing is noted."""
    [row] = rows_of({**entry, "channels": "Auto"}, record)
    assert list(row.payload["attributes"]["subscriptions"]) == channels
    assert row.note is None
    [own] = rows_of(entry, {"channels": ["auto"], **record})
    assert own.payload == row.payload


@pytest.mark.parametrize("entry", [SUBSCRIBE, UNSUBSCRIBE])
def test_auto_tells_an_identifier_that_is_wrong_and_rejects_who_has_none(entry: dict[str, Any]) -> None:
    """A bad number is what keeps somebody from SMS, so it is said; other channels may stand beside auto."""
    entry = {**entry, "on_bad_value": "drop"}
    auto = {**entry, "channels": ["auto"]}
    [row] = rows_of(auto, {**ADA, "phone_number": "call me"})
    assert list(row.payload["attributes"]["subscriptions"]) == ["email"]
    assert [(note.code, note.pointer) for note in row.notes] == [("channel_left_out", "/phone_number")]
    [row] = rows_of({**entry, "channels": "auto, whatsapp, email"}, ADA)
    assert list(row.payload["attributes"]["subscriptions"]) == ["email", "sms", "whatsapp"]
    assert unfit(auto, {"external_id": "7"}).code == "no_identifier"
    assert unfit(auto, {"email": "ada"}).code == "invalid_email"
    assert unfit({**auto, "on_bad_value": "reject"}, {**ADA, "phone_number": "call me"}).code == "invalid_phone"
    if entry["action"] == "subscribe":
        assert unfit({**auto, "mapping": {"id": "kid"}}, {"kid": "A"}).code == "no_identifier"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("2020-01-01", "2020-01-01T00:00:00Z"),
        ("2020-01-01 00:00:00.5", "2020-01-01T00:00:00Z"),
        (1577836800, "2020-01-01T00:00:00Z"),
        ("1577836800", "2020-01-01T00:00:00Z"),
        (20200101, "2020-01-01T00:00:00Z"),
        ("yesterday", "invalid_time"),
        (1577836800000, "2020-01-01T00:00:00Z"),
        (True, "invalid_field"),
        ("2026-11-01T00:00:00Z", "invalid_time"),
        (None, "no_consented_at"),
    ],
)
def test_historical_consent_was_given_in_the_past(value: Any, sent: str) -> None:
    """A time in any usual form; what is none, or is not past, is rejected before Klaviyo refuses the request."""
    tracking = ["email_open_tracking", "email_click_tracking"]
    entry = {**SUBSCRIBE, "historical_import": True, "channels": ["email", *tracking]}
    record = {"email": "ada@x.org", "consented_at": value}
    if sent.startswith("2"):
        subscriptions = resource(entry, record)["attributes"]["subscriptions"]
        dated = {"marketing": {**YES, "consented_at": sent}}
        assert subscriptions == {"email": {**dated, "open_tracking": YES, "click_tracking": YES}}
    else:
        assert unfit(entry, record).code == sent


def test_a_time_of_consent_without_historical_import_is_a_rejection() -> None:
    """Klaviyo would refuse the whole request for it."""
    assert unfit(SUBSCRIBE, {**ADA, "consented_at": "2020-01-01"}).code == "not_historical"


def test_each_source_and_list_has_its_own_requests() -> None:
    """What holds for a request must hold for all of its rows; a thousand rows are one request."""
    session, wire = scripted_session(People({}, {"LIST01": set(), "LIST02": set()}, accepted))
    records = [
        {"email": f"p{i}@x.org", "list_id": f"LIST0{1 + i % 2}", "custom_source": "ab"[i % 4 // 2]} for i in range(8)
    ]
    many = [{"email": f"m{i}@x.org"} for i in range(1500)]
    outcomes = outcomes_of(session, "subscribe", rows_of(SUBSCRIBE, *records, *many))
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.ACCEPTED}
    said = [
        (
            document["attributes"].get("custom_source"),
            document.get("relationships", {}).get("list", {}).get("data", {}).get("id"),
            len(document["attributes"]["profiles"]["data"]),
        )
        for document in (body_of(request)["data"] for request in writes(wire))
    ]
    assert said == [
        ("a", "LIST01", 2),
        ("b", "LIST01", 2),
        ("a", "LIST02", 2),
        ("b", "LIST02", 2),
        (None, None, 1000),
        (None, None, 500),
    ]


def test_records_of_one_person_are_one_only_with_the_same_channels() -> None:
    """Others go one after the other: what Klaviyo refuses of the one is no refusal of the other."""
    session, wire = scripted_session(accepted)
    both, more = {**ADA, "channels": ["email", "sms"]}, {**ADA, "channels": ["email", "sms_transactional"]}
    rows = rows_of(SUBSCRIBE, both, both, more, {**more, "age_gated_date_of_birth": "1990-01-01"})
    assert {outcome.kind for outcome in outcomes_of(session, "subscribe", rows)} == {OutcomeKind.ACCEPTED}
    sent = [body_of(request)["data"]["attributes"]["profiles"]["data"] for request in wire.asked]
    assert [[list(profile["attributes"]["subscriptions"]["sms"]) for profile in people] for people in sent] == [
        [["marketing"]],
        [["transactional"]],
        [["transactional"]],
    ]


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_rows_that_a_400_points_at_are_dropped_and_the_rest_goes_again(action: str) -> None:
    """One age gate does not keep the others from what they asked for."""

    def wire(request: Request) -> Response:
        at = [index for index, email in enumerate(emails(request)) if email in ("p3@x.org", "p7@x.org")]
        pointers = (f"/data/attributes/profiles/data/{i}/attributes/age_gated_date_of_birth" for i in at)
        return refused(400, *pointers) if at else respond(202)

    session, asked = scripted_session(wire)
    rows = rows_of({"action": action}, *({"email": f"p{i}@x.org"} for i in range(10)))
    outcomes = outcomes_of(session, action, rows)
    assert [index for index, outcome in enumerate(outcomes) if outcome.kind is OutcomeKind.REJECTED] == [3, 7]
    assert [len(emails(request)) for request in asked.asked] == [10, 8]


def test_a_dropped_phone_number_is_said_and_still_only_accepted() -> None:
    """Klaviyo answers 202 and says in a header that it kept the rest only."""
    session, _ = scripted_session(lambda _: respond(202, x_klaviyo_partial_failure="phone_number"))
    [outcome] = outcomes_of(session, "subscribe", rows_of({**SUBSCRIBE, "channels": ["email", "sms"]}, ADA))
    assert (outcome.kind, outcome.code) == (OutcomeKind.ACCEPTED, "partial_failure")
    assert "dropped its phone_number" in (outcome.reason or "")


def lost_once(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    lost: list[Request] = []

    def wire(request: Request) -> Response:
        if request.method != "GET" and not lost:
            lost.append(request)
            raise TransportError("no answer", may_have_succeeded=True)
        return answer(request)

    return wire


def test_a_lost_answer_is_asked_for_again_unless_it_was_about_leaving_a_list() -> None:
    """The first request may have taken the person off the list; the second would unsubscribe them everywhere."""
    for action in ("subscribe", "unsubscribe"):
        session, _ = scripted_session(lost_once(accepted))
        assert outcomes_of(session, action, rows_of({"action": action}, ADA)) == [Outcome(OutcomeKind.ACCEPTED, 202)]
    account = People({"A": ADA}, {"LIST01": {"A"}}, accepted)
    for entry in (OFF_LIST, {**OFF_LIST, "global_unless_member": True}):
        session, wire = scripted_session(lost_once(account))
        with pytest.raises(Unavailable):
            outcomes_of(session, "unsubscribe", rows_of(entry, ADA))
        assert len(writes(wire)) == 1


def test_only_members_are_unsubscribed_from_a_list() -> None:
    """Klaviyo would unsubscribe the others everywhere; of 250 people the 150 on the list are found, page by page."""
    profiles = {f"ID{i:03}": {"email": f"P{i}@x.org"} for i in range(250)}
    session, wire = scripted_session(People(profiles, {"LIST01": set(list(profiles)[:150])}, accepted, size=40))
    outcomes = outcomes_of(session, "unsubscribe", rows_of(OFF_LIST, *({"email": f"P{i}@x.org"} for i in range(250))))
    assert {outcome.kind for outcome in outcomes[:150]} == {OutcomeKind.ACCEPTED}
    assert {(outcome.kind, outcome.code) for outcome in outcomes[150:]} == {(OutcomeKind.REJECTED, "not_on_list")}
    assert [emails(request) for request in writes(wire)] == [
        [f"P{i}@x.org" for i in range(100)],
        [f"P{i}@x.org" for i in range(100, 150)],
    ]
    assert body_of(writes(wire)[0])["data"]["relationships"] == {"list": {"data": {"type": "list", "id": "LIST01"}}}


def test_every_identifier_that_is_sent_must_be_on_the_list() -> None:
    """The e-mail address may be one person's, who leaves, and the phone number another's, who never joined."""
    account = People(
        {"A": {"email": ADA["email"]}, "B": {"phone_number": ADA["phone_number"]}}, {"LIST01": {"A"}}, accepted
    )
    session, wire = scripted_session(account)
    [outcome] = outcomes_of(session, "unsubscribe", rows_of({**OFF_LIST, "channels": ["email", "sms"]}, ADA))
    assert (outcome.kind, outcome.code, outcome.pointer) == (OutcomeKind.REJECTED, "not_on_list", "/phone_number")
    [request] = writes(wire)
    [profile] = body_of(request)["data"]["attributes"]["profiles"]["data"]
    assert profile["attributes"] == {"email": ADA["email"], "subscriptions": {"email": {"marketing": NO}}}


def test_global_unless_member_asks_nobody() -> None:
    """Whoever wants Klaviyo's way gets it, by name."""
    session, wire = scripted_session(People({}, {"LIST01": set()}, accepted))
    rows = rows_of({**OFF_LIST, "global_unless_member": True}, ADA)
    assert outcomes_of(session, "unsubscribe", rows) == [Outcome(OutcomeKind.ACCEPTED, 202)]
    assert not [request for request in wire.asked if request.url.endswith("/profiles")]


def test_nobody_leaves_a_list_twice() -> None:
    """After the first request the person may be gone; Klaviyo's own list may not show it yet."""
    account = People({"A": ADA}, {"LIST01": {"A"}}, accepted)
    session, wire = scripted_session(account)
    [first] = outcomes_of(session, "unsubscribe", rows_of(OFF_LIST, ADA))
    [again] = outcomes_of(session, "unsubscribe", rows_of(OFF_LIST, ADA))
    [more] = outcomes_of(session, "unsubscribe", rows_of({**OFF_LIST, "channels": ["sms"]}, ADA))
    assert [(outcome.kind, outcome.code) for outcome in (first, again, more)] == [
        (OutcomeKind.ACCEPTED, None),
        (OutcomeKind.ACCEPTED, "repeated"),
        (OutcomeKind.REJECTED, "not_on_list"),
    ]
    assert len(writes(wire)) == 1


def test_whoever_klaviyo_refused_to_unsubscribe_may_be_sent_again() -> None:
    """Nothing was done, so nothing is repeated."""
    answers = iter([refused(400, "/data/attributes/profiles/data/0/attributes/email"), respond(202)])
    session, _ = scripted_session(People({"A": ADA}, {"LIST01": {"A"}}, lambda _: next(answers)))
    kinds = [outcomes_of(session, "unsubscribe", rows_of(OFF_LIST, ADA))[0].kind for _ in range(2)]
    assert kinds == [OutcomeKind.REJECTED, OutcomeKind.ACCEPTED]


def test_consent_takes_no_custom_properties() -> None:
    """Other columns are left out, and asking to keep them is a mistake in the settings."""
    with pytest.raises(SettingsError, match=r"streams\.s\.unknown_columns must be drop"):
        rows_of({**SUBSCRIBE, "unknown_columns": "properties"}, ADA)
    assert resource(SUBSCRIBE, {**ADA, "properties": {"a": 1}}) == resource(SUBSCRIBE, ADA)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"list_id": st.sampled_from(["LIST01", "LIST02"])},
            optional={
                "email": st.sampled_from([f"p{i}@x.org" for i in range(4)] + ["P1@x.org", "q@x.org"]),
                "phone_number": st.sampled_from([f"+1415555010{i}" for i in range(5)]),
                "channels": st.sets(st.sampled_from(["email", "sms", "whatsapp"]), min_size=1).map(sorted),
            },
        ),
        min_size=1,
        max_size=12,
    ),
    st.sets(st.sampled_from("0123"), max_size=3),
    st.sets(st.sampled_from(["p2@x.org", "+14155550103"])),
)
def test_nobody_is_ever_unsubscribed_everywhere(records: list[dict[str, Any]], on: set[str], bad: set[str]) -> None:
    """Whatever comes in: each sent identifier is on its list, nobody is sent twice, and every row has one outcome."""
    profiles = {str(i): {"email": f"p{i}@x.org", "phone_number": f"+1415555010{i}"} for i in range(4)}
    gone: list[tuple[str, str]] = []

    def write(request: Request) -> Response:
        data = body_of(request)["data"]
        sent = [profile["attributes"] for profile in data["attributes"]["profiles"]["data"]]
        at = [i for i, attributes in enumerate(sent) if bad & {str(value) for value in attributes.values()}]
        if at:
            return refused(400, *(f"/data/attributes/profiles/data/{i}" for i in at[:1]))
        list_id = data["relationships"]["list"]["data"]["id"]
        for attributes in sent:
            names = [str(attributes[name]).lower() for name in ("email", "phone_number") if name in attributes]
            people = {key for key, profile in profiles.items() if set(names) & set(profile.values())}
            assert len(names) >= 1
            assert people <= on
            assert all(any(name in profiles[key].values() for key in on) for name in names)
            gone.extend((list_id, key) for key in people)
        return respond(202)

    session, _ = scripted_session(People(profiles, {"LIST01": on, "LIST02": on}, write))
    rows = []
    for record in records:
        with suppress(RejectedRecord):
            rows += rows_of(UNSUBSCRIBE, record)
    outcomes = outcomes_of(session, "unsubscribe", rows)
    assert len(gone) == len(set(gone))
    assert all(outcome.kind in (OutcomeKind.ACCEPTED, OutcomeKind.REJECTED) for outcome in outcomes)
