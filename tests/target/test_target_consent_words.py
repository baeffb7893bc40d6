"""What else people write where consent is meant: blanks, spaces, letters of other alphabets, columns that disagree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from target_support import NOW, Command, People, outcomes_of, records, respond, rows_of, scripted_session, writes

from klaviyo_sandbox import RunningSandbox
from target_klaviyo.delivery.action import Row
from target_klaviyo.delivery.batches import conflict_free_groups
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import ListRef, OutcomeKind, RejectedRecord, SourceRecord

ADA = {"email": "ada@example.com"}
FORM = {**ADA, "list": "News"}


def steps(entry: Mapping[str, Any], record: Mapping[str, Any]) -> list[tuple[str, Row]]:
    """What is done with a record, one thing after the other."""
    action, row = parse_routes({"s": entry}, None, lambda: NOW)["s"].row(SourceRecord("s", record), record)
    found = [(action.name, row)]
    while row.next_step is not None:
        action, row = row.next_step
        found.append((action.name, row))
    return found


def test_two_addresses_that_only_fold_to_one_are_two_peoples() -> None:
    """`ß` and `ss` are different letters of different people's addresses: both are unsubscribed."""
    addresses = ["strauß@example.com", "strauss@example.com", "STRAUß@example.com"]
    made = conflict_free_groups(rows_of({"action": "unsubscribe"}, *({"email": address} for address in addresses)))
    assert [[len(unit.rows) for unit in wave] for wave in made] == [[2, 1]]


def test_nobody_leaves_a_list_for_somebody_elses_letters() -> None:
    """Who is looked for as `strauß` is not found as `strauss`."""
    account = People({"S": {"email": "strauss@example.com"}}, {"News1": {"S"}}, write=lambda _: respond(204))
    session, wire = scripted_session(account)
    rows = rows_of({"action": "list_members", "mode": "remove", "list": "News1"}, {"email": "strauß@example.com"})
    (outcome,) = outcomes_of(session, "list_members", rows)
    assert (outcome.code, list(writes(wire))) == ("not_found", [])


@pytest.mark.parametrize("said", ["", "  ", [], [""], "[]"])
@pytest.mark.parametrize("action", ["update_profile", "identify"])
def test_a_blank_list_is_no_list(action: str, said: Any) -> None:
    """A form sends an empty field for a list that nobody chose; its profile is made all the same."""
    (step,) = steps({"action": action}, {**ADA, "lists": said, "$lists": said})
    assert (step[0], step[1].list) == ("upsert_profile", None)


def test_a_blank_among_lists_is_left_out() -> None:
    """The hidden field of a form beside what was chosen."""
    found = steps({"action": "update_profile"}, {**ADA, "lists[]": ["", "News", " News "]})
    assert [row.list for _, row in found] == [ListRef("News", "News")]


@pytest.mark.parametrize("said", [True, False, 0, {"email": True}, [["email"]], "yes"])
def test_consent_that_is_not_asked_for_is_not_judged(said: Any) -> None:
    """With `consent: ignore`, which is the default, it is not sent: the profile is."""
    (step,) = steps({"action": "identify"}, {"$email": "ada@example.com", "$consent": said})
    assert step[0] == "upsert_profile"
    with pytest.raises(RejectedRecord, match="consent"):
        steps({"action": "identify", "consent": "subscribe"}, {"$email": "ada@example.com", "$consent": said})


@pytest.mark.parametrize("column", ["list_id", "list_name"])
@pytest.mark.parametrize("action", ["unsubscribe", "subscribe", "list_members"])
def test_space_around_a_lists_name_is_no_part_of_it(action: str, column: str) -> None:
    """As the option has it; with create_list a list of another name would be made."""
    ((_, row),) = steps({"action": action, "create_list": True} if action != "unsubscribe" else {"action": action},
                        {**ADA, column: "\u00a0News "})  # fmt: skip
    assert row.list is not None
    assert str(row.list) == "News"


def test_a_blank_list_is_the_streams() -> None:
    """As a null is."""
    ((_, row),) = steps({"action": "unsubscribe", "list": "News"}, {**ADA, "list_name": " ", "list_id": ""})
    assert row.list == ListRef("News", "News", configured=True)
    ((_, row),) = steps({"action": "unsubscribe", "list": "News"}, {**ADA, "list_name": " ", "list_id": "Other1"})
    assert row.list == ListRef("Other1", None)


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_nobody_is_taken_from_everywhere_for_a_blank(action: str) -> None:
    """A record that means a list and does not say which means no other, and not all."""
    with pytest.raises(RejectedRecord, match="list") as caught:
        steps({"action": action}, {**ADA, "list_name": " "})
    assert caught.value.code == "no_list"


@pytest.mark.parametrize("column", ["consented_at", "custom_source", "age_gated_date_of_birth"])
def test_a_blank_beside_consent_says_nothing(column: str) -> None:
    """A CSV file has every column on every line."""
    blank, plain = (steps({"action": "subscribe"}, {**ADA, **more})[0][1] for more in ({column: " "}, {}))
    assert (blank.payload, blank.batch_key) == (plain.payload, plain.batch_key)


def test_two_columns_that_disagree_on_consent_are_refused() -> None:
    """Who meant no is never taken for yes, whichever column comes first."""
    for one, other in [("yes", "No"), ("No", "yes")]:
        with pytest.raises(RejectedRecord, match="confirm_opt_in"):
            steps({"action": "update_profile"}, {**FORM, "confirm_opt_in": one, "confirmOptIn": other})
    found = steps({"action": "update_profile"}, {**FORM, "confirm_opt_in": "yes", "confirmOptIn": ""})
    assert [name for name, _ in found] == ["list_members", "subscribe"]


@pytest.mark.parametrize("column", ["_sdc_deleted_at", "_SDC_DELETED_AT"])
def test_who_is_deleted_in_the_source_is_subscribed_to_nothing(column: str) -> None:
    """Databases such as Snowflake write the names of columns in capitals."""
    record = {**ADA, column: "2026-01-01T00:00:00Z"}
    with pytest.raises(RejectedRecord) as caught:
        steps({"action": "subscribe"}, record)
    assert (caught.value.kind, caught.value.code) == (OutcomeKind.LEFT_OUT, "deleted_in_source")
    ((_, row),) = steps({"action": "list_members", "list": "News"}, record)
    assert row.batch_key == ("remove",)


@pytest.mark.parametrize(
    "said",
    [
        *(
            "2026-01-01 00:00:00 UTC",
            "2026-01-01 00:00:00.000 +0000",
            "2026-01-01T00:00:00 Z",
            " 2026-01-01 00:00:00 GMT",
        ),
        *("2026-01-01 00:00:00 -08", "2026-01-01 00:00:00.123456789 +02:00"),
    ],
)
def test_who_is_deleted_at_a_time_as_databases_write_it_is_removed(said: str) -> None:
    """BigQuery, Snowflake and Postgres put a space before the zone, or name it."""
    ((_, row),) = steps({"action": "list_members", "list": "News"}, {**ADA, "_sdc_deleted_at": said})
    assert row.batch_key == ("remove",)


@pytest.mark.parametrize(("said", "meant"), [(0, False), (0.0, False), (1, True)])
def test_an_option_takes_the_numbers_that_a_record_takes(said: Any, meant: bool) -> None:
    """YAML files and variables know 0 and 1."""
    assert parse_routes({"s": {"action": "unsubscribe", "global_unless_member": said}}, None)["s"].options == {
        "channels": ["email"],
        "global_unless_member": meant,
    }


BROKEN: list[dict[str, Any]] = [
    {"created": ""},
    {"created": "0000-00-00"},
    {"age": "12"},
    {"phone_number": 12025550171.5},
    {"tags": None},
]
PROMISED = {
    "type": "object",
    "properties": {
        "email": {"type": "string"},
        "phone_number": {"type": "string"},
        "created": {"type": "string", "format": "date-time"},
        "age": {"type": "integer"},
        "tags": {"type": "array"},
    },
}
# What sends its own fields only, or only looks for people.
TAKERS = [
    {"action": "unsubscribe"},
    {"action": "subscribe"},
    {"action": "suppress"},
    {"action": "unsuppress"},
    {"action": "delete_profile", "allow_deletion": True},
    {"action": "list_members", "list": "News", "mode": "remove"},
]


@pytest.mark.parametrize("entry", TAKERS, ids=lambda entry: str(entry["action"]))
def test_a_column_that_is_not_sent_refuses_nobodys_wish(
    target: Command, account: RunningSandbox, entry: dict[str, Any]
) -> None:
    """A date that is none, beside an address that is one: the person is unsubscribed, removed or deleted."""
    if entry["action"] == "list_members":
        with account.store.lock:
            entry = {**entry, "list": next(iter(account.store.lists.rows))}
    schema = {"type": "SCHEMA", "stream": "s", "key_properties": ["email"], "schema": PROMISED}
    people = [{"email": f"p{at}@example.com", **more} for at, more in enumerate(BROKEN)]
    run = target([schema, *records("s", people)], streams={"s": entry})
    assert (run.code, run.rejected) == (0, [])
    assert "not as the tap's SCHEMA has it" in run.stderr


@pytest.mark.parametrize("said", [1, 1.0, "1.0", " Yes "])
def test_a_rehearsal_is_one_by_any_word_for_yes(target: Command, account: RunningSandbox, said: Any) -> None:
    """Settings take the numbers that records take, and nobody is unsubscribed by one that was not understood."""
    schema = {"type": "SCHEMA", "stream": "s", "key_properties": [], "schema": {"properties": {"email": {}}}}
    run = target([schema, *records("s", [ADA])], streams={"s": {"action": "unsubscribe"}}, dry_run=said)
    assert run.code == 0
    with account.store.lock:
        assert not [row for row in account.store.profiles.rows.values() if row["email"] == ADA["email"]]


@pytest.mark.parametrize(
    "entry", [{"action": "upsert_profile"}, {"action": "list_members", "list": "News", "create_list": True}]
)
def test_a_column_that_is_sent_is_still_held_to_the_promise(target: Command, entry: dict[str, Any]) -> None:
    """Custom properties are not written in another type than their source says."""
    schema = {"type": "SCHEMA", "stream": "s", "key_properties": ["email"], "schema": PROMISED}
    run = target([schema, *records("s", [{**ADA, "age": "12"}])], streams={"s": {**entry, "on_bad_value": "reject"}})
    assert [line["code"] for line in run.rejected if line["type"] == "RECORD"] == ["invalid_record"]


def test_a_blank_column_gives_way_to_another_of_the_same_field() -> None:
    """Old plugins write `$email` beside `email`, forms `lists[]` beside `list`: blanks say nothing."""
    for record in ({"email": " ", "$email": "ada@example.com"}, {"$email": "ada@example.com", "email": ""}):
        ((_, row),) = steps({"action": "unsubscribe"}, record)
        assert row.payload["attributes"]["email"] == "ada@example.com"
    found = steps({"action": "update_profile"}, {**ADA, "list": "", "lists[]": ["News"], "confirmOptIn": "yes"})
    assert [(name, str(row.list)) for name, row in found] == [("list_members", "News"), ("subscribe", "News")]


def test_lists_of_two_columns_are_all_joined() -> None:
    """None of them is lost for the other."""
    found = steps({"action": "update_profile"}, {**ADA, "list": "News", "lists[]": ["VIP", "News"]})
    assert [str(row.list) for _, row in found] == ["News", "VIP"]


def test_columns_that_disagree_on_whose_consent_it_is_are_refused() -> None:
    """Neither channel is subscribed for the other column's word."""
    record = {"$email": "ada@example.com", "$phone_number": "+12025550171", "$consent": "email", "consent": "sms"}
    with pytest.raises(RejectedRecord, match="disagree"):
        steps({"action": "identify", "consent": "subscribe"}, record)


def test_who_is_deleted_in_the_source_is_not_let_reach_again() -> None:
    """A record that is gone from the table of those to unsuppress lifts no suppression."""
    with pytest.raises(RejectedRecord) as caught:
        steps({"action": "unsuppress"}, {**ADA, "_sdc_deleted_at": "2026-01-01T00:00:00Z"})
    assert (caught.value.kind, caught.value.code) == (OutcomeKind.LEFT_OUT, "deleted_in_source")
