"""A consent table: what each status asks for, who is not guessed at, and which of two words of one person counts."""

from __future__ import annotations

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
    scripted_session,
    writes,
)

from klaviyo_client.errors import SettingsError
from klaviyo_client.http.transport import Request, Response
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.batches import ordered_groups
from target_klaviyo.intake.route_settings import check_columns, parse_routes
from target_klaviyo.model.records import Outcome, OutcomeKind, RejectedRecord

CONSENT = {"action": "consent"}
AUTO = {**CONSENT, "channels": ["auto"]}
ADA = {"email": "ada@x.org", "phone_number": "+14155550100"}
MAIL = {"email": "ada@x.org"}
YES, NO = "SUBSCRIBED", "UNSUBSCRIBED"
EARLY, LATE = "2025-01-01", "2025-02-01"


def accepted(_: Request) -> Response:
    return respond(202)


def states(entry: dict[str, Any], record: dict[str, Any]) -> dict[str, str]:
    """Channel and kind -> what a record asks for."""
    [row] = rows_of(entry, record)
    subscriptions = row.payload["attributes"]["subscriptions"]
    return {
        f"{channel}.{kind}": said["consent"] for channel, kinds in subscriptions.items() for kind, said in kinds.items()
    }


def unfit(entry: dict[str, Any], record: dict[str, Any]) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        rows_of(entry, record)
    return caught.value


def sent(request: Request) -> tuple[str, list[dict[str, Any]]]:
    """(what a request asks for, the people in it)."""
    data = body_of(request)["data"]
    kind = YES if data["type"] == "profile-subscription-bulk-create-job" else NO
    return kind, [profile["attributes"] for profile in data["attributes"]["profiles"]["data"]]


@pytest.mark.parametrize("field", ["status", "email_status", "email_marketing_consent", "EMAIL_STATUS"])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, YES) for word in ("subscribed", " Subscribed ", "SUBSCRIBED", True, "yes", "TRUE", 1, "1")),
        *((word, NO) for word in ("unsubscribed", "UNSUBSCRIBED", "Un-subscribed", False, "no", "f", 0, "0")),
    ],
)
def test_a_status_is_one_of_klaviyos_words_or_a_boolean(field: str, word: Any, state: str) -> None:
    """In any spelling, for each person or for each channel, also as the tap calls the columns."""
    assert states(CONSENT, {**MAIL, field: word}) == {"email.marketing": state}


@pytest.mark.parametrize("field", ["status", "sms_status", "whatsapp_marketing_consent"])
@pytest.mark.parametrize("word", ["opted in", "active", "pending", "cleaned", "opt-out", 2, "subscribed?", "ja", -1])
def test_a_word_that_nobody_knows_is_never_guessed_at(field: str, word: Any) -> None:
    """It rejects the record, whatever is to become of bad values and whatever else the record says."""
    for handling in ("drop", "reject"):
        fault = unfit({**CONSENT, "on_bad_value": handling}, {**ADA, "email_status": "subscribed", field: word})
        assert (fault.code, fault.kind) == ("invalid_field", OutcomeKind.REJECTED)
        assert str(word) not in fault.reason


@pytest.mark.parametrize("word", [None, "", " ", "null", "None", "n/a", "NEVER_SUBSCRIBED", "never subscribed"])
def test_who_has_said_nothing_is_left_out(word: Any) -> None:
    """Nothing is sent for them; it is counted and is no rejection. A channel of which something is said is sent."""
    for record in ({"status": word}, {"email_status": word, "sms_status": word}):
        fault = unfit(AUTO, {**ADA, **record})
        assert (fault.code, fault.kind) == ("nothing_said", OutcomeKind.LEFT_OUT)
    assert states(CONSENT, {**ADA, "email_status": word, "sms_status": "subscribed"}) == {"sms.marketing": YES}


def test_each_channel_has_its_status_and_the_general_one_is_about_the_rest() -> None:
    """By default the general status is about e-mail, as in subscribe; auto is about what the record has."""
    both = {**ADA, "status": "subscribed"}
    assert states(CONSENT, both) == {"email.marketing": YES}
    assert states(AUTO, both) == {"email.marketing": YES, "sms.marketing": YES}
    assert states(AUTO, {**both, "sms_status": "unsubscribed"}) == {"email.marketing": YES, "sms.marketing": NO}
    assert states(AUTO, {**both, "sms_status": "never_subscribed"}) == {"email.marketing": YES}
    assert states(AUTO, {**both, "sms_status": None}) == {"email.marketing": YES, "sms.marketing": YES}
    assert states(AUTO, {**MAIL, "status": False}) == {"email.marketing": NO}
    assert states(CONSENT, {**both, "channels": "sms_transactional"}) == {"sms.transactional": YES}
    assert unfit(CONSENT, {**both, "channels": []}).code == "invalid_field"
    assert unfit(CONSENT, {**both, "channels": ["fax"]}).code == "invalid_field"
    assert unfit(CONSENT, {"phone_number": "+14155550100", "status": "unsubscribed"}).code == "no_email"
    assert unfit(AUTO, {"external_id": "7", "status": "unsubscribed"}).code == "no_identifier"


def test_two_columns_that_disagree_reject_the_record() -> None:
    """Which of them is meant nobody knows."""
    for first, second in (("subscribed", "unsubscribed"), ("subscribed", False), (False, "subscribed")):
        assert unfit(CONSENT, {**MAIL, "email_status": first, "email_consent": second}).code == "invalid_field"


def test_a_channel_without_its_identifier_is_left_out_and_said() -> None:
    """The other one is done all the same, as in subscribe."""
    entry = {**CONSENT, "on_bad_value": "drop"}
    [row] = rows_of(entry, {**ADA, "phone_number": "N/A", "email_status": "subscribed", "sms_status": "subscribed"})
    assert list(row.payload["attributes"]) == ["email", "subscriptions"]
    assert [note.code for note in row.notes] == ["channel_left_out"]


def test_what_is_given_and_what_is_withdrawn_are_two_requests() -> None:
    """Each with the identifiers of its channels; source, history and date of birth belong to what is given."""
    session, wire = scripted_session(accepted)
    entry = {**CONSENT, "custom_source": "table", "historical_import": True}
    record = {
        **ADA,
        "email_status": "subscribed",
        "sms_status": "unsubscribed",
        "consented_at": EARLY,
        "age_gated_date_of_birth": "1990-12-10",
    }
    assert outcomes_of(session, "consent", rows_of(entry, record)) == [Outcome(OutcomeKind.ACCEPTED, 202)]
    off, on = writes(wire)
    assert sent(off) == (
        NO,
        [{"phone_number": ADA["phone_number"], "subscriptions": {"sms": {"marketing": {"consent": NO}}}}],
    )
    given = {"consent": YES, "consented_at": "2025-01-01T00:00:00Z"}
    assert sent(on) == (
        YES,
        [{**MAIL, "age_gated_date_of_birth": "1990-12-10", "subscriptions": {"email": {"marketing": given}}}],
    )
    terms = {name: value for name, value in body_of(on)["data"]["attributes"].items() if name != "profiles"}
    assert terms == {"custom_source": "table", "historical_import": True}


def test_historical_consent_needs_a_time_of_whoever_gives_it() -> None:
    """Who withdraws it needs none, nor one that can be read; without history the time only orders."""
    entry = {**CONSENT, "historical_import": True}
    assert unfit(entry, {**MAIL, "status": "subscribed"}).code == "no_consented_at"
    assert (
        unfit({**entry, "on_bad_value": "drop"}, {**MAIL, "status": 1, "consented_at": "soon"}).code == "invalid_time"
    )
    assert unfit(entry, {**MAIL, "status": "subscribed", "consented_at": "2099-01-01"}).code == "invalid_time"
    for when in (None, "2099-01-01", EARLY):
        assert states(entry, {**MAIL, "status": "unsubscribed", "consented_at": when}) == {"email.marketing": NO}
    [row] = rows_of({**entry, "on_bad_value": "drop"}, {**MAIL, "status": "unsubscribed", "consented_at": "soon"})
    assert [note.code for note in row.notes] == ["value_left_out"]
    assert states(CONSENT, {**MAIL, "status": "subscribed", "consented_at": EARLY}) == {"email.marketing": YES}


@pytest.mark.parametrize("is_one_batch", [True, False])
@pytest.mark.parametrize(
    ("said", "becomes", "asked"),
    [
        ([(YES, None), (NO, None)], ["", ""], [YES, NO]),
        ([(NO, None), (YES, None)], ["", "consent_disagrees"], [NO]),
        ([(NO, EARLY), (YES, LATE)], ["", ""], [NO, YES]),
        ([(NO, LATE), (YES, EARLY)], ["", "superseded"], [NO]),
        ([(YES, LATE), (NO, EARLY)], ["", "superseded"], [YES]),
        ([(YES, EARLY), (NO, EARLY)], ["", ""], [YES, NO]),
        ([(NO, EARLY), (YES, EARLY)], ["", "superseded"], [NO]),
        ([(NO, EARLY), (YES, None)], ["", "consent_disagrees"], [NO]),
        ([(NO, None), (YES, LATE)], ["", "consent_disagrees"], [NO]),
        ([(YES, LATE), (NO, None)], ["", ""], [YES, NO]),
    ],
)
def test_of_two_words_of_one_person_the_later_counts_and_else_the_withdrawal(
    said: list[tuple[str, str | None]], becomes: list[str], asked: list[str], *, is_one_batch: bool
) -> None:
    """A table has no order: without times in both, whoever withdrew is not subscribed again, and it is told."""
    session, wire = scripted_session(accepted)
    rows = rows_of(CONSENT, *({**MAIL, "status": state, "consented_at": when} for state, when in said))
    outcomes: list[Outcome] = []
    if is_one_batch:
        for group in ordered(rows):
            outcomes += outcomes_of(session, "consent", group)
    else:
        outcomes = [outcomes_of(session, "consent", [row])[0] for row in rows]
    assert [outcome.code or "" for outcome in outcomes] == becomes
    # Not rejected: a replay of the rejects would subscribe whoever withdrew.
    kinds = [OutcomeKind.LEFT_OUT if code else OutcomeKind.ACCEPTED for code in becomes]
    assert [outcome.kind for outcome in outcomes] == kinds
    assert [sent(request)[0] for request in writes(wire)] == asked


def ordered(rows: list[Any]) -> list[list[Any]]:
    """The rows as the dispatcher groups those of one batch."""
    return ordered_groups(rows, lambda payload: payload)


def test_channels_are_judged_one_by_one() -> None:
    """Of a record whose e-mail consent is out of date the rest is sent, and it says so."""
    session, wire = scripted_session(accepted)
    rows = rows_of(
        CONSENT,
        {**MAIL, "status": NO, "consented_at": LATE},
        {**ADA, "email_status": YES, "sms_status": YES, "consented_at": EARLY},
        {"email": "ben@x.org", "status": YES},
    )
    outcomes = [outcomes_of(session, "consent", [row])[0] for row in rows]
    assert [(outcome.kind, outcome.code) for outcome in outcomes] == [
        (OutcomeKind.ACCEPTED, None),
        (OutcomeKind.ACCEPTED, "superseded"),
        (OutcomeKind.ACCEPTED, None),
    ]
    assert [list(people[0]["subscriptions"]) for _, people in map(sent, writes(wire))] == [
        ["email"],
        ["sms"],
        ["email"],
    ]


def test_a_table_that_contradicts_itself_says_so_and_leaves_nothing_to_replay(
    target: Command, account: RunningSandbox
) -> None:
    """In one batch and in several: whoever withdrew stays so, and the log says what was not done."""
    rows = [{"n": n, "email": f"p{n % 4}@example.com", "status": (NO, YES)[n // 4]} for n in range(8)]
    schema = {"type": "SCHEMA", "stream": "table", "schema": {"properties": {name: {} for name in rows[0]}}}
    for size in (1, 1000):
        run = target([schema, *records("table", rows)], streams={"table": CONSENT}, batch_size_rows=size)
        assert run.code == 0, run.stderr
        assert "done: 0 delivered, 4 accepted, 0 rejected, 4 left out" in run.stderr
        assert "consent_disagrees" in run.stderr
        assert run.rejected == []
        consents = [
            row["subscriptions"]["email"]["marketing"]["consent"]
            for row in account.store.profiles.rows.values()
            if row.get("email") in {found["email"] for found in rows}
        ]
        assert set(consents) <= {NO}


def test_email_consent_is_given_where_sms_is_not_possible() -> None:
    """Klaviyo points at the number, and the address goes again without it."""

    def wire(request: Request) -> Response:
        _, people = sent(request)
        return (
            refused(400, "/data/attributes/profiles/data/0/attributes/phone_number")
            if "sms" in people[0]["subscriptions"]
            else respond(202)
        )

    session, asked = scripted_session(wire)
    rows = rows_of({**AUTO, "on_bad_value": "drop"}, {**ADA, "status": YES})
    [outcome] = outcomes_of(session, "consent", rows)
    assert (outcome.kind, outcome.code) == (OutcomeKind.ACCEPTED, "channel_left_out")
    assert [list(people[0]["subscriptions"]) for _, people in map(sent, writes(asked))] == [["email", "sms"], ["email"]]


def test_consent_that_klaviyo_refused_outdates_nothing() -> None:
    """Whoever could not be subscribed is still unsubscribed by an older word."""
    answers = iter([refused(400, "/data/attributes/profiles/data/0/attributes/email"), respond(202)])
    session, wire = scripted_session(lambda _: next(answers))
    rows = rows_of(
        CONSENT, {**MAIL, "status": YES, "consented_at": LATE}, {**MAIL, "status": NO, "consented_at": EARLY}
    )
    kinds = [outcomes_of(session, "consent", [row])[0].kind for row in rows]
    assert kinds == [OutcomeKind.REJECTED, OutcomeKind.ACCEPTED]
    assert [sent(request)[0] for request in writes(wire)] == [YES, NO]


def test_only_members_are_unsubscribed_from_a_list() -> None:
    """Klaviyo would unsubscribe the others everywhere, unless that is asked for by its name."""
    account = People({"A": MAIL, "B": {"email": "ben@x.org"}}, {"LIST01": {"A"}}, accepted)
    both = ({**MAIL, "status": NO}, {"email": "ben@x.org", "status": NO}, {"email": "cy@x.org", "status": YES})
    session, _ = scripted_session(account)
    outcomes = outcomes_of(session, "consent", rows_of({**CONSENT, "list": "LIST01"}, *both))
    assert [outcome.code for outcome in outcomes] == [None, "not_on_list", None]
    session, _ = scripted_session(account)
    entry = {**CONSENT, "list": "LIST01", "global_unless_member": True}
    assert [outcome.code for outcome in outcomes_of(session, "consent", rows_of(entry, *both))] == [None, None, None]


def test_a_stream_without_a_status_stops_the_run() -> None:
    """Otherwise a misspelled column would leave everybody out and end well."""
    route = parse_routes({"s": CONSENT}, None)["s"]
    with pytest.raises(SettingsError, match=r"streams\.s needs a column status or email_status or sms_status"):
        check_columns("s", route, ["email", "state"])
    assert check_columns("s", route, ["email", "Email Status"]) == []
    mapped = parse_routes({"s": {**CONSENT, "mapping": {"status": "state"}}}, None)["s"]
    assert check_columns("s", mapped, ["email", "state"]) == []


def test_a_table_becomes_the_accounts_consent(target: Command, account: RunningSandbox) -> None:
    """From Singer lines to the account: who is subscribed, who is not, and what the log counts."""
    table: list[dict[str, Any]] = [
        {"email": "ada@example.com", "phone": "+12025550101", "email_status": YES, "sms_status": NO},
        {"email": "ben@example.com", "phone": "+12025550102", "email_status": "unsubscribed", "sms_status": "yes"},
        {"email": "cy@example.com", "phone": None, "email_status": "NEVER_SUBSCRIBED", "sms_status": None},
        {"email": "di@example.com", "phone": None, "email_status": "perhaps", "sms_status": None},
    ]
    schema = {"type": "SCHEMA", "stream": "table", "schema": {"properties": {name: {} for name in table[0]}}}
    entry = {**CONSENT, "mapping": {"phone_number": "phone"}}
    run = target([schema, *records("table", table)], streams={"table": entry})
    assert run.code == 0, run.stderr
    assert "done: 0 delivered, 2 accepted, 1 rejected, 1 left out" in run.stderr
    found = {row["email"]: row["subscriptions"] for row in account.store.profiles.rows.values() if "email" in row}
    assert found["ada@example.com"]["email"]["marketing"]["consent"] == YES
    [ben] = [row for row in account.store.profiles.rows.values() if row.get("phone_number") == "+12025550102"]
    assert ben["subscriptions"]["sms"]["marketing"]["consent"] == YES
    assert not {"cy@example.com", "di@example.com"} & set(found)
