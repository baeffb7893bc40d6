"""A rehearsal ends with one screen for a person: what goes where, who is new, who is not sent and why."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from target_support import ADA, KEY, Command, Run, records, respond, rows_of, scripted_session

from klaviyo_client.privacy.redaction import hint_at
from klaviyo_sandbox import RunningSandbox
from target_klaviyo.actions import ACTIONS
from target_klaviyo.intake.column_fates import ColumnFates, describe_columns
from target_klaviyo.intake.route_settings import parse_routes
from target_klaviyo.model.records import Outcome, OutcomeKind
from target_klaviyo.rehearsal.people_lookup import look_up_people
from target_klaviyo.rehearsal.plan_stream import MAX_ASKED, StreamPlan
from target_klaviyo.rehearsal.push_command import push_command
from target_klaviyo.rehearsal.screen import plan_screen
from target_klaviyo.target import TargetKlaviyo

DOCUMENT = Path(__file__).parents[2] / "docs" / "audiences" / "rehearse.md"
MAKE = {"list": "VIP", "create_list": True}


def schema(stream: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "SCHEMA", "stream": stream, "schema": {"properties": {name: {} for row in rows for name in row}}}


def screen_of(run: Run) -> str:
    """What is on stderr beside the log."""
    lines = run.stderr[run.stderr.index("\nPLAN") :].splitlines()
    return "\n".join(line for line in lines if not re.match(r"\d{4}-\d\d-\d\d", line))


def plan_of(run: Run) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((run.folder / "target-klaviyo-plan.json").read_text())
    return plan


def line_with(screen: str, *texts: str) -> str:
    [line] = [line for line in screen.splitlines() if all(text in line for text in texts)]
    return line


ROWS: list[dict[str, Any]] = [
    {
        "E-Mail": f"ada{i}@example.com",
        "phone_number": "12" if i == 0 else f"+1202555014{i}",
        "Lifetime value": "1.234,50" if i != 2 else "much",
        "Score": i,
        "VIP": True,
        "_sdc_batched_at": "2026-01-01",
    }
    for i in range(6)
]
ENTRY = {
    "action": "list_members",
    **MAKE,
    "mapping": {"email": "E-Mail"},
    "types": {"Lifetime value": {"type": "number", "format": "1.234,50"}},
}


def test_the_screen_says_what_a_person_asks(target: Command, account: RunningSandbox) -> None:
    """Account, list, columns with their types, who is new, what is left out, who is rejected and why, and the cost."""
    known = [{"email": "ada1@example.com"}]
    assert target([schema("p", known), *records("p", known)], streams={"p": {"action": "upsert_profile"}}).code == 0
    rows = [*ROWS, {"E-Mail": "bad.example.com", "phone_number": None}, {"Score": 3}]

    run = target([schema("people", ROWS), *records("people", rows)], streams={"people": ENTRY}, dry_run=True)

    assert run.code == 0, run.stderr
    screen = screen_of(run)
    assert plan_of(run)["account"] in screen.splitlines()[1]
    assert "6 would be sent, 2 would be rejected" in screen
    assert re.search(r"E-Mail +email$", line_with(screen, "E-Mail  "))
    assert "custom property, number" in line_with(screen, "Lifetime value ", "custom")
    assert "custom property, yes/no" in line_with(screen, "VIP ", "custom")
    assert "not sent" in line_with(screen, "_sdc_batched_at")
    assert "phone_number" in line_with(screen, "same name")
    assert re.match(r" +5  ", line_with(screen, "new to Klaviyo"))
    assert re.match(r" +1  .*a\*\*\*1@e\*\*\*\.com$", line_with(screen, "updated"))
    assert re.match(r" +1  .*b\*\*\*", line_with(screen, "would be rejected: ", "invalid_email"))
    assert re.match(r" +1  ", line_with(screen, "sent without Lifetime value"))
    assert re.match(r" +1  ", line_with(screen, "sent without phone_number"))
    assert re.match(r" +6  ", line_with(screen, "put on it"))
    assert "less than a minute" in screen
    assert "target-klaviyo-plan.json" in screen
    assert "--config" in line_with(screen, "To push: ")
    assert max(len(line) for line in screen.splitlines() if "To push" not in line) <= 100
    assert "example.com" not in run.stderr
    assert "\x1b" not in screen


# What goes wrong, and what comes next ---------------------------------------------------------------------------------


def test_every_reason_is_told_at_once(target: Command, account: RunningSandbox) -> None:
    """Of several streams, and behind a limit of rejected records: one rehearsal tells all that a push would stop at."""
    people = [{"email": "ada@example.com"}, {"email": "bad"}, {"phone_number": "12"}]
    streams = {
        "one": {"action": "list_members", "list": "Nobody's"},
        "two": {"action": "list_members", "list": "Nothing's", "mode": "mirror", "owns_list": True},
        "three": {"action": "upsert_profile", "types": {"Score": "number"}},
        "four": {"action": "upsert_profile", "on_bad_value": "reject"},
        "five": {"action": "list_members", "mode": "mirorr", "lisst": "x"},
        "six": {"action": "upsert_profil"},
    }
    messages = [line for name in streams for line in (schema(name, people), *records(name, people))]

    run = target(messages, streams=streams, dry_run=True, on_reject="fail")

    assert run.code == 2, run.stderr
    [last] = run.said("CRITICAL", "ERROR")
    screen = screen_of(run)
    keys = ("three.types.Score", "five.mode", "five.lisst", "six.action")
    for reason in ("Nobody's", "Nothing's", *(f"streams.{key}" for key in keys)):
        assert reason in last
        assert reason in screen
    assert "1 would be sent, 2 would be rejected" in screen
    assert "invalid_email" in screen
    assert "invalid_phone" in screen
    assert "To push it" not in screen
    assert plan_of(run)["complete"] is False


def test_a_push_names_all_settings_that_are_wrong(target: Command, account: RunningSandbox) -> None:
    """Of each stream and key, before anything is sent."""
    streams = {"a": {"action": "upsert_profil"}, "b": {"action": "subscribe", "lisst": "x", "types": {"n": "numbr"}}}
    run = target([], streams=streams)
    assert run.code == 2
    [last] = run.said("CRITICAL")
    for key in ("a.action", "b.lisst", "b.types.n"):
        assert f"streams.{key}" in last
    assert list(account.requests) == []


def test_who_calls_it_says_what_comes_next(account: RunningSandbox, tmp_path: Path, capsys: Any) -> None:
    """In one process with another command, its own command stands at the end."""
    config = {"api_key": KEY, "api_url": account.url, "dry_run": True, "plan_path": str(tmp_path / "plan.json")}
    target = TargetKlaviyo(config=config, push_command="klaviyo-audience people.csv --yes")
    lines = [schema("profiles", [ADA]), *records("profiles", [ADA])]
    target.listen(io.StringIO("".join(f"{json.dumps(line)}\n" for line in lines)))
    err = capsys.readouterr().err
    assert "\nTo push: klaviyo-audience people.csv --yes\n" in err
    assert json.loads((tmp_path / "plan.json").read_text())["command"] == "klaviyo-audience people.csv --yes"


# Of the document ------------------------------------------------------------------------------------------------------

NAMES = ("ada", "grace", "mary", "katherine", "dorothy", "annie", "vera", "jocelyn")
SAMPLE = [
    {
        "E-Mail": f"{name}@example.com",
        "Phone": "12" if name == "mary" else f"+1202555010{number}",
        "Lifetime value": "much" if name == "vera" else f"1.{number}34,50",
        "Last order": f"{number + 1}.3.2026",
        "Colour": "blue",
        "size": 9,
    }
    for number, name in enumerate(NAMES)
]
SAMPLE_ENTRY = {
    "action": "list_members",
    "list": "VIP", "mode": "mirror", "owns_list": True, "size_field": "size", "max_removals": "3",
    "mapping": {"email": "E-Mail", "phone_number": "Phone"},
    "types": {"Lifetime value": {"type": "number", "format": "1.234,50"},
              "Last order": {"type": "date", "format": "%d.%m.%Y"}},
}  # fmt: skip


def test_the_document_has_the_screen_as_it_is(
    target: Command, account: RunningSandbox, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a list that is made equal to nine rows, of which one is bad."""
    were = [{"email": f"{name}@example.com"} for name in (*NAMES[:5], "hedy", "lise")]
    assert target([schema("p", were), *records("p", were)], streams={"p": {"action": "list_members", **MAKE}}).code == 0
    for table in account.store.list_members.values():
        for row in list(table.rows.values()):  # who joined in the last seconds before a run is nobody's to remove
            table.put({**row, "joined_group_at": "2026-01-01T00:00:00+00:00"})
    rows: list[dict[str, Any]] = [*SAMPLE, {"E-Mail": "emmy.example.com", "Phone": None, "size": 9}]
    config = {**target.config, "dry_run": True, "streams": {"people": {**SAMPLE_ENTRY, "on_bad_value": "drop"}}}
    monkeypatch.chdir(target.folder)
    monkeypatch.setattr("sys.argv", ["/bin/target-klaviyo", "--config", "ENV"])
    lines = [schema("people", SAMPLE), *records("people", rows)]

    TargetKlaviyo(config=config).listen(io.StringIO("".join(f"{json.dumps(line)}\n" for line in lines)))

    err = capsys.readouterr().err
    screen = err[err.index("PLAN") :]
    [vip] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == "VIP"]
    shown = re.sub(rf"\b{vip}\b", "X1Y2Z3", screen)
    [sample] = re.findall(r"```text\n(PLAN .*?)\n```", DOCUMENT.read_text(), re.DOTALL)
    assert shown.startswith(sample), shown


# Parts ----------------------------------------------------------------------------------------------------------------


def filled(people: Iterable[Mapping[str, Any]]) -> StreamPlan:
    stream = StreamPlan()
    for row in rows_of({"action": "upsert_profile"}, *people):
        stream.add_row(ACTIONS["upsert_profile"], row)
        row.source.outcome = Outcome(OutcomeKind.DELIVERED)
    return stream


@pytest.mark.parametrize(
    ("status", "people", "why"),
    [
        (200, MAX_ASKED + 1, "more than 2,000 people"),
        (403, 2, "the key lacks profiles:read"),
        (500, 2, "Klaviyo did not answer"),
    ],
)
def test_who_is_new_is_not_guessed(status: int, people: int, why: str) -> None:
    """Where nobody can be asked, or too many would have to be, the plan says so."""
    stream = filled({"email": f"p{i}@example.com"} for i in range(people))
    error = {"errors": [{"id": "1", "code": "x", "title": "x", "detail": "scopes", "source": {}}]}
    session, wire = scripted_session(lambda _: respond(status, {"data": []} if status == 200 else error))
    look_up_people(session, stream)
    found = stream.to_json()["people"]
    assert (found["asked"], found["new"], found["why_not_asked"]) == (False, None, why)
    assert bool(wire.asked) == (status != 200)


def test_who_is_known_by_any_identifier_is_not_new() -> None:
    """By phone where the address is unknown; 150 people cost two requests, and one more for those with a phone."""
    people = [{"email": f"p{i}@example.com"} for i in range(149)]
    stream = filled([*people, {"email": "q@example.com", "phone_number": "+12025550142"}])
    known = {"type": "profile", "id": "1", "attributes": {"email": "other@example.com", "phone_number": "+12025550142"}}
    session, wire = scripted_session(
        lambda request: respond(
            200, {"data": [known] if "phone_number," in str(request.url) + str(request.query) else []}
        )
    )
    look_up_people(session, stream)
    found = stream.to_json()["people"]
    assert (found["new"]["count"], found["known"]["identifiers"]) == (149, ["q@example.com"])
    assert len(wire.asked) == 3


def test_types_are_those_that_are_sent() -> None:
    """JSON types of custom properties, also of several kinds, and of what an object holds."""
    stream = filled([{**ADA, "n": 1, "mixed": 1}, {**ADA, "n": 2.5, "mixed": "x", "list": [1], "nothing": None}])
    seen = {column["property"]: column["seen_types"] for column in stream.to_json()["columns"]}
    assert seen == {"n": {"number": 2}, "mixed": {"number": 1, "string": 1}, "list": {"list": 1}}


@pytest.mark.parametrize(
    ("entry", "column", "becomes"),
    [
        ({"action": "upsert_profile"}, "EMAIL", ("email", None, None)),
        ({"action": "upsert_profile"}, "Score", (None, "Score", None)),
        ({"action": "upsert_profile", "unknown_columns": "drop"}, "Score", (None, None, "unknown_columns is drop")),
        ({"action": "upsert_profile", "mapping": {"email": "Mail"}}, "Mail", ("email", None, None)),
        (
            {"action": "upsert_profile", "mapping": {"email": "Mail"}},
            "email",
            (None, None, "the mapping reads email from elsewhere"),
        ),
        ({"action": "upsert_profile", "mapping": {"properties.Tier": "t"}}, "t", (None, "Tier", None)),
        ({"action": "unsubscribe"}, "Score", (None, None, "unsubscribe has no such field")),
        ({"action": "upsert_profile"}, "_SDC_BATCHED_AT", (None, None, "of the tap's own")),
    ],
)
def test_what_a_column_becomes(entry: dict[str, Any], column: str, becomes: tuple[str | None, ...]) -> None:
    """A field, a custom property, or nothing, and why."""
    route = parse_routes({"s": entry}, None)["s"]
    [found] = describe_columns(route, [column])
    assert (found["field"], found["property"], found["why_not_sent"]) == becomes


EMPTY: dict[str, Any] = {
    "complete": True,
    "account": None,
    "problems": [],
    "streams": [],
    "lists": [],
    "sections": [],
    "requests": [],
    "reads": [],
    "minutes": 0.0,
    "fails": None,
    "command": "x",
    "left_out_values": [],
}


def test_what_comes_from_elsewhere_moves_no_cursor_and_names_nobody() -> None:
    """Names of columns and lists may hold anything: control characters, an address, a thousand letters."""
    columns = describe_columns(
        parse_routes({"s": {"action": "upsert_profile"}}, None)["s"],
        ["\x1b[31mred\x1b[0m", "ada@example.com", "x" * 1000, *(f"c{i}" for i in range(100))],
    )
    stream = StreamPlan(columns=columns).to_json()
    lists = [{"id": "L\x07", "name": "a\nb", "would_be_made": False, "already_on_it": None}]
    plan = {**EMPTY, "streams": [{"stream": "s\x9b", "action": "a", **stream}], "lists": lists}
    screen = plan_screen(plan, "plan.json")
    assert all(letter == "\n" or letter.isprintable() for letter in screen)
    assert "ada@" not in screen
    assert "more columns" in screen
    assert max(map(len, screen.splitlines())) <= 100


def test_many_lists_are_counted() -> None:
    """Where each record names one, the screen stays one."""
    change = {"count": 1, "identifiers": ["ada@example.com"], "not_shown": 0}
    lists = [
        {"id": f"L{i}", "name": f"N{i}", "would_be_made": False, "already_on_it": None, "additions": change}
        for i in range(1000)
    ]
    stream = {**StreamPlan().to_json(), "lists": {f"N{i}": 1 for i in range(1000)}}
    plan = {**EMPTY, "streams": [{"stream": "s", "action": "list_members", **stream}], "lists": lists}
    screen = plan_screen(plan, "plan.json")
    assert "'N2' and 997 more" in screen
    assert "and 980 more lists" in screen
    assert len(screen.splitlines()) < 100


def test_columns_are_those_of_the_schema_and_those_that_come() -> None:
    """Told with the first record, and again only where a record brings a new one."""
    fates = ColumnFates(parse_routes({"s": {"action": "upsert_profile"}}, None)["s"], ["email", "Score"])
    told = [fates.see(record) for record in ({"email": "x"}, {"email": "y", "Score": 1}, {"New": 1}, {})]
    names = [None if columns is None else [column["column"] for column in columns] for columns in told]
    assert names == [["email", "Score"], None, ["email", "Score", "New"], None]


def test_a_run_that_would_fail_says_why() -> None:
    """And names the command all the same where settings are right: a mirror's additions stand."""
    screen = plan_screen({**EMPTY, "fails": "nobody is removed"}, "plan.json")
    assert "The push would fail: nobody is removed" in screen
    assert "To push anyway: x" in screen


@pytest.mark.parametrize(("code", "has_command"), [("over_cap", True), ("not_owned", False)])
def test_a_mirror_that_removes_nobody_says_why(code: str, has_command: bool) -> None:
    """Each reason where the list is, who came twice masked, and no command where a push would not begin."""
    title = "Nobody would be removed from 'VIP'"
    notes = ["3 people for the list 'VIP'.", "first reason: set this.", "second reason: mend that."]
    facts = {"reasons": [{"code": code}], "repeated_examples": [{"email": "ada@example.com"}, {}]}
    section = {"title": title, "notes": notes, "facts": facts}
    screen = plan_screen({**EMPTY, "sections": [section], "fails": "many words"}, "plan.json")
    for words in (title, *notes, "Duplicates: a***@e***.com", "for the reasons above"):
        assert words in screen
    assert "many words" not in screen
    assert ("To push" in screen) == has_command


@pytest.mark.parametrize(
    ("arguments", "environment", "command"),
    [
        (["/x/target-klaviyo", "--config=ENV"], {}, "... | TARGET_KLAVIYO_DRY_RUN=false target-klaviyo --config=ENV"),
        (
            ["/x/target_klaviyo/__main__.py", "--config", "a b.json", "--config", "env", "--input=f"],
            {},
            "TARGET_KLAVIYO_DRY_RUN=false python -m target_klaviyo --config 'a b.json' --config env --input=f",
        ),
        (["/x/target-klaviyo"], {"MELTANO_PROJECT_ROOT": "/p"}, "TARGET_KLAVIYO_DRY_RUN=false meltano ..."),
        (["target-klaviyo", "--config", "c.json"], {}, '"dry_run": false in its config'),
    ],
)
def test_the_command_that_pushes(arguments: list[str], environment: dict[str, str], command: str) -> None:
    """As the process was called, but in earnest."""
    assert command in push_command(arguments, environment)


@pytest.mark.parametrize(
    ("identifier", "hint"),
    [
        ("ada@example.com", "a***@e***.com"),
        ("ada.lovelace@mail.example.co", "a***e@m***.co"),
        ("+1 (202) 555-0142", "+1***42"),
        ("12", "1***"),
        ("@", "@***"),
        ("", "***"),
        ("a@b.lovelace family", "a***@b***"),
        ("\x1b[0m", "***"),
    ],
)
def test_an_example_tells_who_to_whoever_knows(identifier: str, hint: str) -> None:
    """A few characters of an identifier, and none that a terminal obeys."""
    assert hint_at(identifier) == hint
