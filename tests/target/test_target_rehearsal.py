"""A rehearsal: what a push would do, and not a thing of it done."""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from target_support import (
    ADA,
    EVERY,
    KEY,
    THERE,
    Command,
    People,
    Run,
    Scripted,
    Time,
    add_people,
    advice_for,
    outcomes_of,
    records,
    respond,
    rows_of,
    schema_of,
)

from klaviyo_client.api.operations import operation
from klaviyo_client.http.retries import RetryPolicy
from klaviyo_client.http.transport import Request
from klaviyo_sandbox import RunningSandbox
from klaviyo_sandbox.account.table import Table
from klaviyo_sandbox.http.request_log import LoggedRequest
from target_klaviyo.actions import ACTIONS
from target_klaviyo.delivery.session import Session
from target_klaviyo.model.amounts import Limit
from target_klaviyo.model.records import Outcome, OutcomeKind, SourceRecord
from target_klaviyo.rehearsal import plan as plans
from target_klaviyo.rehearsal import plan_stream
from target_klaviyo.rehearsal.plan import Plan
from target_klaviyo.rehearsal.rehearsal_client import ReadOnlyTransport, RehearsalClient, WriteInRehearsal
from target_klaviyo.rehearsal.rehearsal_results import RehearsalResults
from target_klaviyo.rehearsal.request_bodies import RequestContents, parse_request
from target_klaviyo.rehearsal.screen import format_counts
from target_klaviyo.reporting.results import TooManyRejects

STATE = {"type": "STATE", "value": {"at": 1}}


def schema(stream: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "SCHEMA", "stream": stream, "schema": {"properties": {name: {} for row in rows for name in row}}}


def plan_of(run: Run) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((run.folder / "target-klaviyo-plan.json").read_text())
    return plan


def held(account: RunningSandbox) -> dict[str, Any]:
    """All that the account has."""
    tables = {name: dict(value.rows) for name, value in vars(account.store).items() if isinstance(value, Table)}
    members = {name: dict(table.rows) for name, table in account.store.list_members.items()}
    return {**tables, "members": members, "pending": dict(account.store.pending_consents.rows)}


def members(account: RunningSandbox, name: str) -> set[str]:
    [list_id] = [row["id"] for row in account.store.lists.rows.values() if row["name"] == name]
    emails = {row["id"]: row["email"] for row in account.store.profiles.rows.values()}
    return {emails[member] for member in account.store.list_members[list_id].rows}


def writes(asked: Iterable[LoggedRequest]) -> list[LoggedRequest]:
    return [entry for entry in asked if entry.method != "GET"]


# In an account --------------------------------------------------------------------------------------------------------


def test_no_action_sends_anything(target: Command, account: RunningSandbox) -> None:
    """Every action runs to its end, the account is as it was, and it was asked nothing but to read."""
    without = ACTIONS.keys() - EVERY.keys() - {"audience_manifest"}  # which sends nothing anyway
    assert not without, advice_for(without)
    streams = {name: {"action": name, **entry} for name, (entry, _) in EVERY.items()}
    messages = [line for name, (_, row) in EVERY.items() for line in (schema(name, [row]), *records(name, [row]))]
    add_people(account, *THERE)
    before = held(account)

    run = target([*messages, STATE], streams=streams, dry_run=True)

    assert run.code == 0, run.stderr
    assert writes(account.requests) == []
    assert held(account) == before
    plan = plan_of(run)
    assert {(part["action"], part["would_be_sent"]) for part in plan["streams"]} == {(name, 1) for name in EVERY}
    assert [entry["name"] for entry in plan["lists"] if entry["would_be_made"]] == ["Made", "Made by a form"]
    assert plan["lists"][0]["additions"]["identifiers"] == ["ada@example.com", "b@example.com"]
    assert plan["lists"][0]["subscriptions"]["identifiers"] == ["c@example.com"]
    assert plan["complete"] is True
    assert plan["sent"] == 0
    assert run.stdout == ""


@dataclass(frozen=True)
class Case:
    """What is pushed, and to whom something would be done.

    Attributes:
        before: who is put on the list VIP first.
        change: what becomes of the people of the list.
    """

    entry: dict[str, Any]
    rows: list[dict[str, Any]]
    before: list[dict[str, Any]] = field(default_factory=list)
    change: str | None = None


PEOPLE = [{"email": f"p{i}@example.com", "first_name": "Lovelace"} for i in range(30)]
BAD = [{"email": "ada.example.com", "first_name": "Lovelace"}]
MANY = [{"email": f"q{i}@example.com", "first_name": "Lovelace"} for i in range(130)]
WAVES = [{"email": f"p{i % 7}@example.com", "metric": "Waved", "value": i} for i in range(40)]
MAKE = {"list": "VIP", "create_list": True}
CASES = {
    "profiles": Case({"action": "upsert_profile"}, PEOPLE + BAD),
    "few": Case({"action": "upsert_profile"}, PEOPLE[:3]),
    "update_only": Case({"action": "upsert_profile", "update_only": True}, PEOPLE, before=PEOPLE[:5]),
    "events": Case({"action": "track_event"}, [*WAVES, {"email": "p1@example.com", "metric": ""}]),
    "additions": Case({"action": "list_members", **MAKE}, PEOPLE + BAD, change="additions"),
    "removals": Case(
        {"action": "list_members", "list": "VIP", "mode": "remove"},
        [*MANY[:125], {"email": "nobody@example.com", "first_name": "Lovelace"}],
        before=MANY,
        change="removals",
    ),
    "subscriptions": Case({"action": "subscribe", **MAKE}, PEOPLE + BAD, change="subscriptions"),
}


def sent_by(asked: Iterable[LoggedRequest], names: Iterable[str]) -> Counter[str]:
    """Requests by operation, of these operations."""
    counts: Counter[str] = Counter()
    for entry in asked:
        for name in names:
            pattern = re.sub(r"\{\w+\}", "[^/]+", operation(name).path)
            if entry.method == operation(name).method and re.fullmatch(pattern, entry.path.rstrip("/")):
                counts[name] += 1
    return counts


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_plan_is_what_a_real_run_then_does(target: Command, account: RunningSandbox, case: Case) -> None:
    """The same counts, the same requests, the same people on and off the list."""
    if case.before:
        joined = target([schema("vip", case.before), *records("vip", case.before)],
                        streams={"vip": {"action": "list_members", **MAKE}})  # fmt: skip
        assert joined.code == 0
    messages = [schema("people", case.rows), *records("people", case.rows), STATE]
    streams = {"people": case.entry}
    begun, before = len(account.requests), held(account)

    rehearsal = target(messages, streams=streams, dry_run=True)

    assert rehearsal.code == 0, rehearsal.stderr
    assert writes(list(account.requests)[begun:]) == []
    assert held(account) == before
    assert rehearsal.rejects == []
    plan = plan_of(rehearsal)
    begun = len(account.requests)

    real = target(messages, streams=streams)

    assert real.code == 0
    assert real.states == [{"at": 1}]
    [part] = plan["streams"]
    [counts] = [re.findall(r"\d+", line) for line in real.said("WARNING", "INFO") if "done:" in line]
    delivered, accepted, rejected = (int(text) for text in counts[-3:])
    assert part["would_be_sent"] + part["nothing_to_send"] == delivered + accepted
    assert (part["would_be_rejected"], part["records"]) == (rejected, len(case.rows))
    keys = ("stream", "record", "code", "reason")
    assert [{key: line[key] for key in keys} for line in plan["rejected"]] == [
        {key: line[key] for key in keys} for line in real.rejected
    ]
    asked = list(account.requests)[begun:]
    planned = {entry["operation"]: entry["requests"] for entry in plan["requests"]}
    assert sent_by(asked, planned) == planned
    assert sum(planned.values()) == len(writes(asked))
    reads = {entry["operation"]: entry["requests"] for entry in plan["reads"]}
    assert sent_by(asked, reads) == reads
    polls = [entry for entry in asked if entry.method == "GET" and "-jobs" in entry.path]
    assert sum(reads.values()) + len(polls) == len(asked) - len(writes(asked))
    if case.change is not None:
        [vip] = plan["lists"]
        change = vip[case.change]
        assert (vip["name"], vip["would_be_made"]) == ("VIP", not case.before)
        assert change["count"] == len(change["identifiers"])
        were = {row["email"] for row in case.before}
        assert set(change["identifiers"]) == members(account, "VIP") ^ were


def test_the_log_names_nobody_and_the_plan_is_its_owners(target: Command) -> None:
    """People are not in the log, and whole in the file, which only its owner reads; a plan of before is replaced."""
    path = target.folder / "target-klaviyo-plan.json"
    path.write_text("old")
    path.chmod(0o644)
    person = {"email": "ada@example.com", "phone_number": "+12025550142", "first_name": "Lovelace"}
    rows = [person, {"first_name": "Lovelace"}]

    run = target([schema_of("vips"), *records("vips", rows)], dry_run=True,
                 streams={"vips": {"action": "list_members", **MAKE}})  # fmt: skip

    assert run.code == 0
    for secret in (KEY, "example.com", "2025550142", "Lovelace", "Traceback"):
        assert secret not in run.stderr
    said = run.stderr
    assert "1 would be sent, 1 would be rejected\n" in said
    assert "list 'VIP' (would be made)\n        1  would be put on it: a***@e***.com\n" in said
    last = said.splitlines()[-1]
    assert last.endswith(
        "rehearsal: 1 would be sent, 1 would be rejected; nothing was sent (see target-klaviyo-plan.json)"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in target.folder.iterdir() if "plan" in entry.name] == [path.name]
    [part] = plan_of(run)["streams"]
    assert part["lists"] == {"VIP": 1}
    [row] = part["first_rows"]
    assert row["becomes"] == "would_be_sent"
    assert row["steps"] == [
        {"action": "list_members", "list": "VIP", "payload": {"type": "profile", "attributes": person}}
    ]


def test_a_rehearsal_leaves_the_last_real_runs_rejects_alone(target: Command) -> None:
    """They may still wait for somebody to mend them."""
    rejects = target.folder / "target-klaviyo-rejects.jsonl"
    rejects.write_text("kept\n")
    run = target([schema_of("profiles"), *records("profiles", BAD)], dry_run=True, plan_path="plans/today.json")
    assert run.code == 1
    assert rejects.read_text() == "kept\n"
    assert not rejects.with_name(rejects.name + ".1").exists()
    [line] = json.loads((target.folder / "plans" / "today.json").read_text())["rejected"]
    assert (line["record"], line["code"]) == (BAD[0], "invalid_email")


@pytest.mark.parametrize("settings", [{"on_reject": "fail"}, {"max_rejects": "10%"}])
def test_what_would_fail_the_run_fails_the_rehearsal(target: Command, settings: dict[str, Any]) -> None:
    """Exit code 1 and one line, and the plan as far as it goes."""
    run = target([schema_of("profiles"), *records("profiles", PEOPLE[:2] + BAD)], dry_run=True, **settings)
    assert run.code == 1
    [line] = run.said("CRITICAL", "ERROR")
    assert "target-klaviyo-plan.json" in line
    assert len(plan_of(run)["rejected"]) == 1
    assert run.rejects == []


def test_a_wrong_setting_fails_the_rehearsal(target: Command, account: RunningSandbox) -> None:
    """A list that is not there is found out before the push; that is said first, and that the plan is not all."""
    run = target([schema_of("vips"), *records("vips", PEOPLE)], dry_run=True,
                 streams={"vips": {"action": "list_members", "list": "Nobody's"}})  # fmt: skip
    assert run.code == 2
    [line] = run.said("CRITICAL", "ERROR")
    assert "the account has no list" in line
    assert plan_of(run)["complete"] is False
    assert 0 < run.stderr.index("the account has no list") < run.stderr.index("It ended early")
    assert "STATE" not in run.stderr
    assert writes(account.requests) == []


def test_a_push_that_fails_says_why_before_how_much_is_left(target: Command) -> None:
    """The reason stands in front of the number of records that come again."""
    run = target([schema_of("vips"), *records("vips", PEOPLE[:1])],
                 streams={"vips": {"action": "list_members", "list": "Nobody's"}})  # fmt: skip
    assert run.code == 2
    assert 0 < run.stderr.index("the account has no list") < run.stderr.index("1 record was not sent")


def test_who_stays_on_a_list_that_is_added_to_is_not_known(target: Command) -> None:
    """In mode add nobody reads the list: the log does not call people new who may be on it."""
    streams = {"vips": {"action": "list_members", **MAKE}}
    messages = [schema("vips", PEOPLE), *records("vips", PEOPLE)]
    assert target(messages, streams=streams).code == 0
    run = target(messages, streams=streams, dry_run=True)
    assert "       30  would be put on it, unless they are on it already: " in run.stderr
    assert plan_of(run)["lists"][0]["already_on_it"] is None


def test_a_plan_that_cannot_be_written_is_a_wrong_setting(target: Command) -> None:
    """One line says which."""
    (target.folder / "file").write_text("")
    run = target([schema_of("profiles"), *records("profiles", PEOPLE[:1])], dry_run=True, plan_path="file/plan.json")
    assert run.code == 2
    assert "plan_path cannot be written" in run.said("CRITICAL", "ERROR")[-1]


def test_a_rehearsal_can_be_asked_for_by_the_environment(target: Command, account: RunningSandbox) -> None:
    """As Meltano and schedulers do it; what is no truth value is a wrong setting, and no push."""
    messages = [schema_of("profiles"), *records("profiles", PEOPLE[:1])]
    names = {"TARGET_KLAVIYO_API_KEY": KEY, "TARGET_KLAVIYO_API_URL": account.url}
    asked = ("--config", "ENV")
    run = target(messages, asked, {**names, "TARGET_KLAVIYO_DRY_RUN": "true"})
    assert (run.code, plan_of(run)["streams"][0]["would_be_sent"]) == (0, 1)
    unclear = target(messages, asked, {**names, "TARGET_KLAVIYO_DRY_RUN": "perhaps"})
    assert (unclear.code, "dry_run is wrong" in unclear.said("CRITICAL")[0]) == (2, True)
    unheard = target(messages, None, {"TARGET_KLAVIYO_DRY_RUN": "true"})
    assert (unheard.code, "add --config ENV" in unheard.stderr) == (2, True)
    assert writes(account.requests) == []


# On a scripted wire ---------------------------------------------------------------------------------------------------


def rehearsing(wire: Scripted) -> tuple[Session, Plan]:
    plan = Plan(0.5)
    client = RehearsalClient(
        "pk_x", clock=Time().clock, transport=wire, retry_policy=RetryPolicy(attempts=2), plan=plan
    )
    return Session(client, job_timeout=60), plan


def test_the_wire_itself_refuses_to_send() -> None:
    """Should the client ever let something through, it stops there."""
    wire = Scripted(lambda _: respond(200))
    with pytest.raises(WriteInRehearsal):
        ReadOnlyTransport(wire).send(Request("POST", "https://a.klaviyo.com/api/lists", {}, {}))
    assert wire.asked == []
    assert ReadOnlyTransport(wire).send(Request("GET", "https://a.klaviyo.com/api/lists", {}, {})).status == 200


def test_a_list_is_made_once_however_it_is_named() -> None:
    """By the settings and by a record: the second finds what the first would have made."""
    session, plan = rehearsing(Scripted(People({})))
    by_setting = rows_of({"action": "list_members", **MAKE}, ADA)
    by_record = rows_of({"action": "list_members", "create_list": True}, {**ADA, "list_name": "VIP"})
    assert [o.kind for o in outcomes_of(session, "list_members", [*by_setting, *by_record])] == [
        OutcomeKind.DELIVERED
    ] * 2
    [new_list] = plan.to_json(complete=True)["lists"]
    assert (new_list["id"], new_list["name"], new_list["would_be_made"]) == (None, "VIP", True)


def test_writes_wait_for_no_budget_and_no_job() -> None:
    """300 single requests and a job take no time, and nothing of Klaviyo's is asked."""
    wire = Scripted(People({}))
    session, plan = rehearsing(wire)
    rows = rows_of({"action": "delete_profile", "allow_deletion": True}, *[ADA] * 300)
    assert {o.kind for o in outcomes_of(session, "delete_profile", rows)} == {OutcomeKind.ACCEPTED}
    assert outcomes_of(session, "suppress", rows_of({"action": "suppress"}, ADA)) == [
        Outcome(OutcomeKind.DELIVERED, 202)
    ]
    assert session.client.clock.monotonic() == 0
    assert wire.asked == []
    summary = plan.to_json(complete=True)
    # 60 a minute, of which half may be spent.
    assert summary["minutes"] == 10
    [deletions, _] = summary["requests"]
    assert (deletions["requests"], deletions["per_minute"], deletions["minutes"]) == (300, 60, 10)
    assert deletions["scopes"] == ["data-privacy:write"]


def test_much_is_counted_and_some_of_it_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """First rows, people of a list and rejected records are bounded, and the plan says how many are left out."""
    monkeypatch.setattr(plan_stream, "MAX_ROWS", 2)
    for name in ("MAX_PEOPLE", "MAX_REJECTED"):
        monkeypatch.setattr(plans, name, 2)
    plan = Plan(1.0)
    rows = rows_of({"action": "upsert_profile"}, *PEOPLE[:3])
    for row in rows:
        plan.add_row("s", ACTIONS["upsert_profile"], row)
        plan.add_rejected({"record": row.source.record})
    for part in (PEOPLE[:1], PEOPLE[1:5]):
        names = [row["email"] for row in part]
        plan.add_request("bulk_import_profiles", RequestContents(len(part), part, "L"), iter(names))
    summary = plan.to_json(complete=True)
    assert len(summary["streams"][0]["first_rows"]) == 2
    assert summary["lists"][0]["additions"] == {
        "count": 5,
        "identifiers": ["p0@example.com", "p1@example.com"],
        "not_shown": 3,
    }
    assert (len(summary["rejected"]), summary["rejected_not_shown"]) == (2, 1)


@pytest.mark.parametrize(("shown", "count", "hidden"), [(10, 2, 0), (3, 3, 1)])
def test_members_are_no_additions(monkeypatch: pytest.MonkeyPatch, shown: int, count: int, hidden: int) -> None:
    """Who is shown is compared one by one, so that twice the same is once; beyond that members are subtracted."""
    monkeypatch.setattr(plans, "MAX_PEOPLE", shown)
    plan = Plan(1.0)
    rows = [{"email": f"P{i}@example.com"} for i in (0, 1, 2, 0, 3)]
    plan.add_request("bulk_import_profiles", RequestContents(5, rows, "L"), [row["email"] for row in rows])

    plan.exclude_members("L", {("email", "p0@example.com"), ("email", "p1@example.com")}, 2)

    [list_plan] = plan.to_json(complete=True)["lists"]
    assert (list_plan["already_on_it"], list_plan["additions"]["count"], list_plan["additions"]["not_shown"]) == (
        2,
        count,
        2 * hidden,
    )


def test_whoever_goes_by_klaviyos_id_is_named_by_what_was_read() -> None:
    """A removal holds ids only; the look-up before it told whose they are."""
    profile = {"type": "profile", "id": "01A", "attributes": {"email": "Ada@example.com"}}
    lists = {"type": "list", "id": "L", "attributes": {"name": "VIP"}}
    wire = Scripted(lambda r: respond(200, {"data": [lists if r.url.endswith("lists") else profile]}))
    session, plan = rehearsing(wire)
    rows = rows_of({"action": "list_members", "list": "VIP", "mode": "remove"}, ADA, {"email": "b@example.com"})
    outcomes_of(session, "list_members", rows)
    [vip] = plan.to_json(complete=True)["lists"]
    assert (vip["id"], vip["name"], vip["removals"]["identifiers"]) == ("L", "VIP", ["Ada@example.com"])


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        ({}, {"data": {"type": "list", "attributes": {"name": "x"}}}, RequestContents(1, [])),
        (
            {"id": "L"},
            {"data": [{"type": "profile", "id": "1"}]},
            RequestContents(1, [{"type": "profile", "id": "1"}], "L"),
        ),
        (
            {},
            {"data": {"type": "profile", "attributes": ADA}},
            RequestContents(1, [{"type": "profile", "attributes": ADA}]),
        ),
    ],
)
def test_what_a_body_holds(path: dict[str, str], document: dict[str, Any], expected: RequestContents) -> None:
    """Items, people and list."""
    assert parse_request(path, document) == expected


def test_words() -> None:
    """What seldom happens is only said when it does."""
    assert format_counts({}) == "0 would be sent, 0 would be rejected"
    assert format_counts({"left_out": 2}) == "0 would be sent, 0 would be rejected, 2 would be left out"


def test_results_of_a_rehearsal_are_judged_as_those_of_a_real_run(tmp_path: Path) -> None:
    """Too many rejected records are too many, and they are in the plan."""
    results = RehearsalResults(Plan(1.0), tmp_path / "plan.json", Limit(count=0))
    results.add(SourceRecord("s", ADA), "upsert_profile", Outcome(OutcomeKind.REJECTED, code="x", reason="because"))
    results.add_line("{", Outcome(OutcomeKind.REJECTED, code="not_json"))
    with pytest.raises(TooManyRejects, match=r"plan\.json"):
        results.check_limit(ended=True)
    results.close()
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert [line["type"] for line in plan["rejected"]] == ["RECORD", "REJECTED"]
